"""Messages come out as they went in."""

import json
from pathlib import Path
from typing import Any

import pytest

from inbond.registry.exporters import exporter
from inbond.registry.reading import open_shard
from inbond.schemas.errors import InvalidInput, NotFound
from tests.registry.exporters.conftest import Export, import_lines
from tests.registry.world import World

CALL = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1.50}'}}
LINES: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": "Hi, naïve one"}, {"role": "assistant", "content": "Hello!"}]},
    {
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "this?"}], "name": "ann"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "a bond", "tool_call_id": "1"},
            {"role": "assistant", "content": "A bond.", "reasoning_content": "It says so."},
        ],
        "tools": [{"type": "function", "function": {"name": "look"}}],
    },
]


def lines_of(folder: Path) -> list[Any]:
    return [json.loads(line) for path in sorted((folder / "data").iterdir()) for line in path.read_text().splitlines()]


def ids_of(world: World, dataset: str) -> list[str]:
    found: list[str] = []
    for shard, first, last in world.parts(dataset):
        with open_shard(world.registry.place, shard) as reader:
            found += reader.read(["record_id"], [range(first, last)]).column("record_id").to_pylist()
    return found


def test_conversations_come_out_as_they_went_in(shared_world: World, exported: Export, tmp_path: Path) -> None:
    import_lines(shared_world, tmp_path, "talks", LINES)
    lines = lines_of(exported("talks", "messages"))
    assert lines == LINES
    import_lines(shared_world, tmp_path, "talks-again", lines)
    assert ids_of(shared_world, "talks-again") == ids_of(shared_world, "talks")


def test_what_goes_along_can_be_chosen(shared_world: World, exported: Export, tmp_path: Path) -> None:
    import_lines(shared_world, tmp_path, "beside", [{**LINES[1], "source": {"page": 7}}])
    [usual] = lines_of(exported("beside", "messages"))
    [whole] = lines_of(exported("beside", "messages", extra="all"))
    [bare] = lines_of(exported("beside", "messages", extra="none"))
    assert (usual, whole["source"]) == (LINES[1], {"page": 7})
    assert bare.keys() == {"messages"}
    assert [turn.keys() for turn in bare["messages"]] == [{"role", "content"}] * 4 + [{"role", "content", "reasoning_content"}]
    assert bare["messages"][1]["content"] == "What is this?"


def test_answers_to_nobody_knows_what_are_left_out(shared_world: World, exported: Export, tmp_path: Path) -> None:
    body = {"id": "1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}}]}
    import_lines(shared_world, tmp_path, "answers", [body], "chat-completions")
    size = shared_world.size()
    with pytest.raises(InvalidInput, match=r"expected records that it can hold, found none \(prompt not known: 1\)") as refused:
        exported("answers", "messages")
    assert "inbond dataset export --list" in str(refused.value.hint)
    assert not list(tmp_path.glob("answers-messages*"))
    assert shared_world.size() == size + 1  # the delivery: the ledger may say more than left, never less
    assert lines_of(exported("answers", "messages", no_prompt="keep")) == [
        {"messages": [{"role": "assistant", "content": "Yes."}]}
    ]


def test_options_are_those_of_the_format() -> None:
    messages = exporter("messages")
    assert messages.check_options({"extra": "all"}) == {"extra": "all", "no_prompt": "skip"}
    with pytest.raises(InvalidInput, match=r"expected an option of its own \(extra, no_prompt\), found 'wrong'"):
        messages.check_options({"wrong": "1"})
    with pytest.raises(InvalidInput, match="expected turns or all or none, found 'some'"):
        messages.check_options({"extra": "some"})
    with pytest.raises(NotFound, match=r"expected a format \(messages, parquet, distillkit\), found 'csv'"):
        exporter("csv")
