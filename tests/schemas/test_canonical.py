import string
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.schemas import canonical
from inbond.schemas.canonical import MAX_DEPTH, MAX_INTEGER
from inbond.schemas.errors import InvalidInput
from inbond.schemas.statement import wire_type

texts = st.text(st.characters(codec="utf-8"), max_size=30)
keys = st.text(st.characters(max_codepoint=127), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=25,
)


def refused_or_encodes_to(data: bytes) -> None:
    try:
        value = canonical.decode(data)
    except InvalidInput:
        return
    assert canonical.encode(value) == data


class Pair(msgspec.Struct, forbid_unknown_fields=True):
    zebra: int
    ant: Any


@given(values)
@settings(max_examples=300, deadline=None)
def test_bytes_are_those_of_rfc_8785(value):
    data = canonical.encode(value)
    assert data == rfc8785.dumps(value)
    assert canonical.decode(data) == value


@given(st.binary(max_size=200) | st.text(string.printable, max_size=60).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_are_refused_or_encode_to_themselves(data):
    refused_or_encodes_to(data)


@given(values, st.data())
@settings(max_examples=200, deadline=None)
def test_mutated_bytes_are_refused_or_encode_to_themselves(value, data):
    original = canonical.encode(value)
    at = data.draw(st.integers(0, len(original) - 1))
    mutated = original[:at] + data.draw(st.binary(max_size=3)) + original[at + data.draw(st.integers(0, 2)) :]
    refused_or_encodes_to(mutated)


@pytest.mark.parametrize(
    "text",
    [
        '{"b":1,"a":2}',
        '{"a":1,"a":1}',
        '{"a": 1}',
        '"a" ',
        '"\\u0061"',
        '"\\/"',
        '"\\u001F"',
        '"\u007f\\u007f"',
        "-0",
        "01",
        "1 2",
        "",
        "nul",
        '"\\ud800"',
    ],
)
def test_other_spellings_are_refused(text):
    with pytest.raises(InvalidInput, match=r"record 7"):
        canonical.decode(text.encode(), what="record 7")


@pytest.mark.parametrize("text", ["1.0", "1.5", "[1e3]", "-0.0", '{"a":1E400}', "123456789012345678901234.0"])
def test_floats_are_refused(text):
    with pytest.raises(InvalidInput, match=r"floating-point|not canonical|not what was expected"):
        canonical.decode(text.encode())


def test_integers_end_where_doubles_lose_them():
    assert canonical.decode(b"[9007199254740991,-9007199254740991]") == [MAX_INTEGER, -MAX_INTEGER]
    for text in (b"9007199254740992", b"[-9007199254740992]", b"18446744073709551616", b'{"a":99999999999999999999999}'):
        with pytest.raises(InvalidInput, match=r"2\^53"):
            canonical.decode(text)


def test_integers_are_bounded_within_any_type():
    for type in (int, Pair, dict[str, int], list[int | str]):
        for text in (b"9007199254740992", b'{"ant":null,"zebra":9007199254740992}', b"[9007199254740992]"):
            with pytest.raises(InvalidInput):
                canonical.decode(text, type)


def test_nesting_ends_at_64():
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert canonical.encode(canonical.decode(deep)) == deep
    for depth in (MAX_DEPTH + 1, 500, 5_000, 200_000):
        for text in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth):
            with pytest.raises(InvalidInput, match=r"nesting of at most 64"):
                canonical.decode(text)
            with pytest.raises(InvalidInput):
                canonical.decode(b'{"ant":' + text + b',"zebra":1}', Pair)


def test_values_nested_too_deeply_are_not_encoded():
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InvalidInput):
        canonical.encode(value)
    while isinstance(value, list):  # a list this deep would overflow the stack where it is freed at once
        value = value[0]


def test_keys_are_ascii():
    with pytest.raises(InvalidInput, match=r"ASCII object keys, found 'é'"):
        canonical.decode('{"é":1}'.encode())
    with pytest.raises(InvalidInput, match=r"ASCII object keys"):
        canonical.decode('{"ant":{"é":1},"zebra":1}'.encode(), Pair)
    with pytest.raises(InvalidInput, match=r"ASCII object keys"):
        canonical.encode({1: "a"})


@pytest.mark.parametrize(
    "value",
    [1.5, float("nan"), 2**53, [-(2**53)], b"bytes", Decimal(1), datetime(2026, 1, 1, tzinfo=UTC), object(), "\ud800"],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_canonical_form_is_not_encoded(value):
    with pytest.raises(InvalidInput):
        canonical.encode({"a": value})


def test_structs_are_written_with_sorted_names():
    assert canonical.encode(Pair(zebra=1, ant=[True])) == b'{"ant":[true],"zebra":1}'
    with pytest.raises(InvalidInput, match=r"not canonical JSON: at byte 2"):
        canonical.decode(b'{"zebra":1,"ant":null}', Pair)


def test_what_statements_are_decoded_into_keeps_the_rules_by_its_types():
    # Otherwise reading a statement would cost a second decoding and a walk in Python.
    assert canonical._learned(wire_type("shard"))[1]
    for type in (Any, int, float, Pair, dict[str, int], msgspec.Raw):
        assert not canonical._learned(type)[1]


def test_a_type_that_holds_itself_is_walked_at_run_time():
    assert not canonical._learned(Chain)[1]
    links = b'{"next":' * 70 + b"null" + b"}" * 70
    with pytest.raises(InvalidInput, match=r"nesting of at most 64"):
        canonical.decode(links, Chain)


class Chain(msgspec.Struct):
    next: "Chain | None"


def test_threads_that_meet_a_type_first_do_not_crash():
    # msgspec 0.22 did, in about one of fifteen audits: signatures are checked in threads. A crash ends the process.
    script = """
from concurrent.futures import ThreadPoolExecutor
from inbond.schemas.statement import read
from tests.schemas.examples import payload
payloads = [payload(kind) for kind in ("shard", "teacher", "student", "report", "terms")]
with ThreadPoolExecutor(8) as pool:
    list(pool.map(read, payloads * 8))
"""
    for _ in range(4):
        done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
