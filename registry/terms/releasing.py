"""What the gate says of a release, with its actual name, licence, channels and territories: recorded with it, never in its way.

Weights that were given away were given away: a release is put on record whatever the verdict, and carries it.
"""

from inbond.registry import gate
from inbond.registry.opened import OpenRegistry
from inbond.registry.terms import asking
from inbond.registry.terms.engine import RULES
from inbond.registry.terms.gathering import shards_of
from inbond.registry.times import now
from inbond.schemas.declared import Declared, Reason, known, unknown
from inbond.schemas.scalars import EMPTY_LIST, ObjectList
from inbond.schemas.statements import Evaluated, ObligationMetLine, Policy, ReleasePlan


def policy_of(registry: OpenRegistry, student: str, actual: ReleasePlan) -> tuple[Declared[Policy], ObjectList]:
    """The verdict on a release of `student` as `actual` says, and its obligations; not known where no document was read.

    On a server nobody has asked yet: the verdict is not known there either.
    """
    if not registry.is_local:
        return unknown(Reason.NOT_YET), EMPTY_LIST
    at = now()
    with registry.reading() as reader:
        shards = shards_of(reader.connection, student)
        ruled, owed = asking.evaluate(reader.connection, student, shards, at, actual=actual)
        size = reader.size
    if not any(reason.rule in RULES for reason in ruled.reasons):
        return unknown(), EMPTY_LIST
    objects = registry.place.objects
    lines = [ObligationMetLine(obligation=fact, met=unknown(Reason.NOT_YET)) for fact in dict.fromkeys(one.fact for one in owed)]
    policy = Policy(
        evaluated=Evaluated(facts_size=size, rules=gate.RULES_DIGEST, at=at),
        verdict=ruled.verdict,
        reasons=objects.put_lines([reason.line() for reason in ruled.reasons]),
        decisions=ruled.decisions,
    )
    return known(policy), objects.put_lines(lines)
