"""The gate with the engine behind it: what the clauses on record make of a question, and beside it rulings and recalls.

Where no document that applies has been read, rulings alone decide. Where one has, the engine does: it takes the rulings into
account, and what neither clauses nor rulings settle stays shut. A document that nobody has read needs its ruling all the same.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select

from inbond.registry import gate
from inbond.registry import tables as t
from inbond.registry.current import EVER
from inbond.registry.gate import Ruled
from inbond.registry.terms.engine import evaluate as weigh
from inbond.registry.terms.gathering import question_of
from inbond.registry.terms.question import SEVERITY, Obligation
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
    shards = {part if isinstance(part, str) else part.shard for part in listed}
    limit = EVER if size is None else size
    teachers = gate.teachers_behind(connection, shards, limit)
    ruled, owed = evaluate_teachers(connection, student, teachers, shards, at, size, actual)
    return gate.refused_by(withdrawn(connection, listed, at, limit), ruled), owed


def evaluate_teachers(
    connection: Connection,
    student: str,
    teachers: Iterable[str],
    shards: Iterable[str],
    at: str,
    size: int | None = None,
    actual: ReleasePlan | None = None,
) -> tuple[Ruled, tuple[Obligation, ...]]:
    """As `evaluate`, for `shards` of which the `teachers` are known already, and recalls are asked about elsewhere."""
    limit = EVER if size is None else size
    ruled = gate.evaluate_teachers(connection, student, teachers, at, limit)
    if connection.execute(select(t.terms_facts.c.ref).where(t.terms_facts.c.seq < limit).limit(1)).first() is None:
        return ruled, ()
    question = question_of(connection, student, shards, at, actual=actual, size=size)
    of_uses = (document for use in question.uses for document in use.documents)
    of_bases = (document for base in question.bases for document in base.documents)
    read = {document.ref for document in (*of_uses, *of_bases) if document.readings}
    if not read:
        return ruled, ()
    found = weigh(question)
    beside = [each for each in ruled.reasons if each.decision is not None or each.terms not in read]
    reasons = [
        gate.Reason(
            each.model or "", each.document, each.verdict, each.decision, each.text, each.rule, clause=each.clause, fact=each.fact
        )
        for each in found.reasons
    ]
    worst = max([found.verdict, *(each.verdict for each in beside)], key=SEVERITY.index)
    return Ruled(worst, (*beside, *reasons)), found.obligations


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
