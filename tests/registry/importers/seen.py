"""What an import gave, in plain values."""

from typing import Any

import numpy as np

from inbond.registry.importers import Rejected
from inbond.registry.importers.observed import Observed, TokenLogprobs
from inbond.registry.shards.records import Record


def record(item: Record | Observed | Rejected) -> Record:
    """The record of an item that is one."""
    assert not isinstance(item, Rejected), item
    return item.record if isinstance(item, Observed) else item


def generated(item: Record | Observed | Rejected) -> TokenLogprobs:
    assert isinstance(item, Observed), item
    assert item.generated is not None
    return item.generated


def scored(item: Record | Observed | Rejected) -> TokenLogprobs:
    assert isinstance(item, Observed), item
    assert item.scored is not None
    return item.scored


def reject(item: Record | Observed | Rejected) -> tuple[str, str]:
    assert isinstance(item, Rejected), item
    return item.field, item.reason_code


def entries(found: TokenLogprobs) -> list[list[tuple[Any, float]]]:
    """The entries of each position."""
    pairs = list(zip(found.alternatives, found.logprobs, strict=True))
    ends = np.cumsum(found.counts).tolist()
    return [pairs[end - count : end] for end, count in zip(ends, found.counts, strict=True)]
