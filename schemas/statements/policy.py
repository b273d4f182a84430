"""What a policy said, and on what facts: shared by datasets, grants, deliveries and releases."""

from enum import StrEnum

from inbond.schemas.scalars import Closed, Count, Digest, Listed, ObjectList, Ref, Time


class Verdict(StrEnum):
    """What the rules make of the facts; what they cannot decide is undetermined, never permitted."""

    PERMITTED = "permitted"
    PERMITTED_WITH_OBLIGATIONS = "permitted_with_obligations"
    NEEDS_AUTHORISATION = "needs_authorisation"
    PROHIBITED = "prohibited"
    UNDETERMINED = "undetermined"


class Evaluated(Closed, frozen=True, kw_only=True):
    """The facts (everything in the first `facts_size` entries), the rules, and the time of an evaluation."""

    facts_size: Count
    rules: Digest
    at: Time


class Policy(Closed, frozen=True, kw_only=True):
    """An evaluation with its outcome; `decisions` are the rulings it rests on."""

    evaluated: Evaluated
    verdict: Verdict
    reasons: ObjectList
    decisions: Listed[Ref]
