import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.registry.importers import element as element_module
from inbond.registry.importers import json_array
from inbond.registry.importers.element import Element
from inbond.registry.importers.streaming import elements
from inbond.schemas.errors import InvalidInput

TEXT = st.text(alphabet=st.sampled_from('ab"\\{}[],:\n\t é😀'), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def in_blocks(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def line_of(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


@settings(max_examples=150, deadline=None)
@given(
    st.lists(VALUES, max_size=12),
    st.sampled_from([None, 1, 3]),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " : ")]),
    st.integers(1, 200),
    st.sampled_from([7, 40, 16384]),
    st.booleans(),
)
def test_an_array_comes_apart_into_its_elements(
    values: list[Any], indent: int | None, separators: tuple[str, str], size: int, window: int, ascii_only: bool
) -> None:
    data = json.dumps(values, indent=indent, separators=separators, ensure_ascii=ascii_only).encode() + b"\n"
    before = json_array.WINDOW
    json_array.WINDOW = window
    try:
        found = list(elements(in_blocks(data, size), "file"))
    finally:
        json_array.WINDOW = before
    assert [json.loads(item.raw) for item in found] == values
    assert [item.number for item in found] == list(range(1, len(values) + 1))
    at = 1
    for item in found:
        at = data.index(item.raw, at)
        assert item.line == line_of(data, at)
        at += len(item.raw)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(TEXT, VALUES, max_size=3) | st.none(), max_size=12), st.integers(1, 200), st.booleans())
def test_json_lines_come_apart_into_lines(values: list[Any], size: int, last_break: bool) -> None:
    data = b"{}\r\n" + b"\n".join(b" " if value is None else json.dumps(value).encode() for value in values)
    data += b"\n" if last_break else b""
    found = list(elements(in_blocks(data, size), "file"))
    expected = [(number, value) for number, value in enumerate([{}, *values], 1) if value is not None]
    assert [(item.line, json.loads(item.raw)) for item in found] == expected
    assert [item.number for item in found] == list(range(1, len(found) + 1))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda data: b"[" + data), st.integers(1, 20))
def test_any_bytes_give_elements_or_our_error(data: bytes, size: int) -> None:
    try:
        found = list(elements(in_blocks(data, size), "file"))
    except InvalidInput:
        return
    assert all(item.raw in data for item in found)


def test_records_of_one_array_may_be_laid_out_in_different_ways() -> None:
    plain = [{"a": index, "b": [{"c": "},{"}, {"d": ""}]} for index in range(400)]
    parts = [json.dumps(item, indent=index % 3 or None) for index, item in enumerate(plain)]
    for joint in (",", ", ", "\n,\n", ",  "):
        data = ("[" + joint.join(parts) + "]").encode()
        for size in (1000, 50_000):
            found = list(elements(in_blocks(data, size), "file"))
            assert [json.loads(item.raw) for item in found] == plain
            assert found[-1].line == line_of(data, data.rindex(found[-1].raw))


def test_a_malformed_element_does_not_hide_the_next() -> None:
    good = [b'{"a": %d}' % index for index in range(3000)]
    items = [*good[:1500], b'{"a": NaN}', b"", b'{"a": [1}}', *good[1500:]]
    found = list(elements(in_blocks(b"[" + b",\n".join(items) + b"]", 8192), "file"))
    assert [item.raw for item in found] == items


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "found no record"),
        (b" \n\t\n", "found no record"),
        (b'[{"a": 1},\n {"a": 2}', "line 2: expected ] to end the array, found the end of the file"),
        (b'[{"a": 1}, {"a": "', "found the end of the file in or after record 2"),
        (b"[", "found the end of the file"),
        (b"[1, 2}", r"expected \] to end the array, found }"),
        (b"[{}]\n[{}]\n", r"line 2: expected the end of the file after the array, found b'\["),
        (b"[\n\n] x", "line 3: expected the end of the file"),
        (b"\x1f\x8b\x08\x00", "found gzip data"),
        (b"PAR1....", "found Parquet data"),
    ],
)
def test_what_makes_a_file_unreadable_is_an_error(data: bytes, message: str) -> None:
    for size in (1, 1000):
        with pytest.raises(InvalidInput, match=message):
            list(elements(in_blocks(data, size), "file"))


def test_a_byte_order_mark_is_skipped() -> None:
    assert [item.raw for item in elements([b"\xef\xbb", b'\xbf{"a": 1}\n'], "file")] == [b'{"a": 1}']
    assert [item.raw for item in elements([b"\xef\xbb\xbf[1]"], "file")] == [b"1"]


def test_a_last_line_without_a_line_break_says_so() -> None:
    assert [item.at_end for item in elements([b"{}\n{}\n"], "file")] == [False, False]
    assert [item.at_end for item in elements([b"{}\n{}"], "file")] == [False, True]


@pytest.mark.parametrize(("start", "joint", "end"), [(b"", b"\n", b"\n"), (b"[\n", b",\n", b"]"), (b"", b"\n", b"")])
def test_a_record_beyond_the_limit_is_left_out_and_the_next_one_read(
    monkeypatch: pytest.MonkeyPatch, start: bytes, joint: bytes, end: bytes
) -> None:
    monkeypatch.setattr(element_module, "MAX_RECORD", 1000)
    items = [b'{"n": 1}', b'{"long": "' + b"x" * 5000 + b'"}', b'{"n": 3}', b'{"n": 4}']
    found = list(elements(in_blocks(start + joint.join(items) + end, 300), "file"))
    first = 2 if start else 1
    assert [item.raw for item in found] == [items[0], b"", items[2], items[3]]
    assert [item.too_large for item in found] == [False, True, False, False]
    assert [item.line for item in found] == [first, first + 1, first + 2, first + 3]


def test_an_element_is_what_its_file_has() -> None:
    assert list(elements([b'\n [ 1 ,\n\n {"a": 2}\n]'], "file")) == [Element(b"1", 2, 1), Element(b'{"a": 2}', 4, 2)]


def test_a_name_twice_closes_the_quick_way_only_for_its_record() -> None:
    items = [b'{"a": %d}' % index for index in range(2000)]
    items[1000] = b'{"a": 1, "a": 2}'
    data = b"[" + b",\n".join(items) + b"]"
    found = list(elements([data], "file"))
    assert [item.raw for item in found] == items
    assert [item.line for item in found] == list(range(1, 2001))
    assert found[1000].values is None
