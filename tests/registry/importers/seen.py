"""What an import gave, in plain values."""

from typing import Any

import msgspec
import numpy as np

from inbond.registry.importers import Rejected
from inbond.registry.importers.observed import Observed, TokenLogprobs
from inbond.registry.shards.records import Record


def record(item: Record | Observed | Rejected) -> Record:
    """The record of an item that is one."""
    assert not isinstance(item, Rejected), item
    return item.record if isinstance(item, Observed) else item


def generated(item: Record | Observed | Rejected) -> TokenLogprobs:
    item = in_lists(item)
    assert isinstance(item, Observed), item
    assert item.generated is not None
    return item.generated


def scored(item: Record | Observed | Rejected) -> TokenLogprobs:
    item = in_lists(item)
    assert isinstance(item, Observed), item
    assert item.scored is not None
    return item.scored


def in_lists(item: Record | Observed | Rejected) -> Record | Observed | Rejected:
    """The same with lists for arrays of numbers, None for NaN."""
    if not isinstance(item, Observed):
        return item
    return msgspec.structs.replace(item, generated=_in_lists(item.generated), scored=_in_lists(item.scored))


def _in_lists(found: TokenLogprobs | None) -> TokenLogprobs | None:
    if found is None or not isinstance(found.logprobs, np.ndarray):
        return found
    chosen = [None if value is None or value != value else value for value in np.asarray(found.chosen).tolist()]
    counts, logprobs = np.asarray(found.counts).tolist(), found.logprobs.tolist()
    return msgspec.structs.replace(found, chosen=chosen, counts=counts, logprobs=logprobs)


def reject(item: Record | Observed | Rejected) -> tuple[str, str]:
    assert isinstance(item, Rejected), item
    return item.field, item.reason_code


def entries(found: TokenLogprobs) -> list[list[tuple[Any, float]]]:
    """The entries of each position."""
    pairs = list(zip(found.alternatives, found.logprobs, strict=True))
    ends = np.cumsum(found.counts).tolist()
    return [pairs[end - count : end] for end, count in zip(ends, found.counts, strict=True)]
