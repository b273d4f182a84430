"""An Arrow schema as a Parquet footer has it: the bytes that pyarrow writes for the types that our schemas use."""

from functools import lru_cache
from typing import NamedTuple

import pyarrow as pa

from inbond.registry.shards.thrift import BINARY, I64, STRUCT, list_head, varint

INT32, INT64, BYTE_ARRAY, FIXED = 1, 2, 6, 7
"""Parquet's physical types."""

_REQUIRED, _OPTIONAL, _REPEATED = 0, 1, 2
_UTF8, _LIST, _TIMESTAMP_MS, _UINT32 = 0, 3, 9, 13  # converted types
_NO_FIELDS = b"\x00"


class Leaf(NamedTuple):
    """A physical column: its path, the bytes of that in a footer, and its physical type.

    `is_nested` says that it is in a list, so that a row may have any number of values, of at least `plain` bytes each.
    `repeated` and `defined` are the heads that lists of as many numbers as it has levels may have: none, or one for each level.
    """

    path: str
    encoded: bytes
    type: int
    is_nested: bool
    plain: int
    repeated: bytes
    defined: bytes


@lru_cache
def elements_of(schema: pa.Schema) -> bytes:
    """Field 2 of the footer, with its head: the root, and each field of `schema` with what is below it."""
    every = [_element(name="schema", repetition=_REQUIRED, children=len(schema))]
    for field in schema:
        every += _field(field)
    return b"\x19" + list_head(len(every), STRUCT) + b"".join(every)


@lru_cache
def leaves_of(schema: pa.Schema) -> tuple[Leaf, ...]:
    """The physical columns of a schema, in their order."""
    return tuple(leaf for field in schema for leaf in _leaves(field, (), 0, 0))


def _leaves(field: pa.Field, above: tuple[str, ...], lists: int, levels: int) -> list[Leaf]:
    """The physical columns of a field, below `lists` lists and so many levels of what may be absent."""
    kind, path, levels = field.type, (*above, field.name), levels + field.nullable
    if pa.types.is_list(kind):
        return _leaves(kind.value_field, (*path, "list"), lists + 1, levels + 1)
    if pa.types.is_struct(kind):
        return [leaf for inner in kind for leaf in _leaves(inner, path, lists, levels)]
    physical = _physical(kind)[0]
    encoded = bytes([len(path) << 4 | BINARY]) + b"".join(varint(len(part)) + part.encode() for part in path)
    plain = {INT32: 4, INT64: 8, BYTE_ARRAY: 4}.get(physical, 1)
    heads = (b"".join(list_head(count, I64) for count in (0, most + 1)) for most in (lists, levels))
    return [Leaf(".".join(path), encoded, physical, lists > 0, plain, *heads)]


def _field(field: pa.Field) -> list[bytes]:
    repetition = _OPTIONAL if field.nullable else _REQUIRED
    if pa.types.is_list(field.type):
        outer = _element(name=field.name, repetition=repetition, children=1, converted=_LIST, logical=b"\x3c" + _NO_FIELDS)
        return [outer, _element(name="list", repetition=_REPEATED, children=1), *_field(field.type.value_field)]
    if pa.types.is_struct(field.type):
        below = [element for inner in field.type for element in _field(inner)]
        return [_element(name=field.name, repetition=repetition, children=field.type.num_fields), *below]
    physical, length, converted, logical = _physical(field.type)
    return [_element(physical, length, repetition, field.name, 0, converted, logical)]


def _physical(kind: pa.DataType) -> tuple[int, int, int | None, bytes | None]:
    """Physical type, its length, and converted and logical type: the union's one field, with its head."""
    if pa.types.is_string(kind):
        return BYTE_ARRAY, 0, _UTF8, b"\x1c" + _NO_FIELDS
    if pa.types.is_uint32(kind):
        return INT32, 0, _UINT32, b"\xac\x13\x20\x12\x00"  # 10 INTEGER: 32 bits, not signed
    if kind == pa.timestamp("ms", tz="UTC"):
        return INT64, 0, _TIMESTAMP_MS, b"\x8c\x11\x1c\x1c\x00\x00\x00"  # 8 TIMESTAMP: adjusted to UTC, in ms
    if pa.types.is_fixed_size_binary(kind):
        return FIXED, kind.byte_width, None, None
    if pa.types.is_binary(kind):
        return BYTE_ARRAY, 0, None, None
    assert pa.types.is_int32(kind), kind
    return INT32, 0, None, None


def _element(
    physical: int | None = None,
    length: int = 0,
    repetition: int = _REQUIRED,
    name: str = "",
    children: int = 0,
    converted: int | None = None,
    logical: bytes | None = None,
) -> bytes:
    """A `SchemaElement`."""
    out, last = b"", 0
    fields: list[tuple[int, int, bytes | None]] = [
        (1, 5, None if physical is None else varint(physical << 1)),
        (2, 5, varint(length << 1) if length else None),
        (3, 5, varint(repetition << 1)),
        (4, 8, varint(len(name)) + name.encode()),
        (5, 5, varint(children << 1) if children else None),
        (6, 5, None if converted is None else varint(converted << 1)),
        (10, 12, None if logical is None else logical + b"\x00"),
    ]
    for number, kind, value in fields:
        if value is not None:
            out += bytes([number - last << 4 | kind]) + value
            last = number
    return out + b"\x00"
