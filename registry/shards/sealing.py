"""What is done with a shard's file after its last byte: it is read again, compared, hashed, and gets its name.

What is signed is hashed from what the file system gives back, never from what was handed to it.
"""

from hashlib import sha256
from typing import BinaryIO, NamedTuple
from zlib import crc32

from inbond.registry.objects import ObjectSink, failures_of
from inbond.registry.shards import blocks
from inbond.schemas.errors import StoreError


class Sealed(NamedTuple):
    """A file in the store: its digest and block root ("sha256:…"), and its size in bytes."""

    digest: str
    size: int
    block_root: str


class SummingSink:
    """The scratch file as pyarrow writes into it; `checksum` is the CRC-32 of what went through.

    It only has to notice a disk that gives back something else.
    """

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.checksum = 0

    def write(self, data: bytes) -> int:
        """Hand `data` on."""
        self.checksum = crc32(data, self.checksum)
        with failures_of("scratch file", self._file.name):
            return self._file.write(data)

    def tell(self) -> int:
        """The position in bytes."""
        return self._file.tell()

    def flush(self) -> None:
        """Hand on what waits."""
        self._file.flush()

    def close(self) -> None:
        """The scratch file belongs to the store."""


def seal(store: ObjectSink, file: BinaryIO, checksum: int) -> Sealed:
    """Put a scratch file of `store` into it, with its block hashes beside it; `checksum` is the CRC-32 of what was written.

    Raises StoreError where the file system fails or does not give back what was written.
    """
    with failures_of("scratch file", file.name):
        file.flush()
        digest, found, hashes = _read_again(file)
    if found != checksum:
        raise StoreError(f"scratch file {file.name}: expected to read the bytes that were written, found others")
    size = file.tell()
    store.put_file(file, digest)
    store.put_blocks(digest, blocks.join_hashes(hashes))
    return Sealed(f"sha256:{digest}", size, f"sha256:{blocks.block_root(hashes).hex()}")


def _read_again(file: BinaryIO) -> tuple[str, int, list[bytes]]:
    """SHA-256, CRC-32 and block hashes of the whole file as the file system gives it back; leaves the position at its end."""
    whole, checksum = sha256(), 0
    hashes = []
    file.seek(0)
    while piece := file.read(64 * blocks.BLOCK):  # a buffered file: short only at its end
        leaves = blocks.threads().submit(blocks.leaves_of, piece)
        whole.update(piece)
        checksum = crc32(piece, checksum)
        hashes += leaves.result()
    return whole.hexdigest(), checksum, hashes
