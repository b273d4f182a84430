"""Blobs of single streams of a logits shard, for many records at once; `logits.py` says what each holds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inbond.registry.shards.ragged import Ragged, edges
from inbond.registry.shards.streams import Parts, from_planes, join, naming, planes
from inbond.schemas.errors import InvalidInput

STEP = 0.05
"""Nats by which levels of `encode_steps` differ."""

TAIL_STEPS = 16.0
"""Levels of `encode_tail` in a nat."""

_ESCAPE = 255
_TAIL_NONE, _TAIL_UNKNOWN = 254, 255


class Cut:
    """Where records begin and end in the flat arrays: [R + 1] edges over positions, entries, first entries and others."""

    def __init__(self, records: Ragged) -> None:
        self.positions = edges(records.positions)
        starts = edges(records.counts)
        self.entries = starts[self.positions]
        has_any = records.counts > 0
        self.first: NDArray[np.int64] = starts[:-1][has_any]
        self.is_first: NDArray[np.bool_] = np.zeros(len(records.ids), dtype=bool)
        self.is_first[self.first] = True
        self.heads = edges(has_any)[self.positions]
        self.others = self.entries - self.heads


def encode_planes(values: NDArray[Any], at: NDArray[np.int64]) -> list[bytes]:
    """Byte planes of `values`, those of record r at [at[r], at[r + 1])."""
    rows = planes(values)
    return [join([plane[a:b].tobytes() for plane in rows]) for a, b in zip(at[:-1].tolist(), at[1:].tolist(), strict=True)]


def decode_planes(blobs: list[bytes], at: NDArray[np.int64], kind: str, stream: str) -> NDArray[Any]:
    """The inverse of `encode_planes` for values of the dtype `kind`."""
    width = np.dtype(kind).itemsize
    found: list[list[bytes]] = [[] for _ in range(width)]
    for record, (blob, length) in enumerate(zip(blobs, np.diff(at).tolist(), strict=True)):
        with naming(stream, record):
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
    for record, (blob, length) in enumerate(zip(blobs, positions.tolist(), strict=True)):
        with naming("k", record):
            parts = Parts(blob, 1, 2)
            low.append(parts.take(0, length))
            is_wide |= len(parts) == 2
            high.append(parts.take(1, length) if len(parts) == 2 else bytes(length))
    counts = np.frombuffer(b"".join(low), dtype=np.uint8).astype(np.uint32)
    if is_wide:
        counts |= np.frombuffer(b"".join(high), dtype=np.uint8).astype(np.uint32) << np.uint32(8)
    return counts


def encode_steps(records: Ragged, cut: Cut) -> list[bytes]:
    """By how many steps each entry falls below the one before, counted from the head as it is stored: no error adds up."""
    kept = records.counts[records.counts > 0]
    with np.errstate(over="ignore"):
        heads = records.logprobs[cut.first].astype("<f2").astype(np.float32)
    below = np.repeat(heads, kept)
    below -= records.logprobs
    below *= np.float32(1 / STEP)
    # Not below zero: the head may have been rounded below those that follow it closely.
    levels = np.rint(below, out=below).clip(0, 1e6).astype(np.int32)
    levels[cut.first] = 0
    steps = np.diff(levels, prepend=np.int32(0))
    is_other = ~cut.is_first
    codes = np.minimum(steps, _ESCAPE).astype(np.uint8)[is_other]
    escaped = steps[is_other & (steps >= _ESCAPE)]
    raw, more = codes.tobytes(), np.minimum(escaped - _ESCAPE, 0xFFFF).astype("<u2").tobytes()
    blobs, at = [], 0
    for a, b in zip(cut.others[:-1].tolist(), cut.others[1:].tolist(), strict=True):
        part = raw[a:b]
        end = at + 2 * part.count(b"\xff")
        blobs.append(join([part, more[at:end]]))
        at = end
    return blobs


def decode_steps(
    blobs: list[bytes],
    others: NDArray[np.int64],
    heads: NDArray[np.float32],
    kept: NDArray[np.uint32],
    first: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Log-probabilities of all entries: `heads` of the positions with any, their numbers of entries and where each begins."""
    codes, more = list[bytes](), list[bytes]()
    for record, (blob, length) in enumerate(zip(blobs, np.diff(others).tolist(), strict=True)):
        with naming("gaps", record):
            parts = Parts(blob, 2)
            codes.append(parts.take(0, length))
            more.append(parts.take(1, 2 * codes[-1].count(b"\xff")))
    found = np.frombuffer(b"".join(codes), dtype=np.uint8)
    is_other = np.ones(len(found) + len(heads), dtype=bool)
    is_other[first] = False
    steps: NDArray[Any] = np.zeros(len(is_other), dtype=np.uint8)
    steps[is_other] = found
    if escaped := b"".join(more):
        steps = steps.astype(np.uint32)
        steps[np.flatnonzero(is_other)[found == _ESCAPE]] += np.frombuffer(escaped, dtype="<u2")
    fallen = np.cumsum(steps, dtype=np.uint32)  # modulo 2^32, as are the differences
    fallen -= np.repeat(fallen[first], kept)
    below = fallen.astype(np.float32)
    below *= np.float32(-STEP)
    below += np.repeat(heads, kept)
    return below


def encode_tail(tail: NDArray[np.float32], at: NDArray[np.int64]) -> list[bytes]:
    """Tail mass as levels of its logarithm."""
    with np.errstate(divide="ignore", invalid="ignore"):
        codes = np.rint(-TAIL_STEPS * np.log(tail.astype(np.float64)))
    codes = np.where(np.isnan(tail), _TAIL_UNKNOWN, np.where(tail == 0, _TAIL_NONE, np.clip(codes, 0, _TAIL_NONE)))
    return encode_planes(codes.astype(np.uint8), at)


def decode_tail(blobs: list[bytes], at: NDArray[np.int64]) -> NDArray[np.float32]:
    """The inverse of `encode_tail`, off by at most half a level."""
    found: NDArray[np.float32] = _TAILS[decode_planes(blobs, at, "u1", "tail")]
    return found


_TAILS = np.exp(-np.arange(256) / TAIL_STEPS).astype(np.float32)
_TAILS[_TAIL_NONE], _TAILS[_TAIL_UNKNOWN] = 0, np.nan


def encode_chosen(records: Ragged, tokens: NDArray[np.uint32], cut: Cut) -> list[bytes]:
    """Log-probability and rank of the positions' own tokens: which entry it is, or both."""
    starts = edges(records.counts)[:-1]
    rank = records.rank.astype(np.int64)
    within = (rank >= 1) & (rank <= records.counts) & (rank < _ESCAPE)
    entry = np.where(within, starts + rank - 1, 0)
    if len(records.ids):
        within &= (records.ids[entry] == tokens) & (records.logprobs[entry] == records.chosen)
    nothing = (records.rank == 0) & np.isnan(records.chosen)
    codes = np.where(within, rank, np.where(nothing, 0, _ESCAPE)).astype(np.uint8)
    blobs = []
    for a, b in zip(cut.positions[:-1].tolist(), cut.positions[1:].tolist(), strict=True):
        part = codes[a:b]
        told = part == _ESCAPE
        parts = [part.tobytes()]
        if told.any():
            parts += [plane.tobytes() for plane in planes(records.rank[a:b][told])]
            parts += [plane.tobytes() for plane in planes(records.chosen[a:b][told])]
            parts = [parts[0], b"".join(parts[1:5]), b"".join(parts[5:])]
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
    codes, ranks, values = list[bytes](), list[NDArray[np.uint32]](), list[NDArray[np.float32]]()
    for record, (blob, length) in enumerate(zip(blobs, positions.tolist(), strict=True)):
        with naming("chosen", record):
            parts = Parts(blob, 1, 3)
            codes.append(parts.take(0, length))
            told = codes[-1].count(b"\xff")
            if bool(told) is not (len(parts) == 3):
                raise InvalidInput(f"expected parts for {told} tokens outside the entries, found {len(parts)} parts")
            if told:
                ranks.append(from_planes(_quarters(parts.take(1, 4 * told)), "<u4"))
                values.append(from_planes(_quarters(parts.take(2, 4 * told)), "<f4"))
    found = np.frombuffer(b"".join(codes), dtype=np.uint8).astype(np.uint32)
    told_at = found == _ESCAPE
    if ((found > counts) & ~told_at).any():
        at = int(np.argmax((found > counts) & ~told_at))
        raise InvalidInput(
            f"stream chosen: expected an entry of {int(counts[at])}, found entry {int(found[at])}",
            record=int(np.searchsorted(edges(positions), at, side="right")) - 1,
        )
    chosen = np.full(len(found), np.nan, dtype=np.float32)
    inside = (found > 0) & ~told_at
    chosen[inside] = logprobs[(entry_at[:-1] + found - 1)[inside]]
    rank = np.where(told_at, 0, found).astype(np.uint32)
    if ranks:
        rank[told_at] = np.concatenate(ranks)
        chosen[told_at] = np.concatenate(values)
    return chosen, rank


def _quarters(data: bytes) -> list[bytes]:
    quarter = len(data) // 4
    return [data[at : at + quarter] for at in range(0, len(data), quarter)] if quarter else [b""] * 4
