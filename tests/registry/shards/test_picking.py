"""Rows picked here and there: in order, each once, and no row group decoded twice."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from inbond.registry.shards.picking import gathered, members, picked, ranges_of
from inbond.registry.shards.writer import ROW_GROUP_ROWS

LENGTH = 5 * ROW_GROUP_ROWS


class Counted:
    """A column of row numbers, read in pieces of a row group; counts what is read."""

    def __init__(self) -> None:
        self.read = 0

    def batches(self, columns: Sequence[str] | None = None, rows: Sequence[range] | None = None) -> Iterator[pa.Table]:
        for each in rows or ():
            for first in range(each.start, each.stop, ROW_GROUP_ROWS):
                piece = np.arange(first, min(first + ROW_GROUP_ROWS, each.stop))
                self.read += len(piece)
                yield pa.table({"row": piece})


rows = st.lists(st.integers(0, LENGTH - 1), unique=True, max_size=60).map(sorted)


@given(rows)
def test_rows_come_once_and_in_order(wanted: list[int]) -> None:
    ranges = ranges_of(members([(row, row + 1) for row in wanted]))
    assert all(before[1] < after[0] for before, after in pairwise(ranges))
    assert members(ranges).tolist() == wanted
    reader = Counted()
    pieces = [(numbers.tolist(), table.column("row").to_pylist()) for numbers, table in picked(reader, ["row"], ranges)]
    assert [row for numbers, _ in pieces for row in numbers] == [row for _, found in pieces for row in found] == wanted
    assert reader.read <= LENGTH


@given(st.lists(rows, max_size=4))
def test_ranges_in_any_order_are_read_in_that_order(runs: list[list[int]]) -> None:
    wanted = [row for run in runs for row in run]
    tables = gathered(Counted(), ["row"], [range(row, row + 1) for row in wanted])
    assert [row for table in tables for row in table.column("row").to_pylist()] == wanted
