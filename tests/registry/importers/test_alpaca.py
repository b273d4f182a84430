import json
from collections.abc import Callable
from pathlib import Path

import pytest

from inbond.registry.importers import Input, Rejected, importer
from inbond.registry.shards.records import Message, Record

Import = Callable[..., list[Record | Rejected]]


def test_instruction_and_input_become_one_turn_and_can_be_told_apart(run_import: Import) -> None:
    both, empty, null, absent = run_import(
        "alpaca",
        [
            {"instruction": "Sort.", "input": "3, 1", "output": "1, 3"},
            {"instruction": "Sort.", "input": "", "output": ""},
            {"instruction": "Sort.", "input": None, "output": "x"},
            {"output": "x", "instruction": "Sort.", "text": "Below is"},
        ],
    )
    assert both == Record(prompt=(Message("user", "Sort.\n\n3, 1"),), own_turns=(), response="1, 3", extra='{"input":"3, 1"}')
    assert empty == Record(prompt=(Message("user", "Sort."),), own_turns=(), response="", extra='{"input":""}')
    assert isinstance(null, Record)
    assert null.extra == '{"input":null}'
    assert isinstance(absent, Record)
    assert absent.extra == '{"text":"Below is"}'


def test_an_array_gives_the_records_of_the_same_lines(run_import: Import) -> None:
    values = [{"instruction": str(number), "input": "", "output": "é\n"} for number in range(50)]
    assert run_import("alpaca", json.dumps(values, indent=4).encode()) == run_import("alpaca", values)


@pytest.mark.parametrize("beside", [{"system": "Be brief."}, {"history": [["a", "b"]]}])
def test_other_turns_are_refused_rather_than_dropped(run_import: Import, beside: dict[str, object]) -> None:
    (rejected,) = run_import("alpaca", [{"instruction": "a", "output": "b", **beside}])
    assert isinstance(rejected, Rejected)
    assert (rejected.field, rejected.reason_code) == (next(iter(beside)), "wrong-value")
    assert isinstance(run_import("alpaca", [{"instruction": "a", "output": "b", "system": "", "history": []}])[0], Record)


def test_real_alpaca_records_lose_nothing(shared_data: Path) -> None:
    path = shared_data / "alpaca-format" / "code_alpaca_2k.json"
    source = json.loads(path.read_bytes())
    records = list(importer("alpaca").records([Input(path)]))
    assert len(records) == len(source) == 2017
    assert sum(isinstance(record, Record) and not record.response for record in records) == 2
    for record, value in zip(records, source, strict=True):
        assert isinstance(record, Record)
        assert record.prompt is not None
        assert record.extra is not None
        given = json.loads(record.extra)
        text = record.prompt[0].content.removesuffix(f"\n\n{given['input']}" if given["input"] else "")
        assert {"instruction": text, "input": given["input"], "output": record.response} == value
