import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inbond.registry.importers import Input, Rejected, Tally, importer
from inbond.registry.importers.observed import Observed
from inbond.registry.importers.vocabulary import TokenTable
from inbond.registry.shards.records import Record
from tests.registry.importers.seen import entries, generated, record, reject

Import = Callable[..., list[Record | Observed | Rejected]]


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
    (found,) = run_import("chat-completions", line)
    assert record(found) == Record(
        prompt=None,
        own_turns=(),
        response="x",
        reasoning="r",
        extra='{"choices":[{"message":{"refusal":null}}],'
        '"object":"chat.completion","usage":{"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}}',
        finish_reason="length",
        request_id="chatcmpl-1",
        served_model="m-1",
        created_at=1_700_000_000_000,
        prompt_tokens=5,
        response_tokens=7,
    )
    logprobs = generated(found)
    assert (logprobs.tokens, logprobs.chosen, logprobs.counts) == ([b"x"], [-6.38484e-05], [0])
    assert not logprobs.has_ids


def entry(token: str, logprob: float | None, given: list[int] | None = None, **more: Any) -> dict[str, Any]:
    return {"token": token, "bytes": list(token.encode()) if given is None else given, "logprob": logprob, **more}


def with_logprobs(content: Any, **beside: Any) -> dict[str, Any]:
    value = body("x")
    value["choices"][0]["logprobs"] = {"content": content, **beside}
    return value


def test_tokens_that_are_no_text_and_tokens_that_are_absent(run_import: Import) -> None:
    content = [
        entry("\ufffd", -0.5, [0xE2, 0x80], top_logprobs=[entry("\ufffd", -0.5, [0xE2, 0x80]), entry("<|end|>", -1.5, [])]),
        entry("", -9999.0, [0x94], top_logprobs=[entry("a", -0.1), entry("b", -9999.0), {"token": "c", "logprob": -3}]),
    ]
    (found,) = run_import("chat-completions", [with_logprobs(content, refusal=None)])
    assert record(found).extra is None
    assert generated(found).tokens == [b"\xe2\x80", b"\x94"]
    assert generated(found).chosen == [-0.5, None]
    assert entries(generated(found)) == [[(b"\xe2\x80", -0.5), (b"<|end|>", -1.5)], [(b"a", -0.1), (b"c", -3.0)]]


def test_ids_are_taken_where_every_entry_has_one(run_import: Import) -> None:
    named = [entry("token_id:7", -0.5, top_logprobs=[entry("token_id:7", -0.5), entry("token_id:151935", -1.5)])]
    beside = [entry("a", -0.5, id=7, top_logprobs=[entry("a", -0.5, id=7), entry("b", -1.5, id=8)])]
    mixed = [entry("token_id:7", -0.5, top_logprobs=[entry("a", -0.5)])]
    of_names, of_members, of_some = map(
        generated, run_import("chat-completions", [with_logprobs(x) for x in (named, beside, mixed)])
    )
    assert (of_names.tokens, of_names.alternatives) == ([7], [7, 151935])
    assert (of_members.tokens, of_members.alternatives) == ([7], [7, 8])
    assert (of_some.tokens, of_some.alternatives) == ([b"token_id:7"], [b"a"])


def test_what_entries_have_beside_stays_whole(run_import: Import) -> None:
    content = [entry("a", -0.5, top_logprobs=[], text_offset=3)]
    refusal = [entry("no", -0.5, top_logprobs=[])]
    strange, refused = run_import("chat-completions", [with_logprobs(content), with_logprobs(None, refusal=refusal)])
    assert generated(strange).tokens == [b"a"]
    assert json.loads(record(strange).extra or "") == {"choices": [{"logprobs": {"content": content}}]}
    assert refused == record(refused)
    assert json.loads(record(refused).extra or "") == {"choices": [{"logprobs": {"content": None, "refusal": refusal}}]}


@pytest.mark.parametrize("content", [[], None])
def test_no_tokens_are_no_logprobs(run_import: Import, content: object) -> None:
    (found,) = run_import("chat-completions", [with_logprobs(content)])
    assert found == record(found)


@pytest.mark.parametrize(
    ("content", "field", "reason"),
    [
        ("x", "", "wrong-type"),
        ([7], "[0]", "wrong-type"),
        ([{"logprob": -1.0}], "[0].token", "missing-field"),
        ([{"token": "x"}], "[0].logprob", "missing-field"),
        ([entry("x", -1.0), entry("x", "-1")], "[1].logprob", "wrong-type"),  # type: ignore[arg-type]
        ([entry("x", -1.0, top_logprobs=[{"token": 7, "logprob": -1.0}])], "[0].top_logprobs[0].token", "wrong-type"),
        ([entry("x", -1.0, [256])], "", "wrong-value"),
    ],
)
def test_wrong_logprobs_reject_the_body(run_import: Import, content: object, field: str, reason: str) -> None:
    (rejected,) = run_import("chat-completions", [with_logprobs(content)])
    assert reject(rejected) == (f"choices[0].logprobs.content{field}", reason)


def test_an_entry_that_names_a_field_twice_rejects_the_body(run_import: Import) -> None:
    line = json.dumps(with_logprobs([entry("x", -1.0)])).replace('"logprob": -1.0', '"logprob": -1.0, "logprob": -2.0')
    (rejected,) = run_import("chat-completions", line.encode())
    assert reject(rejected) == ("choices[0].logprobs.content", "duplicate-field")


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
    """All of them come back as single precision has them, each under the bytes that the source gave."""
    path = shared_data / "chat-logprobs" / "gpt-4-1106-preview.chat-completions.jsonl"
    source = [json.loads(line) for line in path.read_bytes().splitlines()]
    tally = Tally()
    records = list(tally.over(importer("chat-completions").records([Input(path)], {"kind": "judgement"})))
    assert (len(records), tally.empty_responses, tally.duplicate_ids) == (803, 0, 0)
    table = TokenTable()
    for item, value in zip(records, source, strict=True):
        record = item.record if isinstance(item, Observed) else item
        given = value["choices"][0].pop("logprobs")["content"]
        found = table.distributions(generated(item))
        found.check(table.size)
        assert [table.tokens[number] for number in found.input_ids] == [bytes(each["bytes"]) for each in given]
        assert found.chosen.tolist() == [np.float32(each["logprob"]) for each in given]
        tops = [top for each in given for top in each["top_logprobs"]]
        assert [table.tokens[number] for number in found.ids] == [bytes(top["bytes"]) for top in tops]
        assert found.logprobs.tolist() == [np.float32(top["logprob"]) for top in tops]
        assert found.counts.tolist() == [5]
        assert found.ids[found.rank - 1].tolist() == found.input_ids.tolist()
        assert (record.prompt, record.kind, record.served_model) == (None, "judgement", value.pop("model"))
        (choice,) = value["choices"]
        assert (record.sample, record.finish_reason) == (choice.pop("index"), choice.pop("finish_reason"))
        assert record.response == choice["message"].pop("content")
        assert choice["message"].pop("role") == "assistant"
        assert record.extra is not None
        assert json.loads(record.extra) == value
    assert TokenTable.read(table.data()).tokens == table.tokens
