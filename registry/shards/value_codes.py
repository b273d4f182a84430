"""Log-probabilities, draws and masses as bytes: exactly, or in steps with a bound.

Compact log-probabilities are whole steps below the first of their position. Steps are counted from that first one as the
reader sees it, not from entry to entry, so an error does not grow along a position: it is at most half a step.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inbond.registry.shards.ragged import edges
from inbond.registry.shards.streams import Parts, from_planes, join, numbers, planes

ESCAPE = 255
"""The code of every number from here on; what it is above that follows as u32."""

TAIL_STEP = 0.1
TAIL_ZERO = 254
TAIL_UNKNOWN = 255
_TAIL_LAST = 253

Places = tuple[NDArray[np.bool_], ...]


def encode_small(values: NDArray[np.uint32], groups: Places, cuts: NDArray[np.int64]) -> list[bytes]:
    """Blobs of small numbers: a part of uint8 codes for each group of places, and the u32 rests of those from `ESCAPE` on.

    `cuts` are the edges of records among the values.
    """
    codes = np.minimum(values, ESCAPE).astype(np.uint8)
    rest = codes == ESCAPE
    rests = (values[rest] - np.uint32(ESCAPE)).astype("<u4")
    parts = [(codes[group].tobytes(), edges(group)[cuts].tolist(), 1) for group in groups]
    parts.append((rests.tobytes(), edges(rest)[cuts].tolist(), 4))
    return [
        join([raw[width * at[record] : width * at[record + 1]] for raw, at, width in parts]) for record in range(len(cuts) - 1)
    ]


def decode_small(blobs: Sequence[bytes], groups: Places, cuts: NDArray[np.int64]) -> NDArray[np.uint32]:
    """uint32 [cuts[-1]]: the inverse; 0 at places of no group. Raises InvalidInput."""
    parts = [Parts(blob, len(groups) + 1) for blob in blobs]
    codes = np.zeros(int(cuts[-1]), dtype=np.uint8)
    escapes = [0] * len(parts)
    for number, group in enumerate(groups):
        raw = [part.take(number, size) for part, size in zip(parts, np.diff(edges(group)[cuts]).tolist(), strict=True)]
        escapes = [before + one.count(b"\xff") for before, one in zip(escapes, raw, strict=True)]
        codes[group] = np.frombuffer(b"".join(raw), dtype=np.uint8)
    values = codes.astype(np.uint32)
    if any(escapes):
        rests = numbers((part.take(len(groups), 4 * count) for part, count in zip(parts, escapes, strict=True)), "<u4")
        values[codes == ESCAPE] += rests
    else:
        for part in parts:
            part.take(len(groups), 0)
    return values


def encode_floats(values: NDArray[np.float32], wide: NDArray[np.bool_], cuts: NDArray[np.int64]) -> list[bytes]:
    """Blobs of floats as byte planes: two of float16, or four of float32 for records that are `wide`."""
    narrow = planes(values.astype(np.float16)) if not wide.all() else None
    full = planes(values) if wide.any() else None
    blobs = []
    for first, end, four in zip(cuts[:-1], cuts[1:], wide, strict=True):
        source = full if four else narrow
        assert source is not None
        blobs.append(join([plane[first:end].tobytes() for plane in source]))
    return blobs


def decode_floats(blobs: Sequence[bytes], cuts: NDArray[np.int64], *widths: int) -> NDArray[np.float32]:
    """float32 [cuts[-1]]: the inverse; `widths` are the numbers of planes that a record may have. Raises InvalidInput."""
    parts = [Parts(blob, *widths) for blob in blobs]
    sizes = np.diff(cuts).tolist()
    values = np.empty(int(cuts[-1]), dtype=np.float32)
    for width in sorted({len(part) for part in parts}):
        chosen = [number for number, part in enumerate(parts) if len(part) == width]
        found = [b"".join(parts[number].take(plane, sizes[number]) for number in chosen) for plane in range(width)]
        floats = from_planes(found, f"<f{width}")
        if len(chosen) == len(parts):
            return floats.astype(np.float32, copy=False)
        at = 0
        for number in chosen:
            values[cuts[number] : cuts[number + 1]] = floats[at : at + sizes[number]]
            at += sizes[number]
    return values


def needs_wide(values: NDArray[np.float32], most: float, cuts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool [records]: whether float16 would be further from some value of a record than `most`."""
    with np.errstate(over="ignore"):
        far = np.abs(values.astype(np.float16).astype(np.float32) - values) > most
    return np.diff(edges(far)[cuts]) > 0


def steps_below(
    heads: NDArray[np.float32], logprobs: NDArray[np.float32], counts: NDArray[Any], step: float
) -> NDArray[np.uint32]:
    """uint32 [M]: how many steps each entry is below the head of its position; the heads themselves 0."""
    below = np.repeat(heads, counts)
    below -= logprobs
    below *= np.float32(1 / step)
    np.rint(below, out=below)
    np.clip(below, 0, np.float32(2**31), out=below)
    found = below.astype(np.uint32)
    starts = edges(counts)[:-1]
    found[starts] = 0
    return found


def from_steps(heads: NDArray[np.float32], gaps: NDArray[np.uint32], counts: NDArray[Any], step: float) -> NDArray[np.float32]:
    """float32 [M]: log-probabilities from heads and the steps from each entry to the next (0 at heads); counts are above 0."""
    total = np.cumsum(gaps, dtype=np.uint32)  # modulo 2^32, as are the differences
    total -= np.repeat(total[edges(counts)[:-1]], counts)
    found = np.repeat(heads, counts)
    below = total.astype(np.float32)
    below *= np.float32(step)
    found -= below
    return found


def tail_codes(tail: NDArray[np.float32]) -> NDArray[np.uint8]:
    """uint8 [N]: round(-ln(tail) / 0.1) up to 253; 254 is no mass, 255 not known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        codes = np.minimum(np.rint(-np.log(tail) / TAIL_STEP), _TAIL_LAST)
    codes = np.where(tail == 0, TAIL_ZERO, codes)
    return np.where(np.isnan(tail), TAIL_UNKNOWN, codes).astype(np.uint8)


def tails(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 [N]: the masses of these codes."""
    return _TAILS[codes]


_TAILS: NDArray[np.float32] = np.exp(-TAIL_STEP * np.arange(256)).astype(np.float32)
_TAILS[TAIL_ZERO], _TAILS[TAIL_UNKNOWN] = 0.0, np.nan
