"""Readings of clauses to start from."""

from typing import Any

from inbond.schemas import statements as s
from inbond.schemas.declared import known, unknown


def reading(terms: str, **changes: Any) -> s.TermsFact:
    """A reading of clause 1 that permits training on outputs, read in the text, with no conditions."""
    fields: dict[str, Any] = {
        "terms": terms,
        "clause": "1",
        "scope": s.TermsScope.ANY_MODEL,
        "permits_training": s.Permission.YES,
        "conditions": (),
        "exceptions": (),
        "temporal_reach": s.TemporalReach.GENERATED,
        "survives_termination": unknown(),
        "reaches_recipients": unknown(),
        "output_ownership": s.OutputOwnership.CUSTOMER,
        "student_is_derivative": s.Derivative.NO,
        "grade": s.Grade.PRIMARY,
        "reader": "compliance",
        "read_on": "2026-10-01",
    }
    return s.TermsFact(**(fields | changes))


def accepting(terms: str, party: str, **changes: Any) -> s.Acceptance:
    """An acceptance by a click at the beginning of 2026."""
    fields: dict[str, Any] = {
        "terms": terms,
        "party": party,
        "means": s.AcceptanceMeans.CLICK,
        "accepted": known("2026-01-01"),
        "ended": unknown(),
        "account": unknown(),
    }
    return s.Acceptance(**(fields | changes))


def condition(type: str, **parameters: Any) -> s.Condition:
    return s.Condition(type=s.ConditionType(type), parameters=parameters)
