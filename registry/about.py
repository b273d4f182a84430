"""Whom a thing is about, beside whoever made it: what decides whether a party that only provides models may see it."""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from inbond.registry import tables as t
from inbond.registry.given import chunks


def parties_of(connection: Connection, refs: Iterable[str]) -> dict[str, set[str]]:
    """The parties that each thing is about: a party itself, a teacher's, those of terms, who got a delivery."""
    wanted = sorted(set(refs))
    found: dict[str, set[str]] = {ref: {ref} if ref.startswith("party:") else set() for ref in wanted}
    for column, party in ((t.teachers.c.ref, t.teachers.c.party), (t.terms_scopes.c.ref, t.terms_scopes.c.party)):
        _add(connection, found, wanted, column, party)
    _add(connection, found, wanted, t.deliveries.c.ref, t.deliveries.c.recipient)
    return found


def _add(connection: Connection, found: dict[str, set[str]], wanted: list[str], ref: object, party: object) -> None:
    for chunk in chunks(wanted):
        query = select(ref, party).where(ref.in_(chunk), party.is_not(None))  # type: ignore[attr-defined, call-overload]
        for of, who in connection.execute(query):
            found[of].add(who)
