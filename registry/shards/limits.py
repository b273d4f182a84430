"""What a footer and page headers may declare, checked before anything is allocated or decoded for it.

The bytes are the signed ones by then, but whoever signed may have meant harm: a Parquet file of a kilobyte can declare 2^62
rows, pages of two gigabytes, or repeat one long value through a dictionary. What honest shards never do is refused:

* Every row has 16 random bytes of salt, so a file has at least 16 bytes a row.
* Chunks lie within the file, before its footer; a chunk has as many values as its rows, or list elements with bytes of their own.
* Values are written plainly: no dictionary and no encoding that repeats what came before.
* Pages keep to what the footer declares of their chunk, which is at most `MAX_CHUNK` more than `MAX_RATIO` times its bytes.

Page headers are Thrift structs in the compact protocol (parquet-format, `PageHeader`).
"""

from typing import Any

import pyarrow.parquet as pq

from inbond.schemas.errors import VerificationError

SALT_BYTES = 16
MAX_CHUNK = 256 << 20
"""Bytes that a column chunk may have when decompressed, whatever its size: more than the writer puts into a row group."""

MAX_RATIO = 256
"""How many times a longer chunk may be its size: text that repeats itself less than that is text."""

_ENCODINGS = {"PLAIN", "RLE", "BYTE_STREAM_SPLIT"}
_PAGE_ENCODINGS = {0, 9}  # PLAIN, BYTE_STREAM_SPLIT: numbers of the enum Encoding
_DATA_PAGES = {0: 5, 3: 8}  # type of page: the field that describes it
_LEAST = {"BYTE_ARRAY": 4, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8}  # bytes of a value that is written plainly


class Chunk:
    """One column chunk as the footer declares it: `start` and `end` are its bytes in the file."""

    __slots__ = ("end", "plain", "start", "values")

    def __init__(self, group: pq.RowGroupMetaData, column: int, before: int, name: str) -> None:
        found = group.column(column)
        what = f"{name}: column {found.path_in_schema}"
        self.start, size = found.data_page_offset, found.total_compressed_size
        self.end, self.plain, self.values = self.start + size, found.total_uncompressed_size, found.num_values
        if found.has_dictionary_page or not set(found.encodings) <= _ENCODINGS:
            raise VerificationError(f"{what}: expected values written plainly, found {', '.join(found.encodings)}")
        if not 4 <= self.start <= self.end <= before:
            raise VerificationError(f"{what}: expected its bytes within [4, {before}), found [{self.start}, {self.end})")
        if not 0 <= self.plain <= MAX_CHUNK + MAX_RATIO * size:
            raise VerificationError(
                f"{what}: expected at most {MAX_CHUNK + MAX_RATIO * size} bytes declared in {size}, found {self.plain}"
            )
        elements = self.values - group.num_rows
        most = 0 if "." not in found.path_in_schema else self.plain // _LEAST.get(found.physical_type, 1)
        if not 0 <= elements <= most:
            raise VerificationError(
                f"{what}: expected {group.num_rows} to {group.num_rows + most} values in {group.num_rows} rows and {self.plain} "
                f"bytes, found {self.values}"
            )

    def check_pages(self, data: memoryview, name: str) -> None:
        """Compare the headers of the pages in `data`, the chunk's bytes, with the footer. Raises VerificationError."""
        at = plain = values = 0
        while at < len(data):
            try:
                header, end = _struct(data, at)
                form = header[_DATA_PAGES[header[1]]]
                encoding = form[2] if header[1] == 0 else form[4]
                count, unpacked, size = form[1], header[2], header[3]
            except (KeyError, IndexError, TypeError, RecursionError):
                raise VerificationError(f"{name}: expected a data page at byte {self.start + at}, found another") from None
            plain += end - at + unpacked
            values += count
            if min(count, unpacked, size) < 0 or end + size > len(data) or encoding not in _PAGE_ENCODINGS:
                raise VerificationError(
                    f"{name}: page at byte {self.start + at}: expected plain values within {len(data) - end} bytes, found "
                    f"{size} bytes in encoding {encoding}"
                )
            if plain > self.plain or values > self.values:
                raise VerificationError(
                    f"{name}: page at byte {self.start + at}: expected pages of {self.plain} bytes and {self.values} values, as "
                    f"the footer declares, found at least {plain} and {values}"
                )
            at = end + size


def check_rows(metadata: pq.FileMetaData, rows: int, size: int, name: str) -> None:
    """Compare the rows that a footer declares with the signed number, and both with the size of the file."""
    if rows * SALT_BYTES > size:
        raise VerificationError(f"{name}: expected at most {size // SALT_BYTES} rows in {size} bytes, found {rows} declared")
    if metadata.num_rows != rows:
        raise VerificationError(f"{name}: expected {rows} rows, found {metadata.num_rows} in its footer")
    counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    if sum(counts) != rows or min(counts, default=0) < 0:
        raise VerificationError(f"{name}: expected row groups of {rows} rows in all, found {sum(counts)}")


# Thrift, compact protocol: enough of it for page headers.


def page_header(data: memoryview) -> tuple[dict[int, Any], int]:
    """The fields of the page header that `data` begins with, by number, and its length. Raises KeyError or IndexError."""
    return _struct(data, 0)


def _struct(data: memoryview, at: int) -> tuple[dict[int, Any], int]:
    """The fields of a struct by number, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _signed(data, at)
        fields[number], at = _value(data, at, head & 15)
    return fields, at + 1


def _value(data: memoryview, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):  # true, false
        return kind == 1, at
    if kind in (4, 5, 6):  # i16, i32, i64
        return _signed(data, at)
    if kind == 3:  # byte
        return data[at], at + 1
    if kind == 7:  # double
        return None, at + 8
    if kind == 8:  # binary
        size, at = _unsigned(data, at)
        return None, at + size
    if kind == 12:
        return _struct(data, at)
    raise KeyError(kind)  # lists, sets and maps: page headers have none


def _signed(data: memoryview, at: int) -> tuple[int, int]:
    value, at = _unsigned(data, at)
    return value >> 1 ^ -(value & 1), at


def _unsigned(data: memoryview, at: int) -> tuple[int, int]:
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
