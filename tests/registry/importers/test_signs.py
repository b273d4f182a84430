from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from inbond.registry.importers import IMPORTERS, Rejected
from inbond.registry.importers.signs import SIGNS, hint_for
from inbond.registry.shards.records import Record
from inbond.schemas.errors import InvalidInput

Import = Callable[..., list[Record | Rejected]]

EXAMPLES = {name: importer.example.encode() for name, importer in IMPORTERS.items()}


def test_every_importer_has_a_sign() -> None:
    assert {name for _, name in SIGNS} == set(IMPORTERS)


@pytest.mark.parametrize("tried", IMPORTERS)
@pytest.mark.parametrize("format", IMPORTERS)
def test_who_chose_the_wrong_importer_hears_which_one_fits(tried: str, format: str, run_import: Import) -> None:
    if tried == format:
        assert isinstance(run_import(tried, EXAMPLES[format])[0], Record)
        return
    if (tried, format) == ("alpaca", "alpaca-eval"):
        with pytest.raises(InvalidInput, match="field generator: expected records that do not name their generator") as caught:
            run_import(tried, EXAMPLES[format])
        hint = str(caught.value.hint)
    else:
        (rejected,) = run_import(tried, EXAMPLES[format])
        assert isinstance(rejected, Rejected)
        hint = str(rejected.error().hint)
        assert "hint" not in rejected.error().members
        assert msgspec.json.decode(msgspec.json.encode(rejected), type=Rejected) == rejected
    assert hint.startswith(f"inbond import {format} FILE takes ")


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
