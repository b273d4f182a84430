import json
from collections.abc import Callable
from typing import Any

import pytest

from inbond.registry.importers import Rejected
from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Message, Record
from tests.registry.importers.seen import record, reject

Import = Callable[..., list[Record | Observed | Rejected]]


def message(**changes: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [
            {"type": "thinking", "thinking": "Greet.", "signature": "s"},
            {"type": "text", "text": "Hi"},
            {"type": "text", "text": "!", "citations": [{"type": "char_location"}]},
            {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 8, "output_tokens": 9},
        **changes,
    }


def test_a_message_gives_text_and_thinking(run_import: Import) -> None:
    (found,) = run_import("anthropic", [message()])
    assert found == Record(
        prompt=None,
        own_turns=(),
        response="Hi!",
        reasoning="Greet.",
        extra=record(found).extra,
        finish_reason="tool_use",
        request_id="msg_1",
        served_model="claude-sonnet-4-5-20250929",
        prompt_tokens=8,
        response_tokens=9,
    )
    extra = json.loads(record(found).extra or "")
    assert [block.get("type") for block in extra["content"]] == ["thinking", None, "text", "tool_use"]
    assert extra["content"][0] == {"type": "thinking", "signature": "s"}


def request(key: str) -> dict[str, Any]:
    params = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 64,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": f"Question {key}"}]}],
    }
    return {"custom_id": key, "params": params}


def result(key: str, kind: str = "succeeded", **more: Any) -> dict[str, Any]:
    return {"custom_id": key, "result": {"type": kind, **(more or {"message": message()})}}


def test_results_of_a_batch_find_their_requests(run_import: Import) -> None:
    lines = [result("b"), result("a", "errored", error={"type": "overloaded"}), result("c", "expired"), result("d", "canceled")]
    found, *failed, waiting = run_import("anthropic", [request(key) for key in "abcde"], lines)
    assert (reject(waiting), waiting.found) == (("custom_id", "unanswered-request"), "none for 'e'")  # type: ignore[union-attr]
    assert record(found).prompt == (Message("system", "Be brief."), Message("user", "Question b"))
    assert (record(found).requested_model, record(found).sampling) == ("claude-sonnet-4-5", '{"max_tokens":64}')
    extra = json.loads(record(found).extra or "")
    assert extra["custom_id"] == "b"
    assert extra["request"]["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert extra["result"]["message"]["type"] == "message"
    assert [reject(item) for item in failed] == [("result.type", "failed-request")] * 3


def test_results_without_their_requests_have_no_prompt(run_import: Import) -> None:
    (found,) = run_import("anthropic", [result("b")])
    assert record(found).prompt is None


@pytest.mark.parametrize(
    ("value", "field", "reason"),
    [
        ({}, "content", "missing-field"),
        (message(role="user"), "role", "wrong-value"),
        (message(content="Hi"), "content", "wrong-type"),
        (message(content=[{"type": "text"}]), "content[0].text", "missing-field"),
        ({"type": "error", "error": {"type": "overloaded_error"}}, "error", "failed-request"),
        (result("z"), "custom_id", "wrong-value"),
        (request("a"), "custom_id", "wrong-value"),
        ({"custom_id": "x", "params": {}}, "params.messages", "missing-field"),
        ({"custom_id": "a", "result": {"type": "succeeded"}}, "result.message", "missing-field"),
    ],
)
def test_what_is_no_message_is_rejected(run_import: Import, value: object, field: str, reason: str) -> None:
    rejected, *_ = run_import("anthropic", [request("a"), value])
    assert reject(rejected) == (field, reason)
