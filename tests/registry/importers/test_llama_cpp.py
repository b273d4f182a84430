from collections.abc import Callable
from typing import Any

import pytest

from inbond.registry.importers import Rejected
from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Message, Record
from tests.registry.importers.seen import entries, generated, record, reject

Import = Callable[..., list[Record | Observed | Rejected]]


def entry(number: int, token: str, logprob: float, **more: Any) -> dict[str, Any]:
    return {"id": number, "token": token, "bytes": list(token.encode()), "logprob": logprob, **more}


def answer(**changes: Any) -> dict[str, Any]:
    return {
        "index": 0,
        "content": " Paris!",
        "tokens": [],
        "id_slot": 0,
        "stop": True,
        "model": "qwen3-8b",
        "tokens_predicted": 2,
        "tokens_evaluated": 5,
        "generation_settings": {"temperature": 0.8, "n_probs": 2},
        "prompt": "The capital of France is",
        "stop_type": "limit",
        "completion_probabilities": [
            entry(12095, " Paris", -0.1, top_logprobs=[entry(12095, " Paris", -0.1), entry(279, " the", -2.5)]),
            entry(0, "!", -3.4028235e38, top_logprobs=[entry(13, ".", -0.1), entry(11, ",", -3.4028235e38)]),
        ],
        "timings": {"prompt_n": 5},
        **changes,
    }


def test_ids_prompt_and_settings(run_import: Import) -> None:
    (found,) = run_import("llama-cpp", [answer()])
    assert record(found) == Record(
        prompt=(Message("user", "The capital of France is"),),
        own_turns=(),
        response=" Paris!",
        extra='{"id_slot":0,"stop":true,"timings":{"prompt_n": 5},"tokens":[]}',
        sampling='{"temperature": 0.8, "n_probs": 2}',
        finish_reason="limit",
        served_model="qwen3-8b",
        prompt_tokens=5,
        response_tokens=2,
    )
    assert (generated(found).tokens, generated(found).chosen) == ([12095, 0], [-0.1, None])
    assert entries(generated(found)) == [[(12095, -0.1), (279, -2.5)], [(13, -0.1)]]


def test_probabilities_become_logarithms(run_import: Import) -> None:
    row = {
        "id": 7,
        "token": "a",
        "prob": 0.5,
        "top_probs": [{"id": 7, "token": "a", "prob": 0.5}, {"id": 8, "token": "b", "prob": 0.0}],
    }
    (found,) = run_import("llama-cpp", [answer(completion_probabilities=[row])])
    assert generated(found).chosen == [pytest.approx(-0.6931, abs=1e-4)]
    assert [[token for token, _ in position] for position in entries(generated(found))] == [[7]]


def test_no_probabilities_are_none(run_import: Import) -> None:
    for value in ([], None):
        (found,) = run_import("llama-cpp", [answer(completion_probabilities=value, prompt=[1, 2])])
        assert not isinstance(found, Observed)
        assert record(found).prompt is None


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"error": {"code": 500}}, "error", "failed-request"),
        ({"content": None}, "content", "wrong-type"),
        ({"completion_probabilities": [{"token": "a", "logprob": -1.0}]}, "completion_probabilities[0].id", "missing-field"),
        ({"completion_probabilities": [{"id": 1, "prob": 1.5}]}, "completion_probabilities", "wrong-value"),
        ({"completion_probabilities": [{"id": "1"}]}, "completion_probabilities[0].id", "wrong-type"),
        ({"tokens_predicted": -1}, "tokens_predicted", "wrong-value"),
    ],
)
def test_what_is_no_answer_is_rejected(run_import: Import, change: dict[str, Any], field: str, reason: str) -> None:
    assert reject(run_import("llama-cpp", [answer(**change)])[0]) == (field, reason)
