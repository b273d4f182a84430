"""Input files that must not change while they are imported.

The import identity names each input by its digest, which is known only after a first pass, while the records come from
a second one. So the first pass keeps a fingerprint of each block, and the second compares each block with it before
anyone parses a byte: what is imported is what the digest says, or the import stops.

The fingerprint is GMAC (AES-GCM over associated data alone, NIST SP 800-38D) under a random key of this input, with the
block's number as the nonce: 128 bits, which a person who cannot read our memory cannot aim at. It takes a twentieth of the
time of a second SHA-256 on a machine without SHA instructions, and other processes that are handed the input compute the same.
"""

import io
import os
import stat
from collections.abc import Callable, Iterator
from hashlib import sha256
from secrets import token_bytes
from types import TracebackType
from typing import BinaryIO, Self

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from inbond.schemas.errors import InvalidInput, NotFound, StoreError

BLOCK = 1024 * 1024
_BLOCKS_KEPT = 16

Progress = Callable[[int], None]
"""Called with the number of bytes just read."""


class Input:
    """A regular file, read once to know it: `digest` (`sha256:<64 hex>`) and `size` in bytes.

    `name` is the path as it was given; messages use it. `head` are its first 8 bytes. Keeps one number for each MiB of the
    file. Raises NotFound for no file, InvalidInput for something that cannot be read twice (a pipe, a folder) or not at all,
    and StoreError where the disk fails. Pickled, it is the same input in another process, which reads the file by its path.
    """

    def __init__(self, path: str | os.PathLike[str], progress: Progress | None = None) -> None:
        self.path = os.fspath(path)
        self.name = self.path
        self.size = 0
        self.head = b""
        self._seen = _Seen(token_bytes(16))
        running = sha256()
        with _open(self.path) as file:
            while block := _read(file, self.name, BLOCK):
                self.head = self.head or block[:8]
                running.update(block)
                self._seen.add(block)
                self.size += len(block)
                if progress is not None:
                    progress(len(block))
        self.digest = f"sha256:{running.hexdigest()}"

    def open(self, progress: Progress | None = None) -> "InputReader":
        """A reader of the same bytes from the start. Use it as a context manager."""
        return InputReader(self, _open(self.path), self._seen, progress)

    def open_file(self, progress: Progress | None = None) -> "InputFile":
        """The same bytes as a file to read from any place. Use it as a context manager."""
        return InputFile(self, _open(self.path), self._seen, progress)


class InputReader:
    """Yields the blocks of an input, each compared with the first pass.

    Iterating raises InvalidInput when the file shrank, grew or changed in between.
    """

    def __init__(self, source: Input, file: BinaryIO, seen: "_Seen", progress: Progress | None) -> None:
        self.name = source.name
        self._size = source.size
        self._file = file
        self._seen = seen
        self._progress = progress

    def __iter__(self) -> Iterator[bytes]:
        return self.blocks(0)

    def blocks(self, first: int) -> Iterator[bytes]:
        """The blocks from that of the number `first` on, each of BLOCK bytes but the last."""
        done = first * BLOCK
        self._file.seek(done)
        for number in range(first, len(self._seen)):
            block = _read(self._file, self.name, min(BLOCK, self._size - done))
            if not self._seen.has(number, block):
                raise InvalidInput(_changed(self.name, self._size, number, len(block)), file=self.name)
            done += len(block)
            if self._progress is not None:
                self._progress(len(block))
            yield block
        if _read(self._file, self.name, 1):
            raise InvalidInput(f"{self.name} changed while it was read: expected {done} bytes, found more", file=self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._file.close()


class InputFile(io.RawIOBase):
    """An input as a seekable file of which every block that is handed out was compared with the first pass.

    Reading raises InvalidInput when the file shrank, grew or changed in between. `progress` hears of each block once.
    """

    def __init__(self, source: Input, file: BinaryIO, seen: "_Seen", progress: Progress | None) -> None:
        super().__init__()
        self.name = source.name
        self.size = source.size
        self._file = file
        self._seen = seen
        self._progress = progress
        self._at = 0
        self._told = bytearray(len(seen))
        self._blocks: dict[int, bytes] = {}  # those read last
        found = os.fstat(file.fileno()).st_size
        if found != source.size:
            file.close()
            raise InvalidInput(
                f"{self.name} changed while it was read: expected {source.size} bytes, found {found}", file=self.name
            )

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes from where the file is; all that are left for -1."""
        end = self.size if size < 0 else min(self._at + size, self.size)
        parts = []
        while self._at < end:
            number, offset = divmod(self._at, BLOCK)
            part = self._block(number)[offset : offset + end - self._at]
            parts.append(part)
            self._at += len(part)
        return b"".join(parts)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, which may lie behind the end, where there is nothing to read."""
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence])
        return self._at

    def tell(self) -> int:
        """Where the file is."""
        return self._at

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._file.close()
        super().close()

    def _block(self, number: int) -> bytes:
        block = self._blocks.get(number)
        if block is not None:
            return block
        self._file.seek(number * BLOCK)
        block = _read(self._file, self.name, min(BLOCK, self.size - number * BLOCK))
        if not self._seen.has(number, block):
            raise InvalidInput(_changed(self.name, self.size, number, len(block)), file=self.name)
        if self._progress is not None and not self._told[number]:
            self._progress(len(block))
        self._told[number] = 1
        while len(self._blocks) >= _BLOCKS_KEPT:
            self._blocks.pop(next(iter(self._blocks)))
        self._blocks[number] = block
        return block


def _changed(name: str, size: int, number: int, found: int) -> str:
    start = number * BLOCK
    expected = min(BLOCK, size - start)
    if found < expected:
        return f"{name} changed while it was read: expected {size} bytes, found only {start + found}"
    as_before = f"bytes {start} to {start + expected} as they were in the first pass"
    return f"{name} changed while it was read: expected {as_before}, found others"


class _Seen:
    """The fingerprints of successive blocks."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._tags = bytearray()

    def __len__(self) -> int:
        return len(self._tags) // 16

    def add(self, block: bytes) -> None:
        """Take the next block."""
        self._tags += self._tag(len(self), block)

    def has(self, number: int, block: bytes) -> bool:
        """Whether the block of this number is what it was."""
        return self._tag(number, block) == self._tags[16 * number : 16 * number + 16]

    def _tag(self, number: int, block: bytes) -> bytes:
        return AESGCM(self._key).encrypt(number.to_bytes(12), b"", block)


def _open(path: str) -> BinaryIO:
    try:
        # O_NONBLOCK: opening a pipe nobody writes to must end in a message, not hang. Regular files ignore it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise NotFound(f"expected a file, found nothing at {path}", file=path) from None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"expected a file that can be read, found {path}: {error}", file=path) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        found = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
        raise InvalidInput(
            f"expected a regular file, found {found}: {path}",
            hint="An import reads each file twice; write the data to a file first.",
            file=path,
        )
    return os.fdopen(descriptor, "rb")


def _read(file: BinaryIO, name: str, size: int) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise StoreError(f"reading {name} failed: {error}", file=name) from error
