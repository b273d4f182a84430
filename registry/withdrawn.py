"""What is withdrawn: rows of shards that a recall names, from the time that it takes effect.

A recall that a later one corrects (`amends`) withdraws nothing any more; what the later one names is withdrawn. Rows that
are withdrawn stay so in every dataset version that holds them, those that were made later included.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, exists, select

from inbond.ledger.prepared import Prepared
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
    return _touching(spans, rows)


def withdrawn_since(connection: Connection, grant: Any, parts: Sequence[Part], at: str) -> list[Withdrawal]:
    """As `withdrawn` for all of what `grant`, a row of its table, covers: it was given when none of `parts` was withdrawn.

    So recalls matter alone that came later, or that took effect later: asked for every segment, this must not look at
    all that there are, nor at all parts.
    """
    came = _CAME_SINCE.rows(connection, grant.seq, at)
    took_effect = _EFFECTIVE_SINCE.rows(connection, grant.granted, at)
    return _touching(_by_shard(parts), {*came, *took_effect}) if came or took_effect else []


def _standing(at: str | None, limit: int | None) -> Any:
    """Recalls on record before `limit` that are in force at `at` and that nothing corrects."""
    c, later = t.recalls.c, t.things.alias()
    corrected = select(later.c.ref).where(later.c.amends == c.ref)
    query = select(c.ref, c.seq, c.position, c.shard, c.first, c.last, c.category, c.action, c.effective)
    if limit is not None:
        query, corrected = query.where(c.seq < limit), corrected.where(later.c.seq < limit)
    if at is not None:
        query = query.where(c.effective <= at)
    return query.where(~exists(corrected))


# Two queries, each along an index of its own: asked for both at once, SQLite would look at every recall.
_CAME_SINCE = Prepared(
    _standing(None, None).where(t.recalls.c.seq > bindparam("entry"), t.recalls.c.effective <= bindparam("at")), ["entry", "at"]
)
_EFFECTIVE_SINCE = Prepared(
    _standing(None, None).where(t.recalls.c.effective > bindparam("granted"), t.recalls.c.effective <= bindparam("at")),
    ["granted", "at"],
)


def _by_shard(parts: Iterable[Part]) -> dict[str, list[tuple[int, int]]]:
    spans: dict[str, list[tuple[int, int]]] = {}
    for part in parts:
        shard, rows = (part, (0, EVER)) if isinstance(part, str) else (part.shard, (part.first, part.last))
        spans.setdefault(shard, []).append(rows)
    return spans


def _touching(spans: Mapping[str, list[tuple[int, int]]], rows: Iterable[Any]) -> list[Withdrawal]:
    """The withdrawals, in order, that have a row in common with `spans`."""
    found = []
    for ref, seq, _position, shard, first, last, *told in sorted(rows, key=lambda row: row[1:3]):
        if any(start < last and first < end for start, end in spans.get(shard, ())):
            found.append(Withdrawal(ref, seq, shard, first, last, *told))
    return found
