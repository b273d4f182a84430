"""Who may take a shard's bytes, under which grant or delivery: what a server asks before it hands out any of them.

A grant ends with its time, with its run, and with the permission that it rests on; a recall of rows that it covers ends it
too. What is on record as delivered may be fetched by whoever it was delivered to and by the owner of what was delivered,
as long as none of its rows are withdrawn; where rows alone were, by the owner, who writes them.
"""

from dataclasses import dataclass
from time import monotonic
from typing import Any

from sqlalchemy import Connection, select

from inbond.ledger.reader import LedgerReader
from inbond.registry import gate, names
from inbond.registry import tables as t
from inbond.registry.lists import handed_out, layout_of, sources_of
from inbond.registry.refusing import mentioned, refusal
from inbond.registry.terms import asking
from inbond.registry.terms.standing import Standing
from inbond.registry.times import now
from inbond.registry.training.layout import Span
from inbond.registry.withdrawn import Part, withdrawn
from inbond.schemas.errors import InvalidInput, NotFound, NotPermitted, PolicyDenied
from inbond.schemas.statement import split_ref
from inbond.schemas.statements import Extent, GrantMode

_HOLDS = 1.0
_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Permit:
    """What lets `parties` take the bytes of a shard: `under` is its reference, `grant` the row that it rests on, if any."""

    under: str
    parties: frozenset[str]
    parts: tuple[Part, ...]
    grant: Any | None


class Permits:
    """Asks for many reads of the same shard what need not be asked for each: while the log stands still, for a second.

    A recall, a refusal, a correction of terms or the end of a run is an entry, so it counts at once; a date that passes
    counts a second later.
    """

    def __init__(self) -> None:
        self._standing = Standing()
        self._held: dict[tuple[str, str, str], tuple[int, float]] = {}

    def check(self, reader: LedgerReader, shard: str, under: str, party: str) -> None:
        """Raise unless `party` may take the bytes of a shard under a grant or delivery now."""
        key = (shard, under, party)
        held = self._held.get(key)
        if held is not None and held[0] == reader.size and monotonic() - held[1] < _HOLDS:
            return
        permit = permit_of(reader.connection, shard, under)
        if party not in permit.parties:
            raise NotPermitted(f"{under} is for {' or '.join(sorted(permit.parties))}: expected a token of that party")
        check_in_force(reader.connection, permit, now(), self._standing)
        if len(self._held) >= _KEPT:
            self._held.clear()
        self._held[key] = (reader.size, monotonic())


def permit_of(connection: Connection, shard: str, under: str) -> Permit:
    """What a grant or delivery permits of a shard.

    Raises NotFound for one that is not on record, PolicyDenied for one that does not cover the shard.
    """
    kind, _ = split_ref(under)
    if kind == "grant":
        return _of_grant(connection, shard, under)
    if kind == "delivery":
        return _of_delivery(connection, shard, under)
    raise InvalidInput(f"expected a grant or a delivery, found {under}")


def check_in_force(connection: Connection, permit: Permit, at: str, standing: Standing) -> None:
    """Raise PolicyDenied unless the permit still holds at time `at`. A grant rests on all that its run is to read."""
    grant = permit.grant
    if grant is None:
        gate.expect_not_withdrawn(withdrawn(connection, permit.parts, at), f"{permit.under} is no longer permitted")
        return
    if at[: len(grant.expires)] > grant.expires:
        raise PolicyDenied(
            f"{grant.ref} expired at {grant.expires}: expected a grant in force", hint="pull again for a new grant"
        )
    run = connection.execute(select(t.runs.c.closed).where(t.runs.c.ref == grant.run)).one()
    if run.closed is not None:
        raise PolicyDenied(f"{grant.run} was closed by entry {run.closed}: expected an open run")
    mode = GrantMode(grant.mode)

    def shards() -> set[str]:
        sources = sources_of(connection, grant.run)
        return gate.shards_of(handed_out(connection, mode, sources, layout_of(connection, sources).spans))

    found = standing.ask(connection, f"{grant.run} {mode}", grant.student, shards, at)
    ruled = gate.refused_by(withdrawn(connection, permit.parts, at), found)
    if ruled.verdict not in asking.OPEN:
        raise refusal(ruled, grant.student, names.names_of(connection, mentioned(ruled, grant.student)))


def _of_grant(connection: Connection, shard: str, under: str) -> Permit:
    grant = connection.execute(select(t.grants).where(t.grants.c.ref == under)).one_or_none()
    if grant is None:
        raise NotFound(f"{under} is not on record: expected a grant")
    p, s, e = t.dataset_parts.c, t.run_sources.c, t.edges.c
    text = connection.execute(select(e.dst).where(e.src == shard, e.relation == "logits_of")).scalar() or shard
    query = select(p.first, p.last).join(t.run_sources, (s.dataset == p.dataset) & (s.split == p.split))
    query = query.where(s.run == grant.run, p.shard == text)
    spans = [Span(text, row.first, row.last) for row in connection.execute(query)]
    given = handed_out(connection, GrantMode(grant.mode), sources_of(connection, grant.run), spans)
    given = [part for part in given if shard == (part if isinstance(part, str) else part.shard)]
    if not given:
        raise PolicyDenied(f"{under} does not cover {shard}: expected a shard of the plan of {grant.run}")
    return Permit(under, frozenset({names.owner_of(connection, grant.run)}), tuple(given), grant)


def _of_delivery(connection: Connection, shard: str, under: str) -> Permit:
    delivery = connection.execute(select(t.deliveries).where(t.deliveries.c.ref == under)).one_or_none()
    if delivery is None:
        raise NotFound(f"{under} is not on record: expected a delivery")
    p = t.dataset_parts.c
    query = select(p.first, p.last).where(p.dataset == delivery.object, p.shard == shard)
    rows = [Span(shard, row.first, row.last) for row in connection.execute(query)]
    if delivery.object != shard and not rows:
        raise PolicyDenied(f"{under} is of {delivery.object}: expected a delivery that covers {shard}")
    grant = None
    if delivery.grant is not None:
        grant = connection.execute(select(t.grants).where(t.grants.c.ref == delivery.grant)).one()
    owner = names.owner_of(connection, delivery.object)
    if delivery.extent == Extent.ROWS.value:
        return Permit(under, frozenset({owner}), tuple(rows), grant)
    return Permit(under, frozenset({owner, delivery.recipient or owner}), (shard,), grant)
