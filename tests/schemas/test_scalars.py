import calendar
import hashlib
import json
from datetime import date, datetime
from decimal import Decimal as PyDecimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.schemas import canonical, scalars
from inbond.schemas.errors import InvalidInput

H = "ab" * 32
GOOD_AND_BAD: dict[str, tuple[list[Any], list[Any]]] = {
    "Moment": (["2026-11-21T09:30:00.000Z"], ["2026-11-21", "2026-11-21T09:30:00Z", "2026-11-21T09:30:00.000+00:00"]),
    "Time": (
        ["2026-11-21", "2026-11-21T23:59:59.999Z", "2024-02-29", "2000-02-29"],
        [
            *("2026-02-29", "1900-02-29", "2026-04-31", "2026-13-01", "2026-00-10", "2026-01-00", "0000-01-01", "2026-1-1"),
            *("2026-11-21T24:00:00.000Z", "2026-11-21T09:60:00.000Z", "2026-11-21T09:30:60.000Z", "20261121"),
            "٢٠٢٦-11-21",
        ],
    ),
    "Hex32": ([H], [H.upper(), H[1:], H + "0", "sha256:" + H]),
    "HexId": ([H[:32]], [H, H[:31], "g" * 32]),
    "Digest": (["sha256:" + H], [H, "sha256:" + H[:-1], "SHA256:" + H, "sha512:" + H]),
    "Ref": (["shard:" + H[:32], "terms_fact:" + H[:32]], [H[:32], "shard:" + H, "Shard:" + H[:32], ":" + H[:32]]),
    "Count": ([0, 2**53 - 1], [-1, 2**53, "1", 1.0, True]),
    "Decimal": (
        ["0", "1", "0.7", "100", "12.05", "0.000001"],
        ["", "00", "01", "1.0", ".5", "1.", "-1", "+1", "1e5", "NaN", "0.10", "1" * 65, 1, "٣"],
    ),
    "Number": (
        [0, 7, 2**53 - 1, "0.5", "12.25", "3200000000000000000000000", str(2**53)],
        ["0", "12", "100000000000000", "1.50", -1, 2**53, 0.5, "1e24", "-0.5", "12."],
    ),
    "Label": (["gpt-4o", "深度求索", " ", "a" * 512], ["", "a" * 513, "two\nlines", "nul\0", "bell\x07", "del\x7f"]),
    "Token": (["train", "null_output", "seq-1", "a.b"], ["", "1a", "with space", "ä", "a" * 65, "_a"]),
    "Origin": (["registry.example/acme", "a"], ["", "a b", "a+b", "ä", "a\u200b", "a" * 256]),
    "Vkey": (
        ["a.example+0badcafe+" + "AAAA" * 11, "a+0badcafe+" + "A" * 1751 + "="],
        ["a+b+0badcafe+AAAA", "a+0BADCAFE+AAAA", "a+0badcafe+", "a+0badcafe+AAA", "+0badcafe+AAAA"],
    ),
    "Base64": (["AAAA", "AA==", "AAA=", "+/+/"], ["", "A", "AA", "AAA", "AB==", "AAB=", "AA-_", "AAAA\n", "AA==AAAA"]),
    "Url": (["https://a.example/?q=1#f", "urn:x:y"], ["a.example", "https://a b", "https://ä", "http://a\n", "://a"]),
    "MediaType": (
        ["application/pdf", "text/html; charset=utf-8", "application/vnd.oasis+xml;v=1;w=2"],
        ["pdf", "text/", "text/html;", "text/a b", "a/" + ";" * 200, "a/" + ";a" * 100 + "\n"],
    ),
    "Language": (["en", "zh-Hant-TW", "sgn"], ["EN", "e", "english-", "en_GB", "en--US"]),
    "Territory": (["DE", "EU", "US-CA"], ["de", "DEU", "DE-", "US-CALI"]),
    "Parameters": (
        [{}, {"k": 64, "p": "0.9", "tail": True}],
        [{"k": 0.9}, {"k": None}, {"k": [1]}, {"": 1}, {"k": 2**53}, {f"a{i}": i for i in range(65)}],
    ),
    "Counts": ([{"null_output": 2}], [{"a": -1}, {"a": "1"}, {"ä": 1}]),
}


@pytest.mark.parametrize("name", GOOD_AND_BAD)
def test_each_scalar_has_one_form(name):
    scalar = getattr(scalars, name)
    good, bad = GOOD_AND_BAD[name]
    for value in good:
        assert canonical.decode(canonical.encode(value), scalar) == value
    for value in bad + [value + "\n" for value in good if isinstance(value, str)]:
        raw = repr(value).encode() if isinstance(value, float) else _json(value)
        assert refused(raw, scalar), f"accepted {value!r}"


def refused(data: bytes, scalar: Any) -> bool:
    try:
        canonical.decode(data, scalar)
    except InvalidInput:
        return True
    return False


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode()


@given(st.dates())
@settings(max_examples=300, deadline=None)
def test_every_day_is_a_time(day):
    assert canonical.decode(b'"%s"' % day.isoformat().encode(), scalars.Time) == day.isoformat()


@given(st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32))
@settings(max_examples=300, deadline=None)
def test_a_day_that_does_not_exist_is_no_time(year, month, day):
    exists = year > 0 and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
    text = f"{year:04}-{month:02}-{day:02}"
    try:
        canonical.decode(b'"%s"' % text.encode(), scalars.Time)
    except InvalidInput:
        assert not exists
    else:
        assert exists
        assert date.fromisoformat(text)


def test_a_moment_is_what_python_calls_one():
    text = canonical.decode(b'"2026-11-21T09:30:00.250Z"', scalars.Moment)
    assert datetime.fromisoformat(text).microsecond == 250_000


@given(st.integers(0, 2**80) | st.decimals(0, 10**30, allow_nan=False, allow_infinity=False, places=9))
@settings(max_examples=300, deadline=None)
def test_amounts_are_written_in_their_one_form(value):
    written = scalars.number(value)
    assert PyDecimal(written) == PyDecimal(value)
    assert canonical.decode(canonical.encode(written), scalars.Number) == written
    assert scalars.number(str(written)) == written
    rate = scalars.decimal(value)
    assert canonical.decode(canonical.encode(rate), scalars.Decimal) == rate


@pytest.mark.parametrize(
    ("value", "form"), [("1e3", 1000), ("3.20E24", "3200000000000000000000000"), ("0.50", "0.5"), ("-0", 0), ("0e-30", 0)]
)
def test_exponents_and_zeros_that_could_be_left_out_go(value, form):
    assert scalars.number(value) == form
    assert scalars.decimal(value) == str(form)


@pytest.mark.parametrize("value", ["", "ten", "-1", "NaN", "Infinity", "1e999999999", "1e-999999999", "1" * 5000, None, 0.5])
def test_what_is_no_amount_is_refused(value):
    with pytest.raises(InvalidInput):
        scalars.number(value)


def test_the_empty_list_is_that_of_no_bytes():
    nothing = "sha256:" + hashlib.sha256(b"").hexdigest()
    assert (scalars.EMPTY_LIST.digest, scalars.EMPTY_LIST.root, scalars.EMPTY_LIST.count) == (nothing, nothing, 0)
