"""What is withdrawn: rows of shards that a recall names, from the time that it takes effect.

A recall that a later one corrects (`amends`) withdraws nothing any more; what the later one names is withdrawn. Rows that
are withdrawn stay so in every dataset version that holds them, those that were made later included.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, exists, or_, select

from inbond.registry import tables as t
from inbond.registry.given import chunks
from inbond.registry.training.layout import Span

EVER = 2**62

Part = str | Span
"""Rows that are about to be read: a span of them, or a shard's reference for all it has."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Rows [first, last) of `shard` that `recall`, on record as `entry`, withdraws from `effective` on."""

    recall: str
    entry: int
    shard: str
    first: int
    last: int
    category: str
    action: str
    effective: str

    @property
    def text(self) -> str:
        """The withdrawal in words, with everything that leads to it."""
        rows = f"rows [{self.first}, {self.last}) of {self.shard}"
        return f"entry {self.entry} ({self.recall}) withdraws {rows} since {self.effective}: {self.category}"


def withdrawn(connection: Connection, parts: Iterable[Part], at: str | None, limit: int = EVER) -> list[Withdrawal]:
    """The withdrawals in force at time `at` (whenever they take effect, where None) that touch `parts`, oldest first.

    Known is what the first `limit` entries say. The work grows with the parts, not with the recalls.
    """
    spans = _by_shard(parts)
    rows: list[Any] = []
    for chunk in chunks(sorted(spans)):
        rows += connection.execute(_standing(at, limit).where(t.recalls.c.shard.in_(chunk)))
    return _touching(spans, sorted(rows, key=lambda row: (row.seq, row.position)))


def withdrawn_since(connection: Connection, grant: Any, parts: Sequence[Part], at: str) -> list[Withdrawal]:
    """As `withdrawn` for all of what `grant`, a row of its table, covers: it was given when none of `parts` was withdrawn.

    So recalls matter alone that came later, or that took effect later: asked for every segment, this must not look at
    all that there are, nor at all parts.
    """
    c = t.recalls.c
    query = _standing(at, EVER).where(or_(c.seq > grant.seq, c.effective > grant.granted))
    rows = connection.execute(query.order_by(c.seq, c.position)).all()
    return _touching(_by_shard(parts), rows) if rows else []


def _standing(at: str | None, limit: int) -> Any:
    """Recalls on record before `limit` that are in force at `at` and that nothing corrects."""
    c, later = t.recalls.c, t.things.alias()
    query = select(t.recalls).where(c.seq < limit)
    if at is not None:
        query = query.where(c.effective <= at)
    return query.where(~exists(select(later.c.ref).where(later.c.amends == c.ref, later.c.seq < limit)))


def _by_shard(parts: Iterable[Part]) -> dict[str, list[tuple[int, int]]]:
    spans: dict[str, list[tuple[int, int]]] = {}
    for part in parts:
        shard, rows = (part, (0, EVER)) if isinstance(part, str) else (part.shard, (part.first, part.last))
        spans.setdefault(shard, []).append(rows)
    return spans


def _touching(spans: Mapping[str, list[tuple[int, int]]], rows: Iterable[Any]) -> list[Withdrawal]:
    return [
        Withdrawal(row.ref, row.seq, row.shard, row.first, row.last, row.category, row.action, row.effective)
        for row in rows
        if any(first < row.last and row.first < last for first, last in spans.get(row.shard, ()))
    ]
