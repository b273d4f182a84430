"""What a dataset version's statement says of terms: the verdict for whoever learns from it, in nobody's way.

The gate blocks bytes, not statements: a version is put on record whatever terms say of it, and carries that.
"""

from typing import TYPE_CHECKING

from inbond.registry.times import now
from inbond.schemas.declared import Declared, Reason, known, unknown
from inbond.schemas.errors import NotPermitted
from inbond.schemas.scalars import ObjectList
from inbond.schemas.statements import Evaluated, Policy

if TYPE_CHECKING:
    from inbond.registry.opened import OpenRegistry


def policy_of(registry: "OpenRegistry", parts: ObjectList) -> Declared[Policy]:
    """What terms say of `parts`, a list in the store, whoever learns from them.

    Not known where nobody has read a document that applies; withheld where they rest on what this party may not see. The
    registry computes it, in a folder and on a server, and asks again before the version may stand.
    """
    at = now()
    try:
        found = registry.place.terms.dataset(parts, at)
    except NotPermitted:
        return unknown(Reason.WITHHELD)
    if found.verdict is None:
        return unknown()
    policy = Policy(
        evaluated=Evaluated(facts_size=found.tree_size, rules=found.rules, at=at),
        verdict=found.verdict,
        reasons=registry.place.objects.put_lines([reason.line() for reason in found.reasons]),
        decisions=(),
    )
    return known(policy)
