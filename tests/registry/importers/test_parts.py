"""Inputs cut into pieces, and what goes from process to process: nothing of it shows in what comes out."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inbond.registry.importers import IMPORTERS, Importer, Input, Rejected, importer, inputs, parts
from inbond.registry.importers.base import StopImport
from inbond.registry.importers.frames import FrameReader, FrameWriter
from inbond.registry.importers.observed import Observed, TokenLogprobs
from inbond.registry.importers.parts import units_of
from inbond.registry.shards.records import Record, content_ids
from inbond.schemas.errors import InbondError, InvalidInput

BOM = b"\xef\xbb\xbf"
GOOD = [json.dumps({"messages": [{"role": "assistant", "content": "x" * n}]}).encode() for n in (0, 3, 40)]
LINES = st.lists(st.sampled_from([*GOOD, b"", b"   ", b"\t", b'{"a": 1}', b"{", b"[", b"\xff", b"7"]), max_size=12)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "BLOCK", 16)
    monkeypatch.setattr(parts, "BLOCK", 16)


def whole(format: Importer, sources: list[Input], options: Mapping[str, str]) -> Iterator[Any]:
    """Items, and last what ended it."""
    try:
        yield from format.records(sources, options)
    except InbondError as error:
        yield error


def apart(format: Importer, sources: list[Input], options: Mapping[str, str]) -> Iterator[Any]:
    """The same by way of units and frames, one after the other."""
    given = format.check_options(options)
    counted = dict.fromkeys(range(len(sources)), (0, 0))
    for unit in units_of(sources, together=format.remembers):
        frames: list[tuple[bytes, bool]] = []
        writer, reader = FrameWriter(lambda *frame, to=frames: to.append(frame)), FrameReader()
        convert_unit(format, sources, given, unit, writer)
        assert [is_last for _, is_last in frames] == [False] * (len(frames) - 1) + [True]
        for payload, _ in frames:
            frame = reader.open(payload)
            lines, elements = counted[frame.source]
            try:
                yield from frame.items(lines, elements)
            except StopImport as stop:
                yield stop.error()
                return
            except InbondError as error:
                yield error
                return
            counted[frame.source] = (lines + frame.lines, elements + frame.elements)


def convert_unit(format: Importer, sources: list[Input], options: Mapping[str, str], unit: Any, writer: FrameWriter) -> None:
    converter = format.converter(options)
    try:
        for number, part in unit:
            writer.begin(number)
            for item in format.records_of(sources[number], part, converter, writer.read):
                writer.add(item)
            writer.end(part)
        if format.remembers:
            converter.finish()
    except (InbondError, StopImport) as error:
        writer.finish(error)
    else:
        writer.finish()
    finally:
        converter.close()


def plain(item: Any) -> Any:
    """What can be compared of an item; ids must be those of the record."""
    if isinstance(item, InbondError):
        return type(item), item.message, item.hint, item.members
    if isinstance(item, Rejected):
        return item
    record = item.record if isinstance(item, Observed) else item
    assert isinstance(record, Record)
    if isinstance(item, Observed) and item.ids is not None:
        assert item.ids == content_ids(record)
    signals = (item.generated, item.scored) if isinstance(item, Observed) else (None, None)
    return record, *map(numbers, signals)


def numbers(found: TokenLogprobs | None) -> Any:
    if found is None:
        return None
    values = [list(getattr(found, name)) for name in ("tokens", "alternatives", "counts", "before", "after")]
    floats = [np.asarray(getattr(found, name), dtype=float).tobytes() for name in ("chosen", "logprobs")]
    return *values, *floats, None if found.ranks is None else list(found.ranks), found.draws, found.selection


def same(format: Importer, sources: list[Input], options: Mapping[str, str] | None = None) -> list[Any]:
    expected = [plain(item) for item in whole(format, sources, options or {})]
    assert [plain(item) for item in apart(format, sources, options or {})] == expected
    return expected


@settings(max_examples=60, deadline=None)
@given(before=st.sampled_from([b"", BOM, b"\n\n "]), lines=LINES, ends=st.booleans(), size=st.integers(1, 3))
@example(before=BOM, lines=[GOOD[1], b"", b"{", GOOD[2], b"[", GOOD[0]], ends=False, size=1)
def test_lines_are_cut_where_nothing_shows(
    tmp_path_factory: pytest.TempPathFactory, before: bytes, lines: list[bytes], ends: bool, size: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.jsonl"
    path.write_bytes(before + b"\n".join([GOOD[1], *lines]) + b"\n" * ends)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs, "BLOCK", 16)
        patch.setattr(parts, "BLOCK", 16)
        patch.setattr(parts, "PART_BLOCKS", size)
        source = Input(path)
        assert len(units_of([source], together=False)) == -(-source.size // (16 * size))
        same(IMPORTERS["messages"], [source])


def test_the_bytes_of_parts_are_told_once_each(tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_BLOCKS", 1)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(GOOD * 3))
    source, told = Input(path), list[int]()
    for [(_, part)] in units_of([source], together=False):
        assert part is not None
        list(part.elements(source, told.append))
    assert sum(told) == source.size


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("head", [b"[", b" [", b"7\n", b"PAR1"])
def test_what_is_no_json_lines_is_not_cut(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(head + b"{}\n" * 1000)
    assert units_of([Input(path)], together=False) == [[(0, None)]]


@pytest.mark.usefixtures("small_blocks")
def test_formats_that_remember_get_all_inputs_at_once(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_bytes(b"{}\n" * 1000)
    assert units_of([Input(path) for path in paths], together=True) == [[(0, None), (1, None)]]


NEEDED = {"distillkit": None, "tinker": None, "observed": None}  # tested with files of their own


@pytest.mark.parametrize("name", [name for name in IMPORTERS if name not in NEEDED])
def test_every_format_gives_the_same_in_pieces(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files of the example and of what is wrong with it, cut after every few bytes where that may be."""
    format, example = importer(name), importer(name).example.encode()
    monkeypatch.setattr(inputs, "BLOCK", 64)
    monkeypatch.setattr(parts, "BLOCK", 64)
    monkeypatch.setattr(parts, "PART_BLOCKS", 1)
    sources = []
    for number, lines in enumerate(([example, b"{}", example], [b"", example.replace(b'"1"', b'"2"'), b"{", example])):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(b"\n".join(lines))
        sources.append(Input(path))
    found = same(format, sources)
    assert any(isinstance(item, tuple) and isinstance(item[0], Record) for item in found)


def test_what_stops_an_import_is_said_of_the_line_in_the_file(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PART_BLOCKS", 1)
    path = tmp_path / "a.jsonl"
    line = b'{"instruction": "a", "output": "b"}'
    path.write_bytes(b"\n".join([line, b"", line, line, line[:-1] + b', "generator": "g"}', line]))
    *_, last = same(IMPORTERS["alpaca"], [Input(path)])
    assert last[0] is InvalidInput
    assert "line 5, record 4, field generator" in last[1]


def test_texts_of_another_table_are_not_mixed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from inbond.registry.importers import logprobs_text

    monkeypatch.setattr(logprobs_text, "_MOST_KNOWN", 3)  # a table is given up when it has so many steps
    path = tmp_path / "a.jsonl"

    def body(tokens: str) -> str:
        entry = '{"token": "%s", "bytes": null, "logprob": -0.5%s}'
        content = ", ".join(entry % (t, ', "top_logprobs": [' + entry % (t + "!", "") + "]") for t in tokens)
        message = '"message": {"role": "assistant", "content": "x"}'
        return f'{{"choices": [{{"index": 0, {message}, "logprobs": {{"content": [{content}]}}}}]}}'

    path.write_text("\n".join(body(tokens) for tokens in ("ab", "cd", "ae", "ab", "fa")))
    found = same(importer("chat-completions"), [Input(path)])
    assert [item[1][0] for item in found] == [[b"a", b"b"], [b"c", b"d"], [b"a", b"e"], [b"a", b"b"], [b"f", b"a"]]
