"""The gate with the engine behind it: what rulings and recalls say, and beside it what the clauses on record make of it.

Where no document that applies has been read, rulings alone decide, as before there was an engine. Where one has, the engine
must open as well: it takes the rulings into account, and what they do not settle stays shut.
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
from inbond.registry.withdrawn import Part
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
    """As `gate.evaluate`, with the engine's reasons and the obligations that come with the permission."""
    listed = list(parts)
    ruled = gate.evaluate(connection, student, listed, at, size)
    limit = EVER if size is None else size
    if connection.execute(select(t.terms_facts.c.ref).where(t.terms_facts.c.seq < limit).limit(1)).first() is None:
        return ruled, ()
    shards = {part if isinstance(part, str) else part.shard for part in listed}
    question = question_of(connection, student, shards, at, actual=actual, size=size)
    of_uses = (document for use in question.uses for document in use.documents)
    of_bases = (document for base in question.bases for document in base.documents)
    if not any(document.readings for document in (*of_uses, *of_bases)):
        return ruled, ()
    found = weigh(question)
    reasons = [
        gate.Reason(
            each.model or "", each.document, each.verdict, each.decision, each.text, each.rule, clause=each.clause, fact=each.fact
        )
        for each in found.reasons
    ]
    worst = max(ruled.verdict, found.verdict, key=SEVERITY.index)
    return Ruled(worst, (*ruled.reasons, *reasons)), found.obligations


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
