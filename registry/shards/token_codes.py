"""Token ids as the bit length of their frequency rank (a byte, which zstd packs) and the bits below it.

With x = rank + 1 and b = bit length of x - 1 (so 2^b <= x < 2^(b+1)), the symbol of an id is b * 4 + the two bits below the
leading one (zeros behind the last bit), and its mantissa the b - 2 bits below those. Symbols are uint8, one an entry;
mantissas follow each other without gaps, lowest bit first, padded to a byte at the end of a record.

The rank of an id is the id itself, or its place in a `RankMap`: ids in falling frequency. Common ids then have short codes,
whatever their numbers: with Zipf's law that costs about as many bits as the entropy of ids drawn one by one.
"""

import base64
from collections.abc import Sequence
from hashlib import sha256

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inbond.registry.shards.ragged import edges
from inbond.registry.shards.streams import Parts, join, naming
from inbond.schemas.errors import InvalidInput

MAX_VOCABULARY = 1 << 24

_FREE = 7  # ids whose mantissa has no bits: a position's ids are distinct, so it has at most so many of them
_MAX_BITS = 24
_PAIRED = 16  # bits of which two fit into 64 behind any of 31
_zstd = pa.Codec("zstd", compression_level=19)


class RankMap:
    """Which ids are frequent: `lengths` is uint8 [V], the b of each id. Ids of one length are ranked by their number.

    So the map says frequency to a factor of two, which is what the codes can use, in a quarter of a permutation's bytes.
    """

    def __init__(self, lengths: NDArray[np.uint8]) -> None:
        self.lengths = lengths
        self.digest = f"sha256:{sha256(lengths.tobytes()).hexdigest()}"
        self.ids: NDArray[np.uint32] = np.argsort(lengths, kind="stable").astype(np.uint32)
        self.ranks: NDArray[np.uint32] = np.empty(len(lengths), dtype=np.uint32)
        self.ranks[self.ids] = np.arange(len(lengths), dtype=np.uint32)

    @classmethod
    def trained(cls, ids: NDArray[np.uint32], vocabulary: int) -> "RankMap":
        """The map for ids as frequent as those in `ids`."""
        order = np.argsort(-np.bincount(ids, minlength=vocabulary), kind="stable")
        lengths: NDArray[np.uint8] = np.empty(vocabulary, dtype=np.uint8)
        lengths[order] = _lengths_in_order(vocabulary)
        return cls(lengths)

    def data(self) -> str:
        """The map as text: base64 of zstd of `lengths`."""
        return base64.b64encode(_zstd.compress(self.lengths, asbytes=True)).decode()

    @classmethod
    def read(cls, data: str, vocabulary: int, digest: str) -> "RankMap":
        """The inverse of `data`. Raises InvalidInput for text that is not the map of this digest for such a vocabulary."""
        if not 0 < vocabulary <= MAX_VOCABULARY:
            raise InvalidInput(f"rank map: expected a vocabulary of 1 to {MAX_VOCABULARY} ids, found {vocabulary}")
        try:
            packed = base64.b64decode(data, validate=True)
            raw = _zstd.decompress(packed, decompressed_size=vocabulary, asbytes=True)
        except (ValueError, OSError):
            raise InvalidInput(f"rank map: expected base64 of a zstd frame of {vocabulary} bytes, found another text") from None
        lengths = np.frombuffer(raw, dtype=np.uint8)
        if not np.array_equal(np.sort(lengths), _lengths_in_order(vocabulary)):
            raise InvalidInput(f"rank map: expected bit lengths of the ranks of {vocabulary} ids, found others")
        found = cls(lengths)
        if found.digest != digest:
            raise InvalidInput(f"rank map: expected {digest}, found {found.digest}")
        return found


def worthwhile_map(ids: NDArray[np.uint32], vocabulary: int) -> RankMap | None:
    """The map trained on `ids`, where it saves more on them than it takes itself."""
    if not len(ids):
        return None
    found = RankMap.trained(ids, vocabulary)
    return found if _cost(found.ranks[ids]) + len(found.data()) < _cost(ids) else None


def encode_ids(ids: NDArray[np.uint32], entries: NDArray[np.int64], ranks: RankMap | None) -> list[bytes]:
    """Blobs of records whose ids are [entries[r], entries[r + 1]) of `ids`."""
    x = (ids if ranks is None else np.take(ranks.ranks, ids)) + np.uint32(1)
    symbols, widths = _symbols(x)
    mantissas = x & ((np.uint32(1) << widths) - np.uint32(1))
    raw = symbols.tobytes()
    return [
        join((raw[first:end], _packed(mantissas[first:end], widths[first:end])), (True, False))
        for first, end in zip(entries[:-1].tolist(), entries[1:].tolist(), strict=True)
    ]


def decode_ids(
    blobs: Sequence[bytes], entries: NDArray[np.int64], positions: NDArray[np.int64], vocabulary: int, ranks: RankMap | None
) -> NDArray[np.uint32]:
    """uint32 [entries[-1]]: the inverse of `encode_ids`; `positions` are those of each record.

    Raises InvalidInput, whose `record` says which, before more is allocated than the bytes of a blob can hold.
    """
    found = []
    for record, (blob, length, n) in enumerate(zip(blobs, np.diff(entries).tolist(), positions.tolist(), strict=True)):
        with naming("ids", record):
            parts = Parts(blob, 2)
        if length > _FREE * n + 8 * parts.stored(1):
            raise InvalidInput(
                f"stream ids: expected at most {_FREE * n + 8 * parts.stored(1)} ids in {len(blob)} bytes, found {length}",
                record=record,
            )
        found.append((parts, length))
    symbols = np.frombuffer(_part(found, 0, [length for _, length in found]), dtype=np.uint8)
    lengths = symbols >> np.uint8(2)
    if len(lengths) and int(lengths.max()) > _MAX_BITS:
        raise InvalidInput(f"stream ids: expected ids of at most {_MAX_BITS} bits, found {int(lengths.max())}")
    widths = np.maximum(lengths, 2) - np.uint8(2)
    ends, bytes_at = _bit_ends(widths, entries)
    packed = _part(found, 1, np.diff(bytes_at).tolist())
    # x from its leading bits, and below them its mantissa.
    x = (symbols & np.uint8(3) | np.uint8(4)).astype(np.uint32)
    x <<= lengths
    x >>= np.uint32(2)
    x |= _bits_before(packed, ends, widths)
    x -= np.uint32(1)
    if len(x) and int(x.max()) >= vocabulary:
        at = int(np.argmax(x))
        raise InvalidInput(
            f"stream ids: expected token ids below {vocabulary}, found rank {int(x[at])}",
            record=int(np.searchsorted(entries, at, side="right")) - 1,
        )
    return x if ranks is None else np.take(ranks.ids, x)


def _part(found: Sequence[tuple[Parts, int]], number: int, sizes: Sequence[int]) -> bytes:
    """One part of all records, joined."""
    taken = []
    for record, ((parts, _), size) in enumerate(zip(found, sizes, strict=True)):
        with naming("ids", record):
            taken.append(parts.take(number, size))
    return b"".join(taken)


def _symbols(x: NDArray[np.uint32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Symbol of each x, which is below 2^24 or equal to it, and how many bits its mantissa has."""
    # A float32 holds such a number exactly: an exponent, and the bits below the leading one from the highest on.
    bits = x.astype(np.float32).view(np.uint32) >> np.uint32(21)
    bits -= np.uint32(127 << 2)
    symbols = bits.astype(np.uint8)
    return symbols, np.maximum(symbols >> np.uint8(2), 2) - np.uint8(2)


def _bit_ends(widths: NDArray[np.uint8], entries: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """At which bit each mantissa ends (int64 [entries]), records beginning at bytes; and those bytes (int64 [R + 1])."""
    ends = np.cumsum(widths, dtype=np.int64)
    total = np.concatenate([np.zeros(1, dtype=np.int64), ends])[entries]
    bytes_at = edges((np.diff(total) + 7) >> 3)
    for first, end, shift in zip(
        entries[:-1].tolist(), entries[1:].tolist(), (8 * bytes_at[:-1] - total[:-1]).tolist(), strict=True
    ):
        ends[first:end] += shift
    return ends, bytes_at


def _packed(mantissas: NDArray[np.uint32], widths: NDArray[np.uint8]) -> bytes:
    """The `widths` bits of each mantissa of a record behind those of the one before."""
    if not len(mantissas):
        return b""
    bits = mantissas.astype(np.uint64)
    if int(widths.max()) <= _PAIRED:  # two by two, so that half as many are left
        if len(bits) & 1:
            bits, widths = np.append(bits, np.uint64(0)), np.append(widths, np.uint8(0))
        bits = bits[::2] | bits[1::2] << widths[::2]
        widths = widths[::2] + widths[1::2]
    ends = np.cumsum(widths, dtype=np.int64)
    starts = ends - widths
    bits <<= starts.astype(np.uint8) & np.uint8(31)
    starts >>= 5
    # Those that begin in one 32-bit word follow each other: together they have at most 64 bits, none of them twice.
    firsts = np.concatenate([np.zeros(1, dtype=np.int64), np.flatnonzero(starts[1:] != starts[:-1]) + 1])
    size = (int(ends[-1]) + 7) >> 3
    words: NDArray[np.uint64] = np.zeros((size >> 2) + 2, dtype=np.uint64)
    words[starts[firsts]] = np.bitwise_or.reduceat(bits, firsts)
    words[1:] |= words[:-1] >> np.uint64(32)
    return words.astype("<u4").tobytes()[:size]


def _bits_before(packed: bytes, ends: NDArray[np.int64], widths: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The mantissas: of each the `widths` bits before the bit where it ends."""
    padded = b"\0\0\0" + packed + b"\0"
    # A word ends with every byte: a mantissa has at most 22 bits and ends within the last 8 of its word.
    words: NDArray[np.uint32] = np.ndarray((len(padded) - 3,), dtype="<u4", buffer=padded, strides=(1,))
    found = np.take(words, ends >> 3).astype(np.uint32, copy=False)
    found >>= (ends.astype(np.uint8) & np.uint8(7)) + np.uint8(24) - widths
    masks = np.left_shift(np.uint32(1), widths)
    masks -= np.uint32(1)
    found &= masks
    return found


def _lengths_in_order(vocabulary: int) -> NDArray[np.uint8]:
    """The b of ranks 0 to vocabulary - 1."""
    return (np.frexp(np.arange(1, vocabulary + 1, dtype=np.float64))[1] - 1).astype(np.uint8)


def _cost(ranks: NDArray[np.uint32]) -> float:
    """About how many bytes the codes of these ranks take."""
    symbols, widths = _symbols(ranks + np.uint32(1))
    counts = np.bincount(symbols)
    counts = counts[counts > 0]
    return float(widths.sum(dtype=np.int64) - (counts * np.log2(counts / len(ranks))).sum()) / 8
