import json
from collections.abc import Callable
from typing import Any

import pytest

from inbond.registry.importers import Rejected, Tally
from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Message, Record
from tests.registry.importers.seen import generated, record, reject

Import = Callable[..., list[Record | Observed | Rejected]]


def request(key: str, **body: Any) -> dict[str, Any]:
    given = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"Question {key}"}], "temperature": 0.5, **body}
    return {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": given}


def output(key: str, text: str = "Answer", **body: Any) -> dict[str, Any]:
    content = [{"token": text, "bytes": None, "logprob": -0.5, "top_logprobs": [{"token": text, "bytes": None, "logprob": -0.5}]}]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "logprobs": {"content": content},
        "finish_reason": "stop",
    }
    answer = {
        "id": f"chatcmpl-{key}",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-1",
        "choices": [choice],
        **body,
    }
    return {
        "id": f"batch_req_{key}",
        "custom_id": key,
        "response": {"status_code": 200, "request_id": f"r{key}", "body": answer},
        "error": None,
    }


def test_outputs_find_their_requests_in_any_order(run_import: Import) -> None:
    requests = [request(key, tools=[{"name": key}]) for key in "abc"]
    second, first, waiting = run_import(
        "openai-batch", requests, [output("c"), output("a", choices=output("a")["response"]["body"]["choices"])]
    )
    assert record(second) == Record(
        prompt=(Message("user", "Question c"),),
        own_turns=(),
        response="Answer",
        extra=record(second).extra,
        finish_reason="stop",
        request_id="chatcmpl-c",
        requested_model="gpt-4o",
        served_model="gpt-4o-1",
        sampling='{"temperature":0.5}',
        created_at=1000,
    )
    assert json.loads(record(second).extra or "") == {
        "custom_id": "c",
        "error": None,
        "id": "batch_req_c",
        "request": {"tools": [{"name": "c"}]},
        "response": {"body": {"object": "chat.completion"}, "request_id": "rc"},
    }
    assert generated(second).tokens == [b"Answer"]
    assert record(first).prompt == (Message("user", "Question a"),)
    assert reject(waiting) == ("custom_id", "unanswered-request")


def test_failed_requests_are_counted_and_not_kept(run_import: Import) -> None:
    refused = {"custom_id": "a", "response": {"status_code": 429, "body": {"error": {"message": "rate limit"}}}, "error": None}
    expired = {"custom_id": "b", "response": None, "error": {"code": "batch_expired", "message": "too late"}}
    found = run_import("openai-batch", [request(key) for key in "abc"], [output("c")], [refused, expired])
    assert [reject(item) for item in found[1:]] == [("response.status_code", "failed-request"), ("error", "failed-request")]
    assert isinstance(found[1], Rejected)
    assert "429: " in found[1].found
    tally = Tally()
    assert len(list(tally.over(found))) == 1
    assert (tally.records, tally.rejected) == (1, {"failed-request": 2})
    told: list[Rejected] = []
    list(Tally().over(found, told.append))
    assert len(told) == 2


def test_bodies_of_other_interfaces_are_taken(run_import: Import) -> None:
    completion = {"object": "text_completion", "choices": [{"index": 0, "text": "four"}]}
    response = {"object": "response", "output": [{"type": "message", "content": [{"type": "output_text", "text": "five"}]}]}
    requests = [
        {"custom_id": "1", "body": {"model": "m", "prompt": "two and two"}},
        {"custom_id": "2", "body": {"model": "m", "input": "two and three", "instructions": "Add."}},
        {
            "custom_id": "3",
            "body": {"model": "m", "input": [{"role": "user", "content": "x"}, {"type": "function_call", "name": "f"}]},
        },
    ]
    outputs = [
        {"custom_id": key, "response": {"status_code": 200, "body": body}}
        for key, body in (("1", completion), ("2", response), ("3", response))
    ]
    four, five, again = map(record, run_import("openai-batch", requests, outputs))
    assert (four.prompt, four.response) == ((Message("user", "two and two"),), "four")
    assert five.prompt == (Message("system", "Add."), Message("user", "two and three"))
    assert again.prompt == (Message("user", "x"), Message("assistant", ""))
    assert json.loads(again.extra or "")["request"]["input"] == [{}, {"type": "function_call", "name": "f"}]


@pytest.mark.parametrize(
    ("line", "field", "reason"),
    [
        (output("z"), "custom_id", "wrong-value"),
        (request("a"), "custom_id", "wrong-value"),
        ({"custom_id": "b"}, "body", "missing-field"),
        ({"custom_id": "b", "body": {"model": "m"}}, "body.messages", "missing-field"),
        ({"custom_id": "b", "body": {"messages": [{"role": "user"}]}}, "body.messages[0].content", "missing-field"),
        ({"body": {}}, "custom_id", "missing-field"),
        ({"custom_id": "a", "response": {"status_code": 200}}, "response.body", "missing-field"),
        ({"custom_id": "a", "response": {"status_code": 200, "body": {"choices": []}}}, "response.body.choices", "wrong-value"),
    ],
)
def test_what_is_no_batch_is_rejected(run_import: Import, line: object, field: str, reason: str) -> None:
    rejected, *_ = run_import("openai-batch", [request("a"), line])
    assert reject(rejected) == (field, reason)


def test_outputs_named_before_requests_say_what_to_do(run_import: Import) -> None:
    rejected, _ = run_import("openai-batch", [output("a")], [request("a")])
    assert isinstance(rejected, Rejected)
    assert "Name the file of requests before that of outputs" in rejected.found


def test_requests_that_nothing_answers_are_named_and_no_fault(run_import: Import) -> None:
    """One that failed is answered, and so is one whose answer cannot be read."""
    failed = {"custom_id": "b", "response": None, "error": {"code": "batch_expired"}}
    wrong = {"custom_id": "c", "response": {"status_code": 200}}
    found = run_import("openai-batch", [request(key) for key in "abcde"], [output("d"), failed, wrong])
    named = [item for item in found if isinstance(item, Rejected) and item.reason_code == "unanswered-request"]
    assert [item.found for item in named] == ["none for 'a'", "none for 'e'"]
    assert named[0].file.endswith("0.json, " + named[0].file.rpartition(", ")[2])
    tally, told = Tally(), list[Rejected]()
    list(tally.over(found, told.append))
    assert (tally.unanswered, tally.rejected) == (2, {"failed-request": 1, "missing-field": 1})
    assert told[-2:] == named
    assert len(list(Tally().over([found[0], *named]))) == 1
