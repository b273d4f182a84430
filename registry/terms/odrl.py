"""What is known of a document as an ODRL 2.2 policy (JSON-LD): permissions, prohibitions, duties, constraints.

ODRL has no word for training on outputs, nor for the duties that such terms know: those are of the profile `PROFILE`. What is
silent or ambiguous is neither permitted nor prohibited; it is listed as unsettled, so that nobody reads a gap as a yes.
"""

from collections.abc import Iterable
from typing import Any

from inbond.registry.terms.known import Document, Reading
from inbond.schemas.statements import Condition, ConditionType, ExceptionType, Permission, TermsScope

CONTEXT = "http://www.w3.org/ns/odrl.jsonld"
PROFILE = "urn:inbond:odrl:v1"

_LIMITS = {
    ConditionType.MAU_THRESHOLD: ("monthlyActiveUsers", "lteq", "mau"),
    ConditionType.REVENUE_THRESHOLD: ("revenueInUsd", "lteq", "usd"),
    ConditionType.TERRITORY_EXCLUSION: ("spatial", "isNoneOf", "territories"),
}
_FLAGS = {
    ConditionType.NON_COMMERCIAL: ("commercial", "eq", False),
    ConditionType.NON_DISTRIBUTION: ("distributed", "eq", False),
}
_CONSENT = (ExceptionType.PRIOR_AUTHORISATION, ExceptionType.ORDER_FORM)


def policy_of(document: Document) -> dict[str, Any]:
    """The policy of one version of a document, as JSON has it; rules in the order of the readings."""
    rules: dict[str, list[dict[str, Any]]] = {"permission": [], "prohibition": [], "unsettled": []}
    for reading in document.readings:
        rules[_kind(reading)].append(_rule(document, reading))
    unsettled = rules.pop("unsettled")
    return {
        "@context": [CONTEXT, {"inbond": f"{PROFILE}:"}],
        "@type": "Set",
        "uid": f"urn:inbond:{document.ref}",
        "profile": PROFILE,
        "dct:title": document.name,
        "dct:valid": {"start": document.starts, **({"end": document.ends} if document.ends else {})},
        **{name: found for name, found in rules.items() if found},
        **({"inbond:unsettled": unsettled} if unsettled else {}),
    }


def _kind(reading: Reading) -> str:
    permits = reading.fact.permits_training
    if reading.fact.scope is TermsScope.NONE or permits in (Permission.SILENT, Permission.AMBIGUOUS):
        return "unsettled"
    return "prohibition" if permits is Permission.NO else "permission"


def _rule(document: Document, reading: Reading) -> dict[str, Any]:
    fact = reading.fact
    constraints = list(_constraints(fact.conditions))
    if fact.scope in (TermsScope.COMPETING_MODEL, TermsScope.EXTERNAL_MODEL):
        constraints.append(_constraint("studentIs", "eq", fact.scope.value))
    if fact.scope is TermsScope.MODALITY:
        constraints.append(_constraint("modality", "eq", str(fact.modality)))
    constraints += [_constraint("exceptFor", "neq", each.type.value) for each in fact.exceptions if each.type not in _CONSENT]
    constraints += [_constraint("consent", "neq", each.type.value) for each in fact.exceptions if each.type in _CONSENT]
    duties = [_duty(each) for each in fact.conditions if each.type not in _LIMITS and each.type not in _FLAGS]
    rule: dict[str, Any] = {
        "target": f"urn:inbond:outputs:{document.ref}",
        "assigner": f"urn:inbond:{document.party}",
        "action": "inbond:trainOnOutputs",
        "inbond:clause": fact.clause,
        "inbond:fact": reading.ref,
        "inbond:grade": fact.grade.value,
        "inbond:says": fact.permits_training.value,
    }
    return rule | ({"constraint": constraints} if constraints else {}) | ({"duty": duties} if duties else {})


def _constraints(conditions: Iterable[Condition]) -> Iterable[dict[str, Any]]:
    for each in conditions:
        if each.type in _LIMITS:
            left, operator, name = _LIMITS[each.type]
            value = each.parameters[name]
            rest = {f"inbond:{key}": more for key, more in sorted(each.parameters.items()) if key != name}
            yield _constraint(left, operator, str(value).split() if operator == "isNoneOf" else value) | rest
        elif each.type in _FLAGS:
            yield _constraint(*_FLAGS[each.type])


def _constraint(left: str, operator: str, right: Any) -> dict[str, Any]:
    return {"leftOperand": left if left == "spatial" else f"inbond:{left}", "operator": operator, "rightOperand": right}


def _duty(condition: Condition) -> dict[str, Any]:
    settings = {f"inbond:{name}": value for name, value in sorted(condition.parameters.items())}
    return {"action": f"inbond:{condition.type.value}", **settings}
