"""What many kinds expect of the things they refer to: a kind, an owner."""

from msgspec import UnsetType
from sqlalchemy import Connection, select

from inbond.ledger.rules import Draft
from inbond.registry import tables as t
from inbond.registry.current import newest
from inbond.schemas.declared import Declared
from inbond.schemas.errors import InvalidInput, NotPermitted
from inbond.schemas.statement import split_ref


def check_owner(connection: Connection, ref: str, owner: str) -> None:
    """Raise NotPermitted unless `owner` made the thing."""
    found = connection.execute(select(t.things.c.owner).where(t.things.c.ref == ref)).scalar_one()
    if found != owner:
        raise NotPermitted(f"{ref} belongs to {found}: expected a signature of that party, found one of {owner}")


def expect_kind(ref: str, *kinds: str) -> None:
    """Raise InvalidInput unless a reference is of one of `kinds`."""
    if split_ref(ref)[0] not in kinds:
        raise InvalidInput(f"expected a reference to a {' or '.join(kinds)}, found {ref}")


def expect_known_kind(fact: Declared[str], *kinds: str) -> None:
    """As `expect_kind`, for a fact that may not be known."""
    if not isinstance(fact.known, UnsetType):
        expect_kind(fact.known, *kinds)


def expect_same(connection: Connection, draft: Draft, *names: str) -> None:
    """Raise InvalidInput where a statement that corrects another says something else in one of the fields `names`."""
    amends = draft.statement.header.amends
    if isinstance(amends, UnsetType):
        return
    before = newest(connection, amends)[1]
    for name in names:
        expected, found = (getattr(body, name) for body in (before, draft.body))
        if expected != found:
            raise InvalidInput(f"{draft.kind} statement: expected {name} as in {amends}, which it corrects, found another")
