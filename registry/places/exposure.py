"""What a run was given, as far as its own segments prove it: for totals that its trainer is about to sign.

Each segment names the one before, so from the newest on their chain is whole; what rows they held follows from the plan.
What a server could still do is to hide the newest segments, or a delivery, or claim that whole shards were delivered, or all
rows of the plan.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import UnsetType

from inbond.registry.places.trust import Trust
from inbond.registry.training.layout import Layout, Span, merged
from inbond.schemas import canonical
from inbond.schemas.errors import VerificationError
from inbond.schemas.scalars import ObjectList
from inbond.schemas.statements import Consume, Dataset, PartLine, RunOpen, Shard

Lines = Callable[[ObjectList, str], list[Any]]
"""Gives the lines of a list that a statement names."""


def check_inputs(trust: Trust, lines: Lines, run: str, newest: str | None, claimed: Mapping[str, int]) -> None:
    """Raise VerificationError unless `claimed`, distinct rows by shard, is what the segments up to `newest` were given.

    Whole shards may stand beside that, and all rows of a shard that the plan reads: deliveries give them to a run.
    """
    layout, beside = _plan(trust, lines, run)
    segments = _segments(trust, run, newest)
    rows = _distinct(span for segment in segments for span in layout.between(segment.first, segment.last))
    planned = _distinct([*layout.spans, *beside])
    for shard in rows.keys() | claimed.keys():
        stated, read = claimed.get(shard, 0), rows.get(shard, 0)
        if stated not in (read, planned.get(shard, read), _rows_of(trust, shard)):
            raise VerificationError(
                f"{run}: expected {read} rows of {shard} as its segments say, or those of its plan, or the whole of it, "
                f"found {stated}"
            )


def _distinct(spans: Iterable[Span]) -> dict[str, int]:
    """How many distinct rows of each shard there are in spans."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    for span in spans:
        ranges.setdefault(span.shard, []).append((span.first, span.last))
    return {shard: sum(last - first for first, last in merged(its)) for shard, its in ranges.items()}


def _segments(trust: Trust, run: str, newest: str | None) -> list[Consume]:
    """The segments of a run from `newest` back to its first, each named by the one after."""
    found: list[Consume] = []
    at = newest
    while at is not None:
        body = trust.made(at).body
        if not isinstance(body, Consume) or body.run != run or (found and body.sequence != found[-1].sequence - 1):
            raise VerificationError(f"{run}: expected its segments, each after the one before, found {at}")
        found.append(body)
        at = None if isinstance(body.previous, UnsetType) else body.previous
    if found and found[-1].sequence != 0:
        raise VerificationError(f"{run}: expected its segments from the first on, found none before {found[-1].sequence}")
    return found


def _plan(trust: Trust, lines: Lines, run: str) -> tuple[Layout, list[Span]]:
    """The samples of one epoch of a run's plan, and the rows of log-probabilities that stand beside them."""
    opened = trust.made(run).body
    if not isinstance(opened, RunOpen):
        raise VerificationError(f"{run}: expected the statement that opened a run, found another")
    spans: list[Span] = []
    beside: list[Span] = []
    for source in opened.plan.sources:
        body = trust.made(source.dataset).body
        if not isinstance(body, Dataset):
            raise VerificationError(f"{source.dataset}: expected a dataset version, found another statement")
        for line in lines(body.parts, source.dataset):
            part = canonical.convert(line, PartLine, what=f"parts of {source.dataset}")
            if part.split == source.split:
                spans += [Span(part.shard, first, last, part.split) for first, last in part.rows]
                beside += [Span(logits, first, last) for logits in part.logits or () for first, last in part.rows]
    return Layout(spans), beside


def _rows_of(trust: Trust, shard: str) -> int:
    body = trust.made(shard).body
    return int(body.rows) if isinstance(body, Shard) else 0
