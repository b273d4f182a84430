from collections.abc import Callable
from typing import Any

import pytest

from inbond.registry.importers import Rejected
from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Record
from tests.registry.importers.seen import entries, generated, record, reject, scored

Import = Callable[..., list[Record | Observed | Rejected]]


def token(number: int, text: str, logprob: float | None, **more: Any) -> dict[str, Any]:
    return {"id": number, "text": text, "logprob": logprob, **more}


def details(**changes: Any) -> dict[str, Any]:
    return {
        "finish_reason": "eos_token",
        "generated_tokens": 2,
        "seed": 42,
        "prefill": [token(1, "<s>", None), token(450, "The", -3.5)],
        "tokens": [token(3681, " Paris", -0.1, special=False), token(2, "</s>", -0.5, special=True)],
        "top_tokens": [[token(3681, " Paris", -0.1, special=False), token(278, " the", -2.5, special=False)], []],
        **changes,
    }


def test_tokens_alternatives_and_prefill(run_import: Import) -> None:
    (found,) = run_import("tgi", [{"generated_text": " Paris", "details": details()}])
    assert record(found) == Record(
        prompt=None,
        own_turns=(),
        response=" Paris",
        extra='{"details":{"seed":42}}',
        input_ids=(1, 450, 3681, 2),
        finish_reason="eos_token",
        response_tokens=2,
    )
    assert (generated(found).before, generated(found).tokens, generated(found).chosen) == ([1, 450], [3681, 2], [-0.1, -0.5])
    assert entries(generated(found)) == [[(3681, -0.1), (278, -2.5)], []]
    assert (scored(found).before, scored(found).tokens, scored(found).after) == ([1], [450], [3681, 2])
    assert scored(found).chosen == [-3.5]


def test_each_of_the_best_is_a_sample(run_import: Import) -> None:
    other = {"generated_text": " Rome", **details(prefill=[], seed=7)}
    first, second = run_import("tgi", [{"generated_text": " Paris", "details": details(best_of_sequences=[other], prefill=[])}])
    assert [(record(item).response, record(item).sample) for item in (first, second)] == [(" Paris", 0), (" Rome", 1)]
    assert record(second).extra == '{"details":{"best_of_sequences":[{"seed":7}]}}'
    assert (record(second).input_ids, generated(second).tokens) == (None, [3681, 2])
    assert isinstance(first, Observed)
    assert first.scored is None


def test_a_text_without_details_or_logprobs(run_import: Import) -> None:
    bare, none = run_import("tgi", [{"generated_text": "x"}, {"generated_text": "x", "details": {"tokens": []}}])
    assert not isinstance(bare, Observed)
    assert not isinstance(none, Observed)


@pytest.mark.parametrize(
    ("value", "field", "reason"),
    [
        ({"error": "overloaded", "error_type": "overloaded"}, "error", "failed-request"),
        ({"details": {}}, "generated_text", "missing-field"),
        ({"generated_text": "x", "details": []}, "details", "wrong-type"),
        ({"generated_text": "x", "details": details(tokens=[{"id": 1}])}, "details.tokens[0].logprob", "missing-field"),
        ({"generated_text": "x", "details": details(tokens=[token(-1, "", -1.0)])}, "details.tokens[0].id", "wrong-value"),
        ({"generated_text": "x", "details": details(top_tokens=[[]])}, "details.top_tokens", "wrong-value"),
    ],
)
def test_what_is_no_answer_is_rejected(run_import: Import, value: object, field: str, reason: str) -> None:
    assert reject(run_import("tgi", [value])[0]) == (field, reason)
