"""Log-probabilities as a source listed them, into the order and with the sums that distributions have."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inbond.registry.importers.observed import TokenLogprobs
from inbond.registry.shards.distributions import Distributions, Selection
from inbond.schemas.errors import InvalidInput

ROUNDING = 1e-5
"""A softmax in single precision may end this far above zero; a greater log-probability is no rounding."""

Ids = NDArray[np.uint32]


def arrange(found: TokenLogprobs, ids_of: Callable[[Sequence[Any]], Ids]) -> Distributions:
    """Distributions of `found`, of whose tokens `ids_of` gives the ids; O(entries log entries) in numpy.

    Entries come in falling log-probability (falling count for draws), equal ones in the source's order. Two entries of one id in
    one position are one: the same one twice for ids of the source, the sum of their probabilities where several tokens
    have one text. `tail` is 1 - sum of the entries, within 0 and 1, NaN for draws and for a position without entries. A rank
    that the source does not give is found among the entries where no other token can come before. Raises InvalidInput for
    lists that do not fit each other and for one id with two log-probabilities.
    """
    # In the order of the text first, so that a table does not depend on how many alternatives were asked for.
    before, tokens, after, alternatives = map(ids_of, (found.before, found.tokens, found.after, found.alternatives))
    counts, logprobs, draws = _checked(found, tokens, alternatives)
    positions = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    alternatives, logprobs, draws, positions = _merged(found.has_ids, alternatives, logprobs, draws, positions)
    order = _order(positions, logprobs, draws)
    if order is not None:
        alternatives, logprobs = alternatives[order], logprobs[order]
        draws = None if draws is None else draws[order]
    counts = np.bincount(positions, minlength=len(counts)).astype(np.uint32)
    tail = _tail(counts, logprobs, positions, known=draws is None)
    chosen = _optional(found.chosen)
    rank = np.zeros(len(counts), dtype=np.uint32)
    if found.ranks is not None:
        rank[:] = [value or 0 for value in found.ranks]
    _find_chosen(chosen, rank, tokens, (counts, alternatives, logprobs, positions), tail, found.selection)
    return Distributions(
        input_ids=np.concatenate([before, tokens, after]) if len(before) or len(after) else tokens,
        first_pos=len(before),
        counts=counts,
        ids=alternatives,
        logprobs=logprobs,
        tail=tail,
        chosen=chosen,
        rank=rank,
        draws=draws,
    )


def _checked(
    found: TokenLogprobs, tokens: Ids, alternatives: Ids
) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.uint32] | None]:
    counts = np.asarray(found.counts, dtype=np.uint32)
    logprobs = np.array(found.logprobs, dtype=np.float32)
    logprobs[(logprobs > 0) & (logprobs <= ROUNDING)] = 0
    draws = None if found.draws is None else np.asarray(found.draws, dtype=np.uint32)
    ranks = len(tokens) if found.ranks is None else len(found.ranks)
    if not len(tokens) == len(counts) == len(found.chosen) == ranks:
        raise InvalidInput(
            f"log-probabilities: expected as many as tokens ({len(tokens)}), found entries for {len(counts)} positions, "
            f"{len(found.chosen)} chosen and {ranks} ranks"
        )
    entries = int(counts.sum())
    if not entries == len(alternatives) == len(logprobs) == (entries if draws is None else len(draws)):
        raise InvalidInput(
            f"log-probabilities: expected {entries} entries, found {len(alternatives)} tokens and {len(logprobs)} values"
        )
    if (found.selection is Selection.DRAWS) != (draws is not None):
        raise InvalidInput("log-probabilities: expected counts of draws for sampled entries and for no others")
    return counts, logprobs, draws


def _merged(
    has_ids: bool,
    ids: Ids,
    logprobs: NDArray[np.float32],
    draws: NDArray[np.uint32] | None,
    positions: NDArray[np.int64],
) -> tuple[Ids, NDArray[np.float32], NDArray[np.uint32] | None, NDArray[np.int64]]:
    keys = positions << 32 | ids
    ordered = np.sort(keys)
    if not len(keys) or bool((ordered[1:] != ordered[:-1]).all()):
        return ids, logprobs, draws, positions
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    same = logprobs == logprobs[first][group]
    if has_ids and not bool(same.all()):
        at = int(np.flatnonzero(~same)[0])
        raise InvalidInput(
            f"log-probabilities, position {positions[at]}: expected one log-probability for token {ids[at]}, "
            f"found {logprobs[first][group][at]:g} and {logprobs[at]:g}"
        )
    merged = logprobs[first].copy()
    if draws is not None:
        draws = np.bincount(group, weights=draws).astype(np.uint32)
    elif not has_ids:
        several = np.bincount(group) > 1
        summed = np.bincount(group, weights=np.exp(logprobs.astype(np.float64)))
        merged[several] = np.minimum(np.log(summed[several]), 0.0)
    kept = np.sort(first)  # the order of the source
    place = np.argsort(first)
    return ids[kept], merged[place], None if draws is None else draws[place], positions[kept]


def _order(
    positions: NDArray[np.int64], logprobs: NDArray[np.float32], draws: NDArray[np.uint32] | None
) -> NDArray[np.intp] | None:
    """The stable order of the entries; None where they stand in it."""
    if draws is not None:
        return np.lexsort((-logprobs, -draws.astype(np.int64), positions))
    falling = (logprobs[1:] <= logprobs[:-1]) | (positions[1:] != positions[:-1])
    return None if bool(falling.all()) else np.lexsort((-logprobs, positions))


def _tail(
    counts: NDArray[np.uint32], logprobs: NDArray[np.float32], positions: NDArray[np.int64], *, known: bool
) -> NDArray[np.float32]:
    if not known:
        return np.full(len(counts), np.nan, dtype=np.float32)
    mass = np.bincount(positions, weights=np.exp(logprobs.astype(np.float64)), minlength=len(counts))
    tail: NDArray[np.float32] = np.clip(1.0 - mass, 0.0, 1.0).astype(np.float32)
    tail[counts == 0] = np.nan
    return tail


def _optional(values: object) -> NDArray[np.float32]:
    chosen: NDArray[np.float32] = np.array(values, dtype=np.float32).reshape(-1)  # None becomes NaN
    chosen[(chosen > 0) & (chosen <= ROUNDING)] = 0
    return chosen


def _find_chosen(
    chosen: NDArray[np.float32],
    rank: NDArray[np.uint32],
    tokens: Ids,
    entries: tuple[NDArray[np.uint32], Ids, NDArray[np.float32], NDArray[np.int64]],
    tail: NDArray[np.float32],
    selection: Selection,
) -> None:
    """Fill in from the entries what the source does not say about the tokens themselves."""
    counts, ids, logprobs, positions = entries
    hits = np.flatnonzero(ids == tokens[positions])
    where = positions[hits]
    unknown = np.isnan(chosen[where])
    chosen[where[unknown]] = logprobs[hits[unknown]]
    if selection is Selection.DRAWS:
        return
    starts = np.cumsum(counts, dtype=np.int64) - counts
    place = hits - starts[where]
    # Some sources add the token itself behind the k most likely: as the last entry it has that rank only where all that is
    # not listed weighs less.
    certain = (place < counts[where].astype(np.int64) - 1) | (np.exp(logprobs[hits]) >= tail[where])
    certain &= rank[where] == 0
    rank[where[certain]] = place[certain] + 1
