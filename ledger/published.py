"""A log as C2SP `tlog-tiles` lays it out in files: in a folder as `export` writes it, or wherever else they can be read.

Every file is held to what follows from the entries: bundles and tiles, also the narrower ones that earlier exports have
left; and in a folder there must be no others under `tile/`.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from inbond.ledger.auditing.examining import Examined
from inbond.ledger.notes import MAX_NOTE
from inbond.ledger.sources import LARGE
from inbond.ledger.tiles import TILE_WIDTH, TileName, decode_bundle, entries_path, parse_path
from inbond.schemas.entry import MAX_ENTRY
from inbond.schemas.errors import InvalidInput, StoreError, VerificationError

Item = TypeVar("Item")
Read = TypeVar("Read")


class Files(Protocol):
    """The files of a log in the form of C2SP `tlog-tiles`. Safe to read from many threads."""

    name: str
    ahead: int
    """How many files it is worth asking for at once."""

    withheld: str | None
    """Why entry bundles are not shown, where that was said."""

    def read(self, path: str, limit: int) -> bytes | None:
        """The bytes of a file, None where there is none; VerificationError for more than `limit`."""

    def paths(self) -> list[str] | None:
        """The path of every file under `tile/`; None where nobody can tell."""


class FolderFiles:
    """Files in a folder, as `export` writes them."""

    ahead = 1
    withheld: str | None = None

    def __init__(self, folder: Path) -> None:
        self.name, self._folder = str(folder), folder

    def read(self, path: str, limit: int) -> bytes | None:
        """The bytes of a file, None where there is none."""
        try:
            with (self._folder / path).open("rb") as file:
                data = file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"{self._folder / path}: cannot be read: {error.strerror}") from error
        if len(data) > limit:
            raise VerificationError(f"{self._folder / path}: expected at most {limit} bytes, found more")
        return data

    def paths(self) -> list[str]:
        """The path of every file under `tile/`."""
        return [
            (Path(folder) / name).relative_to(self._folder).as_posix()
            for folder, _, names in os.walk(self._folder / "tile")
            for name in names
        ]


class FileSource:
    """A log as `export` writes it, and as a server shows it."""

    rows = False

    def __init__(self, files: Files) -> None:
        self.name, self._files, self.head = files.name, files, f"{files.name}/checkpoint"
        paths = files.paths()
        self._listed = paths is not None
        self._there: dict[tuple[int | None, int], set[int]] = {}  # the widths of the files of a tile, not checked yet
        self._strange: list[str] = []
        for path in paths or ():
            try:
                name = parse_path(path)
                self._there.setdefault((name.level, name.n), set()).add(name.width)
            except InvalidInput:
                self._strange.append(path)
        self._fetched: dict[tuple[int, int], bytes] = {}
        self._first: set[int] = set()  # the widths in which the first bundle was asked for

    @property
    def withheld(self) -> str | None:
        """Why entries are not shown, where that was said."""
        return self._files.withheld

    def checkpoint(self) -> bytes:
        """The newest checkpoint, a signed note."""
        return self._expected("checkpoint", self._files.read("checkpoint", MAX_NOTE))

    def has_entries(self, size: int) -> bool:
        """Whether entries can be read, or heads and tiles only."""
        if self._listed:
            return any(level is None for level, _ in self._there)
        return self._read(TileName(None, 0, min(size, TILE_WIDTH))) is not None

    def genesis(self) -> bytes:
        """The bytes of entry 0, from the widest first bundle that is there."""
        widths = {TILE_WIDTH, *self._there.get((None, 0), ()), *self._first}
        for width in sorted(widths, reverse=True):
            data = self._files.read(entries_path(0, width), _limit(TileName(None, 0, width)))
            if data is not None:
                return data[2 : _end(data, 1)]
        raise VerificationError(f"{self.name}/{entries_path(0)}: expected a file of the log, found none")

    def first_leaf(self, size: int) -> bytes:
        """What the tiles say is the leaf hash of entry 0; not verified."""
        return self.tile(0, 0, min(size, TILE_WIDTH))[:32]

    def chunks(self, first: int, size: int, step: int) -> Iterator["FileChunk"]:
        """The entries in [first, size), `step` at a time."""
        wanted = (TileName(None, n, min(TILE_WIDTH, size - TILE_WIDTH * n)) for n in _tiles(first, size))
        with closing(_ahead(self._bundle, wanted, self._files.ahead)) as bundles:
            chunk = FileChunk(self.name, first)
            for bundle in bundles:
                chunk.add(bundle)
                if len(chunk.entries) >= step or chunk.size > LARGE:
                    yield chunk
                    chunk = FileChunk(self.name, chunk.last)
            if chunk.entries:
                yield chunk

    def leaves(self, size: int) -> Iterator[bytes]:
        """The tiles of level 0, for a log whose entries cannot be read."""
        wanted = (TileName(0, n, min(TILE_WIDTH, size - TILE_WIDTH * n)) for n in _tiles(0, size))
        with closing(_ahead(lambda name: self.tile(0, name.n, name.width), wanted, self._files.ahead)) as tiles:
            yield from tiles

    def tile(self, level: int, n: int, width: int = TILE_WIDTH) -> bytes:
        """A tile of hashes as it is kept."""
        name = TileName(level, n, width)
        return self._expected(name.path, self._read(name))

    def check_tile(self, level: int, n: int, data: bytes) -> None:
        """Raise VerificationError unless every file of a tile holds the bytes `data`, or how they began."""
        width = len(data) // 32
        name = TileName(level, n, width)
        found = self._fetched.pop((level, n), None) or self._expected(name.path, self._read(name))
        for other, path in [(found, name.path), *self._others(name)]:
            if other != data[: len(other)]:
                raise self._differing(level, n, path, data, other)

    def check_end(self, size: int) -> None:
        """Nothing: a bundle has as many entries as its name says."""

    def check_rest(self, size: int, first: int) -> None:
        """Raise VerificationError for files under `tile/` that a log of `size` entries does not have."""
        left = [
            TileName(level, n, width).path
            for (level, n), widths in self._there.items()
            for width in widths
            if (n + 1) << 8 * (1 + (level or 0)) > first
        ]
        for path in sorted([*left, *self._strange])[:1]:
            raise VerificationError(f"{self.name}/{path}: expected the files of a log of {size} entries, found one more")

    def notes(self, above: int, upto: int) -> list[tuple[int, bytes]]:
        """None: files hold the newest checkpoint only."""
        return []

    def _bundle(self, name: TileName) -> "_Bundle":
        if name.n == 0:
            self._first.add(name.width)
        data = self._expected(name.path, self._read(name))
        try:
            entries = decode_bundle(data, name.width)
        except VerificationError as error:
            raise VerificationError(f"{self.name}/{name.path}: {error.message}") from None
        differing = [path for other, path in self._others(name) if other != data[: _end(data, parse_path(path).width)]]
        if self._files.ahead > 1:
            self._fetched[0, name.n] = self.tile(0, name.n, name.width)
        return _Bundle(name.path, entries, differing)

    def _read(self, name: TileName) -> bytes | None:
        """The bytes of a tile or bundle; where only a wider one is kept, as much of it as `name` says."""
        data = self._files.read(name.path, _limit(name))
        if data is None and name.width < TILE_WIDTH:
            full = TileName(name.level, name.n)
            data = self._files.read(full.path, _limit(full))
            if data is not None:
                end = 32 * name.width if name.level is not None else _end(data, name.width)
                data = data[:end]
        if data is not None:
            _check_length(f"{self.name}/{name.path}", name, data)
        return data

    def _others(self, name: TileName) -> Iterator[tuple[bytes, str]]:
        """The other files of a tile, which earlier exports have left, with their paths; all are then accounted for."""
        for width in sorted(self._there.pop((name.level, name.n), set()) - {name.width}):
            other = TileName(name.level, name.n, width)
            if width > name.width:
                raise VerificationError(f"{self.name}/{other.path}: expected at most {name.width} wide, as the checkpoint says")
            data = self._expected(other.path, self._files.read(other.path, _limit(other)))
            _check_length(f"{self.name}/{other.path}", other, data)
            yield data, other.path

    def _expected(self, path: str, data: bytes | None) -> bytes:
        if data is None:
            raise VerificationError(f"{self.name}/{path}: expected a file of the log, found none")
        return data

    def _differing(self, level: int, n: int, path: str, data: bytes, found: bytes) -> VerificationError:
        at = next((at for at in range(0, len(data), 32) if data[at : at + 32] != found[at : at + 32]), 0)
        expected, there = data[at : at + 32].hex(), found[at : at + 32].hex() or "nothing"
        if level:
            follows = f"{expected}, which follows from the entries"
            return VerificationError(f"{self.name}/{path}: expected hash {at // 32} to be {follows}, found {there}")
        bundle = entries_path(n, len(data) // 32)
        return VerificationError(
            f"{self.name}/{path}: expected the leaf hash {expected} of entry {TILE_WIDTH * n + at // 32} as it is in "
            f"{self.name}/{bundle}, found {there}"
        )


@dataclass(frozen=True)
class _Bundle:
    path: str
    entries: list[bytes]
    differing: list[str]
    """The paths of narrower files that do not hold how this one begins."""


class FileChunk:
    """The entries of some bundles."""

    def __init__(self, name: str, first: int) -> None:
        self._name, self.last, self.size = name, first, 0
        self.entries: list[bytes] = []
        self._paths: list[str] = []
        self._differing: list[str] = []

    def add(self, bundle: _Bundle) -> None:
        """Take in the next bundle."""
        self.entries += bundle.entries
        self.last += len(bundle.entries)
        self.size += sum(map(len, bundle.entries))
        self._paths.append(bundle.path)
        self._differing += [f"{self._name}/{path}: expected how {bundle.path} begins, found others" for path in bundle.differing]

    def where(self, index: int) -> str:
        """Where an entry lies, for messages."""
        return f"{self._name}/{self._paths[index // TILE_WIDTH]}: " if self._paths else ""

    def compare(self, examined: Examined) -> None:
        """Nothing is kept beside entries in files, but their tiles."""

    def check_others(self) -> None:
        """Raise VerificationError for a bundle of an earlier export that differs; these entries have been examined."""
        for problem in self._differing:
            raise VerificationError(problem)


def _tiles(first: int, size: int) -> range:
    return range(first // TILE_WIDTH, -(-size // TILE_WIDTH))


def _limit(name: TileName) -> int:
    return name.width * (32 if name.level is not None else 2 + MAX_ENTRY)


def _check_length(path: str, name: TileName, data: bytes) -> None:
    if name.level is not None and len(data) != 32 * name.width:
        raise VerificationError(f"{path}: expected {32 * name.width} bytes, found {len(data)}")


def _end(bundle: bytes, count: int) -> int:
    """Where the first `count` entries of a bundle end, or the bundle does."""
    at = 0
    for _ in range(count):
        at += 2 + int.from_bytes(bundle[at : at + 2], "big")
    return at


def _ahead(read: Callable[[Item], Read], wanted: Iterable[Item], count: int) -> Generator[Read, None, None]:
    """What `read` gives for each of `wanted`, in order; up to `count` are read at once."""
    if count == 1:
        yield from map(read, wanted)
        return
    pool = ThreadPoolExecutor(count, thread_name_prefix="inbond-fetch")
    under_way: deque[Future[Read]] = deque()
    try:
        for item in wanted:
            under_way.append(pool.submit(read, item))
            if len(under_way) >= count:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # whoever stops here does not wait for what nobody wants
