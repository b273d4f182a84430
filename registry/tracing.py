"""One record: where it lies, who made it, whom it reached."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from inbond.ledger.entries import parse_entry
from inbond.ledger.reader import LedgerReader
from inbond.registry import tables as t
from inbond.registry.current import first_of, newest_of
from inbond.registry.gate import applicable_terms
from inbond.registry.names import names_of
from inbond.registry.objects import ObjectStore
from inbond.registry.spread import Spread, Taken
from inbond.registry.times import now
from inbond.registry.training.layout import Span
from inbond.registry.withdrawn import withdrawn
from inbond.schemas.errors import InvalidInput, NotFound, StoreError, VerificationError
from inbond.schemas.statement import Statement

if TYPE_CHECKING:
    from inbond.registry.shards.logits_reader import LogitsReader
    from inbond.registry.shards.reader import ShardReader  # with pyarrow, which few processes need

MAX_FOUND = 1000
_READ_ALONE = 8

_ADDRESS = re.compile(r"(shard:[0-9a-f]{32}):(0|[1-9][0-9]{0,14})")
_RECORD_ID = re.compile(r"[0-9a-f]{64}")

StatementOf = Callable[[str], Statement]
"""The statement that made a thing, checked against the log."""


@dataclass(frozen=True, slots=True)
class Found:
    """A row that is, or holds, the record: its shard, models with roles, the terms that apply, runs and students.

    `record_id` was read from the shard's verified bytes, None where they are not in the store. `runs` were given the row, the
    oldest first; `perhaps` are runs past their reporting time, which may have been. `students` are those of both, by their
    first run. `recalls` withdraw the row.
    """

    shard: str
    row: int
    record_id: str | None
    teachers: tuple[tuple[str, str], ...]
    terms: tuple[str, ...]
    runs: tuple[str, ...]
    perhaps: tuple[str, ...]
    students: tuple[str, ...]
    recalls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Traced:
    """The answer about `record` as of `tree_size`.

    `searched` of `shards` shards were looked into, all but `unread`, whose bytes are not in the store or not those of their
    statement. `truncated` says that there are more rows than are listed.
    """

    record: str
    tree_size: int
    found: tuple[Found, ...]
    searched: int
    shards: int
    unread: tuple[str, ...]
    names: dict[str, str]
    truncated: bool


def trace(reader: LedgerReader, store: ObjectStore, record: str, size: int | None, statement_of: StatementOf) -> Traced:
    """Find `record`: an address (`shard:ID:ROW`) or a record id (64 hex digits), which may occur several times."""
    at = reader.size if size is None else size
    written = parse_entry(reader.entry(at - 1)).time
    work = _Work(Spread(reader.connection, at, max(written, now()) if size is None else written), store, statement_of)
    if address := _ADDRESS.fullmatch(record):
        hits, shards = [work.address(address[1], int(address[2]))], 1
    elif _RECORD_ID.fullmatch(record):
        hits, shards = work.search(bytes.fromhex(record))
    else:
        raise InvalidInput(f"expected a record id (64 lower-case hex digits) or an address shard:ID:ROW, found {record[:120]!r}")
    found = tuple(work.told(*hit) for hit in hits[:MAX_FOUND])
    named = names_of(reader.connection, {ref for item in found for ref in _mentioned(item)}, at)
    unread = tuple(work.unread)
    return Traced(record, at, found, shards - len(unread), shards, unread, named, len(hits) > MAX_FOUND)


def _mentioned(item: Found) -> Iterable[str]:
    teachers = (teacher for teacher, _ in item.teachers)
    return (item.shard, *teachers, *item.terms, *item.runs, *item.perhaps, *item.students, *item.recalls)


Hit = tuple[str, int, str | None]
"""A row of a shard, and its record id where that could be read."""


class _Work:
    """A search as it goes on."""

    def __init__(self, spread: Spread, store: ObjectStore, statement_of: StatementOf) -> None:
        self.spread, self.store, self.statement_of = spread, store, statement_of
        self.unread: list[str] = []
        self._taken: dict[str, dict[str, Taken]] = {}
        self._behind: dict[str, tuple[tuple[tuple[str, str], ...], tuple[str, ...]]] = {}

    # -- bytes -------------------------------------------------------------------------------------------------------------

    def address(self, ref: str, row: int) -> Hit:
        """The row at an address."""
        [shard] = first_of(self.spread.connection, [ref]).values()
        s = t.shards.c
        query = select(s.file, s.rows).where(s.ref == shard, s.seq < self.spread.size)
        found = self.spread.connection.execute(query).one_or_none()
        if found is None or row >= found.rows:
            rows = "no such shard" if found is None else f"{found.rows} rows"
            raise NotFound(f"{ref}:{row}: expected a row of a shard on record at size {self.spread.size}, found {rows}")
        if not self.store.has(found.file):
            self.unread.append(shard)
            return shard, row, None
        with self._opened(shard) as opened:
            return shard, row, self._ids(opened, [range(row, row + 1)])[0].hex()

    def search(self, record_id: bytes) -> tuple[list[Hit], int]:
        """The rows with this id in all shards, oldest first, at least so many as are listed; and how many shards there are."""
        s = t.shards.c
        query = select(s.ref, s.file, s.rows).where(s.seq < self.spread.size).order_by(s.seq)
        hits: list[Hit] = []
        every = self.spread.connection.execute(query).all()
        for shard in every:
            try:
                rows = self._rows(shard.ref, shard.file, shard.rows, record_id)
            except (NotFound, StoreError, VerificationError):
                self.unread.append(shard.ref)
                continue
            if len(hits) <= MAX_FOUND:
                hits += [(shard.ref, row, record_id.hex()) for row in rows]
        return hits, len(every)

    def _rows(self, shard: str, file: str, rows: int, record_id: bytes) -> list[int]:
        """The rows of a shard that have the id, compared in its verified bytes."""
        from inbond.registry.shards import ids

        if not self.store.has(file):
            raise NotFound(f"object {file} is not in the store")

        def joined() -> bytes:
            with self._opened(shard) as opened:
                return b"".join(self._ids(opened, None))

        found = ids.find(self.store, file, rows, record_id, joined)
        if not found:
            return []
        if len(found) <= _READ_ALONE:
            with self._opened(shard) as opened:
                whole = dict(zip(found, self._ids(opened, [range(row, row + 1) for row in found]), strict=True))
            if all(each[:8] == record_id[:8] for each in whole.values()):
                return [row for row, each in whole.items() if each == record_id]
        data = joined()  # there are many, or the index is not that of these bytes
        ids.keep(self.store, file, data)
        return [row for row in range(rows) if data[32 * row : 32 * row + 32] == record_id]

    def _opened(self, shard: str) -> "ShardReader | LogitsReader":
        from inbond.registry.shards.opening import reader_of

        return reader_of(self.store, self.statement_of(shard).body, shard)

    def _ids(self, opened: "ShardReader | LogitsReader", rows: list[range] | None) -> list[bytes]:
        from inbond.registry.shards import arrow

        return [each for table in opened.batches(("record_id",), rows) for each in arrow.record_ids(table)]

    # -- whom it reached ---------------------------------------------------------------------------------------------------

    def told(self, shard: str, row: int, record_id: str | None) -> Found:
        """What is on record about a row."""
        connection, size = self.spread.connection, self.spread.size
        taken = self._runs_of(shard)
        given = {run for run, its in taken.items() if _holds(its.ranges, row)}
        students = self.spread.students(given.union(run for run, its in taken.items() if _holds(its.at_most, row)))
        runs, perhaps = (tuple(run for run in students if (run in given) is which) for which in (True, False))
        recalls = tuple(dict.fromkeys(each.recall for each in withdrawn(connection, [Span(shard, row, row + 1)], None, size)))
        who = tuple(dict.fromkeys(students.values()))
        return Found(shard, row, record_id, *self._models_of(shard), runs, perhaps, who, recalls)

    def _runs_of(self, shard: str) -> dict[str, Taken]:
        if shard not in self._taken:
            self._taken[shard] = {run: its for (_, run), its in self.spread.taken([shard]).items()}
        return self._taken[shard]

    def _models_of(self, shard: str) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
        """The models behind a shard, and the documents that apply to them as they are known."""
        if shard not in self._behind:
            connection, size = self.spread.connection, self.spread.size
            models = sorted(self.spread.models([shard]).get(shard, ()))
            newest = newest_of(connection, [teacher for teacher, _ in models], size)
            terms = [terms for teacher in newest.values() for terms in applicable_terms(connection, teacher, size)]
            self._behind[shard] = tuple(models), tuple(dict.fromkeys(terms))
        return self._behind[shard]


def _holds(ranges: Iterable[tuple[int, int]], row: int) -> bool:
    return any(first <= row < last for first, last in ranges)
