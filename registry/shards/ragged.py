"""The distributions of many records at once: end to end, or padded to one width."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inbond.registry.shards.distributions import Distributions
from inbond.schemas.errors import InvalidInput

_AT_ONCE = 32_768  # positions: with a quarter of them, a fifth of the time is what calls take by themselves
_TABLED = 256  # width of rectangles up to which a table of all rows of a mask is small

_NO_IDS: NDArray[np.uint32] = np.empty(0, dtype=np.uint32)


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """R records with N positions and M entries in all, one record behind the other.

    * `positions`: int64 [R], the positions of each record; 0 where it has no log-probabilities.
    * `first_pos`: int64 [R]; position t of a record is about its token first_pos + t.
    * `counts`: uint32 [N], entries of each position; `ids`: uint32 [M]; `logprobs`: float32 [M], nats.
    * `tail`, `chosen`: float32 [N]; `rank`: uint32 [N]; `draws`: uint32 [M] or None: as in `Distributions`.
    """

    positions: NDArray[np.int64]
    first_pos: NDArray[np.int64]
    counts: NDArray[np.uint32]
    ids: NDArray[np.uint32]
    logprobs: NDArray[np.float32]
    tail: NDArray[np.float32]
    chosen: NDArray[np.float32]
    rank: NDArray[np.uint32]
    draws: NDArray[np.uint32] | None = None

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def position_edges(self) -> NDArray[np.int64]:
        """int64 [R + 1]: the positions of record r are [edges[r], edges[r + 1])."""
        return edges(self.positions)

    @property
    def entry_edges(self) -> NDArray[np.int64]:
        """int64 [R + 1]: the entries of record r are [edges[r], edges[r + 1])."""
        return edges(self.counts)[self.position_edges]

    def record(self, row: int, input_ids: NDArray[np.uint32] = _NO_IDS) -> Distributions | None:
        """One record, its arrays views of these; None where it has no log-probabilities."""
        if self.positions[row] == 0:
            return None
        first, end = self.position_edges[row : row + 2]
        entry, last = edges(self.counts)[[first, end]]
        return Distributions(
            input_ids=input_ids,
            first_pos=int(self.first_pos[row]),
            counts=self.counts[first:end],
            ids=self.ids[entry:last],
            logprobs=self.logprobs[entry:last],
            tail=self.tail[first:end],
            chosen=self.chosen[first:end],
            rank=self.rank[first:end],
            draws=None if self.draws is None else self.draws[entry:last],
        )

    def dense(self, k: int | None = None) -> "Dense":
        """Padded to `k` entries a position (by default the most that a position has); entries behind the k-th are left out.

        What is left out is not added to `tail`.
        """
        if k is not None and k < 1:
            raise InvalidInput(f"log-probabilities: expected a width of at least 1, found {k}")
        most = int(self.counts.max(initial=0))
        width = max(most, 1) if k is None else k
        flat_ids, flat_logprobs = self.ids, self.logprobs
        if most > width:
            starts = np.repeat(edges(self.counts)[:-1], self.counts)
            kept = np.arange(len(flat_ids)) - starts < width
            flat_ids, flat_logprobs = flat_ids[kept], flat_logprobs[kept]
        mask = _first_places(self.counts, width)
        ids = np.zeros(mask.shape, dtype=np.uint32)
        ids[mask] = flat_ids
        logprobs = np.full(mask.shape, -np.inf, dtype=np.float32)
        logprobs[mask] = flat_logprobs
        return Dense(ids, logprobs, mask, self.tail, self.chosen, self.rank, self.position_edges)


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """The same as rectangles: N positions, k entries each, those that a position does not have masked.

    `ids`: uint32 [N, k], 0 where masked; `logprobs`: float32 [N, k], nats, -inf where masked; `mask`: bool [N, k], True for an
    entry; `tail`, `chosen`: float32 [N]; `rank`: uint32 [N]; `offsets`: int64 [R + 1], record r is [offsets[r], offsets[r + 1]).
    """

    ids: NDArray[np.uint32]
    logprobs: NDArray[np.float32]
    mask: NDArray[np.bool_]
    tail: NDArray[np.float32]
    chosen: NDArray[np.float32]
    rank: NDArray[np.uint32]
    offsets: NDArray[np.int64]


def _first_places(counts: NDArray[np.uint32], width: int) -> NDArray[np.bool_]:
    """Mask, bool [N, width]: row t begins with counts[t] times True."""
    if width > _TABLED:
        return np.arange(width, dtype=np.uint32) < counts[:, None]
    found: NDArray[np.bool_] = np.take(_rows(width), np.minimum(counts, np.uint32(width)), axis=0)
    return found


@lru_cache(maxsize=4)
def _rows(width: int) -> NDArray[np.bool_]:
    """All rows of a mask, bool [width + 1, width]: row c begins with c times True."""
    return np.tri(width + 1, width, -1, dtype=bool)


def ragged(records: Sequence[Distributions | None], *, draws: bool = False) -> Ragged:
    """`records` end to end; `draws` says whether their entries were drawn."""
    there = [record for record in records if record is not None]

    def joined(name: str, kind: Any) -> NDArray[Any]:
        return np.concatenate([np.empty(0, kind), *(getattr(record, name) for record in there)]).astype(kind, copy=False)

    return Ragged(
        positions=np.array([0 if record is None else record.n for record in records], dtype=np.int64),
        first_pos=np.array([0 if record is None else record.first_pos for record in records], dtype=np.int64),
        counts=joined("counts", np.uint32),
        ids=joined("ids", np.uint32),
        logprobs=joined("logprobs", np.float32),
        tail=joined("tail", np.float32),
        chosen=joined("chosen", np.float32),
        rank=joined("rank", np.uint32),
        draws=joined("draws", np.uint32) if draws else None,
    )


def together(parts: Sequence[Ragged], *, draws: bool = False) -> Ragged:
    """The records of all `parts`, in order; `draws` says whether their entries were drawn."""
    if len(parts) == 1:
        return parts[0]
    names = [name for name in Ragged.__slots__ if name != "draws" or draws]
    nothing = ragged([], draws=draws)
    return Ragged(**{name: np.concatenate([getattr(part, name) for part in (nothing, *parts)]) for name in names})


def edges(counts: NDArray[Any]) -> NDArray[np.int64]:
    """int64 [len + 1]: where each of successive runs begins, and the end of the last."""
    found = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=found[1:])
    return found


def spans(positions: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut records of so many positions into runs [first, end) that are worth numpy's calls, in bounded memory."""
    first = total = 0
    for record, n in enumerate(positions):
        if total and total + n > _AT_ONCE:
            yield first, record
            first, total = record, 0
        total += n
    if first < len(positions):
        yield first, len(positions)
