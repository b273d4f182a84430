import json
from collections.abc import Callable
from typing import Any

import pytest

from inbond.registry.importers import Rejected
from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Message, Record
from tests.registry.importers.seen import entries, generated, record, reject, scored

Import = Callable[..., list[Record | Observed | Rejected]]


def body(text: str, logprobs: Any = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "logprobs": logprobs, "finish_reason": "stop"}
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice], **more}


def logprobs(**changes: Any) -> dict[str, Any]:
    return {
        "tokens": [" a", "bytes:\\xe2\\x80", " b"],
        "token_logprobs": [-0.5, -9999.0, -0.25],
        "top_logprobs": [{" a": -0.5, " c": -1.5}, None, {" b": -0.25, "bytes:\\xe2\\x80": -3.0}],
        "text_offset": [5, 7, 7],
        **changes,
    }


def test_tokens_and_alternatives_by_their_text(run_import: Import) -> None:
    (found,) = run_import("completions", [body(" a\ufffd b", logprobs())])
    assert record(found) == Record(
        prompt=None,
        own_turns=(),
        response=" a\ufffd b",
        extra='{"object":"text_completion"}',
        finish_reason="stop",
        request_id="cmpl-1",
        served_model="m",
        created_at=1000,
    )
    assert generated(found).tokens == [b" a", b"\xe2\x80", b" b"]
    assert generated(found).chosen == [-0.5, None, -0.25]
    assert entries(generated(found)) == [[(b" a", -0.5), (b" c", -1.5)], [], [(b" b", -0.25), (b"\xe2\x80", -3.0)]]


def test_an_echoed_prompt_is_scored(run_import: Import) -> None:
    told = logprobs(
        tokens=["Hi", " a", " b"],
        token_logprobs=[None, -0.5, -0.25],
        top_logprobs=[None, {" a": -0.5}, {" b": -0.25}],
        text_offset=[0, 2, 4],
    )
    (found,) = run_import("completions", [body("Hi a b", told, usage={"prompt_tokens": 2})])
    assert (record(found).prompt, record(found).response) == ((Message("user", "Hi a"),), " b")
    assert (scored(found).tokens, scored(found).before, scored(found).after) == ([b" a"], [b"Hi"], [b" b"])
    assert (generated(found).tokens, generated(found).before) == ([b" b"], [b"Hi", b" a"])
    whole = run_import("completions", [body("Hi a b", told, usage={"prompt_tokens": 3})], kind="scored")[0]
    assert (record(whole).response, record(whole).kind) == ("", "scored")
    assert scored(whole).tokens == [b" a", b" b"]
    assert isinstance(whole, Observed)
    assert whole.generated is None
    (rejected,) = run_import("completions", [body("Hi a b", told)])
    assert reject(rejected) == ("choices[0].logprobs.tokens", "wrong-value")


def test_samples_and_no_logprobs(run_import: Import) -> None:
    choices = [{"index": 1, "text": "a"}, {"index": 0, "text": "", "logprobs": None}]
    first, second = run_import("completions", [body("", choices=choices)])
    assert [(record(item).sample, record(item).response, isinstance(item, Observed)) for item in (first, second)] == [
        (1, "a", False),
        (0, "", False),
    ]


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"token_logprobs": [-0.5]}, "token_logprobs", "wrong-value"),
        ({"token_logprobs": []}, "token_logprobs", "wrong-value"),
        ({"top_logprobs": [{}]}, "top_logprobs", "wrong-value"),
        ({"text_offset": [1, 2]}, "text_offset", "wrong-value"),
        ({"tokens": [1, 2, 3]}, "tokens[0]", "wrong-type"),
        ({"top_logprobs": [{"a": "b"}, None, None]}, "top_logprobs[0][...]", "wrong-type"),
    ],
)
def test_lists_that_do_not_fit_are_rejected(run_import: Import, change: dict[str, Any], field: str, reason: str) -> None:
    (rejected,) = run_import("completions", [body("x", logprobs(**change))])
    assert reject(rejected) == (f"choices[0].logprobs.{field}", reason)


@pytest.mark.parametrize(
    ("value", "field", "reason"),
    [
        ({}, "choices", "missing-field"),
        ({"choices": []}, "choices", "wrong-value"),
        ({"choices": [{"index": 0}]}, "choices[0].text", "missing-field"),
        ({"choices": [{"index": 0, "text": "a"}] * 2}, "choices[1].index", "wrong-value"),
    ],
)
def test_what_is_no_body_is_rejected(run_import: Import, value: object, field: str, reason: str) -> None:
    assert reject(run_import("completions", [value])[0]) == (field, reason)
    assert json.dumps(value)
