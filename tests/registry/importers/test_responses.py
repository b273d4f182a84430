import json
from collections.abc import Callable
from typing import Any

import pytest

from inbond.registry.importers import Rejected
from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Record
from tests.registry.importers.seen import entries, generated, record, reject

Import = Callable[..., list[Record | Observed | Rejected]]


def position(token: str, logprob: float, *tops: tuple[str, float]) -> dict[str, Any]:
    top = [{"token": text, "bytes": list(text.encode()), "logprob": value} for text, value in tops]
    return {"token": token, "bytes": list(token.encode()), "logprob": logprob, "top_logprobs": top}


def response(**changes: Any) -> dict[str, Any]:
    """The documented shape of a response with reasoning and log-probabilities."""
    text = {
        "type": "output_text",
        "text": "Hi!",
        "annotations": [],
        "logprobs": [position("Hi", -0.1, ("Hi", -0.1), ("Hey", -2.5)), position("!", -0.5, ("!", -0.5), (".", -1.5))],
    }
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1741476542,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": "Be brief.",
        "model": "gpt-4.1-2025-04-14",
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Greet."}]},
            {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [text]},
        ],
        "temperature": 1.0,
        "top_p": 0.9,
        "top_logprobs": 2,
        "tools": [],
        "usage": {"input_tokens": 36, "output_tokens": 87, "total_tokens": 123},
        **changes,
    }


def test_a_response_gives_text_reasoning_settings_and_logprobs(run_import: Import) -> None:
    (found,) = run_import("responses", [response()])
    assert record(found) == Record(
        prompt=None,
        own_turns=(),
        response="Hi!",
        reasoning="Greet.",
        extra=record(found).extra,
        finish_reason="completed",
        request_id="resp_1",
        served_model="gpt-4.1-2025-04-14",
        sampling='{"temperature":1.0,"top_logprobs":2,"top_p":0.9}',
        created_at=1741476542000,
        prompt_tokens=36,
        response_tokens=87,
    )
    extra = json.loads(record(found).extra or "")
    assert extra["instructions"] == "Be brief."
    assert extra["output"][1]["content"] == [{"type": "output_text", "annotations": []}]
    assert extra["output"][0]["summary"] == [{"type": "summary_text", "text": "Greet."}]
    assert generated(found).tokens == [b"Hi", b"!"]
    assert entries(generated(found)) == [[(b"Hi", -0.1), (b"Hey", -2.5)], [(b"!", -0.5), (b".", -1.5)]]


def test_parts_are_one_text_and_calls_stay(run_import: Import) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    refusal = {"type": "refusal", "refusal": "no"}
    part = response()["output"][1]["content"][0]
    output = [{"type": "message", "content": [part, {**part, "text": " Bye."}, refusal]}, call]
    only_call, several = run_import("responses", [response(output=[call]), response(output=output)])
    assert (record(only_call).response, isinstance(only_call, Observed)) == ("", False)
    assert json.loads(record(only_call).extra or "")["output"] == [call]
    assert record(several).response == "Hi! Bye."
    assert generated(several).tokens == [b"Hi", b"!"] * 2


def test_an_incomplete_response_says_why(run_import: Import) -> None:
    incomplete = response(status="incomplete", incomplete_details={"reason": "max_output_tokens"}, created_at=1741476542.25)
    found = record(run_import("responses", [incomplete])[0])
    assert (found.finish_reason, found.created_at) == ("max_output_tokens", 1741476542250)


def test_null_or_no_logprobs_are_none(run_import: Import) -> None:
    for value in (None, []):
        body = response()
        body["output"][1]["content"][0]["logprobs"] = value
        (found,) = run_import("responses", [body])
        assert not isinstance(found, Observed)


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"status": "failed"}, "status", "failed-request"),
        ({"error": {"code": "server_error", "message": "x"}}, "error", "failed-request"),
        ({"output": []}, "output", "wrong-value"),
        ({"output": "x"}, "output", "wrong-type"),
        ({"output": [{"type": "message", "content": [{"type": "output_text"}]}]}, "output[0].content[0].text", "missing-field"),
        ({"output": [{"type": "message"}]}, "output[0].content", "missing-field"),
        ({"output": [{"role": "assistant"}]}, "output[0].type", "missing-field"),
        (
            {"output": [{"type": "message", "content": [{"type": "output_text", "text": "x", "logprobs": [{}]}]}]},
            "output[0].content[0].logprobs[0].token",
            "missing-field",
        ),
        ({"created_at": "now"}, "created_at", "wrong-type"),
        ({"usage": {"input_tokens": -1}}, "usage.input_tokens", "wrong-value"),
    ],
)
def test_what_is_no_response_is_rejected(run_import: Import, change: dict[str, Any], field: str, reason: str) -> None:
    (rejected,) = run_import("responses", [response(**change)])
    assert reject(rejected) == (field, reason)
