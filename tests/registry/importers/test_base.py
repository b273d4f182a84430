import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbond.registry.importers import IMPORTERS, Input, Rejected, importer
from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Record, record_id
from inbond.schemas.errors import InvalidInput, NotFound

Import = Callable[..., list[Record | Observed | Rejected]]

JSON_FORMATS = [name for name, importer in IMPORTERS.items() if name != "distillkit"]  # which is a table's alone
GOOD = b'{"instruction": "a", "output": "b"}'


def test_an_unknown_format_names_those_that_exist() -> None:
    with pytest.raises(NotFound, match=r"messages, sharegpt, alpaca, alpaca-eval, .*, chat-completions, responses"):
        importer("parquet")


@pytest.mark.parametrize("name", JSON_FORMATS)
def test_the_example_of_each_importer_imports(name: str, run_import: Import) -> None:
    (found,) = run_import(name, IMPORTERS[name].example.encode())
    record = found.record if isinstance(found, Observed) else found
    assert isinstance(record, Record)
    assert record.response
    assert IMPORTERS[name].logprobs or not isinstance(found, Observed)


def test_options_are_checked_before_anything_is_read() -> None:
    messages = IMPORTERS["messages"]
    assert messages.check_options({"own_turns": "all"}) == {"own_turns": "all"}
    assert messages.check_options({"own_turns": "none"}) == {}
    with pytest.raises(InvalidInput, match=r"an option of its own \(own_turns\), found 'kind'"):
        messages.records([], {"kind": "judgement"})
    with pytest.raises(InvalidInput, match="expected none or all, found 'some'"):
        messages.records([], {"own_turns": "some"})
    with pytest.raises(InvalidInput, match=r"\(none\), found 'kind'"):
        IMPORTERS["alpaca"].records([], {"kind": "x"})
    with pytest.raises(InvalidInput, match="expected a value, found none"):
        IMPORTERS["alpaca-eval"].records([], {"generator": ""})


def test_a_rejected_record_has_its_place_and_the_others_go_through(run_import: Import, tmp_path: Path) -> None:
    found = run_import("alpaca", GOOD, b'\n{"instruction": "a",\t"output": 7}\n\n' + GOOD)
    assert [type(item) for item in found] == [Record, Rejected, Record]
    rejected = found[1]
    assert isinstance(rejected, Rejected)
    place = str(tmp_path / "1.json")
    assert (rejected.file, rejected.line, rejected.number, rejected.field) == (place, 2, 1, "output")
    assert rejected.message() == f"{place}, line 2, record 1, field output: expected a string, found the number 7"
    assert rejected.error().members["reason_code"] == "wrong-type"
    assert msgspec.json.decode(msgspec.json.encode(rejected), type=Rejected) == rejected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"instruction": "a", "output": "b"', "truncated"),
        (b'{"instruction": "a", "output": null}', "wrong-type"),
        (b'{"instruction": "a"}', "missing-field"),
        (b'{"instruction": "a", "output": "\xff"}', "not-utf8"),
        (b'{"instruction": "a", "output": "b", "note": "\xff"}', "not-utf8"),
        (b'{"instruction": "a", "output": "\\ud800"}', "unpaired-surrogate"),
        (b'{"instruction": "a", "output": "b", "note": "\\ud800"}', "unpaired-surrogate"),
        (b'{"instruction": "a", "output": "b", "output": "c"}', "duplicate-field"),
        (b'{"instruction": "a", "output": "b", "note": ' + b"[" * 64 + b"]" * 64 + b"}", "too-deep"),
        (b'{"instruction": "a", "output": "b", "note": ' + b"[" * 90_000 + b"]" * 90_000 + b"}", "too-deep"),
        (b'"text"', "wrong-type"),
    ],
)
def test_bad_records_are_rejected_with_a_reason(run_import: Import, line: bytes, reason: str) -> None:
    good, bad = run_import("alpaca", GOOD + b"\n" + line)
    assert isinstance(good, Record)
    assert isinstance(bad, Rejected)
    assert (bad.reason_code, bad.line, bad.number) == (reason, 2, 2)


def test_a_malformed_line_in_the_middle_is_not_called_truncated(run_import: Import) -> None:
    bad, _ = run_import("alpaca", b'{"instruction": "a"\n' + GOOD)
    assert isinstance(bad, Rejected)
    assert bad.reason_code == "malformed-json"


def test_unusual_but_valid_records_are_kept(run_import: Import) -> None:
    long = "x" * 10_000_000
    number = "123456789012345678901234567890.10e-5"
    content = [
        {"instruction": "a", "output": ""},
        {"instruction": "nul \0 and \x1b", "output": "\x00\x07"},
        {"instruction": "a", "output": long},
    ]
    lines = "\n".join(map(json.dumps, content)) + '\n{"instruction": "a", "output": "b", "n": ' + number + "}"
    empty, control, big, exact = run_import("alpaca", lines.encode())
    assert isinstance(empty, Record)
    assert isinstance(control, Record)
    assert isinstance(big, Record)
    assert isinstance(exact, Record)
    assert empty.response == ""
    assert control.prompt is not None
    assert (control.prompt[0].content, control.response) == ("nul \0 and \x1b", "\x00\x07")
    assert big.response == long
    assert exact.extra == '{"n":' + number + "}"


def test_a_file_that_changes_ends_the_import(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(GOOD + b"\n")
    source = Input(path)
    path.write_bytes(GOOD.replace(b"b", b"c") + b"\n")
    with pytest.raises(InvalidInput, match="changed while it was read"):
        list(importer("alpaca").records([source]))


def record_of(item: Record | Observed | Rejected) -> Record | Rejected:
    return item.record if isinstance(item, Observed) else item


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = [
    "instruction",
    "input",
    "output",
    "generator",
    "messages",
    "role",
    "content",
    "choices",
    "message",
    "index",
    "finish_reason",
    "created",
    "usage",
    "model",
    "id",
    "prompt_tokens",
    "completion_tokens",
    "tool_calls",
    "reasoning",
    "type",
    "text",
    "logprobs",
    "token",
    "logprob",
    "top_logprobs",
    "bytes",
    "custom_id",
    "body",
    "response",
    "result",
    "params",
    "output",
    "candidates",
    "parts",
    "details",
    "tokens",
    "meta_info",
    "sequences",
    "prompt",
    "prompt_logprobs",
    "token_ids",
    "generation",
    "generic_request",
    "conversations",
    "from",
    "value",
]
SHAPED: st.SearchStrategy[Any] = st.recursive(
    JSON | st.just("assistant") | st.just("text"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=20,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(JSON_FORMATS)), st.lists(SHAPED.map(json.dumps), min_size=1, max_size=4))
def test_any_json_gives_records_or_rejects(run_import: Import, name: str, lines: list[str]) -> None:
    try:
        found = run_import(name, "\n".join(lines).encode())
    except InvalidInput:
        return
    for item in map(record_of, found):
        if isinstance(item, Record):
            record_id(item)
            if item.extra is not None:
                assert isinstance(json.loads(item.extra), dict)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(JSON_FORMATS)), st.data())
def test_a_damaged_example_gives_records_or_rejects(run_import: Import, name: str, data: st.DataObject) -> None:
    line = bytearray(IMPORTERS[name].example.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(line) - 1))
        line[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        found = run_import(name, bytes(line))
    except InvalidInput:
        return
    for item in map(record_of, found):
        if isinstance(item, Record):
            record_id(item)
