r"""Which rows of a shard have a record id: an index beside the object, made from a verified read, of which a search reads little.

    <digest>.ids = head ‖ table ‖ entries                    all numbers little-endian, but for prefixes
    head    = "inbond-ids-1\n" ‖ the shard's SHA-256 ‖ u32 bits ‖ u64 rows ‖ u32 CRC-32 of the table
    table   = 2^bits times (u32 rows before ‖ u32 CRC-32 of its entries): a bucket for each beginning of `bits` bits
    entries = rows times (8 bytes, the beginning of the record id ‖ u32 row), ascending

It is a cache like the block hashes: nobody signs it, and it can be made again at any time. A check sum over each part that is
read tells damage; whoever gets a hit compares the whole id in the shard itself.
"""

from collections.abc import Callable
from contextlib import suppress
from io import SEEK_END
from struct import Struct
from typing import BinaryIO
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from inbond.registry.objects import IDS, ObjectStore, bare
from inbond.schemas.errors import InbondError

_MAGIC = b"inbond-ids-1\n"
_HEAD = Struct("<13s32sIQI")
_ENTRY = np.dtype([("prefix", ">u8"), ("row", "<u4")])
_BUCKET = np.dtype([("start", "<u4"), ("check", "<u4")])
_IN_A_BUCKET = 256


def find(store: ObjectStore, digest: str, rows: int, record_id: bytes, ids: Callable[[], bytes]) -> list[int]:
    """The rows of the shard `digest` whose record id may be `record_id`: those that begin alike, ascending.

    `ids` gives the joined record ids of its `rows` rows; it is asked where there is no index, or a damaged one, which is
    then written. What cannot be written is not kept.
    """
    found = _look_up(store.beside(digest, IDS), rows, bytes.fromhex(bare(digest)), record_id)
    if found is not None:
        return found
    joined = ids()
    keep(store, digest, joined)
    return [int(row) for row in np.flatnonzero(_prefixes(joined) == _prefix(record_id))]


def keep(store: ObjectStore, digest: str, joined: bytes) -> None:
    """Write the index of the shard `digest` with these record ids, joined; what cannot be written is not kept."""
    with suppress(InbondError, OSError):
        store.put_beside(digest, IDS, index_of(bytes.fromhex(bare(digest)), joined))


def index_of(digest: bytes, joined: bytes) -> bytes:
    """The index of a shard with these record ids, 32 bytes each, in the order of its rows."""
    rows = len(joined) // 32
    entries: NDArray[np.void] = np.empty(rows, dtype=_ENTRY)
    entries["prefix"] = _prefixes(joined)
    entries["row"] = np.arange(rows, dtype=np.uint32)
    entries = entries[np.lexsort((entries["row"], entries["prefix"]))]
    bits = _bits(rows)
    buckets = entries["prefix"].astype(np.uint64) >> np.uint64(64 - bits) if bits else np.zeros(rows, dtype=np.uint64)
    ends = np.searchsorted(buckets, np.arange(1 << bits, dtype=np.uint64), side="right")
    table: NDArray[np.void] = np.zeros(1 << bits, dtype=_BUCKET)
    table["start"][1:] = ends[:-1]
    table["check"] = [crc32(entries[start:end].tobytes()) for start, end in zip(table["start"], ends, strict=True)]
    raw = table.tobytes()
    return _HEAD.pack(_MAGIC, digest, bits, rows, crc32(raw)) + raw + entries.tobytes()


def _look_up(file: BinaryIO | None, rows: int, digest: bytes, record_id: bytes) -> list[int] | None:
    """The rows that an index names; None where there is none, or that of another shard, or a damaged one."""
    if file is None:
        return None
    bits = _bits(rows)
    front = _HEAD.size + (_BUCKET.itemsize << bits)
    try:
        with file:
            if file.seek(0, SEEK_END) != front + rows * _ENTRY.itemsize:
                return None
            file.seek(0)
            head = file.read(front)
            raw = head[_HEAD.size :]
            if _HEAD.unpack_from(head) != (_MAGIC, digest, bits, rows, crc32(raw)):
                return None
            table = np.frombuffer(raw, dtype=_BUCKET)
            at = _prefix(record_id) >> (64 - bits)
            start, end = int(table["start"][at]), int(table["start"][at + 1]) if at + 1 < len(table) else rows
            file.seek(front + start * _ENTRY.itemsize)
            data = file.read((end - start) * _ENTRY.itemsize)
    except (InbondError, OSError):
        return None
    if crc32(data) != int(table["check"][at]):
        return None
    entries = np.frombuffer(data, dtype=_ENTRY)
    return [int(row) for row in entries["row"][entries["prefix"] == _prefix(record_id)]]


def _prefixes(joined: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, 32)[:, :8].copy().view(">u8").ravel().astype(np.uint64)


def _prefix(record_id: bytes) -> int:
    return int.from_bytes(record_id[:8], "big")


def _bits(rows: int) -> int:
    """How many bits of the beginning tell the buckets of an index apart."""
    return (rows // _IN_A_BUCKET).bit_length()
