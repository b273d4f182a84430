r"""Refusing an object that names a field twice, at the cost of one comparison.

A JSON parser keeps the last of two fields with one name and says nothing. Records of a file are laid out alike, so the
text between the values of one object (`{"role": ` … `, "content": ` … `}`), once known to hold exactly its names, is known
for all others: put their values into it and compare with what stands there. Only a layout not met before is read.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

_MOST_LAYOUTS = 1024

_OPEN = re.compile(rb"[ \t\r\n]*\{")
_NAME = re.compile(rb'[ \t\r\n]*,?[ \t\r\n]*"(?:[^"\\]|\\.)*"[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_CLOSE = re.compile(rb"[ \t\r\n]*\}")
# Numbers stay text here, so that none is too long to be converted.
_pairs = json.JSONDecoder(object_pairs_hook=lambda pairs: pairs, parse_int=str, parse_float=str)

_known: dict[tuple[str, ...], bytes] = {}


def text_of(text: bytes, at: int, values: Mapping[str, msgspec.Raw]) -> bytes | None:
    """The object that begins at `at` in `text`; `values` is what a parser made of it.

    None unless that object is exactly these names with these values, in their order: then it has a name twice.
    """
    names = tuple(values)
    layout = _known.get(names)
    if layout is not None and text.startswith(raw := layout % tuple(values.values()), at):
        return raw
    layout = _layout(text, at, values)
    if layout is None:
        return None
    if len(_known) >= _MOST_LAYOUTS:
        _known.clear()
    _known[names] = layout
    return layout % tuple(values.values())


def first_twice(raw: bytes) -> str | None:
    """The first name that an object has twice."""
    pairs: list[tuple[str, Any]] = _pairs.decode(raw.decode())
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return name
        seen.add(name)
    return None


def _layout(text: bytes, at: int, values: Mapping[str, msgspec.Raw]) -> bytes | None:
    """The object at `at` with %b for each value."""
    opening = _OPEN.match(text, at)
    if opening is None:
        return None
    layout = opening.group()
    at = opening.end()
    for value in values.values():
        name = _NAME.match(text, at)
        if name is None or not text.startswith(bytes(value), name.end()):
            return None
        layout += name.group().replace(b"%", b"%%") + b"%b"
        at = name.end() + len(value)
    closing = _CLOSE.match(text, at)
    return None if closing is None else layout + closing.group()
