"""Whom a withdrawal reaches: students, runs, releases, deliveries, reports, and what was made from the withdrawn rows.

Rows are followed as rows where the ledger knows them: into dataset versions, runs, and from there to students. Beyond that
everything is affected as a whole: shards made from some of the rows, whoever read those, students' releases, the teachers
that students became, and whoever learned from them or took their weights.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import literal, null, or_, select

from inbond.ledger.entries import parse_entry
from inbond.ledger.reader import LedgerReader
from inbond.registry import tables as t
from inbond.registry.current import first_of
from inbond.registry.given import Ranges, chunks, rows_in
from inbond.registry.names import names_of
from inbond.registry.spread import Spread, Taken
from inbond.registry.times import now
from inbond.registry.training.layout import Span, merged
from inbond.registry.withdrawn import withdrawn
from inbond.schemas.errors import InvalidInput
from inbond.schemas.statements import Extent

MAX_AFFECTED = 20_000


@dataclass(frozen=True, slots=True)
class Affected:
    """Something that is affected, `depth` steps from the start; `rows` where distinct rows of the start reached it.

    A delivery is what it is: bytes that left, and that nobody here can take back. `rows_at_most` as in lineage.
    """

    ref: str
    kind: str
    depth: int
    entry: int
    owner: str
    rows: int | None
    rows_at_most: int | None


@dataclass(frozen=True, slots=True)
class Impact:
    """The answer about `about`, `rows` of `shards`, as of `tree_size`.

    `open_runs` may still read some of the rows, as far as no recall stops them; `recalls` are withdrawals of some of them
    on record, in effect or not. `truncated` says that the answer was cut off.
    """

    about: str
    tree_size: int
    shards: int
    rows: int
    affected: tuple[Affected, ...]
    open_runs: tuple[str, ...]
    recalls: tuple[str, ...]
    names: dict[str, str]
    truncated: bool


def impact_of(reader: LedgerReader, ref: str, size: int | None = None) -> Impact:
    """What a withdrawal of `ref` (a shard, dataset version, teacher or recall) reaches, as of `size` entries (all unless given).

    Reporting times are looked at now, for an answer about a size at the time of its last entry.
    """
    at = reader.size if size is None else size
    written = parse_entry(reader.entry(at - 1)).time
    spread = Spread(reader.connection, at, max(written, now()) if size is None else written)
    start = ref if ref.startswith("recall:") else first_of(reader.connection, [ref])[ref]
    rows = _rows_of(spread, start)
    work = _Work(spread, rows)
    work.follow()
    affected, cut = work.answer()
    parts = [Span(shard, first, last) for shard, ranges in rows.items() for first, last in ranges]
    recalls = tuple(dict.fromkeys(each.recall for each in withdrawn(reader.connection, parts, None, at)))
    open_runs = _open_runs(spread, rows)
    mentioned = {start, *open_runs, *recalls, *(each for item in affected for each in (item.ref, item.owner))}
    return Impact(
        start, at, len(rows), sum(map(rows_in, rows.values())), affected, open_runs, recalls,
        names_of(reader.connection, mentioned, at), cut,
    )  # fmt: skip


def _rows_of(spread: Spread, ref: str) -> Ranges:
    """The rows that are withdrawn with `ref`."""
    s, p, e, r = t.shards.c, t.dataset_parts.c, t.edges.c, t.recalls.c
    queries: dict[str, Any] = {
        "shard": select(s.ref, literal(0), s.rows).where(s.ref == ref, s.seq < spread.size),
        "dataset": select(p.shard, p.first, p.last).where(p.dataset == ref, p.seq < spread.size),
        "teacher": select(s.ref, literal(0), s.rows).where(
            s.ref.in_(select(e.src).where(e.dst == ref, e.relation.like("model:%"), e.seq < spread.size))
        ),
        "recall": select(r.shard, r.first, r.last).where(r.ref == ref, r.seq < spread.size),
    }
    query = queries.get(ref.partition(":")[0])
    if query is None:
        raise InvalidInput(f"impact: expected a {', '.join(queries)}, found {ref}")
    found: Ranges = {}
    for shard, first, last in spread.connection.execute(query):
        found.setdefault(shard, []).append((first, last))
    return {shard: merged(ranges) for shard, ranges in sorted(found.items())}


def _open_runs(spread: Spread, rows: Ranges) -> tuple[str, ...]:
    """The runs that are not closed and whose plan holds any of `rows`."""
    r, s, p = t.runs.c, t.run_sources.c, t.dataset_parts.c
    found: dict[str, int] = {}
    for chunk in chunks(list(rows)):
        query = (
            select(r.ref, r.seq, p.shard, p.first, p.last)
            .join_from(t.dataset_parts, t.run_sources, (s.dataset == p.dataset) & (s.split == p.split))
            .join(t.runs, r.ref == s.run)
            .where(p.shard.in_(chunk), r.seq < spread.size, or_(r.closed.is_(None), r.closed >= spread.size))
        )
        for row in spread.connection.execute(query):
            if _common(rows[row.shard], [(row.first, row.last)]):
                found[row.ref] = row.seq
    return tuple(sorted(found, key=lambda ref: found[ref]))


def _common(some: Iterable[tuple[int, int]], others: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    listed = list(others)
    return [(max(a, c), min(b, d)) for a, b in some for c, d in listed if max(a, c) < min(b, d)]


@dataclass(slots=True)
class _Reach:
    """How something is affected: the fewest steps, and the rows of the start that reached it, by shard."""

    depth: int
    rows: Ranges | None = None
    at_most: Ranges | None = None

    def add(self, rows: Ranges | None, at_most: Ranges | None) -> None:
        for name, more in (("rows", rows), ("at_most", at_most)):
            if more is not None:
                mine: Ranges = getattr(self, name) or {}
                for shard, ranges in more.items():
                    mine.setdefault(shard, []).extend(ranges)
                setattr(self, name, mine)


@dataclass(slots=True)
class _Work:
    """What is affected so far, by reference."""

    spread: Spread
    start: Ranges
    found: dict[str, _Reach] = field(default_factory=dict)
    cut: bool = False

    def follow(self) -> None:
        """Find everything, from the start's rows outwards."""
        derived = self._derived()
        shards = {shard: 0 for shard in self.start} | derived
        self._datasets(shards)
        self._deliveries(shards)
        self._runs(shards)
        self._models()
        self._reports()

    def reach(self, ref: str, depth: int, rows: Ranges | None = None, at_most: Ranges | None = None) -> None:
        """Note that `ref` is affected."""
        reach = self.found.setdefault(ref, _Reach(depth))
        reach.depth = min(reach.depth, depth)
        reach.add(rows, at_most)

    def answer(self) -> tuple[tuple[Affected, ...], bool]:
        """All of it, nearest first, as far as it is shown; and whether something was cut off."""
        things: dict[str, Any] = {}
        c = t.things.c
        for chunk in chunks(list(self.found)):
            query = select(c.ref, c.kind, c.seq, c.owner).where(c.ref.in_(chunk))
            things.update({row.ref: row for row in self.spread.connection.execute(query)})
        items = []
        for ref, reach in self.found.items():
            rows, most = (None if each is None else sum(map(rows_in, each.values())) for each in (reach.rows, reach.at_most))
            thing = things[ref]
            items.append(Affected(ref, thing.kind, reach.depth, thing.seq, thing.owner, rows, most if most != rows else None))
        items.sort(key=lambda item: (item.depth, item.entry, item.ref))
        return tuple(items[:MAX_AFFECTED]), self.cut or len(items) > MAX_AFFECTED

    # -- bytes -------------------------------------------------------------------------------------------------------------

    def _derived(self) -> dict[str, int]:
        """The shards made from any of the rows, directly or from shards that were, with how far they are."""
        e = t.edges.c
        found: dict[str, int] = {}
        frontier, depth = list(self.start), 0
        while frontier:
            depth += 1
            later: dict[str, None] = {}
            for chunk in chunks(frontier):
                query = select(e.src, e.dst, e.detail).where(
                    e.dst.in_(chunk), e.relation == "derived_from", e.seq < self.spread.size
                )
                for row in self.spread.connection.execute(query.order_by(e.seq, e.src)):
                    touched = row.dst in found or _common(self.start[row.dst], _ranges(row.detail))
                    if touched and row.src not in found and row.src not in self.start:
                        later[row.src] = None
            for shard in later:
                found[shard] = depth
                self.reach(shard, depth)
            frontier = list(later)
        return found

    def _datasets(self, shards: dict[str, int]) -> None:
        p = t.dataset_parts.c
        for chunk in chunks(list(shards)):
            query = select(p.dataset, p.shard, p.first, p.last).where(p.shard.in_(chunk), p.seq < self.spread.size)
            for row in self.spread.connection.execute(query):
                if shards[row.shard]:
                    self.reach(row.dataset, shards[row.shard] + 1)
                elif rows := _common(self.start[row.shard], [(row.first, row.last)]):
                    self.reach(row.dataset, 1, {row.shard: rows})

    def _deliveries(self, shards: dict[str, int]) -> None:
        """Bytes that left: whole shards with a delivery of a dataset version, whatever rows it names, or rows alone."""
        d, p, x = t.deliveries.c, t.dataset_parts.c, t.exposures.c
        by_rows = d.extent == Extent.ROWS.value
        for chunk in chunks(list(shards)):
            alone = select(d.ref, d.object, null(), null()).where(d.object.in_(chunk))
            within = select(d.ref, p.shard, null(), null()).join(t.dataset_parts, p.dataset == d.object)
            within = within.where(p.shard.in_(chunk), ~by_rows).distinct()
            some = select(d.ref, p.shard, p.first, p.last).join(t.dataset_parts, p.dataset == d.object)
            some = some.where(p.shard.in_(chunk), by_rows, d.grant.is_(None))
            given = select(d.ref, x.shard, x.first, x.last).join(t.exposures, x.by == d.ref).where(x.shard.in_(chunk), by_rows)
            for query in (alone, within, some, given):
                for ref, shard, first, last in self.spread.connection.execute(query.where(d.seq < self.spread.size)):
                    if far := shards[shard]:
                        self.reach(ref, far + 1)
                    elif rows := self.start[shard] if first is None else _common(self.start[shard], [(first, last)]):
                        self.reach(ref, 1, {shard: rows})

    # -- whoever read them -------------------------------------------------------------------------------------------------

    def _runs(self, shards: dict[str, int]) -> None:
        taken = self.spread.taken(list(shards))
        students = self.spread.students({run for _, run in taken})
        for (shard, run), its in taken.items():
            if shards[shard]:
                self.reach(run, shards[shard] + 1)
                self.reach(students[run], shards[shard] + 1)
                continue
            rows, most = self._of_start(shard, its)
            if rows or most:
                for ref in (run, students[run]):
                    self.reach(ref, 1, {shard: rows}, {shard: rows + most})

    def _of_start(self, shard: str, taken: Taken) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        return _common(self.start[shard], taken.ranges), _common(self.start[shard], taken.at_most)

    def _models(self) -> None:
        """Whatever came from the students: releases, teachers, and students of those, with the runs that read."""
        students = [ref for ref in self.found if ref.startswith("student:")]
        links, self.cut = self.spread.explored(students)
        below: dict[str, list[Any]] = {}
        for link in links:
            below.setdefault(link.dst, []).append(link)
        frontier = sorted(students, key=lambda ref: self.found[ref].depth)
        while frontier:
            later: list[str] = []
            for ref in frontier:
                far = self.found[ref].depth + 1
                for link in below.get(ref, ()):
                    known = self.found.get(link.src)
                    if known is None or known.depth > far:
                        later.append(link.src)
                    for each in (link.src, *link.runs):
                        self.reach(each, far)
            frontier = later

    def _reports(self) -> None:
        p = t.reports.c
        for chunk in chunks([ref for ref in self.found if ref.startswith("student:")]):
            query = select(p.ref, p.student).where(p.student.in_(chunk), p.seq < self.spread.size)
            for row in self.spread.connection.execute(query):
                self.reach(row.ref, self.found[row.student].depth + 1)


def _ranges(detail: str | None) -> list[tuple[int, int]]:
    """Rows as the projection writes them with a `derived_from` edge."""
    return [(int(first), int(last)) for first, _, last in (each.partition(":") for each in (detail or "").split())]
