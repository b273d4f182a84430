import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbond.registry.importers import Rejected
from inbond.registry.shards.records import Message, Record

Import = Callable[..., list[Record | Rejected]]

USER = {"role": "user", "content": "hi"}
REPLY = {"role": "assistant", "content": "hello"}


def test_the_last_turn_is_the_response_and_the_others_the_prompt(run_import: Import) -> None:
    talk, alone = run_import(
        "messages", [{"messages": [{"role": "system", "content": "s"}, USER, REPLY, USER, REPLY]}, {"messages": [REPLY]}]
    )
    prompt = (Message("system", "s"), Message("user", "hi"), Message("assistant", "hello"), Message("user", "hi"))
    assert talk == Record(prompt=prompt, own_turns=(), response="hello")
    assert alone == Record(prompt=(), own_turns=(), response="hello")


def test_earlier_assistant_turns_are_the_teachers_only_when_told(run_import: Import) -> None:
    (record,) = run_import("messages", [{"messages": [USER, REPLY, USER, REPLY]}], own_turns="all")
    assert isinstance(record, Record)
    assert record.own_turns == (1,)


def test_tools_names_calls_and_parts_stay_verbatim(run_import: Import) -> None:
    line = (
        b'{"tools": [{"type": "function", "n": 1e400}], "messages": ['
        b'{"role": "user", "content": [{"type": "text", "text": "see "}, {"type": "image_url", "image_url": {"url": "u"}}, '
        b'{"type": "text", "text": "this"}], "name": "Ada"}, '
        b'{"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]}, '
        b'{"role": "tool", "content": "7", "tool_call_id": "1"}, '
        b'{"role": "assistant", "content": "seven", "reasoning_content": "hm", "weight": 0}], "id": 9007199254740993}'
    )
    (record,) = run_import("messages", line)
    assert isinstance(record, Record)
    assert record.prompt == (Message("user", "see this"), Message("assistant", ""), Message("tool", "7"))
    assert (record.response, record.reasoning) == ("seven", "hm")
    assert record.extra == (
        '{"id":9007199254740993,"messages":['
        '{"content":[{"type": "text", "text": "see "}, {"type": "image_url", "image_url": {"url": "u"}}, '
        '{"type": "text", "text": "this"}],"name":"Ada"},'
        '{"content":null,"tool_calls":[{"id": "1"}]},'
        '{"tool_call_id":"1"},'
        '{"weight":0}],"tools":[{"type": "function", "n": 1e400}]}'
    )


@pytest.mark.parametrize(
    "last",
    [
        {"content": None, "tool_calls": [{"id": "1"}]},
        {"tool_calls": [{"id": "1"}]},
        {"content": None, "refusal": "no"},
        {"content": None, "reasoning": "still thinking"},
        {"content": ""},
        {"content": []},
    ],
)
def test_a_last_turn_may_have_no_text(run_import: Import, last: dict[str, Any]) -> None:
    (record,) = run_import("messages", [{"messages": [USER, {"role": "assistant", **last}]}])
    assert isinstance(record, Record)
    assert record.response == ""


@pytest.mark.parametrize(
    ("value", "field", "reason"),
    [
        ({}, "messages", "missing-field"),
        ({"messages": []}, "messages", "wrong-value"),
        ({"messages": "x"}, "messages", "wrong-type"),
        ({"messages": ["x"]}, "messages[0]", "wrong-type"),
        ({"messages": [REPLY, USER]}, "messages[1].role", "wrong-value"),
        ({"messages": [USER, {"content": "x"}]}, "messages[1].role", "missing-field"),
        ({"messages": [{"role": "", "content": "x"}, REPLY]}, "messages[0].role", "wrong-value"),
        ({"messages": [USER, {"role": "assistant", "content": None}]}, "messages[1].content", "wrong-type"),
        ({"messages": [USER, {"role": "assistant", "content": None, "tool_calls": []}]}, "messages[1].content", "wrong-type"),
        ({"messages": [USER, {"role": "assistant"}]}, "messages[1].content", "missing-field"),
        ({"messages": [{"role": "user", "content": None}, REPLY]}, "messages[0].content", "wrong-type"),
        ({"messages": [{"role": "user"}, REPLY]}, "messages[0].content", "missing-field"),
        ({"messages": [{"role": "user", "content": 7}, REPLY]}, "messages[0].content", "wrong-type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}, REPLY]}, "messages[0].content[0].text", "missing-field"),
        ({"messages": [{"role": "user", "content": ["x"]}, REPLY]}, "messages[0].content[0]", "wrong-type"),
    ],
)
def test_what_is_no_conversation_is_rejected(run_import: Import, value: object, field: str, reason: str) -> None:
    (rejected,) = run_import("messages", [value])
    assert isinstance(rejected, Rejected)
    assert (rejected.field, rejected.reason_code) == (field, reason)


TURNS = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant", "role", ""]),
            "content": st.text('"\\é:a', max_size=4) | st.just("content"),
        }
    ),
    max_size=3,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TURNS)
def test_plain_turns_give_the_records_of_turns_with_something_beside(run_import: Import, turns: list[dict[str, str]]) -> None:
    plain, full = run_import("messages", [{"messages": turns}, {"messages": [{**turn, "name": "n"} for turn in turns]}])
    assert isinstance(plain, Record) == isinstance(full, Record)
    if isinstance(plain, Record) and isinstance(full, Record):
        assert msgspec.structs.replace(full, extra=None) == plain


def test_a_turn_that_names_a_field_twice_is_rejected(run_import: Import) -> None:
    (rejected,) = run_import("messages", b'{"messages": [{"role": "user", "role": "assistant", "content": "x"}]}')
    assert isinstance(rejected, Rejected)
    assert (rejected.field, rejected.reason_code) == ("messages[0].role", "duplicate-field")


def test_an_array_gives_the_records_of_the_same_lines(run_import: Import) -> None:
    values = [{"messages": [USER, {"role": "assistant", "content": str(number)}]} for number in range(30)]
    assert run_import("messages", json.dumps(values, indent=1).encode()) == run_import("messages", values)
