"""How models spread, for many of them at once: who read what they said, who took their weights, what became of those.

Each step is a few queries for all things that it starts from, however many there are. What a corrected statement claims is
not followed, its correction is; things are named by the statement that made them.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from inbond.registry import tables as t
from inbond.registry.current import first_of, newest_of
from inbond.registry.given import Given, chunks
from inbond.registry.training.layout import merged

MAX_LINKS = 50_000
NEVER = -1
_AT_ONCE = 2000


@dataclass(slots=True)
class Taken:
    """What a run was given of a shard: ranges that ascend, and the first and last entry that says so (`NEVER`: none does).

    `inside` says whether an entry in the window that was asked for is among them; `at_most` are the ranges that it may
    have read besides, as its grant is past its reporting time.
    """

    ranges: list[tuple[int, int]] = field(default_factory=list)
    first: int = NEVER
    last: int = NEVER
    inside: bool = False
    at_most: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class Link:
    """`src` came from `dst`: as its reader (`taken`, by shard and run), by weights, or as another name of the same model.

    A step is what makes a model another one; a student that became a teacher, or was released, is still the same.
    """

    src: str
    dst: str
    is_step: bool
    is_recorded: bool
    taken: dict[tuple[str, str], Taken] = field(default_factory=dict)

    @property
    def runs(self) -> list[str]:
        """The runs that read."""
        return list(dict.fromkeys(run for _, run in self.taken))


class Spread(Given):
    """The catalogue as of a tree size; `window` are the entries [first, last) that `Taken.inside` is about."""

    def __init__(self, connection: Connection, size: int, time: str, window: tuple[int, int] | None = None) -> None:
        super().__init__(connection, size, time)
        self.window = window or (0, size)

    def explored(self, starts: Iterable[str]) -> tuple[list[Link], bool]:
        """All links below `starts` (teachers, students, releases), nearest first; and whether they were cut off."""
        links: list[Link] = []
        frontier = list(dict.fromkeys(starts))
        seen = set(frontier)
        while frontier:
            found = self.links(frontier)
            links += found
            if len(links) > MAX_LINKS:
                return links[:MAX_LINKS], True
            frontier = [ref for ref in dict.fromkeys(link.src for link in found) if ref not in seen]
            seen.update(frontier)
        return links, False

    def links(self, models: Collection[str]) -> list[Link]:
        """What came from each of `models` in one step."""
        readers = self.readers([ref for ref in models if ref.startswith("teacher:")])
        return [*readers, *self._heirs(list(models))]

    # -- outputs -----------------------------------------------------------------------------------------------------------

    def readers(self, teachers: list[str]) -> list[Link]:
        """The students whose runs read, or may have read, rows that any of `teachers` had a hand in."""
        e = t.edges.c
        made: dict[str, set[str]] = {}
        for chunk in chunks(teachers):
            query = select(e.src, e.dst).where(e.dst.in_(chunk), e.relation.like("model:%"), e.seq < self.size)
            for row in self.connection.execute(query):
                made.setdefault(row.src, set()).add(row.dst)
        taken = self.taken(list(made))
        students = self.students({run for _, run in taken})
        links: dict[tuple[str, str], Link] = {}
        for (shard, run), rows in taken.items():
            for teacher in sorted(made[shard]):
                key = students[run], teacher
                if key not in links:
                    links[key] = Link(*key, is_step=True, is_recorded=True)
                links[key].taken[shard, run] = rows
        return list(links.values())

    def taken(self, shards: list[str]) -> dict[tuple[str, str], Taken]:
        """What each run was given, or may have read, of each of `shards`, by (shard, run)."""
        found: dict[tuple[str, str], Taken] = {}
        after, before = self.window
        for shard, run, first, last, seq in self._exposures(shards):
            rows = found.get((shard, run))
            if rows is None:
                rows = found[shard, run] = Taken(first=seq, last=seq)
            if rows.ranges and first <= rows.ranges[-1][1]:  # they come in order, mostly end to end
                if last > rows.ranges[-1][1]:
                    rows.ranges[-1] = rows.ranges[-1][0], last
            else:
                rows.ranges.append((first, last))
            if seq < rows.first:
                rows.first = seq
            if seq > rows.last:
                rows.last = seq
            if after <= seq < before:
                rows.inside = True
        for key, ranges in self.granted_without_report(self._overdue(), set(shards)).items():
            found.setdefault(key, Taken()).at_most = merged(ranges)
        return found

    def _exposures(self, shards: list[str]) -> Iterator[Any]:
        """(shard, run, first, last, entry) of what runs were given of `shards`, by shard, run and first row."""
        x = t.exposures.c
        for chunk in chunks(shards):
            query = select(x.shard, x.run, x.first, x.last, x.seq).where(x.shard.in_(chunk), x.seq < self.size)
            for rows in self.connection.execute(query.order_by(x.shard, x.run, x.first)).partitions(_AT_ONCE):
                yield from rows

    def _overdue(self) -> list[str]:
        g = t.grants.c
        return self.column(select(g.run).where(g.seq < self.size, g.report_by < self.time).distinct())

    def students(self, runs: Collection[str]) -> dict[str, str]:
        """The student of each run, oldest run first."""
        found: list[Any] = []
        for chunk in chunks(sorted(runs)):
            query = select(t.runs.c.seq, t.runs.c.ref, t.runs.c.student).where(t.runs.c.ref.in_(chunk))
            found += self.connection.execute(query)
        return {row.ref: row.student for row in sorted(found, key=lambda row: row.seq)}

    # -- weights, and other names ------------------------------------------------------------------------------------------

    def _heirs(self, models: list[str]) -> list[Link]:
        """What statements say came from `models`: teachers that students became, releases, heirs of weights, and claims."""
        e = t.edges.c
        rows: list[Any] = []
        for chunk in chunks(models):
            query = select(e.src, e.dst, e.relation).where(e.dst.in_(chunk), e.relation.not_like("model:%"), e.seq < self.size)
            rows += self.connection.execute(query.order_by(e.seq, e.src)).all()
        said = [row.src for row in rows]
        newest, first = newest_of(self.connection, said, self.size), first_of(self.connection, said)
        students = self._released([row.src for row in rows if row.relation == "merged_from"])
        links = []
        for row in rows:
            if newest[row.src] != row.src and not row.src.startswith("release:"):  # of a release, the first has the edges
                continue
            same = row.relation in ("same_as", "release_of")
            src = students[row.src] if row.relation == "merged_from" else first[row.src]
            links.append(Link(src, row.dst, is_step=not same, is_recorded=same))
        return links

    def _released(self, releases: list[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for chunk in chunks(releases):
            query = select(t.releases.c.ref, t.releases.c.student).where(t.releases.c.ref.in_(chunk))
            found.update({row.ref: row.student for row in self.connection.execute(query)})
        return found
