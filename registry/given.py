"""What runs were given, as of a tree size: ranges of rows of shards, from segments and deliveries, or at most by their grants."""

from collections.abc import Iterable
from typing import Any, TypeVar

from sqlalchemy import Connection, select

from inbond.registry import tables as t
from inbond.registry.training.layout import merged

T = TypeVar("T")

Ranges = dict[str, list[tuple[int, int]]]
"""Half-open ranges of rows, by shard."""

Found = dict[tuple[str, str], list[tuple[int, int]]]
"""Half-open ranges of rows, by (shard, run)."""


class Given:
    """The catalogue as of a tree size; grants with a reporting time before `time` are overdue."""

    def __init__(self, connection: Connection, size: int, time: str) -> None:
        self.connection, self.size, self.time = connection, size, time

    def exposed(self, runs: list[str], shards: set[str] | None = None) -> Found:
        """Ranges of rows that reached each run, by (shard, run)."""
        x = t.exposures.c
        found: Found = {}
        for chunk in chunks(runs):
            query = select(x.shard, x.run, x.first, x.last).where(x.run.in_(chunk), x.seq < self.size)
            for row in self.connection.execute(query):
                if shards is None or row.shard in shards:
                    found.setdefault((row.shard, row.run), []).append((row.first, row.last))
        return found

    def granted_without_report(self, runs: list[str], shards: set[str] | None = None) -> Found:
        """All that was granted to runs whose grant is past its report_by and that are not closed: the upper bound."""
        g, r, s, p = t.grants.c, t.runs.c, t.run_sources.c, t.dataset_parts.c
        found: Found = {}
        for chunk in chunks(runs):
            query = (
                select(p.shard, s.run, p.first, p.last)
                .join_from(t.run_sources, t.dataset_parts, (p.dataset == s.dataset) & (p.split == s.split))
                .join(t.runs, r.ref == s.run)
                .where(s.run.in_(chunk), (r.closed.is_(None)) | (r.closed >= self.size))
                .where(s.run.in_(select(g.run).where(g.seq < self.size, g.report_by < self.time)))
            )
            for row in self.connection.execute(query):
                if shards is None or row.shard in shards:
                    found.setdefault((row.shard, row.run), []).append((row.first, row.last))
        return found

    def models(self, shards: list[str]) -> dict[str, set[tuple[str, str]]]:
        """(teacher, role) of every model behind each shard."""
        e = t.edges.c
        found: dict[str, set[tuple[str, str]]] = {}
        for chunk in chunks(shards):
            query = select(e.src, e.dst, e.relation).where(e.src.in_(chunk), e.relation.like("model:%"), e.seq < self.size)
            for row in self.connection.execute(query):
                found.setdefault(row.src, set()).add((row.dst, row.relation.removeprefix("model:")))
        return found

    def datasets(self, runs: Iterable[str], shards: list[str]) -> tuple[str, ...]:
        """The datasets of the runs' plans that hold any of `shards`."""
        s, p = t.run_sources.c, t.dataset_parts.c
        found: dict[str, None] = {}
        for run in runs:
            for chunk in chunks(shards):
                query = (
                    select(s.dataset)
                    .join_from(t.run_sources, t.dataset_parts, p.dataset == s.dataset)
                    .where(s.run == run, p.shard.in_(chunk))
                    .distinct()
                )
                found.update(dict.fromkeys(self.column(query)))
        return tuple(found)

    def column(self, query: Any) -> list[str]:
        """The first column of a query's rows."""
        return list(self.connection.execute(query).scalars())


def within(found: Found, parts: Ranges) -> Found:
    """What of the ranges `found` lies in `parts`; what has nothing there is left out."""
    cut = {
        (shard, run): [
            (max(a, first), min(b, last)) for a, b in ranges for first, last in parts[shard] if max(a, first) < min(b, last)
        ]
        for (shard, run), ranges in found.items()
    }
    return {key: ranges for key, ranges in cut.items() if ranges}


def rows_in(ranges: Iterable[tuple[int, int]]) -> int:
    """How many distinct rows lie in the ranges."""
    return sum(last - first for first, last in merged(ranges))


def chunks(items: list[T], size: int = 500) -> Iterable[list[T]]:
    """Lists short enough for one query's parameters."""
    return (items[start : start + size] for start in range(0, len(items), size))
