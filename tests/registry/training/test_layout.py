from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.registry.training.layout import Layout, Span, merged
from inbond.schemas.errors import InvalidInput

RANGES = st.tuples(st.integers(0, 30), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))
SPANS = st.lists(st.builds(lambda shard, pair: Span(shard, *pair), st.sampled_from("abc"), RANGES), max_size=8)


def flat(spans: list[Span]) -> list[tuple[str, int]]:
    """The model: one item a sample."""
    return [(span.shard, row) for span in spans for row in range(span.first, span.last)]


@settings(max_examples=300, deadline=None)
@given(spans=SPANS, data=st.data())
def test_between_is_a_slice_of_the_flat_list(spans: list[Span], data: st.DataObject) -> None:
    layout, samples = Layout(spans), flat(spans)
    assert layout.length == len(samples)
    first = data.draw(st.integers(0, len(samples)))
    last = data.draw(st.integers(first, len(samples)))
    found = list(layout.between(first, last))
    assert flat(found) == samples[first:last]
    assert all(span.rows for span in found)
    assert len(found) <= len(layout.spans)


@settings(max_examples=100, deadline=None)
@given(spans=SPANS, cuts=st.lists(st.integers(0, 100), max_size=6))
def test_segments_end_to_end_are_the_epoch(spans: list[Span], cuts: list[int]) -> None:
    layout = Layout(spans)
    borders = sorted({0, layout.length, *(cut for cut in cuts if cut < layout.length)})
    pieces = [span for a, b in pairwise(borders) for span in layout.between(a, b)]
    assert flat(pieces) == flat(spans)


@pytest.mark.parametrize(("first", "last"), [(-1, 2), (0, 6), (3, 2), (6, 6)])
def test_samples_outside_an_epoch_are_refused(first: int, last: int) -> None:
    with pytest.raises(InvalidInput, match=r"within \[0, 5\)"):
        list(Layout([Span("a", 0, 5)]).between(first, last))


@settings(max_examples=300, deadline=None)
@given(ranges=st.lists(RANGES, max_size=8))
def test_merged_ranges_hold_each_row_once(ranges: list[tuple[int, int]]) -> None:
    found = merged(ranges)
    rows = [row for first, last in found for row in range(first, last)]
    assert rows == sorted({row for first, last in ranges for row in range(first, last)})
    assert all(a[1] < b[0] for a, b in pairwise(found))
