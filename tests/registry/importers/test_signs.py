from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inbond.registry.importers import IMPORTERS, Input, Rejected, importer
from inbond.registry.importers.observed import Observed
from inbond.registry.importers.signs import SIGNS, hint_for
from inbond.registry.shards.records import Record
from inbond.schemas.errors import InvalidInput

Import = Callable[..., list[Record | Observed | Rejected]]

EXAMPLES = {name: importer.example.encode() for name, importer in IMPORTERS.items() if name != "distillkit"}
TAKEN_BY_OTHERS = {("vllm", "chat-completions"), ("vllm", "completions"), ("chat-completions", "vllm")}


def test_every_importer_has_a_sign() -> None:
    assert {sign.importer for sign in SIGNS} == set(IMPORTERS)


@pytest.mark.parametrize("tried", EXAMPLES)
def test_who_chose_the_wrong_importer_hears_which_one_fits(tried: str, run_import: Import) -> None:
    for format, example in EXAMPLES.items():
        if (tried, format) == ("alpaca", "alpaca-eval"):
            with pytest.raises(
                InvalidInput, match="field generator: expected records that do not name their generator"
            ) as caught:
                run_import(tried, example)
            assert str(caught.value.hint).startswith("inbond import alpaca-eval FILE takes ")
            continue
        found = run_import(tried, example)
        if tried == format or (tried, format) in TAKEN_BY_OTHERS:
            assert all(isinstance(item, Record | Observed) for item in found)
            continue
        assert found, (tried, format)
        for rejected in found:
            assert isinstance(rejected, Rejected), (tried, format)
            assert msgspec.json.decode(msgspec.json.encode(rejected), type=Rejected) == rejected
            assert "hint" not in rejected.error().members
            if rejected.reason_code == "missing-field" and "." not in rejected.field:
                assert str(rejected.error().hint).startswith(f"inbond import {format} FILE takes "), (tried, format)


@pytest.mark.parametrize("raw", [b"not json", b"[1]", b'{"text": "x"}', b"[" * 5000])
def test_what_no_importer_takes_leads_to_the_list_of_formats(raw: bytes) -> None:
    assert hint_for(raw, "messages") == "inbond import --list describes the formats"


def test_a_file_that_is_no_json_has_that_hint_once(run_import: Import) -> None:
    first, second = run_import("messages", b"prompt,answer\nhi,hello\n")
    assert isinstance(first, Rejected)
    assert isinstance(second, Rejected)
    assert (first.hint, second.hint) == ("inbond import --list describes the formats", "")


def test_a_record_of_the_format_with_a_fault_inside_has_no_such_hint(run_import: Import) -> None:
    values: list[Any] = [{"messages": [{"role": "user", "content": "x"}]}, {"messages": 7}]
    for rejected in run_import("messages", values):
        assert isinstance(rejected, Rejected)
        assert rejected.error().hint is None


def test_a_format_of_tables_refuses_text(tmp_path: Path) -> None:
    config = tmp_path / "compression_config.yaml"
    config.write_text("d: 100\nk: 1\nexact_k: 1\n")
    for content, found in ((b'{"input_ids": []}', "a file that begins with"), (b"", "an empty file")):
        path = tmp_path / "x.parquet"
        path.write_bytes(content)
        with pytest.raises(InvalidInput, match=f"expected a Parquet file, found {found}"):
            list(importer("distillkit").records([Input(path)], {"config": str(config)}))
