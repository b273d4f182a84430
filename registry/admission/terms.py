"""Admission of what is known about terms: readings of clauses, and acceptances."""

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, select

from inbond.ledger.rules import Draft
from inbond.registry import tables as t
from inbond.registry.admission.expectations import check_owner, expect_kind
from inbond.registry.current import first_of, newest_of
from inbond.registry.lists import Lists
from inbond.registry.terms.conditions import check_conditions
from inbond.registry.terms.moments import is_before
from inbond.schemas.errors import Conflict, InvalidInput
from inbond.schemas.statements import Acceptance, AcceptanceMeans, TermsFact


def terms_fact(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """A reading of a clause, by the party that recorded the document: once for each scope, corrected by what amends it."""
    body: TermsFact = draft.body
    expect_kind(body.terms, "terms")
    check_owner(connection, body.terms, owner)
    check_conditions(body.conditions)
    c = t.terms_facts.c
    modality = None if isinstance(body.modality, UnsetType) else body.modality.value
    same = select(c.ref).where(
        c.terms == body.terms, c.clause == body.clause, c.scope == body.scope.value, c.modality.is_not_distinct_from(modality)
    )
    found = list(connection.execute(same.order_by(c.seq)).scalars())
    newest, firsts = newest_of(connection, found), first_of(connection, found)
    amends = draft.statement.header.amends
    mine = None if isinstance(amends, UnsetType) else first_of(connection, [amends])[amends]
    if taken := [firsts[ref] for ref in found if newest[ref] == ref and firsts[ref] != mine]:
        raise Conflict(
            f"clause {body.clause} of {body.terms} was read for scope {body.scope} in {taken[0]}: expected a correction of it",
            hint=f"inbond declare {taken[0]} --facts FILE --correct",
        )


def acceptance(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """That a party is bound, said by that party or by the one that recorded the document."""
    body: Acceptance = draft.body
    expect_kind(body.terms, "terms")
    expect_kind(body.party, "party")
    if body.party != owner:
        check_owner(connection, body.terms, owner)
    if body.means is AcceptanceMeans.ORDER_FORM and body.order_form is UNSET:
        raise InvalidInput("acceptance by order form: expected the order form in the store, found none", hint="--order-form FILE")
    accepted, ended = body.accepted.value_or(""), body.ended.value_or("")
    if accepted and ended and is_before(ended, accepted):
        raise InvalidInput(f"acceptance: expected an end after {accepted}, when it was accepted, found {ended}")
