import json
from collections.abc import Callable
from pathlib import Path

import pytest

from inbond.registry.importers import Input, Rejected, Tally, importer
from inbond.registry.shards.records import Message, Record
from inbond.schemas.errors import InvalidInput

Import = Callable[..., list[Record | Rejected]]


def answer(generator: str, number: int = 0) -> dict[str, str]:
    return {"dataset": "d", "instruction": f"q{number}", "output": f"a{number}", "generator": generator}


def test_generator_and_dataset_stay_beside_the_record(run_import: Import) -> None:
    assert run_import("alpaca-eval", [answer("m")]) == [
        Record(prompt=(Message("user", "q0"),), own_turns=(), response="a0", extra='{"dataset":"d","generator":"m"}')
    ]


@pytest.mark.parametrize("files", [([answer("m"), answer("n")],), ([answer("m")], [answer("n")])])
def test_a_second_generator_ends_the_import_naming_both(run_import: Import, files: tuple[list[dict[str, str]]]) -> None:
    with pytest.raises(InvalidInput, match="field generator: expected 'm' as in the records before, found 'n'") as caught:
        run_import("alpaca-eval", *files)
    assert "generator=NAME" in str(caught.value.hint)


def test_an_option_selects_one_generator(run_import: Import) -> None:
    values = [answer("m", 0), answer("n", 1), answer("m", 2)]
    found = run_import("alpaca-eval", values, generator="m")
    assert [record.response for record in found if isinstance(record, Record)] == ["a0", "a2"]
    with pytest.raises(InvalidInput, match=r"expected records of 'x', found only records of 'm' \(2\), 'n' \(1\)"):
        run_import("alpaca-eval", values, generator="x")


def test_a_record_without_a_generator_is_rejected(run_import: Import) -> None:
    (rejected,) = run_import("alpaca-eval", [{"instruction": "a", "output": "b"}])
    assert isinstance(rejected, Rejected)
    assert (rejected.field, rejected.reason_code) == ("generator", "missing-field")


def test_the_twelve_real_files_lose_nothing(shared_data: Path) -> None:
    paths = sorted((shared_data / "teacher-outputs").glob("*.json"))
    assert len(paths) == 12
    tally = Tally()
    for path in paths:
        source = json.loads(path.read_bytes())
        records = list(tally.over(importer("alpaca-eval").records([Input(path)])))
        for record, value in zip(records, source, strict=True):
            assert record.prompt is not None
            assert record.extra is not None
            beside = {"instruction": record.prompt[0].content, "output": record.response}
            assert json.loads(record.extra) | beside == value
    assert (tally.records, tally.empty_responses, tally.rejected) == (9660, 3, {})
