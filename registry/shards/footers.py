"""A shard's footer, read by ourselves before pyarrow sees it.

The bytes are the signed ones by then, but whoever signed may have meant harm, and pyarrow ends the process over some of what a
footer can say. What our writers write is little: one schema, values written plainly, zstd or no compression, no dictionary, no
encryption, statistics of numbers alone. So a footer is held to exactly that, byte by byte: the schema is that of the kind of
shard, and a column chunk has one form, an expression over its bytes. What its numbers may be is a second question (limits.py).

Footers are the `FileMetaData` of parquet-format in Thrift's compact protocol: a field's head is its distance from the field
before (high half) and its type (low half); integers are zigzag varints, field numbers those of `parquet.thrift`.
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inbond.registry.shards import thrift
from inbond.registry.shards.schema_elements import INT32, INT64, Leaf, elements_of, leaves_of
from inbond.registry.shards.thrift import STRUCT, list_head, varint
from inbond.schemas.errors import VerificationError

POINTERS = b"inbond."
"""How the keys of the metadata begin that a shard's file carries."""


class Footer(NamedTuple):
    """What a footer declares of G row groups and L physical columns.

    `rows` is int64 [G]; `chunks` int64 [G, L, 5] has of each column chunk values, bytes unpacked, bytes, first byte and codec;
    `indexes` int64 [G, L, 4] first byte and length of its offset index and of its column index, zeros where there is none.
    `pointers` are the metadata.
    """

    rows: NDArray[np.int64]
    chunks: NDArray[np.int64]
    indexes: NDArray[np.int64]
    pointers: dict[bytes, bytes]
    leaves: tuple[Leaf, ...]


def read_footer(data: bytes, schema: pa.Schema, kind: str, name: str) -> tuple[Footer, int]:
    """The footer `data` of a shard of this kind and schema, and the rows that it declares in all.

    Raises VerificationError, naming the shard, for any that our writers do not write.
    """
    return _Reading(data, schema, kind, name).read()


# -- what is written -------------------------------------------------------------------------------------------------------

_VAR = rb"[\x80-\xff]{0,7}+[\x00-\x7f]"  # an integer below 2^55
_ENCODING = rb"[\x00\x06]"  # PLAIN, RLE


def _counted(kind: int, item: bytes, most: int, least: int = 1) -> bytes:
    """A list of `least` to `most` items of a type."""
    lists = [re.escape(bytes([count << 4 | kind])) + b"(?:" + item + b"){%d}" % count for count in range(least, most + 1)]
    return b"(?:" + b"|".join(lists) + b")"


@lru_cache
def _chunk(leaf_type: int) -> re.Pattern[bytes]:
    """A `ColumnChunk` of a physical type.

    Its groups: path, codec, four numbers of `Footer.chunks`, histograms of levels, the numbers of `Footer.indexes`.
    """
    value = {INT32: rb"\x04.{4}", INT64: rb"\x08.{8}"}.get(leaf_type)
    ends = b"" if value is None else (
        rb"(?:(?:\x18" + value + rb"\x18" + value + rb"\x16|\x36)" + _VAR  # 1 max, 2 min, 3 null_count
        + rb"(?:\x28" + value + rb"\x18" + value + rb"(?:[\x11\x12]{2})?)?)?"  # 5 max_value, 6 min_value, 7, 8 exact
    )  # fmt: skip
    levels = _counted(6, _VAR, 4, 0)
    form = (
        rb"\x26" + _VAR + rb"\x1c"  # 2 file_offset, 3 meta_data
        + rb"\x15" + re.escape(varint(leaf_type << 1))  # 1 type
        + rb"\x19" + _counted(5, _ENCODING, 3)  # 2 encodings
        + rb"\x19([^\x15]{2,120}+)"  # 3 path_in_schema: no name of ours has this byte, nor is it that long
        + rb"\x15([\x00\x0c])"  # 4 codec: UNCOMPRESSED, ZSTD
        + rb"\x16(" + _VAR + rb")\x16(" + _VAR + rb")\x16(" + _VAR + rb")\x26(" + _VAR + rb")"  # 5, 6, 7, 9
        + rb"(?:\x3c" + ends + rb"\x00\x19|\x49)"  # 12 statistics, of numbers alone
        + _counted(12, rb"\x15[\x00\x06]\x15" + _ENCODING + rb"\x15" + _VAR + rb"\x00", 3)  # 13 encoding_stats
        + rb"(?:\x3c(?:\x16" + _VAR + rb"\x19|\x29)(" + levels + rb")\x19(" + levels + rb")\x00)?"
        + rb"\x00"  # 16 size_statistics
        + rb"(?:\x16(" + _VAR + rb")\x15(" + _VAR + rb")(?:\x16(" + _VAR + rb")\x15(" + _VAR + rb"))?)?\x00"  # 4, 5, 6, 7
    )  # fmt: skip
    return re.compile(form, re.DOTALL)


_GROUP_END = re.compile(
    rb"\x16" + _VAR + rb"\x16(" + _VAR + rb")(?:\x26" + _VAR + rb"\x16" + _VAR + rb"(?:\x14" + _VAR + rb")?)?\x00", re.DOTALL
)  # 2 total_byte_size, 3 num_rows, 5 file_offset, 6 total_compressed_size, 7 ordinal
_VERSION = re.compile(rb"\x15[\x02\x04]")  # 1 version
_ROWS = re.compile(rb"\x16(" + _VAR + rb")\x19")  # 3 num_rows, 4 row_groups
_WRITER = re.compile(rb"parquet-cpp-arrow version [0-9][ -~]{0,60}")


class _Reading:
    """A footer on its way through."""

    def __init__(self, data: bytes, schema: pa.Schema, kind: str, name: str) -> None:
        self._data, self._schema, self._kind, self._name = data, schema, kind, name
        self._leaves = leaves_of(schema)
        self._at = 0

    def read(self) -> tuple[Footer, int]:
        """What it declares."""
        try:
            return self._read()
        except (IndexError, KeyError):
            raise self._wrong("a footer", f"its end at byte {self._at}") from None

    def _read(self) -> tuple[Footer, int]:
        leaves = self._leaves
        self._match(_VERSION, "version 1 or 2 of Parquet")
        self._read_schema()
        declared = [self._match(_ROWS, "a number of rows, then row groups")[1]]
        head = b"\x19" + list_head(len(leaves), STRUCT)  # 1 columns
        groups = self._list(STRUCT)
        codecs, numbers = bytearray(), list[bytes | None]()
        data, forms = self._data, [(leaf, _chunk(leaf.type).match) for leaf in leaves]
        for group in range(groups):
            self._literal(head, f"{len(leaves)} columns in row group {group}")
            for leaf, match in forms:
                found = match(data, self._at)
                if found is None:
                    self._refuse_chunk(group, leaf)
                path, codec, repeated, defined = found.group(1, 2, 7, 8)
                if path != leaf.encoded or (repeated and (repeated[0] not in leaf.repeated or defined[0] not in leaf.defined)):
                    self._refuse_chunk(group, leaf)
                self._at = found.end()
                codecs += codec
                numbers += found.group(3, 4, 5, 6, 9, 10, 11, 12)
            declared.append(self._match(_GROUP_END, f"the rows of row group {group}")[1])
        pointers = self._read_pointers()
        self._literal(list_head(len(leaves), STRUCT) + b"\x1c\x00\x00" * len(leaves) + b"\x00", "the orders of its columns")
        if self._at != len(self._data):
            raise self._wrong("the footer's end", f"{len(self._data) - self._at} bytes more")
        rows, every = _integers(declared), _integers(numbers).reshape(groups, len(leaves), 8)
        packed = np.frombuffer(bytes(codecs), np.uint8).astype(np.int64).reshape(groups, len(leaves), 1) >> 1
        return Footer(rows[1:], np.concatenate([every[..., :4], packed], axis=2), every[..., 4:], pointers, leaves), int(rows[0])

    def _read_schema(self) -> None:
        expected = elements_of(self._schema)
        begin = self._at
        if self._data.startswith(expected, begin):
            self._at += len(expected)
            return
        try:
            found = thrift.struct(self._data, 0)[0][2]
            wanted = thrift.struct(expected + b"\x00", 0)[0][1]
            names = [each[4].decode("ascii", "replace") for each in _top(found)]
            if names == self._schema.names:
                at = next(at for at, pair in enumerate(zip(wanted, found, strict=False)) if pair[0] != pair[1])
                raise self._wrong(f"the columns of a {self._kind} shard, with {wanted[at]} at {at}", f"{found[at]}")
        except (KeyError, IndexError, TypeError, AttributeError, RecursionError, StopIteration):
            raise self._wrong(f"the columns of a {self._kind} shard", "no schema that can be read") from None
        raise self._wrong(f"the columns of a {self._kind} shard", f"{names}")

    def _read_pointers(self) -> dict[bytes, bytes]:
        """Fields 5 key_value_metadata and 6 created_by, and the head of field 7."""
        pointers: dict[bytes, bytes] = {}
        head = b"\x28"
        if self._data.startswith(b"\x19", self._at):
            self._at += 1
            head = b"\x18"
            for _ in range(self._list(STRUCT)):
                self._literal(b"\x18", "a key in the metadata")
                key = self._binary()
                self._literal(b"\x18", f"a value of {key[:60]!r} in the metadata")
                value = self._binary()
                self._literal(b"\x00", f"nothing more of {key[:60]!r} in the metadata")
                if not key.startswith(POINTERS) or key in pointers:
                    raise self._wrong(f"metadata under keys that begin with {POINTERS.decode()!r}, each once", f"{key[:60]!r}")
                pointers[key] = value
        self._literal(head, "what wrote it")
        if not _WRITER.fullmatch(writer := self._binary()):
            raise self._wrong("what wrote it, parquet-cpp-arrow and its version", f"{writer[:60]!r}")
        self._literal(b"\x19", "the orders of its columns")
        return pointers

    def _match(self, pattern: re.Pattern[bytes], what: str) -> re.Match[bytes]:
        found = pattern.match(self._data, self._at)
        if found is None:
            raise self._wrong(what, f"bytes {self._data[self._at : self._at + 16].hex()}")
        self._at = found.end()
        return found

    def _literal(self, expected: bytes, what: str) -> None:
        if not self._data.startswith(expected, self._at):
            raise self._wrong(what, f"bytes {self._data[self._at : self._at + 16].hex()}")
        self._at += len(expected)

    def _list(self, kind: int) -> int:
        """The head of a list of a type: how many items it has, each of at least a byte."""
        head = self._data[self._at]
        count, self._at = head >> 4, self._at + 1
        if count == 15:
            count, self._at = thrift.unsigned(self._data, self._at)
        if head & 15 != kind or count > len(self._data) - self._at:
            raise self._wrong("a list of what the footer has bytes for", f"{count} of type {head & 15}")
        return count

    def _binary(self) -> bytes:
        size, at = thrift.unsigned(self._data, self._at)
        if size > len(self._data) - at:
            raise self._wrong("bytes within the footer", f"{size}")
        self._at = at + size
        return self._data[at : self._at]

    def _refuse_chunk(self, group: int, leaf: Leaf) -> NoReturn:
        """Say what about a chunk's bytes is not as they are written."""
        expected, found = "a column chunk as our writers write it", f"bytes {self._data[self._at : self._at + 16].hex()}"
        try:
            chunk, _ = thrift.struct(self._data, self._at)
            expected, found = _difference(chunk, leaf)
        except (KeyError, IndexError, TypeError, AttributeError, RecursionError):
            pass
        raise VerificationError(f"{self._name}: column {leaf.path}, row group {group}: expected {expected}, found {found}")

    def _wrong(self, expected: str, found: str) -> VerificationError:
        return VerificationError(f"{self._name}: footer, byte {self._at}: expected {expected}, found {found}")


def _difference(chunk: dict[int, Any], leaf: Leaf) -> tuple[str, str]:
    """What is expected of a chunk, and what it has: the first that differs."""
    about = chunk[3]
    encodings = [_ENCODINGS.get(each, str(each)) for each in about[2]]
    path = ".".join(part.decode("ascii", "replace") for part in about[3])
    if path != leaf.path:
        return f"column {leaf.path}", path
    if about[1] != leaf.type:
        return f"values of Parquet's type {leaf.type}", f"type {about[1]}"
    if {10, 11} & about.keys() or not set(encodings) <= {"PLAIN", "RLE"}:
        return "values written plainly", ", ".join(encodings)
    if about[4] not in (0, 6):
        return "codec ZSTD or none", _CODECS.get(about[4], f"codec {about[4]}")
    if {1, 8, 9} & chunk.keys():
        return "bytes in this file, not encrypted", f"fields {sorted(chunk)} of the column chunk"
    for what, field, heads in (("repetition", 2, leaf.repeated), ("definition", 3, leaf.defined)):
        if 16 in about and len(about[16][field]) not in (heads[0] >> 4, heads[1] >> 4):
            return f"{heads[1] >> 4} numbers or none of how often a {what} level is there", f"{len(about[16][field])}"
    if 12 in about and leaf.type not in (INT32, INT64):
        return "statistics of numbers alone", "statistics of this column"
    return "a column chunk as our writers write it", f"fields {sorted(chunk)}, of which {sorted(about)} in its metadata"


_ENCODINGS = {
    0: "PLAIN", 2: "PLAIN_DICTIONARY", 3: "RLE", 4: "BIT_PACKED", 5: "DELTA_BINARY_PACKED", 6: "DELTA_LENGTH_BYTE_ARRAY",
    7: "DELTA_BYTE_ARRAY", 8: "RLE_DICTIONARY", 9: "BYTE_STREAM_SPLIT",
}  # fmt: skip
_CODECS = {1: "SNAPPY", 2: "GZIP", 3: "LZO", 4: "BROTLI", 5: "LZ4", 7: "LZ4_RAW"}


def _top(elements: list[dict[int, Any]]) -> list[dict[int, Any]]:
    """The elements below the root, without those below them."""
    found, at = [], 1

    def skip(at: int) -> int:
        below = int(elements[at].get(5, 0))
        at += 1
        for _ in range(below):
            at = skip(at)
        return at

    while at < len(elements):
        found.append(elements[at])
        at = skip(at)
    return found


def _integers(encoded: list[bytes | None]) -> NDArray[np.int64]:
    """Zigzag varints of at most eight bytes each; None is zero."""
    data = np.frombuffer(b"".join([each or b"\x00" for each in encoded]), np.uint8)
    ends = np.flatnonzero(data < 128)
    if not len(ends):
        return np.zeros(0, np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    places = np.arange(len(data)) - np.repeat(starts, ends - starts + 1)
    values = np.add.reduceat((data & 127).astype(np.int64) << (7 * places), starts)
    return values >> 1 ^ -(values & 1)
