"""Order `seq-1`: sources as the plan lists them, parts as the dataset lists them, rows ascending; each epoch the same.

A layout maps positions of an epoch, [0, length), to rows of shards. It is a pure function of the parts, defined on row
numbers, never on how a Parquet file groups its rows.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from inbond.schemas.errors import InvalidInput
from inbond.schemas.statements import PartLine

ORDER = "seq-1"


@dataclass(frozen=True, slots=True)
class Span:
    """Rows [first, last) of a shard, in a split where that is known."""

    shard: str
    first: int
    last: int
    split: str = ""

    @property
    def rows(self) -> int:
        """How many rows the span has."""
        return self.last - self.first


class Layout:
    """The samples of one epoch, as spans in reading order."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self.spans = [span for span in spans if span.rows]
        self._ends = list(accumulate(span.rows for span in self.spans))

    @property
    def length(self) -> int:
        """The number of samples in an epoch."""
        return self._ends[-1] if self._ends else 0

    def between(self, first: int, last: int) -> Iterator[Span]:
        """The spans that hold the samples [first, last) of an epoch, in order."""
        if not 0 <= first <= last <= self.length:
            raise InvalidInput(f"expected samples within [0, {self.length}), found [{first}, {last})")
        index = bisect_right(self._ends, first)
        while first < last:
            span, end = self.spans[index], self._ends[index]
            start = span.last - (end - first)
            stop = min(span.last, start + last - first)
            yield Span(span.shard, start, stop, span.split)
            first += stop - start
            index += 1


def part_lines(layout: Layout) -> list[PartLine]:
    """The spans of an epoch as the parts of a grant."""
    return [PartLine(shard=s.shard, rows=((s.first, s.last),), split=s.split, count=s.rows) for s in layout.spans]


def merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Half-open ranges as ascending ranges that do not touch: what was read at least once."""
    out: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if out and first <= out[-1][1]:
            out[-1] = (out[-1][0], max(last, out[-1][1]))
        else:
            out.append((first, last))
    return out


def shards_in(parts: Iterable[PartLine]) -> list[str]:
    """Every shard that parts name, in their order: of text, and of the log-probabilities that go along with it."""
    return list(dict.fromkeys(ref for part in parts for ref in (part.shard, *(part.logits or ()))))
