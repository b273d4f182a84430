"""Token ids as bytes: their highest bits, which zstd packs, and those below, which it cannot.

A record whose highest rank has b bits splits its ranks at bit w = max(0, b - 8). Four parts of a blob, in the order of the
entries:

    w        one byte
    high     rank >> w, a byte for each entry
    low      rank % 256, a byte for each entry; only where w is 8 or more
    bits     planes of one bit an entry, each padded to a byte with zeros, of bits w - w % 8 and upwards of the rank; the first
             entry is the lowest bit

So most of the entropy of the common ids is packed, the others cost their bits, and everything lies at bytes: decoding looks at no
entry for itself. The rank of an id is the id itself, or its place in a `RankMap`: ids in falling frequency.
"""

import base64
from collections.abc import Sequence
from hashlib import sha256

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inbond.registry.shards.streams import Parts, join, naming
from inbond.schemas.errors import InvalidInput

MAX_VOCABULARY = 1 << 22

_MOST_BITS = 14  # below the highest eight of a rank
_FREE_ENTRIES, _ENTRIES_A_POSITION, _ENTRIES_A_BYTE = 256, 8, 8
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


def encode_ids(
    ids: NDArray[np.uint32], entries: NDArray[np.int64], positions: NDArray[np.int64], ranks: RankMap | None
) -> list[bytes]:
    """Blobs of records whose ids are [entries[r], entries[r + 1]) of `ids`; `positions` are those of each record."""
    found = ids if ranks is None else np.take(ranks.ranks, ids)
    return [
        _encoded(found[first:end], n)
        for n, first, end in zip(positions.tolist(), entries[:-1].tolist(), entries[1:].tolist(), strict=True)
    ]


def decode_ids(
    blobs: Sequence[bytes], entries: NDArray[np.int64], positions: NDArray[np.int64], vocabulary: int, ranks: RankMap | None
) -> NDArray[np.uint32]:
    """uint32 [entries[-1]]: the inverse of `encode_ids`.

    Raises InvalidInput, whose `record` says which, before more is allocated than the bytes of a blob may claim.
    """
    found: NDArray[np.uint32] = np.empty(0, dtype=np.uint32)
    with naming("ids") as at:
        for at.record, (blob, length, n) in enumerate(zip(blobs, np.diff(entries).tolist(), positions.tolist(), strict=True)):
            if length > (most := _most(n, blob)):
                raise InvalidInput(f"expected at most {most} ids in {len(blob)} bytes, found {length}")
        found = np.empty(int(entries[-1]), dtype=np.uint32)
        edges_ = zip(blobs, entries[:-1].tolist(), entries[1:].tolist(), strict=True)
        for at.record, (blob, first, end) in enumerate(edges_):
            if end > first:
                _decode(Parts(blob, 4), found[first:end])
            elif blob:
                raise InvalidInput(f"expected no bytes for no ids, found {len(blob)}")
    if len(found) and int(found.max()) >= vocabulary:
        wrong = int(np.argmax(found))
        raise InvalidInput(
            f"stream ids: expected token ids below {vocabulary}, found rank {int(found[wrong])}",
            record=int(np.searchsorted(entries, wrong, side="right")) - 1,
        )
    return found if ranks is None else np.take(ranks.ids, found)


def _most(positions: int, blob: bytes) -> int:
    """How many ids a blob may claim, and so how much memory."""
    return _FREE_ENTRIES + _ENTRIES_A_POSITION * positions + _ENTRIES_A_BYTE * len(blob)


def _encoded(ranks: NDArray[np.uint32], positions: int) -> bytes:
    """The blob of a record."""
    if not len(ranks):
        return b""
    width = max(0, int(ranks.max()).bit_length() - 8)
    high = (ranks >> np.uint32(width)).astype(np.uint8).tobytes()
    low = ranks.astype(np.uint8).tobytes() if width >= 8 else b""
    planes = [np.packbits((ranks >> np.uint32(bit)).astype(np.uint8) & 1, bitorder="little") for bit in range(width & 8, width)]
    parts = bytes((width,)), high, low, b"".join(plane.tobytes() for plane in planes)
    blob = join(parts, (False, True, False, True))
    # Positions that repeat each other may be packed into less than a reader accepts: they stay as they are.
    return blob if len(ranks) <= _most(positions, blob) else join(parts, (False,) * 4)


def _decode(parts: Parts, found: NDArray[np.uint32]) -> None:
    """The inverse of `_encoded`, into `found`."""
    n = len(found)
    width = parts.take(0, 1)[0]
    if width > _MOST_BITS:
        raise InvalidInput(f"expected at most {_MOST_BITS} bits below the highest, found {width}")
    high: NDArray[np.uint8] = np.frombuffer(parts.take(1, n), dtype=np.uint8)
    low, bits = parts.take(2, n if width >= 8 else 0), parts.take(3, (width & 7) * (size := (n + 7) // 8))
    np.left_shift(high, np.uint32(width), out=found, dtype=np.uint32)
    for plane in range(width & 7):
        packed = np.frombuffer(bits, dtype=np.uint8, count=size, offset=plane * size)
        one = np.unpackbits(packed, count=n, bitorder="little").astype(np.uint32)
        one <<= np.uint32((width & 8) + plane)
        found |= one
    if low:
        found |= np.frombuffer(low, dtype=np.uint8)


def _lengths_in_order(vocabulary: int) -> NDArray[np.uint8]:
    """The b of ranks 0 to vocabulary - 1."""
    return (np.frexp(np.arange(1, vocabulary + 1, dtype=np.float64))[1] - 1).astype(np.uint8)


def _cost(ranks: NDArray[np.uint32]) -> float:
    """About how many bytes the codes of these ranks take."""
    lengths = np.frexp((ranks + np.uint32(1)).astype(np.float32))[1] - 1
    counts = np.bincount(lengths)
    counts = counts[counts > 0]
    return float(lengths.sum(dtype=np.int64) - (counts * np.log2(counts / len(ranks))).sum()) / 8
