import json
from collections.abc import Callable
from typing import Any

import pytest

from inbond.registry.importers import Rejected
from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Message, Record
from tests.registry.importers.seen import entries, generated, record, reject

Import = Callable[..., list[Record | Observed | Rejected]]


def candidate(token: str, number: int | None, logprob: Any) -> dict[str, Any]:
    value: dict[str, Any] = {"token": token, "logProbability": logprob}
    return value if number is None else {**value, "tokenId": number}


def logprobs(**changes: Any) -> dict[str, Any]:
    return {
        "topCandidates": [
            {"candidates": [candidate("Hi", 2151, -0.1), candidate("Hey", 6750, -2.5)]},
            {"candidates": [candidate(".", 235265, -0.7)]},
        ],
        "chosenCandidates": [candidate("Hi", 2151, -0.1), candidate("!", 235341, -0.9)],
        "logProbabilitySum": -1.0,
        **changes,
    }


def answer(**changes: Any) -> dict[str, Any]:
    first = {
        "content": {"role": "model", "parts": [{"text": "Greet.", "thought": True}, {"text": "Hi!"}]},
        "finishReason": "STOP",
        "index": 0,
        "avgLogprobs": -0.5,
        "logprobsResult": logprobs(),
    }
    return {
        "candidates": [{**first, **changes}],
        "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r1",
        "createTime": "2026-01-31T12:00:00.123456Z",
    }


def test_a_candidate_gives_text_thoughts_and_logprobs(run_import: Import) -> None:
    (found,) = run_import("gemini", [answer()])
    assert record(found) == Record(
        prompt=None,
        own_turns=(),
        response="Hi!",
        reasoning="Greet.",
        extra=record(found).extra,
        finish_reason="STOP",
        request_id="r1",
        served_model="gemini-2.5-flash",
        created_at=1769860800123,
        prompt_tokens=4,
        response_tokens=2,
    )
    extra = json.loads(record(found).extra or "")
    assert extra["candidates"] == [{"avgLogprobs": -0.5, "content": {"parts": [{"thought": True}, {}]}}]
    assert (generated(found).tokens, generated(found).chosen) == ([2151, 235341], [-0.1, -0.9])
    assert entries(generated(found)) == [[(2151, -0.1), (6750, -2.5)], [(235265, -0.7)]]


def test_the_names_of_the_python_client_are_known(run_import: Import) -> None:
    snake = {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": "Hi!", "thought": None}]},
                "finish_reason": "MAX_TOKENS",
                "logprobs_result": {
                    "top_candidates": [{"candidates": [{"token": "Hi", "token_id": 2151, "log_probability": -0.1}]}],
                    "chosen_candidates": [{"token": "Hi", "token_id": 2151, "log_probability": -0.1}],
                },
            }
        ],
        "usage_metadata": {"prompt_token_count": 4, "candidates_token_count": 1},
        "model_version": "gemini-2.5-flash",
        "create_time": None,
    }
    (found,) = run_import("gemini", [snake])
    assert (record(found).finish_reason, record(found).served_model, record(found).prompt_tokens) == (
        "MAX_TOKENS",
        "gemini-2.5-flash",
        4,
    )
    assert entries(generated(found)) == [[(2151, -0.1)]]


def test_without_ids_texts_count_and_infinity_is_absent(run_import: Import) -> None:
    told = logprobs(
        topCandidates=[{"candidates": [candidate("Hi", None, -0.1), candidate("Ho", 3, "-Infinity")]}, {}],
        chosenCandidates=[candidate("Hi", None, -0.1), candidate("!", 5, "-Infinity")],
    )
    (found,) = run_import("gemini", [answer(logprobsResult=told)])
    assert (generated(found).tokens, generated(found).chosen) == ([b"Hi", b"!"], [-0.1, None])
    assert entries(generated(found)) == [[(b"Hi", -0.1)], []]
    (none,) = run_import("gemini", [answer(logprobsResult=logprobs(topCandidates=[], chosenCandidates=[]))])
    assert not isinstance(none, Observed)


def test_a_batch_line_gives_the_prompt_and_the_settings(run_import: Import) -> None:
    request = {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hello"}, {"inlineData": {"data": "x"}}]},
            {"role": "model", "parts": []},
        ],
        "generationConfig": {"temperature": 0.2},
    }
    (found,) = run_import("gemini", [{"key": "7", "request": request, "response": answer()}])
    assert record(found).prompt == (Message("system", "Be brief."), Message("user", "Hello"), Message("assistant", ""))
    assert record(found).sampling == '{"generationConfig":{"temperature": 0.2}}'
    extra = json.loads(record(found).extra or "")
    assert extra["key"] == "7"
    assert extra["request"]["contents"] == [{"parts": [{}, {"inlineData": {"data": "x"}}]}, {}]
    assert "candidates" in extra["response"]


def test_samples_and_a_candidate_that_was_stopped(run_import: Import) -> None:
    several = answer()
    several["candidates"].append({"finishReason": "SAFETY", "index": 1})
    first, second = run_import("gemini", [several])
    assert [(record(item).sample, record(item).response, record(item).response_tokens) for item in (first, second)] == [
        (0, "Hi!", None),
        (1, "", None),
    ]


@pytest.mark.parametrize(
    ("value", "field", "reason"),
    [
        ({"promptFeedback": {"blockReason": "SAFETY"}}, "promptFeedback", "failed-request"),
        ({"candidates": []}, "candidates", "failed-request"),
        ({"error": {"code": 429}}, "error", "failed-request"),
        ({}, "candidates", "missing-field"),
        ({"candidates": [{}]}, "candidates[0].content", "missing-field"),
        ({"candidates": [{"content": {"role": "user"}}]}, "candidates[0].content.role", "wrong-value"),
        (answer(logprobsResult={}), "candidates[0].logprobsResult.chosenCandidates", "missing-field"),
        (answer(logprobsResult=logprobs(topCandidates=[{}])), "candidates[0].logprobsResult.topCandidates", "wrong-value"),
        (
            answer(logprobsResult=logprobs(chosenCandidates=[candidate("x", 1, "NaN")], topCandidates=[])),
            "candidates[0].logprobsResult",
            "wrong-value",
        ),
    ],
)
def test_what_is_no_answer_is_rejected(run_import: Import, value: object, field: str, reason: str) -> None:
    assert reject(run_import("gemini", [value])[0]) == (field, reason)
