"""What runs were given, as of a tree size: ranges of rows of shards, from segments and deliveries, or at most by their grants.

Made for thousands of shards: what is asked of each of them goes to the driver as it is, and comes back as tuples.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, exists, literal_column, select

from inbond.ledger.prepared import Prepared
from inbond.registry import tables as t
from inbond.registry.training.layout import merged

T = TypeVar("T")

Ranges = dict[str, list[tuple[int, int]]]
"""Half-open ranges of rows, by shard."""

Found = dict[tuple[str, str], list[tuple[int, int]]]
"""Half-open ranges of rows, by (shard, run)."""

_AT_ONCE = 250
_SOME = [f"some{number}" for number in range(_AT_ONCE)]


def _among(column: Any) -> Any:
    """That `column` is one of the first `_AT_ONCE` parameters."""
    return column.in_([bindparam(name) for name in _SOME])


_E, _X, _P = t.edges.c, t.exposures.c, t.dataset_parts.c
_EXPOSED = Prepared(
    select(_X.shard, _X.first, _X.last).where(_X.run == bindparam("wanted"), _X.seq < bindparam("size")),
    ["wanted", "size"],
)
_MODELS = Prepared(
    select(_E.src, _E.dst, _E.relation).where(
        _among(_E.src), _E.relation.like(literal_column("'model:%'")), _E.seq < bindparam("size")
    ),
    [*_SOME, "size"],
)
_HOLDING = Prepared(
    select(exists(select(_P.dataset).where(_among(_P.shard), _P.dataset == bindparam("wanted")))), [*_SOME, "wanted"]
)


class Given:
    """The catalogue as of a tree size; grants with a reporting time before `time` are overdue."""

    def __init__(self, connection: Connection, size: int, time: str) -> None:
        self.connection, self.size, self.time = connection, size, time

    def exposed(self, runs: list[str], shards: set[str] | None = None) -> Found:
        """Ranges of rows that reached each run, by (shard, run)."""
        found: Found = {}
        for run in runs:
            for shard, first, last in _EXPOSED.rows(self.connection, run, self.size):
                if shards is None or shard in shards:
                    found.setdefault((shard, run), []).append((first, last))
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
        found: dict[str, set[tuple[str, str]]] = {}
        for chunk in _padded(shards):
            for shard, teacher, relation in _MODELS.rows(self.connection, *chunk, self.size):
                found.setdefault(shard, set()).add((teacher, relation.removeprefix("model:")))
        return found

    def datasets(self, runs: Iterable[str], shards: Sequence[str]) -> tuple[str, ...]:
        """The datasets of the runs' plans that hold any of `shards`, plan by plan."""
        s = t.run_sources.c
        found: dict[str, bool] = {}
        for run in runs:
            for dataset in self.column(select(s.dataset).where(s.run == run).order_by(s.position)):
                if dataset not in found:
                    found[dataset] = any(_HOLDING.rows(self.connection, *chunk, dataset)[0][0] for chunk in _padded(shards))
        return tuple(dataset for dataset, holds in found.items() if holds)

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
    listed = list(ranges)
    if len(listed) == 1:
        return listed[0][1] - listed[0][0]
    return sum(last - first for first, last in merged(listed))


def chunks(items: list[T], size: int = 500) -> Iterable[list[T]]:
    """Lists short enough for one query's parameters."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _padded(items: Sequence[str]) -> Iterable[Sequence[str]]:
    """Lists of `_AT_ONCE`; the last one repeats an item as often as it must."""
    for start in range(0, len(items), _AT_ONCE):
        some = items[start : start + _AT_ONCE]
        yield [*some, *[some[0]] * (_AT_ONCE - len(some))]
