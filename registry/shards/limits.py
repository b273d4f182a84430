"""What a footer and page headers may declare, checked before anything is allocated or decoded for it.

The bytes are the signed ones by then, but whoever signed may have meant harm: a Parquet file of a kilobyte can declare 2^62
rows or pages of two gigabytes. What honest shards never do is refused:

* Every row has 16 random bytes of salt, so a file has at least 16 bytes a row.
* Chunks lie within the file, before its footer, one behind the other; a chunk has as many values as its rows, or list elements
  with bytes of their own.
* Pages are data pages of plain values, which keep to what the footer declares of their chunk: at most `MAX_CHUNK` more than
  `MAX_RATIO` times its bytes.

Page headers are Thrift structs in the compact protocol (parquet-format, `PageHeader`), of one form, as footers are (footers.py).
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inbond.registry.shards.footers import Footer
from inbond.registry.shards.thrift import unsigned
from inbond.schemas.errors import VerificationError

SALT_BYTES = 16
MAX_CHUNK = 256 << 20
"""Bytes that a column chunk may have when decompressed, whatever its size: more than the writer puts into a row group."""

MAX_RATIO = 256
"""How many times a longer chunk may be its size: text that repeats itself less than that is text."""

_MAX_PAGE = (1 << 31) - 1  # page headers have 32-bit numbers


def check_footer(footer: Footer, declared: int, rows: int, size: int, end: int, name: str) -> None:
    """Compare what a footer declares, `declared` rows in all, with the signed number of rows and the file's `size` in bytes.

    `end` is where the footer begins. Raises VerificationError.
    """
    if rows * SALT_BYTES > size:
        raise VerificationError(f"{name}: expected at most {size // SALT_BYTES} rows in {size} bytes, found {rows} declared")
    if declared != rows:
        raise VerificationError(f"{name}: expected {rows} rows, found {declared} in its footer")
    counts = footer.rows.tolist()
    if sum(counts) != rows or min(counts, default=0) < 0:
        raise VerificationError(f"{name}: expected row groups of {rows} rows in all, found {sum(counts)}")
    _check_places(footer, end, name)
    _check_amounts(footer, name)


def _check_places(footer: Footer, end: int, name: str) -> None:
    """Chunks follow each other, and indexes of pages follow them."""
    starts, sizes = footer.chunks[..., 3].ravel(), footer.chunks[..., 2].ravel()
    before = np.concatenate([[4], starts + sizes])
    wrong = (starts < before[:-1]) | (sizes < 0) | (before[1:] > end)
    _refuse(
        wrong.reshape(footer.chunks.shape[:2]), footer, name,
        lambda at: f"its bytes within [{before[at]}, {end})", lambda at: f"[{starts[at]}, {starts[at] + sizes[at]})",
    )  # fmt: skip
    first, length = footer.indexes[..., 0::2], footer.indexes[..., 1::2]
    there = (first != 0) | (length != 0)
    outside = there & ((first < before[-1]) | (length < 0) | (length > _MAX_PAGE) | (first + length > end))
    _refuse(
        outside.any(axis=2), footer, name,
        lambda _: f"indexes of its pages within [{before[-1]}, {end})",
        lambda at: ", ".join(f"[{a}, {a + b})" for a, b in footer.indexes.reshape(-1, 2, 2)[at].tolist()),
    )  # fmt: skip


def _check_amounts(footer: Footer, name: str) -> None:
    """As many values as rows or as there are bytes for, and bytes in proportion to those in the file."""
    values, plain, sizes, _, codecs = np.moveaxis(footer.chunks, 2, 0)
    most = np.where(codecs == 0, sizes, MAX_CHUNK + MAX_RATIO * sizes)
    _refuse(
        (plain < 0) | (plain > most), footer, name,
        lambda at: f"at most {most.flat[at]} bytes declared in {sizes.flat[at]}", lambda at: f"{plain.flat[at]}",
    )  # fmt: skip
    rows = np.broadcast_to(footer.rows[:, None], values.shape)
    is_nested, least = (np.array([getattr(leaf, field) for leaf in footer.leaves]) for field in ("is_nested", "plain"))
    more = np.where(is_nested, plain // least, 0)
    _refuse(
        (values < rows) | (values > rows + more), footer, name,
        lambda at: f"{rows.flat[at]} to {(rows + more).flat[at]} values in {rows.flat[at]} rows and {plain.flat[at]} bytes",
        lambda at: f"{values.flat[at]}",
    )  # fmt: skip


def _refuse(
    wrong: NDArray[np.bool_], footer: Footer, name: str, expected: Callable[[int], str], found: Callable[[int], str]
) -> None:
    """Raise for the first chunk, of [G, L], that is wrong."""
    if wrong.any():
        at = int(np.argmax(wrong))
        group, leaf = divmod(at, len(footer.leaves))
        what = f"{name}: column {footer.leaves[leaf].path}, row group {group}"
        raise VerificationError(f"{what}: expected {expected(at)}, found {found(at)}")


class Chunk(NamedTuple):
    """One column chunk as the footer declares it: `start` and `end` are its bytes in the file."""

    start: int
    end: int
    plain: int
    values: int
    is_packed: bool

    @classmethod
    def of(cls, footer: Footer, group: int, leaf: int) -> "Chunk":
        """The chunk of a column in a row group."""
        values, plain, size, start, codec = footer.chunks[group, leaf].tolist()
        return cls(start, start + size, plain, values, codec != 0)

    def check_pages(self, data: memoryview, name: str) -> None:
        """Compare the headers of the pages in `data`, the chunk's bytes, with the footer. Raises VerificationError."""
        at = plain = values = 0
        while at < len(data):
            found = _PAGE.match(data, at)
            if found is None:
                raise VerificationError(
                    f"{name}: expected a data page of plain values at byte {self.start + at}, found another: "
                    f"{bytes(data[at : at + 16]).hex()}"
                )
            end = found.end()
            unpacked, size, *counts = [_number(each) for each in found.groups() if each is not None]
            levels = counts[3:]  # of pages of version 2: bytes of levels, which are not packed
            if not 0 <= size <= len(data) - end or (not self.is_packed and unpacked != size):
                raise VerificationError(
                    f"{name}: page at byte {self.start + at}: expected "
                    f"{f'at most {len(data) - end}' if self.is_packed else f'the {unpacked}'} bytes of values, found {size}"
                )
            most = min(unpacked, size)
            if min(unpacked, *counts) < 0 or max(unpacked, *counts) > _MAX_PAGE or sum(levels) > most:
                raise VerificationError(
                    f"{name}: page at byte {self.start + at}: expected numbers from 0 to {_MAX_PAGE}, and levels of at most "
                    f"{most} bytes, found {', '.join(map(str, (unpacked, *counts)))}"
                )
            plain += end - at + unpacked
            values += counts[0]
            is_last = end + size == len(data)
            if plain > self.plain or values > self.values or (is_last and values < self.values):
                raise VerificationError(
                    f"{name}: page at byte {self.start + at}: expected pages of {self.plain} bytes and {self.values} values, as "
                    f"the footer declares, found {'' if is_last else 'at least '}{plain} and {values}"
                )
            at = end + size


_VAR = rb"[\x80-\xff]{0,4}+[\x00-\x7f]"
_NUMBER = rb"(?:\x04.{4}|\x08.{8})"
_ENDS = (
    rb"\x1c(?:(?:\x18" + _NUMBER + rb"\x18" + _NUMBER + rb"\x16|\x36)" + _VAR  # 1 max, 2 min, 3 null_count
    + rb"(?:\x28" + _NUMBER + rb"\x18" + _NUMBER + rb"(?:[\x11\x12]{2})?)?)?\x00"  # 5 max_value, 6 min_value, 7, 8 exact
)  # fmt: skip
_FIRST = (
    rb"\x15\x00\x15(" + _VAR + rb")\x15(" + _VAR + rb")(?:\x15" + _VAR + rb"\x1c|\x2c)"  # 1 type, 2 and 3 sizes, 4 crc, 5 header
    + rb"\x15(" + _VAR + rb")\x15\x00\x15\x06\x15\x06(?:" + _ENDS + rb")?\x00\x00"  # 1 num_values, 2, 3, 4 encodings
)  # fmt: skip
_SECOND = (
    rb"\x15\x06\x15(" + _VAR + rb")\x15(" + _VAR + rb")(?:\x15" + _VAR + rb"\x4c|\x5c)"  # 8 header
    + rb"\x15(" + _VAR + rb")\x15(" + _VAR + rb")\x15(" + _VAR + rb")\x15\x00"  # 1 to 4: values, nulls, rows, encoding
    + rb"\x15(" + _VAR + rb")\x15(" + _VAR + rb")[\x11\x12](?:" + _ENDS + rb")?\x00\x00"  # 5, 6 levels, 7 is_packed
)  # fmt: skip
_PAGE = re.compile(rb"(?:" + _FIRST + rb"|" + _SECOND + rb")", re.DOTALL)
"""A data page's header. Its groups: bytes unpacked, bytes, values; of version 2 then nulls, rows, and bytes of levels."""


def _number(encoded: bytes) -> int:
    value, _ = unsigned(encoded, 0)
    return value >> 1 ^ -(value & 1)
