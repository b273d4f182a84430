"""Reading one record's JSON: typed fields out of it, and everything else verbatim.

A `Fields` is a JSON object of which the values are still raw text. An importer takes out the fields that have a column;
what it leaves goes into `extra` as it stood in the source, so a number keeps all its digits. Nothing is guessed: a field
of another type is a `Fault`, and so is an object that names a field twice, because a parser would keep only one.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec
import numpy as np

from inbond.registry.importers.element import Values
from inbond.registry.importers.layout import first_twice, text_of

MAX_DEPTH = 64

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)
_text_or_null = msgspec.json.Decoder(str | None)
_encode = msgspec.json.Encoder().encode
_plain = json.JSONDecoder(parse_int=str, parse_float=str)

_NULL = msgspec.Raw(b"null")
_STRING = re.compile(rb'"[^"]*"')
_NO_NUMBER = re.compile(rb'"(?:[^"\\]++|\\.)*+"|(?P<word>-?Infinity|NaN)', re.DOTALL)
_INTEGER = re.compile(rb"-?(0|[1-9][0-9]{0,18})")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_KINDS = {ord("n"): "null", ord("t"): "true", ord("f"): "false", ord("{"): "an object", ord("["): "an array"}
_STEPS = np.zeros(256, dtype=np.int64)
_STEPS[[ord("["), ord("{")]] = 1
_STEPS[[ord("]"), ord("}")]] = -1


class Fault(Exception):
    """A record that cannot be imported.

    `reason` is a stable code, `field` a path such as `choices[0].message`, empty for the record itself.
    """

    def __init__(self, reason: str, field: str, expected: str, found: str) -> None:
        super().__init__(reason, field, expected, found)
        self.reason = reason
        self.field = field
        self.expected = expected
        self.found = found


class Fields:
    """One JSON object; `path` and `depth` say where it stands in the record.

    What reads a field takes it out, unless told to keep it. Text is only looked at when it is read or handed on by `rest`, so
    errors of msgspec and of UTF-8 (each a ValueError) may come out of every method; `explain` makes a Fault of them.
    """

    __slots__ = ("_depth", "_values", "path")

    def __init__(self, raw: bytes | msgspec.Raw, path: str = "", depth: int = 1, values: Values | None = None) -> None:
        """`values` may be what a reader made of `raw` already, having seen that no name stands there twice."""
        self.path = path
        self._depth = depth
        if values is not None:
            self._values = values
            return
        try:
            self._values = _object.decode(raw)
        except msgspec.ValidationError:
            raise Fault("wrong-type", path, "a JSON object", describe(raw)) from None
        text = bytes(raw)
        if text_of(text, 0, self._values) is None and (name := first_twice(text)) is not None:
            self.refuse(name, "one field of this name", "two", "duplicate-field")

    def text(self, name: str, *, keep: bool = False) -> str:
        """A string that must be there."""
        value = self._need(name, "a string", keep)
        try:
            return _text.decode(value)
        except msgspec.ValidationError:
            self.refuse(name, "a string", describe(value))

    def text_or_none(self, name: str, *, keep: bool = False) -> str | None:
        """A string, or None where the field is absent or null (a null stays among what is left)."""
        value = self._values.get(name)
        if value is None:
            return None
        try:
            text: str | None = _text_or_null.decode(value)
        except msgspec.ValidationError:
            self.refuse(name, "a string or null", describe(value))
        if text is not None and not keep:
            del self._values[name]
        return text

    def integer_or_none(self, name: str, highest: int) -> int | None:
        """An integer from 0 to `highest`, or None where the field is absent or null (a null stays among what is left)."""
        if not self.known(name):
            return None
        expected = f"an integer from 0 to {highest}"
        value = bytes(self._need(name, expected, False))
        if not _INTEGER.fullmatch(value):
            self.refuse(name, expected, describe(value))
        number = int(value)
        if not 0 <= number <= highest:
            self.refuse(name, expected, describe(value), "wrong-value")
        return number

    def object(self, name: str, *, keep: bool = False) -> "Fields":
        """An object that must be there."""
        return Fields(self._need(name, "an object", keep), self.at(name), self._depth + 1)

    def objects(self, name: str, *, keep: bool = False) -> "list[Fields]":
        """The objects of an array that must be there."""
        value = self._need(name, "an array of objects", keep)
        try:
            items = _array.decode(value)
        except msgspec.ValidationError:
            self.refuse(name, "an array of objects", describe(value))
        path, depth = self.at(name), self._depth + 2
        return [Fields(item, f"{path}[{index}]", depth) for index, item in enumerate(items)]

    def peek(self, name: str) -> bytes | None:
        """The raw text of a field, left in place; None where it is absent."""
        value = self._values.get(name)
        return None if value is None else bytes(value)

    def drop(self, name: str) -> None:
        """Take out a field that was read by other means."""
        del self._values[name]

    def names(self) -> list[str]:
        """The names of the fields that are left, in their order."""
        return list(self._values)

    def with_value(self, name: str, text: str) -> "Fields":
        """The same object with the raw value `text` under `name`, whatever it had there."""
        values = {**self._values, name: msgspec.Raw(text.encode())}
        return Fields(b"", self.path, self._depth, values)

    def known(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._values.get(name, _NULL) != _NULL

    def rest(self, **nested: str | None) -> str | None:
        """What is left as one JSON object, names in the order of RFC 8785, values verbatim; None where nothing is left.

        `nested` are raw values to put back under names that were taken out; None puts nothing. Raises Fault where a value
        is nested so deeply that the record exceeds MAX_DEPTH.
        """
        values: dict[str, bytes | msgspec.Raw] = {}
        for name, value in self._values.items():
            values[name] = value
            if len(value) > MAX_DEPTH:
                self._check_depth(name, bytes(value))
        for name, text in nested.items():
            if text is not None:
                values[name] = text.encode()
        if not values:
            return None
        names = sorted(values)
        if not "".join(names).isascii():
            names.sort(key=lambda name: name.encode("utf-16-be"))
        return (b"{" + b",".join([b":".join((_encode(name), values[name])) for name in names]) + b"}").decode()

    def at(self, name: str) -> str:
        """The path of a field of this object."""
        return f"{self.path}.{name}" if self.path else name

    def refuse(self, name: str, expected: str, found: str, reason: str = "wrong-type") -> NoReturn:
        """Raise a Fault about a field of this object."""
        raise Fault(reason, self.at(name), expected, found)

    def _need(self, name: str, expected: str, keep: bool) -> msgspec.Raw:
        value = self._values.get(name) if keep else self._values.pop(name, None)
        if value is None:
            names = ", ".join(sorted(self._values))
            found = f"no such field (there are: {names[:120]})" if names else "no field at all"
            self.refuse(name, expected, found, "missing-field")
        return value

    def _check_depth(self, name: str, value: bytes) -> None:
        if value[0] not in b"[{" or value.count(b"{") + value.count(b"[") + self._depth <= MAX_DEPTH:
            return
        depth = self._depth + _depth(value)
        if depth > MAX_DEPTH:
            self.refuse(name, f"nesting of at most {MAX_DEPTH}", str(depth), "too-deep")


def explain(raw: bytes, error: Exception) -> Fault:
    """The Fault of a record in which msgspec, UTF-8 or the interpreter's stack met `error`."""
    if isinstance(error, RecursionError):
        return Fault("too-deep", "", f"nesting of at most {MAX_DEPTH}", "far more")
    try:
        raw.decode()
    except UnicodeDecodeError as place:
        found = f"{raw[place.start]:#04x} at byte {place.start} of the record"
        return Fault("not-utf8", "", "UTF-8 text", found)
    if _has_surrogate(raw):
        return Fault("unpaired-surrogate", "", "whole characters", "half of a \\u surrogate pair")
    other = next((match for match in _NO_NUMBER.finditer(raw) if match["word"]), None)
    if other is not None:
        word = other["word"].decode()
        return Fault("malformed-json", "", "numbers that JSON has", f"{word} at byte {other.start()} of the record")
    return Fault("malformed-json", "", "a JSON object", f"{_excerpt(raw)} ({error})")


def without_infinities(raw: bytes) -> bytes:
    """`raw` with null for each -Infinity that stands outside strings, as Python's json module writes what has no probability."""
    return _NO_NUMBER.sub(lambda match: b"null" if match["word"] == b"-Infinity" else match[0], raw)


def join_array(values: Sequence[str]) -> str:
    """A JSON array of raw values."""
    return "[" + ",".join(values) + "]"


def describe(value: bytes | msgspec.Raw) -> str:
    """What a raw JSON value is, in a few words, for a message."""
    raw = bytes(value).lstrip()
    if raw[:1] == b'"':
        return f"the string {_excerpt(raw)}"
    if raw[:1] in (b"-", *(b"%d" % digit for digit in range(10))):
        return f"the number {_excerpt(raw)}"
    return _KINDS.get(raw[0], _excerpt(raw)) if raw else "nothing"


def _excerpt(raw: bytes) -> str:
    text = raw.strip()
    return text[:40].decode(errors="backslashreplace") + ("…" if len(text) > 40 else "")


def _depth(raw: bytes) -> int:
    """How deeply a valid JSON value is nested, not counting brackets in strings."""
    plain = _STRING.sub(b"", raw.replace(b"\\\\", b"").replace(b'\\"', b""))
    return int(np.cumsum(_STEPS[np.frombuffer(plain, dtype=np.uint8)]).max())


def _has_surrogate(raw: bytes) -> bool:
    """Whether `raw` is JSON but for an unpaired surrogate, which Python's own parser lets through."""
    if b"\\ud" not in raw.lower():
        return False
    try:
        value: Any = _plain.decode(raw.decode())
        return _SURROGATE.search(json.dumps(value, ensure_ascii=False)) is not None
    except (ValueError, RecursionError):
        return False
