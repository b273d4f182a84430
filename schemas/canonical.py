"""Canonical JSON: RFC 8785 bytes under rules that make them cheap to check.

The rules, each refused explicitly: object keys are ASCII, there are no floating-point numbers, integers lie within
±(2^53-1), nesting is at most 64 deep. Under them msgspec with sorted keys writes exactly the bytes of RFC 8785 (a
property test compares the two). `decode` accepts only bytes that re-encode to themselves.
"""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from threading import Lock
from typing import Any, TypeVar, overload
from uuid import UUID

import msgspec
from msgspec import inspect

from inbond.schemas.errors import InvalidInput

MAX_DEPTH = 64
MAX_INTEGER = 2**53 - 1

T = TypeVar("T")

# Without this, msgspec would write these in forms of its own (bytes as base64); `check` then refuses them.
_NOT_JSON = (bytes, bytearray, memoryview, datetime, date, time, timedelta, Decimal, UUID)

_encoder = msgspec.json.Encoder(order="sorted")


def encode(value: Any) -> bytes:
    """The canonical bytes of `value` (structs, mappings with string keys, lists, strings, integers, booleans, null).

    Raises InvalidInput for a value that the rules exclude.
    """
    try:
        plain = msgspec.to_builtins(value, order="sorted", builtin_types=_NOT_JSON)
        check(plain)
        return _encoder.encode(plain)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"value has no canonical JSON form: {error}") from None


@overload
def decode(data: bytes, *, what: str = ..., within: int = ...) -> Any: ...
@overload
def decode(data: bytes, type: type[T], *, what: str = ..., within: int = ...) -> T: ...
def decode(data: bytes, type: Any = Any, *, what: str = "value", within: int = 0) -> Any:
    """Parse canonical bytes, into `type` (a msgspec struct or any annotation) where one is given.

    `within` says how deep the value is nested in one that is not looked at.

    Raises InvalidInput, naming `what`, for bytes that are not JSON, break a rule of this module, do not fit `type`, or
    do not re-encode to themselves.
    """
    decoder, keeps_rules = _learned(type)
    try:
        value = decoder.decode(data)
        again = _encoder.encode(value)
    except InvalidInput as error:
        raise InvalidInput(f"{what}: {error.message}") from None
    except RecursionError:
        raise InvalidInput(f"{what}: expected nesting of at most {MAX_DEPTH}, found far more") from None
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
        raise InvalidInput(f"{what} is not what was expected: {error}") from None
    if again != data:
        at = next((i for i, (a, b) in enumerate(zip(data, again, strict=False)) if a != b), min(len(data), len(again)))
        raise InvalidInput(
            f"{what} is not canonical JSON: at byte {at} expected {again[at : at + 24]!r}, found {data[at : at + 24]!r}"
        )
    # A walk in Python costs several times the decoding; most types of ours cannot hold what the rules exclude.
    if not keeps_rules:
        try:
            check(msgspec.json.decode(data), within)
        except InvalidInput as error:
            raise InvalidInput(f"{what}: {error.message}") from None
    return value


def again(data: bytes, type: type[T]) -> T:
    """Parse bytes that `decode` has accepted for `type` before; anything may be raised for others."""
    return _learned(type)[0].decode(data)  # type: ignore[no-any-return]


def bytes_of(value: Any) -> bytes:
    """The canonical bytes of what `decode` gave, or of a part of it; no rule is looked at again."""
    return _encoder.encode(value)


def convert(value: Any, type: type[T], *, what: str = "value") -> T:
    """Plain Python, as `decode` without a type gives it, as `type`. Raises InvalidInput, naming `what`."""
    _learned(type)
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{what} is not what was expected: {error}") from None


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


_known: dict[Any, tuple[msgspec.json.Decoder[Any], bool]] = {}
_learning = Lock()


def _learned(type: Any) -> tuple[msgspec.json.Decoder[Any], bool]:
    """The decoder of a type, and whether nothing that decodes into it can break a rule."""
    found = _known.get(type)
    if found is None:
        with _learning:  # msgspec 0.22 crashes when two threads learn what a struct is made of at the same time
            found = _known.get(type)
            if found is None:
                keeps_rules = _depth_of(inspect.type_info(type), ()) <= MAX_DEPTH
                found = _known[type] = msgspec.json.Decoder(type, float_hook=_refuse_float), keeps_rules
    return found


def _refuse_float(text: str) -> Any:
    raise InvalidInput(f"expected no floating-point number, found {text}; write it as a decimal string")


def _depth_of(info: inspect.Type, within: tuple[int, ...]) -> int:
    """How deep values of a type nest at most; more than MAX_DEPTH for a type that may break a rule."""
    match info:
        case inspect.Metadata():
            return _depth_of(info.type, within)
        case inspect.NoneType() | inspect.BoolType() | inspect.StrType():
            return 0
        case inspect.IntType():
            bounded = info.ge is not None and info.ge >= -MAX_INTEGER and info.le is not None and info.le <= MAX_INTEGER
            return 0 if bounded else MAX_DEPTH + 1
        case inspect.EnumType():
            return _depth_of_values(tuple(member.value for member in info.cls))
        case inspect.LiteralType():
            return _depth_of_values(info.values)
        case inspect.UnionType():
            return max(_depth_of(each, within) for each in info.types)
        case inspect.ListType() | inspect.VarTupleType():
            return 1 + _depth_of(info.item_type, within)
        case inspect.TupleType():
            return 1 + max((_depth_of(each, within) for each in info.item_types), default=0)
        case inspect.DictType(key_type=inspect.Metadata(extra={"ascii": True})):
            return 1 + _depth_of(info.value_type, within)
        case inspect.StructType() if id(info) not in within:
            names = [field.encode_name for field in info.fields] + [info.tag_field or ""]
            tag = _depth_of_values(() if info.tag is None else (info.tag,))
            if not all(name.isascii() for name in names):
                return MAX_DEPTH + 1
            return 1 + max((_depth_of(field.type, (*within, id(info))) for field in info.fields), default=tag)
        case _:
            return MAX_DEPTH + 1


def _depth_of_values(values: tuple[Any, ...]) -> int:
    return 0 if all(isinstance(each, str) or abs(each) <= MAX_INTEGER for each in values) else MAX_DEPTH + 1
