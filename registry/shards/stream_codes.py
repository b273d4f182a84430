"""Blobs of single streams of a logits shard, for many records at once; `logits.py` says what each holds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inbond.registry.shards.ragged import Ragged, edges
from inbond.registry.shards.streams import Parts, from_planes, join, naming, planes
from inbond.schemas.errors import InvalidInput

STEP = 0.0625
"""Nats by which levels of `encode_steps` differ."""

HEAD_BITS = 5
"""Of a head's multiples of 2^-10 nats so many lowest bits are zero, those of a head above -1 relative to it."""

TAIL_STEPS = 16.0
"""Levels of `encode_tail` in a nat."""

_ESCAPE, _HALF = 255, 15
_TAIL_NONE, _TAIL_UNKNOWN = 254, 255


class Cut:
    """Where records begin and end in the flat arrays: [R + 1] edges over positions, entries, first entries and others."""

    def __init__(self, records: Ragged) -> None:
        self.positions = edges(records.positions)
        starts = edges(records.counts)
        self.entries = starts[self.positions]
        has_any = records.counts > 0
        self.first: NDArray[np.int64] = starts[:-1][has_any]
        self.heads = edges(has_any)[self.positions]
        self.others = self.entries - self.heads

    def is_other(self) -> NDArray[np.bool_]:
        """Whether an entry is not the first of its position: bool [M]."""
        found: NDArray[np.bool_] = np.ones(int(self.entries[-1]), dtype=bool)
        found[self.first] = False
        return found


def encode_planes(values: NDArray[Any], at: NDArray[np.int64]) -> list[bytes]:
    """Byte planes of `values`, those of record r at [at[r], at[r + 1])."""
    rows = [plane.tobytes() for plane in planes(values)]
    return [join([plane[a:b] for plane in rows]) for a, b in zip(at[:-1].tolist(), at[1:].tolist(), strict=True)]


def decode_planes(blobs: list[bytes], at: NDArray[np.int64], kind: str, stream: str) -> NDArray[Any]:
    """The inverse of `encode_planes` for values of the dtype `kind`."""
    width = np.dtype(kind).itemsize
    found: list[list[bytes]] = [[] for _ in range(width)]
    with naming(stream) as place:
        for place.record, (blob, length) in enumerate(zip(blobs, np.diff(at).tolist(), strict=True)):
            parts = Parts(blob, width)
            for number in range(width):
                found[number].append(parts.take(number, length))
    return from_planes([b"".join(plane) for plane in found], kind)


def encode_counts(counts: NDArray[np.uint32], at: NDArray[np.int64]) -> list[bytes]:
    """Counts below 65,536, whose second plane is left out where it is zero."""
    low, high = (counts & 0xFF).astype(np.uint8), (counts >> 8).astype(np.uint8)
    blobs = []
    for a, b in zip(at[:-1].tolist(), at[1:].tolist(), strict=True):
        parts = [low[a:b].tobytes()]
        if high[a:b].any():
            parts.append(high[a:b].tobytes())
        blobs.append(join(parts))
    return blobs


def decode_counts(blobs: list[bytes], positions: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The inverse of `encode_counts`."""
    low, high, is_wide = list[bytes](), list[bytes](), False
    with naming("k") as at:
        for at.record, (blob, length) in enumerate(zip(blobs, positions.tolist(), strict=True)):
            parts = Parts(blob, 1, 2)
            low.append(parts.take(0, length))
            is_wide |= len(parts) == 2
            high.append(parts.take(1, length) if len(parts) == 2 else bytes(length))
    counts = np.frombuffer(b"".join(low), dtype=np.uint8).astype(np.uint32)
    if is_wide:
        counts |= np.frombuffer(b"".join(high), dtype=np.uint8).astype(np.uint32) << np.uint32(8)
    return counts


def compact_heads(heads: NDArray[np.float32]) -> NDArray[np.float16]:
    """Heads as float16 of fewer bits: off by at most 2^-6 nats, or half a unit of float16 below -32; above -1 by 1.6 %."""
    with np.errstate(over="ignore"):
        bits = heads.astype("<f2").view("<u2")
    spare = np.clip(HEAD_BITS + 15 - (bits >> 10 & 31).astype(np.int8), 0, HEAD_BITS).astype(np.uint16)
    unit = np.uint16(1) << spare
    found = bits + (unit >> np.uint16(1))  # what overflows goes into the exponent, as it should
    found &= ~(unit - np.uint16(1))
    compact: NDArray[np.float16] = found.view("<f2")
    return compact


def encode_steps(records: Ragged, cut: Cut, heads: NDArray[np.float32]) -> list[bytes]:
    """By how many steps each entry falls below the one before, counted from `heads`, as they are stored: no error adds up."""
    kept = records.counts[records.counts > 0]
    below = np.repeat(heads, kept)
    below -= records.logprobs
    below *= np.float32(1 / STEP)
    np.rint(below, out=below)
    # Not below zero: the head may have been rounded below those that follow it closely.
    levels = np.clip(below, 0, 0xFFFF, out=below).astype(np.uint16)
    levels[cut.first] = 0
    steps = np.empty_like(levels)
    np.subtract(levels[1:], levels[:-1], out=steps[1:])
    second, is_third = _places(cut.first, kept, len(levels))
    seconds, over_second, more = _escaped(steps[second], _ESCAPE)
    thirds, over_third, beyond = _escaped(steps[is_third], _HALF)
    beyonds, over_beyond, most = _escaped(beyond, _ESCAPE)
    raw = seconds.tobytes(), beyonds.tobytes(), more.tobytes(), most.tobytes()
    to_second = np.searchsorted(second, cut.entries)
    to_third = cut.others - to_second
    to_beyond = np.searchsorted(over_third, to_third)
    to_more, to_most = np.searchsorted(over_second, to_second), np.searchsorted(over_beyond, to_beyond)
    cuts = [zip(to[:-1].tolist(), to[1:].tolist(), strict=True) for to in (to_second, to_third, to_beyond, to_more, to_most)]
    return [
        join([raw[0][a:b], _paired(thirds[c:d]), raw[1][e:f], raw[2][2 * g : 2 * h] + raw[3][2 * i : 2 * j]])
        for (a, b), (c, d), (e, f), (g, h), (i, j) in zip(*cuts, strict=True)
    ]


def decode_steps(
    blobs: list[bytes], entries: NDArray[np.int64], heads: NDArray[np.float32], kept: NDArray[np.uint32], first: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Log-probabilities of all entries: `heads` of the positions with any, their numbers of entries and where each begins."""
    second, is_third = _places(first, kept, int(entries[-1]))
    to_second = np.searchsorted(second, entries)
    to_third = entries - to_second - np.searchsorted(first, entries)
    seconds, beyonds, more, most = list[bytes](), list[bytes](), list[bytes](), list[bytes]()
    thirds: NDArray[np.uint8] = np.empty(int(to_third[-1]), dtype=np.uint8)
    with naming("gaps") as at:
        lengths = zip(blobs, np.diff(to_second).tolist(), to_third[:-1].tolist(), to_third[1:].tolist(), strict=True)
        for at.record, (blob, length, start, end) in enumerate(lengths):
            parts = Parts(blob, 4)
            seconds.append(parts.take(0, length))
            own = thirds[start:end]
            _unpair(parts.take(1, (len(own) + 1) // 2), own)
            beyonds.append(parts.take(2, int(np.count_nonzero(own == _HALF))))
            over = 2 * seconds[-1].count(_ESCAPE), 2 * beyonds[-1].count(_ESCAPE)
            last = parts.take(3, sum(over))
            more.append(last[: over[0]])
            most.append(last[over[0] :])
    steps = np.zeros(len(is_third), dtype=np.uint16)
    below = _unescaped(np.frombuffer(b"".join(beyonds), dtype=np.uint8), _ESCAPE, np.frombuffer(b"".join(most), dtype="<u2"))
    steps[is_third] = _unescaped(thirds, _HALF, below)
    steps[second] = _unescaped(
        np.frombuffer(b"".join(seconds), dtype=np.uint8), _ESCAPE, np.frombuffer(b"".join(more), dtype="<u2")
    )
    fallen = np.cumsum(steps, dtype=np.uint16)  # modulo 2^16, as are the differences, which the levels are
    fallen -= np.repeat(fallen[first], kept)
    found = fallen.astype(np.float32)
    found *= np.float32(-STEP)
    found += np.repeat(heads, kept)
    return found


def _places(first: NDArray[np.int64], kept: NDArray[np.uint32], entries: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where the second entries are, and which are neither first nor second."""
    second = first[kept > 1] + 1
    is_third: NDArray[np.bool_] = np.ones(entries, dtype=bool)
    is_third[first] = False
    is_third[second] = False
    return second, is_third


def _escaped(values: NDArray[np.uint16], most: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint16]]:
    """Values up to `most`; where they are that much or more, and how much more."""
    codes = np.minimum(values, np.uint16(most)).astype(np.uint8)
    over = np.flatnonzero(codes == most)
    return codes, over, (values[over] - np.uint16(most)).astype("<u2", copy=False)


def _unescaped(codes: NDArray[np.uint8], most: int, more: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.uint16]:
    """The inverse of `_escaped`."""
    found = codes.astype(np.uint16)
    if len(more):
        found[np.flatnonzero(codes == most)] += more.astype(np.uint16, copy=False)
    return found


def _paired(values: NDArray[np.uint8]) -> bytes:
    """Values below 16 two by two, the first in the lower half of a byte."""
    pairs = values[::2].copy()
    pairs[: len(values) // 2] |= values[1::2] << np.uint8(4)
    return pairs.tobytes()


def _unpair(pairs: bytes, found: NDArray[np.uint8]) -> None:
    """The inverse of `_paired`, into `found`."""
    both = np.frombuffer(pairs, dtype=np.uint8)
    np.bitwise_and(both, np.uint8(15), out=found[::2])
    np.right_shift(both[: len(found) // 2], np.uint8(4), out=found[1::2])


def encode_tail(tail: NDArray[np.float32], at: NDArray[np.int64]) -> list[bytes]:
    """Tail mass as levels of its logarithm."""
    with np.errstate(divide="ignore", invalid="ignore"):
        codes = np.rint(np.log(tail) * np.float32(-TAIL_STEPS))
    codes = np.where(np.isnan(tail), _TAIL_UNKNOWN, np.where(tail == 0, _TAIL_NONE, np.clip(codes, 0, _TAIL_NONE)))
    return encode_planes(codes.astype(np.uint8), at)


def decode_tail(blobs: list[bytes], at: NDArray[np.int64]) -> NDArray[np.float32]:
    """The inverse of `encode_tail`, off by at most half a level."""
    found: NDArray[np.float32] = np.take(_TAILS, decode_planes(blobs, at, "u1", "tail"))
    return found


_TAILS = np.exp(-np.arange(256) / TAIL_STEPS).astype(np.float32)
_TAILS[_TAIL_NONE], _TAILS[_TAIL_UNKNOWN] = 0, np.nan


def encode_chosen(records: Ragged, tokens: NDArray[np.uint32], cut: Cut) -> list[bytes]:
    """Log-probability and rank of the positions' own tokens: which entry it is, or both."""
    codes = np.where((records.rank == 0) & np.isnan(records.chosen), np.uint8(0), np.uint8(_ESCAPE))
    if len(records.ids):
        within = (records.rank - np.uint32(1) < records.counts) & (records.rank < _ESCAPE)  # rank 0 wraps
        entry = edges(records.counts)[:-1] + records.rank
        entry -= 1
        within &= np.take(records.ids, entry, mode="clip") == tokens
        within &= np.take(records.logprobs, entry, mode="clip") == records.chosen
        np.copyto(codes, records.rank, where=within, casting="unsafe")
    told = np.flatnonzero(codes == _ESCAPE)
    ranks, values = planes(records.rank[told]), planes(records.chosen[told])
    raw, ends = codes.tobytes(), np.searchsorted(told, cut.positions).tolist()
    blobs = []
    for a, b, first, end in zip(cut.positions[:-1].tolist(), cut.positions[1:].tolist(), ends[:-1], ends[1:], strict=True):
        parts = [raw[a:b]]
        if end > first:
            parts += [ranks[:, first:end].tobytes(), values[:, first:end].tobytes()]
        blobs.append(join(parts))
    return blobs


def decode_chosen(
    blobs: list[bytes],
    positions: NDArray[np.int64],
    counts: NDArray[np.uint32],
    entry_at: NDArray[np.int64],
    logprobs: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
    """(log-probabilities, ranks): the inverse of `encode_chosen`; `entry_at` are the edges of entries over positions."""
    codes = list[bytes]()
    beside: list[list[bytes]] = [[] for _ in range(8)]  # planes of ranks, then of log-probabilities
    with naming("chosen") as at:
        for at.record, (blob, length) in enumerate(zip(blobs, positions.tolist(), strict=True)):
            parts = Parts(blob, 1, 3)
            codes.append(parts.take(0, length))
            told = codes[-1].count(b"\xff")
            if bool(told) is not (len(parts) == 3):
                raise InvalidInput(f"expected parts for {told} tokens outside the entries, found {len(parts)} parts")
            if told:
                both = parts.take(1, 4 * told) + parts.take(2, 4 * told)
                for number, plane in enumerate(beside):
                    plane.append(both[number * told : (number + 1) * told])
    found: NDArray[np.uint8] = np.frombuffer(b"".join(codes), dtype=np.uint8)
    rank = found.astype(np.uint32)
    outside = np.flatnonzero((rank - np.uint32(1) >= counts) | (found == _ESCAPE))  # 0 wraps
    there = found[outside]
    told_at = outside[there == _ESCAPE]
    if (wrong := outside[(there > 0) & (there < _ESCAPE)]).size:
        first = int(wrong[0])
        raise InvalidInput(
            f"stream chosen: expected an entry of {int(counts[first])}, found entry {int(found[first])}",
            record=int(np.searchsorted(edges(positions), first, side="right")) - 1,
        )
    entry = entry_at[:-1] + found
    entry -= 1
    padded = logprobs if len(logprobs) else np.zeros(1, dtype=np.float32)  # `take` wants something to take from
    chosen: NDArray[np.float32] = np.take(padded, entry, mode="clip")
    chosen[outside] = np.nan
    if len(told_at):
        joined = [b"".join(plane) for plane in beside]
        rank[told_at] = from_planes(joined[:4], "<u4")
        chosen[told_at] = from_planes(joined[4:], "<f4")
    return chosen, rank
