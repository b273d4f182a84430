import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.registry.importers.fields import MAX_DEPTH, Fault, Fields, describe, explain

NAMES = st.text(alphabet=st.sampled_from('ab"\\%:,{} é😀\ue000'), max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def fault_of(raw: bytes) -> Fault:
    try:
        fields = Fields(raw)
        fields.text_or_none("text")
        fields.rest()
    except Fault as fault:
        return fault
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return explain(raw, error)
    raise AssertionError("accepted")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=5), st.sampled_from([None, 2]), st.booleans())
def test_an_object_is_read_unless_it_names_a_field_twice(
    pairs: list[tuple[str, Any]], indent: int | None, ascii_only: bool
) -> None:
    parts = [
        f"{json.dumps(name, ensure_ascii=ascii_only)}: {json.dumps(value, indent=indent, ensure_ascii=ascii_only)}"
        for name, value in pairs
    ]
    raw = ("{" + ", ".join(parts) + "}").encode()
    names = [name for name, _ in pairs]
    for _ in range(2):  # the second time its layout is known
        if len(set(names)) == len(names):
            rest = Fields(raw).rest()
            assert (json.loads(rest) if rest else {}) == dict(pairs)
        else:
            with pytest.raises(Fault, match="duplicate-field"):
                Fields(raw)


def test_a_value_twice_is_refused_even_where_the_layout_is_known() -> None:
    assert Fields(b'{"a": 1, "b": 2}').rest() == '{"a":1,"b":2}'
    assert fault_of(b'{"a": 1, "b": 2, "a": 1}').field == "a"
    assert fault_of(b'{"a": 1, "a": 1, "b": 2}').reason == "duplicate-field"


def test_what_is_left_stands_verbatim_in_the_order_of_names() -> None:
    raw = '{"z": 12345678901234567890123, "a": 1.10e+400, "\ue000": [ 1 ], "😀": "\\u00e9\\/", "text": "t"}'.encode()
    fields = Fields(raw)
    assert fields.text("text") == "t"
    assert fields.rest(more="[]") == ('{"a":1.10e+400,"more":[],"z":12345678901234567890123,"😀":"\\u00e9\\/","\ue000":[ 1 ]}')


def test_a_null_is_no_value_but_stays() -> None:
    fields = Fields(b'{"text": null, "count": null}')
    assert (fields.text_or_none("text"), fields.integer_or_none("count", 9)) == (None, None)
    assert fields.rest() == '{"count":null,"text":null}'


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40).map(lambda data: b'{"text": "' + data + b'"}') | st.binary(max_size=40))
def test_any_bytes_are_read_as_a_strict_parser_reads_them_or_are_a_fault(raw: bytes) -> None:
    try:
        fields = Fields(raw)
        text = fields.text_or_none("text")
        fields.rest()
    except Fault:
        return
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason = explain(raw, error).reason
    else:
        reason = "none"
        assert json.loads(raw.decode()).get("text") == text
        (text or "").encode()  # no unpaired surrogate
    assert reason in {"none", "malformed-json", "not-utf8", "unpaired-surrogate"}


@pytest.mark.parametrize(
    ("raw", "reason", "found"),
    [
        (b"", "malformed-json", "truncated"),
        (b"garbage", "malformed-json", "garbage"),
        (b"[1]", "wrong-type", "an array"),
        (b'"x"', "wrong-type", 'the string "x"'),
        (b'{"text": 1}', "wrong-type", "the number 1"),
        (b'{"text": {}}', "wrong-type", "an object"),
        (b'{"a": 01}', "malformed-json", "invalid number"),
        (b'{"a": NaN}', "malformed-json", "NaN at byte 6 of the record"),
        (b'{"a": 1} x', "malformed-json", "trailing characters"),
        (b'{"a": "\x00"}', "malformed-json", "invalid character"),
        (b'{"a": "\n"}', "malformed-json", "invalid character"),
        (b'{"text": "ab\xff"}', "not-utf8", "0xff at byte 12 of the record"),
        (b'{"a\xff": 1}', "not-utf8", "0xff at byte 3 of the record"),
        (b'{"a": ["\xed\xa0\x80"]}', "not-utf8", "0xed at byte 8"),
        (b'{"text": "\\ud800"}', "unpaired-surrogate", "half"),
        (b'{"a": "\\udc00 and more"}', "unpaired-surrogate", "half"),
        (b'{"a": [["\\ud800\\u0041 and more"]]}', "unpaired-surrogate", "half"),
        (b'{"\\uD9aa": 1}', "unpaired-surrogate", "half"),
        (b'{"a": ' + b"[" * 64 + b"]" * 64 + b"}", "too-deep", "65"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too-deep", "more"),
        (b'{"a": ' + b'{"b":' * 64 + b"1" + b"}" * 64 + b"}", "too-deep", "65"),
    ],
)
def test_faults_say_what_was_found(raw: bytes, reason: str, found: str) -> None:
    fault = fault_of(raw)
    assert fault.reason == reason
    assert found in fault.found
    assert fault.expected


def test_nesting_counts_brackets_outside_strings_only() -> None:
    deep = b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1)
    assert Fields(b'{"a": ' + deep + b"}").rest() is not None
    assert Fields(b'{"a": ["' + b"[" * 500 + b'\\"' + b"{" * 500 + b'\\\\"]}').rest() is not None
    with pytest.raises(Fault, match="too-deep"):
        Fields(b'{"o": {"a": ' + deep + b"}}").object("o").rest()


def test_escaped_backslashes_before_u_are_no_surrogate() -> None:
    assert Fields(b'{"text": "\\\\ud800"}').text("text") == "\\ud800"
    assert fault_of(b'{"text": "\\\\ud800", }').reason == "malformed-json"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [(b"-1", "wrong-value"), (b"10", "wrong-value"), (b"1.0", "wrong-type"), (b'"1"', "wrong-type"), (b"9" * 40, "wrong-type")],
)
def test_integers_have_a_range(raw: bytes, reason: str) -> None:
    assert Fields(b'{"n": 9}').integer_or_none("n", 9) == 9
    with pytest.raises(Fault) as caught:
        Fields(b'{"n": ' + raw + b"}").integer_or_none("n", 9)
    assert (caught.value.reason, caught.value.field) == (reason, "n")


def test_paths_lead_to_the_field() -> None:
    with pytest.raises(Fault) as caught:
        Fields(b'{"a": [{"b": {}}, {"b": {"c": 1}}]}').objects("a")[1].object("b").text("c")
    assert caught.value.field == "a[1].b.c"
    with pytest.raises(Fault, match="no such field"):
        Fields(b'{"b": 1, "c": 2}').text("a")
    with pytest.raises(Fault, match=r"a\[0\]"):
        Fields(b'{"a": [1]}').objects("a")


def test_descriptions_are_short() -> None:
    assert describe(b'"' + b"x" * 100 + b'"') == 'the string "' + "x" * 39 + "…"
    assert describe(b"") == "nothing"
    assert describe(b" true") == "true"
