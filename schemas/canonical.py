"""Canonical JSON: RFC 8785 bytes under rules that make them cheap to check.

The rules, each refused explicitly: object keys are ASCII, there are no floating-point numbers, integers lie within
±(2^53-1), nesting is at most 64 deep. Under them msgspec with sorted keys writes exactly the bytes of RFC 8785 (a
property test compares the two). `decode` accepts only bytes that re-encode to themselves.
"""

import re
from collections.abc import Iterable
from typing import Any, TypeVar, overload

import msgspec

from inbond.schemas.errors import InvalidInput

MAX_DEPTH = 64
MAX_INTEGER = 2**53 - 1

T = TypeVar("T")

_LONG_DIGITS = re.compile(rb"[0-9]{16}")
_encoder = msgspec.json.Encoder(order="sorted")


def encode(value: Any) -> bytes:
    """The canonical bytes of `value` (structs, mappings with string keys, lists, strings, integers, booleans, null).

    Raises InvalidInput for a value that the rules exclude.
    """
    plain = value if isinstance(value, str | int) else msgspec.to_builtins(value, order="sorted")
    check(plain)
    try:
        return _encoder.encode(plain)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"value has no canonical JSON form: {error}") from None


@overload
def decode(data: bytes, *, what: str = ...) -> Any: ...
@overload
def decode(data: bytes, type: type[T], *, what: str = ...) -> T: ...
def decode(data: bytes, type: Any = Any, *, what: str = "value") -> Any:
    """Parse canonical bytes, into `type` (a msgspec struct or any annotation) where one is given.

    Raises InvalidInput, naming `what`, for bytes that are not JSON, break a rule of this module, do not fit `type`, or do
    not re-encode to themselves.
    """
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _check_depth(data, what)
    try:
        value = _decoder(type).decode(data)
        again = _encoder.encode(value)
    except InvalidInput as error:
        raise InvalidInput(f"{what}: {error.message}") from None
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"{what} is not what was expected: {error}") from None
    if again != data:
        at = next((i for i, (a, b) in enumerate(zip(data, again, strict=False)) if a != b), min(len(data), len(again)))
        raise InvalidInput(
            f"{what} is not canonical JSON: at byte {at} expected {again[at : at + 24]!r}, found {data[at : at + 24]!r}"
        )
    if _LONG_DIGITS.search(data) or not data.isascii():
        try:
            check(msgspec.json.decode(data))
        except InvalidInput as error:
            raise InvalidInput(f"{what}: {error.message}") from None
    return value


def encode_lines(values: Iterable[Any]) -> bytes:
    """Canonical JSON lines: each value canonical, each line ended by a newline."""
    return b"".join(encode(value) + b"\n" for value in values)


def check(value: Any, depth: int = 0) -> None:
    """Raise InvalidInput unless `value` (plain Python) obeys the rules of this module."""
    if value is None or value is True or value is False:
        return
    if isinstance(value, str):
        return
    if isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise InvalidInput(f"expected an integer within ±(2^53-1), found {value}")
        return
    if isinstance(value, float):
        raise InvalidInput(f"expected no floating-point number, found {value!r}; write it as a decimal string")
    if depth >= MAX_DEPTH:
        raise InvalidInput(f"expected nesting of at most {MAX_DEPTH}, found more")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise InvalidInput(f"expected ASCII object keys, found {key!r}")
            check(item, depth + 1)
        return
    if isinstance(value, list | tuple):
        for item in value:
            check(item, depth + 1)
        return
    raise InvalidInput(f"expected a JSON value, found {value.__class__.__name__}")


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def _decoder(type: Any) -> msgspec.json.Decoder[Any]:
    decoder = _decoders.get(type)
    if decoder is None:
        decoder = _decoders[type] = msgspec.json.Decoder(type, float_hook=_refuse_float)
    return decoder


def _refuse_float(text: str) -> Any:
    raise InvalidInput(f"expected no floating-point number, found {text}; write it as a decimal string")


def _check_depth(data: bytes, what: str) -> None:
    depth = 0
    for token in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', data, re.DOTALL):
        first = token.group()[:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > MAX_DEPTH:
            raise InvalidInput(f"{what}: expected nesting of at most {MAX_DEPTH}, found more at byte {token.start()}")
