"""Admission of questions to compliance and of its rulings."""

from sqlalchemy import Connection, select

from inbond.ledger.rules import Draft
from inbond.registry import tables as t
from inbond.registry.admission import disclosure
from inbond.registry.lists import Lists
from inbond.schemas.errors import InvalidInput, NotPermitted
from inbond.schemas.statement import split_ref
from inbond.schemas.statements import (
    DecisionAsk,
    DecisionRule,
    Question,
    Ruling,
)

NO_EVIDENCE = "decision: expected the document that grants an exception as evidence of it, found none"


def decision(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """A ruling answers an ask by another key that has seen it, and by a party that answers for it."""
    body: DecisionAsk | DecisionRule = draft.body
    if body.question is Question.ROUTE_SECTION:
        disclosure.section(connection, body, owner)
    if isinstance(body, DecisionAsk):
        return
    ask = body.ask
    rows = connection.execute(select(t.decisions).where(t.decisions.c.ref == ask, t.decisions.c.phase == "ask")).all()
    if not rows:
        raise InvalidInput(f"decision: expected a ruling on an ask, found {ask}")
    if {row.subject for row in rows} != set(body.subjects) or rows[0].question != body.question.value:
        raise InvalidInput(f"decision: expected the question and subjects of {ask}, found others")
    if set(rows[0].signers.split()) & {signer.keyid for signer in draft.signers}:
        raise NotPermitted("decision: expected a ruling by another key than the one that asked, found the same key")
    seen = draft.statement.header.seen
    if seen is None or int(seen.size) <= rows[0].seq:
        raise NotPermitted(
            f"decision: expected a ruling whose signer had seen the ask (entry {rows[0].seq}), found an older view"
        )
    if body.question in (Question.AUTHORISATION, Question.EXCEPTION):
        _check_competence(connection, body.subjects, owner)
    if body.question is Question.EXCEPTION and body.ruling is Ruling.PERMIT and not draft.statement.header.evidence:
        raise InvalidInput(NO_EVIDENCE, hint="--evidence FILE")


def _check_competence(connection: Connection, subjects: tuple[str, ...], owner: str) -> None:
    """Whoever rules on leave to learn answers for every student it is about, or recorded every document it is about."""
    for kind in ("student", "terms"):
        about = [ref for ref in subjects if split_ref(ref)[0] == kind]
        query = select(t.things.c.owner).where(t.things.c.ref.in_(about)).distinct()
        if about and set(connection.execute(query).scalars()) == {owner}:
            return
    raise NotPermitted(
        f"decision: expected a ruling by the party of the student, or by the party that recorded the terms, found {owner}"
    )
