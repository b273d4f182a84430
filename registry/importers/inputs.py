"""Input files that must not change while they are imported.

The import identity names each input by its digest, which is known only after a first pass, while the records come from
a second one. So the first pass keeps a fingerprint of each block, and the second compares each block with it before
anyone parses a byte: what is imported is what the digest says, or the import stops.

The fingerprint is Python's own `hash` where that is SipHash, keyed by this process at random: 64 bits, which a file that
changes by accident meets with probability 2^-64 a block and a person who cannot read our memory cannot aim at. It is ten
times faster than SHA-256 on a machine without SHA instructions, where a second SHA-256 would cost more than the parsing.
"""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from hashlib import blake2b, sha256
from types import TracebackType
from typing import BinaryIO, Self

from inbond.schemas.errors import InvalidInput, NotFound, StoreError

BLOCK = 1024 * 1024

_SIPHASH = sys.hash_info.algorithm.startswith("siphash")

Progress = Callable[[int], None]
"""Called with the number of bytes just read."""


class Input:
    """A regular file, read once to know it: `digest` (`sha256:<64 hex>`) and `size` in bytes.

    `name` is the path as it was given; messages use it. Keeps one number for each MiB of the file. Raises NotFound
    for no file, InvalidInput for something that cannot be read twice (a pipe, a folder) or not at all, and StoreError
    where the disk fails.
    """

    def __init__(self, path: str | os.PathLike[str], progress: Progress | None = None) -> None:
        self.path = os.fspath(path)
        self.name = self.path
        self.size = 0
        self._fingerprints: list[int] = []
        running = sha256()
        with _open(self.path) as file:
            while block := _read(file, self.name, BLOCK):
                running.update(block)
                self._fingerprints.append(_fingerprint(block))
                self.size += len(block)
                if progress is not None:
                    progress(len(block))
        self.digest = f"sha256:{running.hexdigest()}"

    def open(self, progress: Progress | None = None) -> "InputReader":
        """A reader of the same bytes from the start. Use it as a context manager."""
        return InputReader(self, _open(self.path), self._fingerprints, progress)


class InputReader:
    """Yields the blocks of an input, each compared with the first pass.

    Iterating raises InvalidInput when the file shrank, grew or changed in between.
    """

    def __init__(self, source: Input, file: BinaryIO, fingerprints: list[int], progress: Progress | None) -> None:
        self.name = source.name
        self._size = source.size
        self._file = file
        self._fingerprints = fingerprints
        self._progress = progress

    def __iter__(self) -> Iterator[bytes]:
        done = 0
        for number, expected in enumerate(self._fingerprints):
            block = _read(self._file, self.name, min(BLOCK, self._size - done))
            if _fingerprint(block) != expected:
                raise InvalidInput(self._changed(number, len(block)), file=self.name)
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

    def _changed(self, number: int, found: int) -> str:
        start = number * BLOCK
        expected = min(BLOCK, self._size - start)
        if found < expected:
            return f"{self.name} changed while it was read: expected {self._size} bytes, found only {start + found}"
        return (
            f"{self.name} changed while it was read: expected bytes {start} to {start + expected} "
            "as they were in the first pass, found others"
        )


def _fingerprint(block: bytes) -> int:
    if _SIPHASH:
        return hash(block)
    return int.from_bytes(blake2b(block, digest_size=16).digest())


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
