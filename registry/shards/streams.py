r"""Blobs of a logits shard: the parts of one stream of one record, each zstd-1 where that makes it smaller.

    blob = (empty, where every part is)  |  u8 number of parts ‖ u8 flags ‖ u32le stored bytes of each part but the last ‖ parts

Bit i of the flags says that part i is a zstd frame. How long a part is when unpacked stands nowhere: the reader knows it from
what it read before, so a blob cannot make it allocate more.
"""

from collections.abc import Sequence
from struct import Struct as Packing
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inbond.schemas.errors import InvalidInput

MAX_PARTS = 8

_LEAST = 32  # bytes below which a frame's own bytes are not worth trying

_fronts = [Packing(f"<xB{max(number - 1, 0)}I") for number in range(MAX_PARTS + 1)]
_zstd = pa.Codec("zstd", compression_level=1)


def join(parts: Sequence[bytes], packed: Sequence[bool] | None = None) -> bytes:
    """A blob of these parts; `packed` says which may be compressed (all by default)."""
    if not any(parts):
        return b""
    flags = 0
    stored = list(parts)
    for number, part in enumerate(parts):
        if len(part) < _LEAST or (packed is not None and not packed[number]):
            continue
        smaller = _zstd.compress(part, asbytes=True)
        if len(smaller) < len(part):
            stored[number] = smaller
            flags |= 1 << number
    return b"".join((bytes((len(parts),)), _fronts[len(parts)].pack(flags, *map(len, stored[:-1]))[1:], *stored))


class Parts:
    """The parts of a blob, unpacked one by one. Raises InvalidInput for bytes that `join` does not give."""

    __slots__ = ("_flags", "_stored")

    def __init__(self, blob: bytes, *counts: int) -> None:
        """`counts` are the numbers of parts that it may have; an empty blob has as many empty ones as the first says."""
        if not blob:
            self._flags, self._stored = 0, [b""] * counts[0]
            return
        number, front = blob[0], 4 * blob[0] - 2
        if number not in counts or len(blob) < front:
            raise InvalidInput(f"expected {' or '.join(map(str, counts))} parts, found {number} in {len(blob)} bytes")
        self._flags, *lengths = _fronts[number].unpack_from(blob)
        self._stored = []
        at = front
        for length in lengths:
            self._stored.append(blob[at : at + length])
            at += length
        if at > len(blob) or self._flags >> number:
            raise InvalidInput(f"expected {number} parts in {len(blob)} bytes, found {at} bytes in all but the last")
        self._stored.append(blob[at:])

    def __len__(self) -> int:
        return len(self._stored)

    def take(self, number: int, length: int) -> bytes:
        """A part, which must be `length` bytes long when unpacked."""
        part = self._stored[number]
        if self._flags >> number & 1:
            try:
                part = _zstd.decompress(part, decompressed_size=length, asbytes=True)
            except OSError:
                raise InvalidInput(f"part {number}: expected a zstd frame of {length} bytes, found another or none") from None
        if len(part) != length:
            raise InvalidInput(f"part {number}: expected {length} bytes, found {len(part)}")
        return part


class naming:  # noqa: N801  # a context manager that reads as a word
    """Says which stream, and which record, an InvalidInput is about: the one whose number is in `record`."""

    __slots__ = ("_stream", "record")

    def __init__(self, stream: str) -> None:
        self._stream, self.record = stream, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, InvalidInput):
            raise InvalidInput(f"stream {self._stream}: {error.message}", record=self.record) from None


def planes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """uint8 [bytes of a value, len(values)]: the lowest bytes of all values, then the next."""
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return np.ascontiguousarray(little.view(np.uint8).reshape(len(values), values.dtype.itemsize).T)


def from_planes(found: Sequence[bytes], kind: str) -> NDArray[Any]:
    """The inverse of `planes` for values of the little-endian dtype `kind`; each plane is that of all values."""
    length = len(found[0])
    stacked: NDArray[np.uint8] = np.empty((length, np.dtype(kind).itemsize), dtype=np.uint8)
    for number, plane in enumerate(found):
        stacked[:, number] = np.frombuffer(plane, dtype=np.uint8)
    return stacked.view(kind).reshape(length).astype(np.dtype(kind).newbyteorder("="), copy=False)
