"""Documents as ODRL policies: what is permitted, prohibited, owed and limited, and what nothing settles."""

import json

from inbond.registry.terms import shelf
from inbond.registry.terms.odrl import policy_of
from tests.registry.terms.cases import document


def test_a_permission_has_duties_and_constraints() -> None:
    found = policy_of(document("llama-3.2"))
    [rule] = found["permission"]
    assert (rule["inbond:clause"], rule["inbond:grade"], rule["action"]) == ("1.b.i", "P", "inbond:trainOnOutputs")
    assert {"action": "inbond:name_prefix", "inbond:prefix": "Llama"} in rule["duty"]
    assert {"leftOperand": "spatial", "operator": "isNoneOf", "rightOperand": ["EU"]}.items() <= rule["constraint"][1].items()
    assert rule["constraint"][0]["rightOperand"] == 700_000_000
    assert "prohibition" not in found
    assert "inbond:unsettled" not in found


def test_a_prohibition_has_what_it_leaves_out() -> None:
    found = policy_of(document("openai-services-2026-01-01"))
    [rule] = found["prohibition"]
    assert [(each["leftOperand"], each["rightOperand"]) for each in rule["constraint"]] == [
        ("inbond:studentIs", "competing_model"), ("inbond:exceptFor", "classifier"), ("inbond:exceptFor", "embedding"),
        ("inbond:exceptFor", "internal_use"),
    ]  # fmt: skip
    assert [each["inbond:clause"] for each in found["inbond:unsettled"]] == ["3.3(f)"]
    [consent] = policy_of(document("anthropic-usage-2025-09-15"))["prohibition"]
    assert consent["constraint"] == [{"leftOperand": "inbond:consent", "operator": "neq", "rightOperand": "prior_authorisation"}]


def test_what_is_silent_or_ambiguous_is_neither_permitted_nor_prohibited() -> None:
    for id in shelf.shelf():
        found = policy_of(document(id))
        says = {rule["inbond:says"] for kind in ("permission", "prohibition") for rule in found.get(kind, ())}
        assert says <= {"yes", "conditional", "no"}, id
        assert json.loads(json.dumps(found)) == found
    assert set(policy_of(document("kimi-k3"))) & {"permission", "prohibition"} == set()
