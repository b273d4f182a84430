import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inbond.registry.importers import Input, Rejected, Tally, importer
from inbond.registry.shards.records import Record

Import = Callable[..., list[Record | Rejected]]


def body(*contents: str | None, **fields: Any) -> dict[str, Any]:
    choices = [
        {"index": index, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        for index, content in enumerate(contents)
    ]
    return {"choices": choices, **fields}


def test_fields_of_a_body_find_their_columns_and_the_rest_stays(run_import: Import) -> None:
    line = (
        b'{"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": "m-1", '
        b'"usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}, "choices": [{"index": 0, '
        b'"finish_reason": "length", "logprobs": {"content": [{"token": "x", "logprob": -6.38484e-05}]}, '
        b'"message": {"role": "assistant", "content": "x", "refusal": null, "reasoning": "r"}}]}'
    )
    assert run_import("chat-completions", line) == [
        Record(
            prompt=None,
            own_turns=(),
            response="x",
            reasoning="r",
            extra='{"choices":[{"logprobs":{"content": [{"token": "x", "logprob": -6.38484e-05}]},"message":{"refusal":null}}],'
            '"object":"chat.completion","usage":{"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}}',
            finish_reason="length",
            request_id="chatcmpl-1",
            served_model="m-1",
            created_at=1_700_000_000_000,
            prompt_tokens=5,
            response_tokens=7,
        )
    ]


def test_each_choice_is_a_sample_and_usage_is_nobodys_alone(run_import: Import) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 7}
    found = run_import("chat-completions", [body("a", "b", usage=usage, id="i")], kind="judgement")
    assert [
        (item.response, item.sample, item.kind, item.prompt_tokens, item.response_tokens)
        for item in found
        if isinstance(item, Record)
    ] == [("a", 0, "judgement", 5, None), ("b", 1, "judgement", 5, None)]


def test_a_body_of_little_says_little(run_import: Import) -> None:
    assert run_import("chat-completions", [{"choices": [{"message": {"content": "x"}}], "created": None}]) == [
        Record(prompt=None, own_turns=(), response="x", extra='{"created":null}')
    ]


@pytest.mark.parametrize(
    ("value", "field", "reason"),
    [
        ({"error": {"message": "rate limit"}}, "choices", "missing-field"),
        ({"custom_id": "1", "response": {"body": {}}}, "choices", "missing-field"),
        (body(), "choices", "wrong-value"),
        (body("a", None), "choices[1].message.content", "wrong-type"),
        ({"choices": [{"delta": {}}]}, "choices[0].message", "missing-field"),
        ({"choices": [{"message": {"role": "user", "content": "x"}}]}, "choices[0].message.role", "wrong-value"),
        ({"choices": [{"index": 1, "message": {"content": "x"}}] * 2}, "choices[1].index", "wrong-value"),
        ({"choices": [{"index": 2**31, "message": {"content": "x"}}]}, "choices[0].index", "wrong-value"),
        (body("a", created=1.5), "created", "wrong-type"),
        (body("a", created=10**12), "created", "wrong-value"),
        (body("a", id=7), "id", "wrong-type"),
        (body("a", usage={"prompt_tokens": -1}), "usage.prompt_tokens", "wrong-value"),
        (body("a", usage=[]), "usage", "wrong-type"),
    ],
)
def test_what_is_no_response_body_is_rejected_whole(run_import: Import, value: object, field: str, reason: str) -> None:
    (rejected,) = run_import("chat-completions", [value])
    assert isinstance(rejected, Rejected)
    assert (rejected.field, rejected.reason_code) == (field, reason)


def test_real_completions_keep_their_logprobs(shared_data: Path) -> None:
    path = shared_data / "chat-logprobs" / "gpt-4-1106-preview.chat-completions.jsonl"
    source = [json.loads(line) for line in path.read_bytes().splitlines()]
    tally = Tally()
    records = list(tally.over(importer("chat-completions").records([Input(path)], {"kind": "judgement"})))
    assert (len(records), tally.empty_responses, tally.duplicate_ids) == (803, 0, 0)
    for record, value in zip(records, source, strict=True):
        assert (record.prompt, record.kind, record.served_model) == (None, "judgement", value.pop("model"))
        (choice,) = value["choices"]
        assert (record.sample, record.finish_reason) == (choice.pop("index"), choice.pop("finish_reason"))
        assert record.response == choice["message"].pop("content")
        assert choice["message"].pop("role") == "assistant"
        assert record.extra is not None
        assert json.loads(record.extra) == value
