"""One record: where it lies, who made it, whom it reached."""

from dataclasses import dataclass

from inbond.ledger.reader import LedgerReader
from inbond.registry.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Found:
    """A row that is, or holds, the record: its shard, teachers with roles, the terms that apply, runs and students."""

    shard: str
    row: int
    record_id: str | None
    teachers: tuple[tuple[str, str], ...]
    terms: tuple[str, ...]
    runs: tuple[str, ...]
    students: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Traced:
    """The answer about `record` as of `tree_size`; `searched` of `shards` shards were looked into."""

    record: str
    tree_size: int
    found: tuple[Found, ...]
    searched: int
    shards: int
    names: dict[str, str]


def trace(reader: LedgerReader, store: ObjectStore, record: str, size: int | None = None) -> Traced:
    """Find `record`: an address (`shard:ID:ROW`) or a record id (64 hex digits), which may occur several times."""
    raise NotImplementedError
