"""What the gate says of a release, with its actual name, licence, channels and territories: recorded with it, never in its way.

Weights that were given away were given away: a release is put on record whatever the verdict, and carries it.
"""

from typing import TYPE_CHECKING

from inbond.registry.terms.engine import RULES
from inbond.registry.times import now
from inbond.schemas.declared import Declared, Reason, known, unknown
from inbond.schemas.errors import NotPermitted
from inbond.schemas.scalars import EMPTY_LIST, ObjectList
from inbond.schemas.statements import Evaluated, ObligationMetLine, Policy, Release, ReleasePlan

if TYPE_CHECKING:
    from inbond.registry.opened import OpenRegistry


def clashes_of(registry: "OpenRegistry", release: Release) -> tuple[str, ...]:
    """Where a release does not go together with what is owed for it: a name without its prefix, a licence that passes on nothing.

    None are known where the registry does not tell whoever releases.
    """
    try:
        return registry.place.terms.release(release.student, release.actual, now()).clashes
    except NotPermitted:
        return ()


def policy_of(registry: "OpenRegistry", student: str, actual: ReleasePlan) -> tuple[Declared[Policy], ObjectList]:
    """The verdict on a release of `student` as `actual` says, and its obligations; not known where no document was read.

    The registry computes both, in a folder and on a server, and asks again before the release may stand. Withheld where a
    server does not give them, as they rest on statements that are not for whoever releases.
    """
    at = now()
    try:
        found = registry.place.terms.release(student, actual, at)
    except NotPermitted:  # it rests on what is not for whoever releases: given away it is all the same
        return unknown(Reason.WITHHELD), EMPTY_LIST
    if not any(reason.rule in RULES for reason in found.reasons):
        return unknown(), EMPTY_LIST
    objects = registry.place.objects
    facts = dict.fromkeys(each.fact for each in found.obligations)
    policy = Policy(
        evaluated=Evaluated(facts_size=found.tree_size, rules=found.rules, at=at),
        verdict=found.verdict,
        reasons=objects.put_lines([reason.line() for reason in found.reasons]),
        decisions=found.decisions,
    )
    return known(policy), objects.put_lines([ObligationMetLine(obligation=fact, met=unknown(Reason.NOT_YET)) for fact in facts])
