"""Where an audit reads a log from: its database, or a folder of exported files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from inbond.ledger.database import translated
from inbond.ledger.reader import LedgerReader
from inbond.ledger.tiles import decode_bundle, entries_path
from inbond.schemas.errors import Inconclusive, VerificationError

Item = TypeVar("Item")


class Source(Protocol):
    """Where an audit reads a log from."""

    name: str

    def checkpoint(self) -> bytes:
        """The newest checkpoint, a signed note."""

    def entries(self, size: int) -> Iterator[tuple[int, bytes]]:
        """(seq, bytes) of the first `size` entries, in order."""


class DatabaseSource:
    """A log in its database, in one snapshot."""

    def __init__(self, name: str, reader: LedgerReader) -> None:
        self.name, self._reader = name, reader

    def checkpoint(self) -> bytes:
        """The newest checkpoint, a signed note."""
        return self._reader.note

    def entries(self, size: int) -> Iterator[tuple[int, bytes]]:
        """(seq, bytes) of the first `size` entries, in order."""
        return translating(Path(self.name), self._reader.entries(0, size))


class FolderSource:
    """A log as `export` writes it; also what a web server would serve."""

    def __init__(self, folder: Path) -> None:
        self.name, self._folder = str(folder), folder

    def checkpoint(self) -> bytes:
        """The newest checkpoint, a signed note."""
        return self.read("checkpoint")

    def entries(self, size: int) -> Iterator[tuple[int, bytes]]:
        """(seq, bytes) of the first `size` entries, in order."""
        for n in range((size + 255) // 256):
            width = min(256, size - 256 * n)
            if not (self._folder / entries_path(n, width)).is_file() and n == 0:
                raise Inconclusive(f"{self._folder} has no entry bundles: a public export shows heads and tiles, not entries")
            bundle = decode_bundle(self.read(entries_path(n, width)), width)
            yield from ((256 * n + i, data) for i, data in enumerate(bundle))

    def read(self, path: str) -> bytes:
        """The bytes of one file of the log."""
        try:
            return (self._folder / path).read_bytes()
        except OSError as error:
            raise VerificationError(f"{self._folder / path}: expected a file of the log, found none: {error.strerror}") from None


def translating(path: Path, items: Iterator[Item]) -> Iterator[Item]:
    """The same items; damage that shows while they are read is that of the database at `path`."""
    with translated(path):
        yield from items
