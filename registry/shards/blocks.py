"""Verified bytes: the RFC 6962 tree over a file's 65,536-byte blocks, and a file object that checks what it hands out.

A statement signs the file's size and the root of this tree. The leaf hashes are kept beside the file; they prove
nothing by themselves, so `VerifiedFile` first checks them against the signed root. Each read then copies the blocks
that it touches into memory of its own, hashes that copy, and hands out that copy: what was hashed is what is parsed,
even while somebody writes to the file. Only touched blocks are read: any column, any row range can be verified alone.
"""

import io
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from threading import Lock
from typing import BinaryIO, NamedTuple, Protocol, runtime_checkable

from inbond.ledger import merkle
from inbond.registry.shards.positioned import PositionedFile
from inbond.schemas.errors import StoreError, VerificationError

BLOCK = 65_536
HASH_BYTES = 32
SHARE = 16
"""Blocks that one thread hashes: a megabyte, far above the cost of handing over."""

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


@runtime_checkable
class Ranged(Protocol):
    """A file elsewhere, of which any range can be asked for, by several threads at once."""

    piece: int
    """Bytes of one request that are worth its cost, at most."""

    gap: int
    """Bytes that are not wanted and cost less than another request."""

    def read_at(self, first: int, last: int) -> bytes | memoryview:
        """Bytes [first, last). Raises an InbondError."""


class Share(NamedTuple):
    """Blocks [first, last), for memory that begins at block `base` and is nobody else's."""

    target: memoryview
    base: int
    first: int
    last: int


class VerifiedFile(PositionedFile):
    """A read-only, seekable file whose every byte was checked against `root` before it was handed out.

    `raw` is the unverified file (it is closed with this one), `size` and `root` come from a signed statement, `hashes`
    are the leaf hashes, `name` is what errors call the file. `read_at` may be called from several threads. Raises
    VerificationError, naming the file, the block and the byte range, as soon as something does not match.
    """

    def __init__(self, raw: BinaryIO, *, size: int, hashes: Sequence[bytes], root: bytes, name: str) -> None:
        super().__init__(size)
        self._raw, self._name = raw, name
        self._lock = Lock()
        try:
            self._descriptor: int | None = raw.fileno()
        except (OSError, AttributeError):
            self._descriptor = None
        self.ranged = raw if isinstance(raw, Ranged) else None
        self._hashes = tuple(hashes)
        if len(self._hashes) != -(-size // BLOCK):
            raise VerificationError(
                f"{name}: expected {-(-size // BLOCK)} block hashes for {size} bytes, found {len(self._hashes)}",
                hint=OTHER_BYTES,
            )
        found = merkle.root_of(self._hashes)
        if found != root:
            raise VerificationError(
                f"{name}: expected block root {root.hex()}, found {found.hex()} over its hashes", hint=OTHER_BYTES
            )
        actual = raw.seek(0, io.SEEK_END)
        if actual != size:
            raise VerificationError(f"{name}: expected {size} bytes, found {actual}", hint=OTHER_BYTES)

    def read_at(self, offset: int, length: int) -> memoryview:
        """Verified bytes [offset, offset + length), cut at the end of the file."""
        end = min(offset + length, self._size)
        if offset < 0 or end <= offset:
            return memoryview(b"")
        first, last = offset // BLOCK, -(-end // BLOCK)
        start = first * BLOCK
        view = memoryview(self._copy(start, min(last * BLOCK, self._size) - start))
        if last - first < 2 * SHARE:
            self._check(view, first, first, last)
        else:
            shares = [(at, min(at + SHARE, last)) for at in range(first, last, SHARE)]
            for done in [threads().submit(self._check, view, first, *share) for share in shares]:
                done.result()
        return view[offset - start : end - start]

    def runs(self, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """The ranges of blocks that hold `spans`, ascending; near ones are joined, where asking twice would cost more."""
        gap = 0 if self.ranged is None else self.ranged.gap // BLOCK
        runs: list[tuple[int, int]] = []
        for start, end in sorted(span for span in spans if span[0] < span[1]):
            first, last = start // BLOCK, -(-min(end, self._size) // BLOCK)
            if runs and first <= runs[-1][1] + gap:
                first, last = runs[-1][0], max(last, runs.pop()[1])
            runs.append((first, last))
        return runs

    def fill(self, shares: Iterable["Share"]) -> None:
        """Copy the blocks of each share into its memory, and check them."""
        for target, base, first, last in shares:
            start, end = first * BLOCK, min(last * BLOCK, self._size)
            into = target[start - base * BLOCK : end - base * BLOCK]
            if self._descriptor is None:
                into[:] = self._copy(start, end - start)
            else:
                self._read_into(into, start)
            self._check(target, base, first, last)

    def _read_into(self, into: memoryview, offset: int) -> None:
        done = 0
        try:
            while done < len(into) and (more := os.preadv(self._descriptor or 0, [into[done:]], offset + done)):
                done += more
        except OSError as error:
            raise StoreError(f"{self._name}: bytes {offset} to {offset + len(into)} cannot be read: {error}") from None
        if done < len(into):
            raise self._short(offset, len(into), done)

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
                    hint=OTHER_BYTES,
                    block=block,
                    first_byte=start,
                    end_byte=end,
                )

    def _copy(self, offset: int, length: int) -> bytes | memoryview:
        """Unverified bytes in memory that nobody else can write to."""
        if self._descriptor is not None:
            target = memoryview(bytearray(length))
            self._read_into(target, offset)
            return target
        data: bytes | memoryview
        try:
            if self.ranged is not None:
                data = self.ranged.read_at(offset, offset + length)
            else:
                with self._lock:
                    self._raw.seek(offset)
                    data = bytes(self._raw.read(length))
        except OSError as error:
            raise StoreError(f"{self._name}: bytes {offset} to {offset + length} cannot be read: {error}") from None
        if len(data) != length:
            raise self._short(offset, length, len(data))
        return data

    def _short(self, offset: int, length: int, found: int) -> VerificationError:
        said = f"{self._name}: expected bytes {offset} to {offset + length}, found its end at {offset + found}"
        return VerificationError(said, hint=OTHER_BYTES)

    def read_buffer(self, size: int | None = -1) -> memoryview:
        """As `read`, without a second copy; what pyarrow calls where a file has it."""
        return memoryview(self._read_on(size))

    def _take(self, first: int, last: int) -> memoryview:
        return self.read_at(first, last - first)

    def close(self) -> None:
        """Close this file and the raw one."""
        if not self.closed:
            self._raw.close()
        super().close()


OTHER_BYTES = "These are not the bytes that were signed: read them from where they came, or from a backup (inbond restore)."

_threads: ThreadPoolExecutor | None = None
_waiting: ThreadPoolExecutor | None = None


def threads() -> ThreadPoolExecutor:
    """Threads for hashing (SHA-256 releases the interpreter lock); made anew in a forked data-loader worker."""
    global _threads
    if _threads is None:
        _threads = ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="inbond-blocks")
    return _threads


def waiting_threads() -> ThreadPoolExecutor:
    """Threads that wait for a network and hash what it brings; made anew in a forked data-loader worker."""
    global _waiting
    if _waiting is None:
        _waiting = ThreadPoolExecutor(8, thread_name_prefix="inbond-ranges")
    return _waiting


def _forget_threads() -> None:
    global _threads, _waiting
    _threads = _waiting = None


os.register_at_fork(after_in_child=_forget_threads)


def _leaf(block: bytes | memoryview) -> bytes:
    """`merkle.leaf_hash` of a block, without copying it behind the prefix."""
    digest = sha256(b"\x00")
    digest.update(block)
    return digest.digest()
