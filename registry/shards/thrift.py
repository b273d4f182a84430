"""Thrift's compact protocol, read without a schema: what a footer or a page header of a Parquet file says, as Python values.

Field types and numbers are those of parquet-format's `parquet.thrift`. Structs are dicts of field number and value, lists are
lists; integers keep their value whatever their width, binaries are bytes. Anything that ends early or is of no type raises
KeyError, IndexError or RecursionError.
"""

from typing import Any

Bytes = bytes | memoryview

I64, BINARY, STRUCT = 6, 8, 12
"""Thrift's numbers of types."""

_BOOL = (1, 2)
_INTEGERS = (4, 5, I64)
_BYTE, _DOUBLE, _LIST, _SET = 3, 7, 9, 10


def struct(data: Bytes, at: int) -> tuple[dict[int, Any], int]:
    """The fields of the struct at `at` by number, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _signed(data, at)
        kind = head & 15
        if kind in _BOOL:
            fields[number] = kind == 1
        else:
            fields[number], at = _value(data, at, kind)
    return fields, at + 1


def unsigned(data: Bytes, at: int) -> tuple[int, int]:
    """The varint at `at`, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise KeyError(shift)


def varint(value: int) -> bytes:
    """The inverse of `unsigned`."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def list_head(count: int, kind: int) -> bytes:
    """The head of a list of so many items of a type."""
    return bytes([count << 4 | kind]) if count < 15 else bytes([0xF0 | kind]) + varint(count)


def _value(data: Bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in _INTEGERS:
        return _signed(data, at)
    if kind == _BYTE:
        return data[at], at + 1
    if kind == _DOUBLE:
        return None, at + 8
    if kind == BINARY:
        size, at = unsigned(data, at)
        if size > len(data) - at:
            raise IndexError(size)
        return bytes(data[at : at + size]), at + size
    if kind in (_LIST, _SET):
        return _list(data, at)
    if kind == STRUCT:
        return struct(data, at)
    raise KeyError(kind)  # Parquet has no maps


def _list(data: Bytes, at: int) -> tuple[list[Any], int]:
    head = data[at]
    size, kind, at = head >> 4, head & 15, at + 1
    if size == 15:
        size, at = unsigned(data, at)
    if size > len(data) - at:
        raise IndexError(size)
    found: list[Any] = []
    for _ in range(size):
        value, at = (data[at] == 1, at + 1) if kind in _BOOL else _value(data, at, kind)
        found.append(value)
    return found, at


def _signed(data: Bytes, at: int) -> tuple[int, int]:
    value, at = unsigned(data, at)
    return value >> 1 ^ -(value & 1), at
