"""Typed decoding of a part of a record, with faults that name the field and the reason as those of `Fields` do."""

import json
import re
from typing import Any, NoReturn, TypeVar

import msgspec

from inbond.registry.importers.fields import Fault, describe

T = TypeVar("T")

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at (?:`key` in )?`\$(?P<path>[^`]*)`)?$", re.DOTALL)
_WRONG = re.compile(r"Expected `(?P<expected>.*)`, got `(?P<found>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<field>.*)`")


def decode(decoder: "msgspec.json.Decoder[T]", raw: bytes | msgspec.Raw, path: str) -> T:
    """What `decoder` makes of `raw`, the value of the field `path`. Raises Fault for another type or a member that is missing."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        _refuse(str(error), raw, path)


def _refuse(text: str, raw: bytes | msgspec.Raw, path: str) -> NoReturn:
    match = _PLACE.match(text)
    what, below = (match["what"], match["path"] or "") if match else (text, "")
    where = path + below if path else below.removeprefix(".")
    if missing := _MISSING.match(what):
        raise Fault("missing-field", f"{where}.{missing['field']}".removeprefix("."), "a value", "no such field")
    if wrong := _WRONG.match(what):
        found = wrong["found"] if below else describe(raw)
        raise Fault("wrong-type", where, _named(wrong["expected"]), _named(found))
    expected = "a number that fits into 64 bits" if what == "Number out of range" else "another value"
    raise Fault("wrong-value", where, expected, what[:1].lower() + what[1:])


_NAMES = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "array": "an array",
    "object": "an object",
    "bool": "true or false",
}


def _named(types: str) -> str:
    return " or ".join(_NAMES.get(part, part) for part in types.split(" | "))


def has_name_twice(raw: bytes | msgspec.Raw) -> bool:
    """Whether any object within a valid JSON value has a name twice, of which a typed decoder would keep one. Slow."""

    def seen(pairs: list[tuple[str, Any]]) -> None:
        if len({name for name, _ in pairs}) != len(pairs):
            raise _Twice

    try:
        json.loads(bytes(raw), object_pairs_hook=seen)
    except _Twice:
        return True
    return False


class _Twice(Exception):
    pass
