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
_CLOSE = re.compile(rb"[ \t\r\n]*\}[ \t\r\n]*")
# Numbers stay text here, so that none is too long to be converted.
_pairs = json.JSONDecoder(object_pairs_hook=lambda pairs: pairs, parse_int=str, parse_float=str)


class Layouts:
    """The layouts met so far; keeps a bounded number."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], bytes] = {}

    def twice(self, raw: bytes, values: Mapping[str, msgspec.Raw]) -> str | None:
        """The name that the object `raw` has twice, or None; `values` is what a parser made of it."""
        names = tuple(values)
        layout = self._known.get(names)
        if layout is not None and layout % tuple(values.values()) == raw:
            return None
        layout = _layout(raw, values)
        if layout is None:
            return _first_twice(raw)
        if len(self._known) == _MOST_LAYOUTS:
            self._known.clear()
        self._known[names] = layout
        return None


def _layout(raw: bytes, values: Mapping[str, msgspec.Raw]) -> bytes | None:
    """The text of `raw` with %b for each value; None unless it is exactly these names with these values, in their order."""
    opening = _OPEN.match(raw)
    if opening is None:
        return None
    text = opening.group()
    at = opening.end()
    for value in values.values():
        name = _NAME.match(raw, at)
        if name is None or not raw.startswith(bytes(value), name.end()):
            return None
        text += name.group().replace(b"%", b"%%") + b"%b"
        at = name.end() + len(value)
    closing = _CLOSE.fullmatch(raw, at)
    return None if closing is None else text + closing.group()


def _first_twice(raw: bytes) -> str | None:
    pairs: list[tuple[str, Any]] = _pairs.decode(raw.decode())
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return name
        seen.add(name)
    return None
