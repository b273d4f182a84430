import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from inbond.registry.importers import Rejected
from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Message, Record
from inbond.schemas.errors import InvalidInput
from tests.registry.importers.seen import entries, generated, record, reject

Import = Callable[..., list[Record | Observed | Rejected]]


def test_roles_are_those_of_chats_and_the_last_turn_is_the_answer(run_import: Import) -> None:
    turns = [
        {"from": "system", "value": "s"},
        {"from": "human", "value": "hi", "weight": 0},
        {"from": "function_call", "value": "f()"},
        {"from": "observation", "value": "7"},
        {"from": "gpt", "value": "seven"},
    ]
    (found,) = run_import("sharegpt", [{"id": "i", "system": "", "conversations": turns}], own_turns="all")
    assert found == Record(
        prompt=(Message("system", "s"), Message("user", "hi"), Message("assistant", "f()"), Message("tool", "7")),
        own_turns=(2,),
        response="seven",
        extra='{"conversations":[{},{"weight":0},{"from":"function_call"},{"from":"observation"},{}],"id":"i"}',
    )
    (beside,) = run_import("sharegpt", [{"system": "Be brief.", "conversations": turns[-1:]}])
    assert record(beside).prompt == (Message("system", "Be brief."),)


@pytest.mark.parametrize(
    ("turns", "field", "reason"),
    [
        ([], "conversations", "wrong-value"),
        ("x", "conversations", "wrong-type"),
        ([{"from": "gpt", "value": "a"}, {"from": "human", "value": "b"}], "conversations[1].from", "wrong-value"),
        ([{"from": "alien", "value": "a"}], "conversations[0].from", "wrong-value"),
        ([{"from": "gpt"}], "conversations[0].value", "missing-field"),
        ([{"from": "gpt", "value": None}], "conversations[0].value", "wrong-type"),
        ([{"value": "a"}], "conversations[0].from", "missing-field"),
    ],
)
def test_what_is_no_conversation_is_rejected(run_import: Import, turns: object, field: str, reason: str) -> None:
    assert reject(run_import("sharegpt", [{"conversations": turns}])[0]) == (field, reason)


def row(**changes: Any) -> dict[str, Any]:
    metadata = {
        "raw_input_text_generation_0": [{"role": "system", "content": "s"}, {"role": "user", "content": "Name a prime."}],
        "raw_output_text_generation_0": "Seven.",
        "statistics_text_generation_0": {"input_tokens": 5, "output_tokens": 2},
    }
    row = {"instruction": "Name a prime.", "generation": "Seven.", "model_name": "m", "distilabel_metadata": metadata}
    return {**row, **changes}


def test_a_row_gives_what_the_task_sent(run_import: Import) -> None:
    (found,) = run_import("distilabel", [row()])
    assert found == Record(
        prompt=(Message("system", "s"), Message("user", "Name a prime.")),
        own_turns=(),
        response="Seven.",
        extra=record(found).extra,
        served_model="m",
        prompt_tokens=5,
        response_tokens=2,
    )
    extra = json.loads(record(found).extra or "")
    assert extra["instruction"] == "Name a prime."
    assert extra["distilabel_metadata"]["raw_output_text_generation_0"] == "Seven."
    (plain,) = run_import("distilabel", [row(system_prompt="t", distilabel_metadata=None)])
    assert record(plain).prompt == (Message("system", "t"), Message("user", "Name a prime."))


def test_each_generation_is_a_sample_and_their_logprobs_stay(run_import: Import) -> None:
    logprobs = [[[{"token": "token_id:7", "logprob": -0.1}]]]
    given = row(generations=["a", "b"], generation=None, llm_logprobs=logprobs)
    first, second = run_import("distilabel", [given])
    assert [(record(item).response, record(item).sample, record(item).response_tokens) for item in (first, second)] == [
        ("a", 0, None),
        ("b", 1, None),
    ]
    assert json.loads(record(first).extra or "")["llm_logprobs"] == logprobs


def test_one_model_at_a_time(run_import: Import) -> None:
    rows = [row(), row(model_name="n", generation="Five.")]
    with pytest.raises(InvalidInput, match="field model_name: expected 'm' as in the records before, found 'n'"):
        run_import("distilabel", rows)
    (found,) = run_import("distilabel", rows, model="n")
    assert record(found).response == "Five."
    with pytest.raises(InvalidInput, match=r"option model: expected records of 'o', found only records of 'm' \(1\), 'n' \(1\)"):
        run_import("distilabel", rows, model="o")


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"generation": None}, "generation", "failed-request"),
        ({"generations": []}, "generations", "failed-request"),
        ({"generations": [None]}, "generations", "failed-request"),
        ({"generations": "x"}, "generations", "wrong-type"),
        ({"generation": 7}, "generation", "wrong-type"),
        ({"instruction": None, "distilabel_metadata": None}, "instruction", "wrong-type"),
    ],
)
def test_what_is_no_row_is_rejected(run_import: Import, change: dict[str, Any], field: str, reason: str) -> None:
    assert reject(run_import("distilabel", [row(**change)])[0]) == (field, reason)


def line(**changes: Any) -> dict[str, Any]:
    position = {
        "token": "Hi",
        "bytes": [72, 105],
        "logprob": -0.1,
        "top_logprobs": [{"token": "Hi", "bytes": [72, 105], "logprob": -0.1}],
    }
    raw = {
        "id": "chatcmpl-1",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "logprobs": {"content": [position]}}],
    }
    request = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Hello"}],
        "response_format": None,
        "original_row": {"q": "Hello"},
        "original_row_idx": 3,
        "generation_params": {"temperature": 0.5},
    }
    line = {
        "response_message": "Hi",
        "response_errors": None,
        "raw_response": raw,
        "raw_request": None,
        "generic_request": request,
        "created_at": "2026-01-31T12:00:00",
        "finished_at": "2026-01-31T12:00:01.500000+00:00",
        "token_usage": {"input": 9, "output": 1, "total": 10},
        "response_cost": 0.1,
        "finish_reason": "stop",
    }
    return {**line, **changes}


def test_a_line_of_curator_is_all_that_is_known(run_import: Import) -> None:
    (found,) = run_import("curator", [line()])
    assert record(found) == Record(
        prompt=(Message("system", "s"), Message("user", "Hello")),
        own_turns=(),
        response="Hi",
        extra=record(found).extra,
        finish_reason="stop",
        request_id="chatcmpl-1",
        requested_model="gpt-4o-mini",
        served_model="gpt-4o-mini-2024-07-18",
        sampling='{"temperature": 0.5}',
        created_at=1769860801500,
        prompt_tokens=9,
        response_tokens=1,
    )
    assert entries(generated(found)) == [[(b"Hi", -0.1)]]
    extra = json.loads(record(found).extra or "")
    assert extra["generic_request"] == {"original_row": {"q": "Hello"}, "original_row_idx": 3, "response_format": None}
    assert extra["raw_response"]["choices"] == [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]
    assert extra["created_at"] == "2026-01-31T12:00:00"


def test_a_structured_answer_stays_as_it_is(run_import: Import) -> None:
    usage = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    (found,) = run_import("curator", [line(response_message={"n": 7}, raw_response=None, token_usage=usage, finished_at=None)])
    assert (record(found).response, record(found).prompt_tokens, record(found).created_at) == ('{"n": 7}', 4, None)
    assert not isinstance(found, Observed)


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"response_message": None, "response_errors": ["timeout"]}, "response_message", "failed-request"),
        ({"response_message": 7}, "response_message", "wrong-type"),
        ({"generic_request": None}, "generic_request", "wrong-type"),
        ({"generic_request": {}}, "generic_request.messages", "missing-field"),
        ({"finished_at": "yesterday"}, "finished_at", "wrong-value"),
        ({"token_usage": {"input": -1}}, "token_usage.input", "wrong-value"),
    ],
)
def test_what_is_no_line_is_rejected(run_import: Import, change: dict[str, Any], field: str, reason: str) -> None:
    assert reject(run_import("curator", [line(**change)])[0]) == (field, reason)


def test_columns_are_those_that_options_name(run_import: Import) -> None:
    rows = [{"q": "Name a prime.", "a": "Seven.", "sys": "Be brief.", "why": "7", "by": "m", "id": 1}]
    columns = {"prompt": "q", "response": "a", "system": "sys", "reasoning": "why", "model_column": "by"}
    (found,) = run_import("columns", rows, **columns)
    assert found == Record(
        prompt=(Message("system", "Be brief."), Message("user", "Name a prime.")),
        own_turns=(),
        response="Seven.",
        reasoning="7",
        extra='{"id":1}',
        served_model="m",
    )


def test_columns_may_hold_turns(run_import: Import) -> None:
    turns = [{"role": "user", "content": "Hi", "name": "Ada"}]
    answer = [{"role": "assistant", "content": "f()"}, {"role": "assistant", "content": "Hello!"}]
    (found,) = run_import("columns", [{"prompt": turns, "response": answer}])
    assert found == Record(
        prompt=(Message("user", "Hi"), Message("assistant", "f()")),
        own_turns=(),
        response="Hello!",
        extra='{"prompt":[{"name":"Ada"}]}',
    )


ANSWERS = {"prompt": "q", "answers": "tried", "response": "said", "model_column": "by"}


def test_each_answer_of_a_row_becomes_a_record(run_import: Import) -> None:
    tried = [{"by": "m", "said": "Seven.", "score": 1}, {"by": "other", "said": "Nine."}, {"by": "m", "said": "Two."}]
    rows = [{"q": "Name a prime.", "tried": tried, "id": 1}]
    asked = Record(prompt=(Message("user", "Name a prime."),), own_turns=(), response="Seven.", served_model="m")
    assert run_import("columns", rows, **ANSWERS, model="m") == [
        msgspec.structs.replace(asked, extra='{"id":1,"tried":{"score":1}}'),
        msgspec.structs.replace(asked, response="Two.", extra='{"id":1}', sample=2),
    ]
    turns = {"q": "Hi", "tried": [{"by": "m", "said": [{"role": "assistant", "content": "Hello!", "name": "Ada"}]}]}
    (found,) = run_import("columns", [turns], **ANSWERS)
    assert (found.response, found.extra) == ("Hello!", '{"tried":{"said":[{"name":"Ada"}]}}')
    with pytest.raises(InvalidInput, match="expected 'm' as in the records before, found 'other'"):
        run_import("columns", rows, **ANSWERS)


@pytest.mark.parametrize(
    ("tried", "field", "reason"),
    [
        (None, "tried", "wrong-type"),
        ({"by": "m", "said": "x"}, "tried", "wrong-type"),
        ([7], "tried[0]", "wrong-type"),
        ([{"by": "m"}], "tried[0].said", "missing-field"),
        ([{"said": "x"}], "tried[0].by", "missing-field"),
    ],
)
def test_answers_are_objects_with_their_columns(run_import: Import, tried: object, field: str, reason: str) -> None:
    assert reject(run_import("columns", [{"q": "x", "tried": tried}], **ANSWERS)[0]) == (field, reason)


@pytest.mark.parametrize(
    ("value", "field", "reason"),
    [
        ({"prompt": "x"}, "response", "missing-field"),
        ({"response": "x"}, "prompt", "missing-field"),
        ({"prompt": None, "response": "x"}, "prompt", "wrong-type"),
        ({"prompt": "x", "response": 7}, "response", "wrong-type"),
        ({"prompt": "x", "response": []}, "response", "wrong-value"),
        ({"prompt": "x", "response": [{"role": "user", "content": "x"}]}, "response", "wrong-value"),
    ],
)
def test_what_lacks_a_column_is_rejected(run_import: Import, value: object, field: str, reason: str) -> None:
    assert reject(run_import("columns", [value])[0]) == (field, reason)
