"""Verified bytes: the RFC 6962 tree over a file's 65,536-byte blocks, and a file object that checks what it hands out.

A statement signs the file's size and the root of this tree. The leaf hashes are kept beside the file; they prove
nothing by themselves, so `VerifiedFile` first checks them against the signed root. Each read then copies the blocks
that it touches into memory of its own, hashes that copy, and hands out that copy: what was hashed is what is parsed,
even while somebody writes to the file. Only touched blocks are read: any column, any row range can be verified alone.
"""

import io
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from threading import Lock
from typing import BinaryIO

from inbond.ledger import merkle
from inbond.schemas.errors import StoreError, VerificationError

BLOCK = 65_536
HASH_BYTES = 32

_PIECE = 64 * BLOCK


def block_hashes(file: BinaryIO) -> list[bytes]:
    """RFC 6962 leaf hashes of the blocks of `file`, from its present position to its end, in order."""
    hashes = []
    while piece := file.read(_PIECE):
        while len(piece) < _PIECE and (more := file.read(_PIECE - len(piece))):
            piece += more
        hashes += leaves_of(piece)
    return hashes


def leaves_of(data: bytes) -> list[bytes]:
    """Leaf hashes of `data`, which begins at a block and ends at one or at the end of the file."""
    view = memoryview(data)
    return [_leaf(view[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]


def block_root(hashes: Sequence[bytes]) -> bytes:
    """The root that a statement signs."""
    return merkle.root_of(hashes)


def join_hashes(hashes: Sequence[bytes]) -> bytes:
    """The form in which leaf hashes lie beside a file."""
    return b"".join(hashes)


def split_hashes(data: bytes, size: int, name: str) -> list[bytes]:
    """The inverse of `join_hashes` for a file of `size` bytes. Raises VerificationError where the count cannot fit."""
    blocks = -(-size // BLOCK)
    if len(data) != blocks * HASH_BYTES:
        raise VerificationError(
            f"{name}: expected {blocks} block hashes of {HASH_BYTES} bytes for a file of {size} bytes, found {len(data)} bytes"
        )
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


class VerifiedFile(io.RawIOBase):
    """A read-only, seekable file whose every byte was checked against `root` before it was handed out.

    `raw` is the unverified file (it is closed with this one), `size` and `root` come from a signed statement, `hashes`
    are the leaf hashes, `name` is what errors call the file. `read_at` may be called from several threads. Raises
    VerificationError, naming the file, the block and the byte range, as soon as something does not match.
    """

    def __init__(self, raw: BinaryIO, *, size: int, hashes: Sequence[bytes], root: bytes, name: str) -> None:
        super().__init__()
        self._raw, self._size, self._name = raw, size, name
        self._position = 0
        self._lock = Lock()
        try:
            self._descriptor: int | None = raw.fileno()
        except (OSError, AttributeError):
            self._descriptor = None
        self._hashes = tuple(hashes)
        if len(self._hashes) != -(-size // BLOCK):
            raise VerificationError(
                f"{name}: expected {-(-size // BLOCK)} block hashes for {size} bytes, found {len(self._hashes)}"
            )
        found = merkle.root_of(self._hashes)
        if found != root:
            raise VerificationError(f"{name}: expected block root {root.hex()}, found {found.hex()} over its hashes")
        actual = raw.seek(0, io.SEEK_END)
        if actual != size:
            raise VerificationError(f"{name}: expected {size} bytes, found {actual}")

    def read_at(self, offset: int, length: int) -> memoryview:
        """Verified bytes [offset, offset + length), cut at the end of the file."""
        end = min(offset + length, self._size)
        if offset < 0 or end <= offset:
            return memoryview(b"")
        first, last = offset // BLOCK, -(-end // BLOCK)
        start = first * BLOCK
        view = memoryview(self._copy(start, min(last * BLOCK, self._size) - start))
        if last - first < 2 * _SHARE:
            self._check(view, first, first, last)
        else:
            shares = [(at, min(at + _SHARE, last)) for at in range(first, last, _SHARE)]
            for done in [threads().submit(self._check, view, first, *share) for share in shares]:
                done.result()
        return view[offset - start : end - start]

    def checked_ahead(self, target: memoryview) -> "CheckedAhead":
        """Fill `target`, memory of this file's size that nobody else writes to, while its first blocks may be parsed already."""
        count = len(self._hashes)

        def fill(first: int, last: int) -> None:
            start, end = first * BLOCK, min(last * BLOCK, self._size)
            target[start:end] = self._copy(start, end - start)
            self._check(target, 0, first, last)

        shares = [(at, min(at + _SHARE, count)) for at in range(0, count, _SHARE)]
        return CheckedAhead([threads().submit(fill, *share) for share in shares])

    def _check(self, view: memoryview, base: int, first: int, last: int) -> None:
        """Compare blocks [first, last); `view` begins at block `base`."""
        for block in range(first, last):
            at = (block - base) * BLOCK
            if _leaf(view[at : at + BLOCK]) != self._hashes[block]:
                start, end = block * BLOCK, min((block + 1) * BLOCK, self._size)
                found = _leaf(view[at : at + BLOCK]).hex()
                raise VerificationError(
                    f"{self._name}: block {block}, bytes {start} to {end}: expected leaf hash "
                    f"{self._hashes[block].hex()}, found {found}",
                    block=block,
                    first_byte=start,
                    end_byte=end,
                )

    def _copy(self, offset: int, length: int) -> bytes:
        """Unverified bytes in memory that nobody else can write to."""
        try:
            if self._descriptor is not None:
                data = os.pread(self._descriptor, length, offset)
                while len(data) < length:
                    more = os.pread(self._descriptor, length - len(data), offset + len(data))
                    if not more:
                        break
                    data += more
            else:
                with self._lock:
                    self._raw.seek(offset)
                    data = bytes(self._raw.read(length))
        except OSError as error:
            raise StoreError(f"{self._name}: bytes {offset} to {offset + length} cannot be read: {error}") from None
        if len(data) != length:
            raise VerificationError(
                f"{self._name}: expected bytes {offset} to {offset + length}, found its end at {offset + len(data)}"
            )
        return data

    # What io.RawIOBase and pyarrow.PythonFile ask of a file.

    def read(self, size: int | None = -1) -> bytes:
        """Verified bytes at the present position."""
        return bytes(self.read_buffer(size))

    def read_buffer(self, size: int | None = -1) -> memoryview:
        """As `read`, without a second copy; what pyarrow calls where a file has it."""
        rest = max(self._size - self._position, 0)
        data = self.read_at(self._position, rest if size is None or size < 0 else size)
        self._position += len(data)
        return data

    def readinto(self, buffer: object) -> int:
        """Fill `buffer` with verified bytes."""
        target = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        data = self.read_buffer(len(target))
        target[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Everything from the present position on."""
        return self.read()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position, as `io.IOBase.seek`."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def size(self) -> int:
        """The signed size in bytes."""
        return self._size

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Close this file and the raw one."""
        if not self.closed:
            self._raw.close()
        super().close()


class CheckedAhead:
    """A copy of a file that is being made and checked, in order; `until` says how far it can be used."""

    def __init__(self, checks: Sequence[Future[None]]) -> None:
        self._checks = checks

    def until(self, end: int) -> None:
        """Return when bytes [0, end) are there and verified; raises VerificationError where they are not."""
        for check in self._checks[: -(-end // (_SHARE * BLOCK))]:
            check.result()


_SHARE = 8  # blocks that one thread hashes: half a megabyte, far above the cost of handing over

_threads: ThreadPoolExecutor | None = None


def threads() -> ThreadPoolExecutor:
    """Threads for hashing (SHA-256 releases the interpreter lock); made anew in a forked data-loader worker."""
    global _threads
    if _threads is None:
        _threads = ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="inbond-blocks")
    return _threads


def _forget_threads() -> None:
    global _threads
    _threads = None


os.register_at_fork(after_in_child=_forget_threads)


def _leaf(block: bytes | memoryview) -> bytes:
    """`merkle.leaf_hash` of a block, without copying it behind the prefix."""
    digest = sha256(b"\x00")
    digest.update(block)
    return digest.digest()
