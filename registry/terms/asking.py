"""The gate with the engine behind it: what the clauses on record make of a question, and beside it rulings and recalls.

Where no document that applies has been read, rulings alone decide. Where one has, the engine does: it takes the rulings into
account, and what neither clauses nor rulings settle stays shut. A document that nobody has read needs its ruling all the same,
while it was in force when outputs were made or is when they are used.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from inbond.ledger.reader import LedgerReader
from inbond.registry import gate
from inbond.registry import tables as t
from inbond.registry.current import EVER, first_of, newest
from inbond.registry.gate import Ruled
from inbond.registry.mentions import references, within
from inbond.registry.names import names_of
from inbond.registry.terms.answers import Checked, Published
from inbond.registry.terms.engine import evaluate as weigh
from inbond.registry.terms.engine import in_force_for
from inbond.registry.terms.gathering import question_of, question_of_any, stated_in
from inbond.registry.terms.known import Document
from inbond.registry.terms.moments import start_of
from inbond.registry.terms.obligations import clashes
from inbond.registry.terms.question import SEVERITY, Evaluation, Obligation, Plan
from inbond.registry.withdrawn import Part, withdrawn
from inbond.schemas.statements import ReleasePlan

OPEN = SEVERITY[:2]
"""The verdicts under which the gate is open."""


def evaluate(
    connection: Connection,
    student: str,
    parts: Iterable[Part],
    at: str,
    size: int | None = None,
    actual: ReleasePlan | None = None,
) -> tuple[Ruled, tuple[Obligation, ...]]:
    """The gate's answer for `student` and the rows in `parts` (spans; a shard's reference: all of it), at time `at`.

    With it come the obligations of the permission. Known is what the first `size` entries say; a release says what it was
    (`actual`) in place of the student's plan.
    """
    listed = list(parts)
    found = answer(connection, student, gate.shards_of(listed), at, size, actual)
    return gate.refused_by(withdrawn(connection, listed, at, EVER if size is None else size), found.ruled), found.obligations


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gate says, recalls apart. `until` is the next instant at which the same entries may say something else."""

    ruled: Ruled
    obligations: tuple[Obligation, ...]
    until: str | None


def answer(
    connection: Connection,
    student: str,
    shards: Iterable[str],
    at: str,
    size: int | None = None,
    actual: ReleasePlan | None = None,
) -> Answer:
    """As `evaluate`, with how long it holds; recalls are asked about elsewhere."""
    limit, wanted = EVER if size is None else size, set(shards)
    ruled = gate.evaluate_teachers(connection, student, gate.teachers_behind(connection, wanted, limit), at, limit)
    until = _next_ruling(connection, student, at)
    if connection.execute(select(t.terms_facts.c.ref).where(t.terms_facts.c.seq < limit).limit(1)).first() is None:
        return Answer(ruled, (), until)
    question = question_of(connection, student, wanted, at, actual=actual, size=size)
    documents = [document for use in question.uses for document in use.documents]
    documents += [document for base in question.bases for document in base.documents]
    until = min(filter(None, (until, _next_of(documents, at))), default=None)
    read = {document.ref for document in documents if document.readings}
    if not read:
        return Answer(ruled, (), until)
    found = weigh(question)
    pairs = [(document, any(in_force_for(question, use, document))) for use in question.uses for document in use.documents]
    idle = {document.ref for document, _ in pairs} - {document.ref for document, binds in pairs if binds}
    governed = set(first_of(connection, [use.teacher for use in question.uses if use.documents]).values())
    behind = first_of(connection, [each.teacher for each in ruled.reasons if each.terms is None and each.teacher])
    for_engine = {ref for ref, first in behind.items() if first in governed}  # what applies through a router, rulings do not know
    beside = [
        each
        for each in ruled.reasons
        if each.decision is not None or (each.teacher not in for_engine if each.terms is None else each.terms not in read | idle)
    ]
    worst = max([found.verdict, *(each.verdict for each in beside)], key=SEVERITY.index)
    return Answer(Ruled(worst, (*beside, *_reasons(found))), found.obligations, until)


def answer_of_any(connection: Connection, shards: Iterable[str], at: str, size: int | None = None) -> Ruled | None:
    """What terms say of `shards` whoever learns from them, None where nobody has read any document that applies.

    No ruling counts, as each is on a student; an open gate here is open for every student of another party.
    """
    limit = EVER if size is None else size
    if connection.execute(select(t.terms_facts.c.ref).where(t.terms_facts.c.seq < limit).limit(1)).first() is None:
        return None
    question = question_of_any(connection, shards, at, size)
    if not any(document.readings for use in question.uses for document in use.documents):
        return None
    found = weigh(question)
    return Ruled(found.verdict, _reasons(found))


def _reasons(found: Evaluation) -> tuple[gate.Reason, ...]:
    return tuple(
        gate.Reason(
            each.model or "", each.document, each.verdict, each.decision, each.text, each.rule, clause=each.clause, fact=each.fact
        )
        for each in found.reasons
    )


def _next_of(documents: Iterable[Document], at: str) -> str | None:
    """The next instant at which one of `documents` or an acceptance of it begins or ends."""
    days = set[str]()
    for document in documents:
        days |= {document.starts, document.ends or ""}
        for each in document.accepted:
            days |= {each.acceptance.accepted.value_or(""), each.acceptance.ended.value_or("")}
    return _next(days, at)


def _next_ruling(connection: Connection, student: str, at: str) -> str | None:
    """The next instant at which a ruling on `student` begins or ends."""
    d = t.decisions.c
    rows = connection.execute(select(d.starts, d.until).where(d.subject == student, d.phase == "rule").distinct())
    return _next((day or "" for row in rows for day in row), at)


def _next(days: Iterable[str], at: str) -> str | None:
    return min((start_of(day) for day in days if day and start_of(day) >= start_of(at)), default=None)


def checked(reader: LedgerReader, student: str, parts: Iterable[Part], at: str, actual: ReleasePlan | None = None) -> Checked:
    """The same as an answer by itself, as of all entries."""
    ruled, owed = evaluate(reader.connection, student, parts, at, actual=actual)
    told = within(each.text for each in ruled.reasons)
    called = names_of(reader.connection, {student, *references([ruled.reasons, owed]), *told})
    stated = newest(reader.connection, student)[1].release_plan if actual is None else actual
    clashing = tuple(each.text for each in clashes(owed, Plan(None, **stated_in(stated))))
    return Checked(ruled.verdict, ruled.reasons, student, gate.RULES_DIGEST, owed, called, reader.size, clashing)


def published(reader: LedgerReader, parts: str, shards: Iterable[str], at: str) -> Published:
    """What terms say of a list of parts whoever learns from them, as an answer by itself, as of all entries."""
    ruled = answer_of_any(reader.connection, shards, at)
    reasons = () if ruled is None else ruled.reasons
    called = names_of(reader.connection, references(reasons))
    return Published(parts, None if ruled is None else ruled.verdict, reasons, gate.RULES_DIGEST, called, reader.size)


def lines(obligations: Iterable[Obligation]) -> list[dict[str, Any]]:
    """The lines of a grant's obligations object."""
    return [
        {
            "arguable": each.is_arguable,
            "clause": each.clause,
            "fact": each.fact,
            "model": each.model,
            "obligation": each.type,
            "parameters": dict(each.parameters),
            "terms": each.document,
            "via": list(each.via),
        }
        for each in obligations
    ]
