"""Whether two signed heads are of one history, found out from the log's own tiles; and what proves that they are not.

The proof is computed here (RFC 6962 §2.1.2) out of tiles that are fetched here, so nobody is asked for a proof. Where it does not
hold, the tiles say why: they do not lead to the root that was signed for the larger head, or they do, and then the smaller head
is of another history. Both notes and the tiles are the evidence, which anybody can check who trusts the log's key.
"""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from inbond.ledger import merkle
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.files import make_folders, write_durably
from inbond.ledger.merkle import HASH_SIZE
from inbond.ledger.tiles import MAX_LEVEL, TILE_HEIGHT, TILE_WIDTH, TileName, node_reader, tile_root
from inbond.schemas.errors import Inconclusive, StoreError, VerificationError


class Readable(Protocol):
    """Files of a log by path: `published.Files`, as far as tiles need it."""

    name: str

    def read(self, path: str, limit: int) -> bytes | None:
        """The bytes of a file, None where there is none; VerificationError for more than `limit`."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A head, and the note that its log has signed."""

    head: Checkpoint
    note: bytes


class Contradiction(Exception):
    """Two signed heads that cannot both be of one honest log, with the tiles that show it."""

    def __init__(self, why: str, first: Signed, second: Signed, tiles: dict[str, bytes]) -> None:
        super().__init__(why)
        self.why, self.first, self.second, self.tiles = why, first, second, tiles

    def write(self, folder: Path) -> Path:
        """Write both notes and the tiles into a folder of their own under `folder`; returns it. StoreError if it cannot be."""
        first, second = sorted((self.first, self.second), key=lambda each: each.head.size)
        files = {"first.note": first.note, "second.note": second.note, **self.tiles}
        digest = hashlib.sha256(b"".join(name.encode() + b"\0" + files[name] for name in sorted(files))).hexdigest()
        files["README.txt"] = (
            f"{first.head.origin}: {self.why}\n\nfirst.note and second.note are checkpoints that the log's key has signed; tile/ "
            "holds the tiles that were fetched for the larger of them.\n"
        ).encode()
        there = folder / f"evidence-{digest[:16]}"
        try:
            for name, data in files.items():
                make_folders((there / name).parent, 0o700)
                write_durably(there / name, data, 0o600)
        except OSError as error:
            raise StoreError(f"{there}: {self.why}; the evidence could not be written: {error.strerror}") from error
        return there


class Tiles:
    """The tiles of a log of `size`, out of `files`, until `deadline` (monotonic seconds); those read are kept."""

    def __init__(self, files: Readable, size: int, deadline: float) -> None:
        self._files, self._size, self._deadline = files, size, deadline
        self.kept: dict[tuple[int, int], bytes] = {}

    def __call__(self, level: int, n: int) -> bytes:
        """A tile as wide as it is at that size. Raises Inconclusive where it cannot be had, or is none."""
        if (level, n) not in self.kept:
            width = min(TILE_WIDTH, (self._size >> TILE_HEIGHT * level) - n * TILE_WIDTH)
            self.kept[level, n] = self._read(TileName(level, n, width))
        return self.kept[level, n]

    def by_path(self) -> dict[str, bytes]:
        """The tiles that were read, by path."""
        return {TileName(level, n, len(data) // HASH_SIZE).path: data for (level, n), data in self.kept.items()}

    def check(self, root: bytes) -> None:
        """Raise VerificationError unless every tile that was read leads to `root`, those above it included."""
        for level, n in sorted(self.kept):
            while level < MAX_LEVEL and len(self(level, n)) == TILE_WIDTH * HASH_SIZE and self._size >> TILE_HEIGHT * (level + 1):
                above, at = divmod(n, TILE_WIDTH)
                expected = self(level + 1, above)[at * HASH_SIZE : (at + 1) * HASH_SIZE]
                if tile_root(self(level, n)) != expected:
                    raise VerificationError(f"{TileName(level, n).path} does not hash to what stands for it in the tile above")
                level, n = level + 1, above
        found = merkle.root_at(self._size, node_reader(self))
        if found != root:
            raise VerificationError(f"they lead to root {found.hex()}")

    def _read(self, name: TileName) -> bytes:
        where = f"{self._files.name}/{name.path}"
        for each in dict.fromkeys((name, TileName(name.level, name.n))):  # where only the full tile is kept, as much as is wanted
            if time.monotonic() > self._deadline:
                raise Inconclusive(f"{where}: given up, it took too long")
            try:
                data = self._files.read(each.path, HASH_SIZE * each.width)
            except VerificationError as error:
                raise Inconclusive(error.message) from None
            if data is None:
                continue
            if len(data) != HASH_SIZE * each.width:
                raise Inconclusive(f"{where}: expected {HASH_SIZE * each.width} bytes, found {len(data)}")
            return data[: HASH_SIZE * name.width]
        raise Inconclusive(f"{where}: expected a tile of the log, found none")


def compare(one: Signed, other: Signed, files: Readable, deadline: float) -> None:
    """Return if one head continues the other. Raises Contradiction if not, Inconclusive where tiles for that are missing."""
    small, large = sorted((one, other), key=lambda each: each.head.size)
    if small.head.size == large.head.size:
        if small.head.root != large.head.root:
            why = f"two roots were signed for size {small.head.size}: {small.head.root.hex()} and {large.head.root.hex()}"
            raise Contradiction(why, small, large, {})
        return
    for attempt in (1, 2):  # what was damaged on its way is not evidence: tiles are fetched once more
        tiles = Tiles(files, large.head.size, deadline)
        try:
            proof = merkle.consistency_proof(small.head.size, large.head.size, node_reader(tiles))
            merkle.verify_consistency(small.head.size, large.head.size, proof, small.head.root, large.head.root)
        except VerificationError:
            if attempt == 2:
                raise _contradiction(small, large, tiles) from None
        else:
            return


def check(one: Signed, files: Readable, deadline: float) -> None:
    """Return if the log's tiles lead to the root of a head. Raises Contradiction if not, Inconclusive where they are missing."""
    for attempt in (1, 2):
        tiles = Tiles(files, one.head.size, deadline)
        try:
            merkle.root_at(one.head.size, node_reader(tiles))
            tiles.check(one.head.root)
        except VerificationError as error:
            if attempt == 2:
                why = f"the tiles do not fit the root {one.head.root.hex()} signed for size {one.head.size}: {error.message}"
                raise Contradiction(why, one, one, tiles.by_path()) from None
        else:
            return


def _contradiction(small: Signed, large: Signed, tiles: Tiles) -> Contradiction:
    """Why the consistency of two heads does not hold: by the tiles, or by the heads."""
    head = large.head
    try:
        tiles.check(head.root)
        why = f"the head of size {small.head.size} is of another history than that of size {head.size}, whose tiles fit its root"
    except VerificationError as error:
        why = f"the tiles do not fit the root {head.root.hex()} signed for size {head.size}: {error.message}"
    return Contradiction(why, small, large, tiles.by_path())
