"""One raw record of an input file, and the record whose end has not been read yet."""

from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    import pyarrow as pa

MAX_RECORD = 64 * 1024 * 1024
WHITE = b" \t\r\n"


Values = dict[str, msgspec.Raw]
"""The fields of a JSON object, values not parsed further."""


class Element(NamedTuple):
    """One record as it stands in the file.

    `number` is its 1-based position among the records. `too_large` says that it is longer than MAX_RECORD and was left out
    (`raw` is empty), `at_end` that the file ends with it without a line break. `values` are its fields where the reader has
    parsed it already and found no name twice. `counted` and `since` say where it begins: on line `counted` plus the line
    breaks in the slice `since` of a text, which only a message needs to have counted. `row` is
    a row of a table for importers that take those; `counted` is then its number.
    """

    raw: bytes
    counted: int
    number: int
    too_large: bool = False
    at_end: bool = False
    values: Values | None = None
    since: tuple[bytes, int, int] | None = None
    row: "tuple[pa.RecordBatch, int] | None" = None

    @property
    def line(self) -> int:
        """The 1-based line of its first byte."""
        if self.since is None:
            return self.counted
        text, start, end = self.since
        return self.counted + text.count(b"\n", start, end)


class Pending:
    """Collects the parts of one record; keeps at most MAX_RECORD bytes of it, and counts lines whatever its length.

    `lines_before` and `lines` are the line breaks before its first byte that is not white space, and all of them.
    """

    def __init__(self) -> None:
        self.size = 0
        self.lines = 0
        self.lines_before = 0
        self._parts: list[bytes] = []
        self._blank = True

    def add(self, part: bytes) -> None:
        """Append what comes next."""
        self.size += len(part)
        self.lines += part.count(b"\n")
        if self._blank and (text := part.lstrip(WHITE)):
            self._blank = False
            self.lines_before = self.lines - text.count(b"\n")
        if self.too_large:
            self._parts.clear()
        else:
            self._parts.append(part)

    @property
    def too_large(self) -> bool:
        """Whether more than MAX_RECORD bytes came, so that none is kept."""
        return self.size > MAX_RECORD

    @property
    def blank(self) -> bool:
        """Whether nothing but white space came."""
        return self._blank

    def join(self) -> bytes:
        """What was kept."""
        return b"".join(self._parts)
