"""Rows of a shard that are picked here and there, read without decoding a row group once for each of them."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inbond.registry.shards.writer import ROW_GROUP_ROWS


class Batches(Protocol):
    """A verifying reader of a shard."""

    def batches(self, columns: Sequence[str] | None = None, rows: Sequence[range] | None = None) -> Iterator[pa.Table]:
        """The named columns of row ranges, piece by piece."""


Rows = Sequence[tuple[int, int]]
"""Half-open ranges of rows, [first, last), ascending and apart."""


def gathered(reader: Batches, columns: Sequence[str], ranges: Sequence[range]) -> Iterator[pa.Table]:
    """As `reader.batches`: the rows of `ranges` in the order given, in few pieces where ranges that ascend are near."""
    run: list[tuple[int, int]] = []
    for each in ranges:
        if run and each.start < run[-1][1]:
            yield from (table for _, table in picked(reader, columns, run))
            run = []
        if each.step != 1 or each.start >= each.stop:
            yield from reader.batches(columns, [each])  # nothing, or an error
        else:
            run.append((each.start, each.stop))
    yield from (table for _, table in picked(reader, columns, run))


def picked(reader: Batches, columns: Sequence[str], rows: Rows) -> Iterator[tuple[NDArray[np.int64], pa.Table]]:
    """The named columns of `rows`, verified, piece by piece in order: the rows' numbers, and a table with a row for each.

    Ranges that are less than a row group apart are read as one, and what lies between them is left out. Memory is bounded by a
    row group, whatever the number of ranges.
    """
    for span, ranges in near(rows):
        wanted = members(ranges)
        first = span.start
        for table in reader.batches(columns, [span]):
            numbers = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, first + len(table))]
            if len(numbers) == len(table):
                yield numbers, table
            elif len(numbers):
                yield numbers, table.take(pa.array(numbers - first))
            first += len(table)


def near(rows: Rows) -> Iterator[tuple[range, list[tuple[int, int]]]]:
    """`rows` in spans that are read at once, each with its ranges: these are less than a row group apart."""
    ranges: list[tuple[int, int]] = []
    for first, last in rows:
        if ranges and first - ranges[-1][1] >= ROW_GROUP_ROWS:
            yield range(ranges[0][0], ranges[-1][1]), ranges
            ranges = []
        ranges.append((first, last))
    if ranges:
        yield range(ranges[0][0], ranges[-1][1]), ranges


def members(rows: Rows) -> NDArray[np.int64]:
    """The row numbers of ranges, in order."""
    return np.concatenate([np.arange(first, last, dtype=np.int64) for first, last in rows]) if rows else np.zeros(0, np.int64)


def ranges_of(numbers: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ascending row numbers as ranges that do not touch: the inverse of `members`."""
    if not len(numbers):
        return []
    breaks = np.flatnonzero(np.diff(numbers) != 1)
    firsts = numbers[np.concatenate(([0], breaks + 1))]
    lasts = numbers[np.concatenate((breaks, [len(numbers) - 1]))] + 1
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))
