"""Whom a withdrawal reaches: students, runs, releases, deliveries, reports, and what was made from the withdrawn rows."""

from dataclasses import dataclass

from inbond.ledger.reader import LedgerReader


@dataclass(frozen=True, slots=True)
class Affected:
    """Something that is affected, `depth` steps from the start; `rows` where distinct rows of the start reached it."""

    ref: str
    kind: str
    depth: int
    entry: int
    owner: str
    rows: int | None
    rows_at_most: int | None


@dataclass(frozen=True, slots=True)
class Impact:
    """The answer about `about` as of `tree_size`; `open_runs` may still read, `recalls` are withdrawals on record of it."""

    about: str
    tree_size: int
    affected: tuple[Affected, ...]
    open_runs: tuple[str, ...]
    recalls: tuple[str, ...]
    names: dict[str, str]
    truncated: bool


def impact_of(reader: LedgerReader, ref: str, size: int | None = None) -> Impact:
    """What a withdrawal of `ref` (a shard, dataset or teacher) reaches, as of `size` entries (all unless given)."""
    raise NotImplementedError
