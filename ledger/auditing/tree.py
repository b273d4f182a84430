"""The tree as it grows while entries are read: its tiles as they get full, and the root of any size so far.

What is kept is the hashes of level 1 and above (32 bytes for every 256 entries) and the newest, partial tile of level 0.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from inbond.ledger import merkle
from inbond.ledger.merkle import HASH_SIZE, CompactRange, NodeReader
from inbond.ledger.tiles import TILE_WIDTH, node_reader, tile_root
from inbond.schemas.errors import VerificationError

_TILE = TILE_WIDTH * HASH_SIZE

TileOf = Callable[[int], bytes]
"""n → the bytes of the full tile n of level 0, wherever they come from: they are checked."""


class Tree:
    """A tree of which entries up to a tile's end may be known already: `tops`, the hashes of its full tiles of level 0."""

    def __init__(self, tops: bytes = b"") -> None:
        self._levels: list[bytearray] = []  # the hashes of level 1, 2, …
        self._range = CompactRange()  # over full tiles of level 0
        self._newest = b""
        self._node: NodeReader | None = None
        for at in range(0, len(tops), HASH_SIZE):
            for _ in self._put(tops[at : at + HASH_SIZE]):
                pass

    @property
    def size(self) -> int:
        """How many entries there are."""
        return TILE_WIDTH * self._range.size + len(self._newest) // HASH_SIZE

    @property
    def tops(self) -> bytes:
        """The hashes of all full tiles of level 0."""
        return bytes(self._levels[0]) if self._levels else b""

    def add(self, leaves: bytes, roots: list[bytes]) -> Iterator[tuple[int, int, bytes]]:
        """Add leaf hashes and the hashes of the full tiles that they make; yields the tiles that got full.

        Those before must have ended with a tile.
        """
        if self._newest:
            raise ValueError("expected leaves after full tiles only")
        for number, root in enumerate(roots):
            yield 0, self._range.size, leaves[number * _TILE : (number + 1) * _TILE]
            yield from self._put(root)
        self._newest = leaves[len(roots) * _TILE :]

    def unfinished(self) -> Iterator[tuple[int, int, bytes]]:
        """The tiles at the right edge that are not full."""
        for level, hashes in enumerate([self._newest, *self._levels]):
            n, width = divmod(len(hashes), _TILE)
            if width:
                yield level, n if level else self._range.size, bytes(hashes[n * _TILE :])

    def range(self) -> list[bytes]:
        """The compact range over all full tiles of level 0."""
        return list(self._range.hashes)

    def root(self) -> bytes:
        """The root of all entries."""
        return self._all().root()

    def frontier(self) -> bytes:
        """The compact range of all entries, as the log's head keeps it."""
        return self._all().to_bytes()

    def _all(self) -> CompactRange:
        whole = CompactRange(TILE_WIDTH * self._range.size, self._range.hashes)
        whole.extend(self._newest[at : at + HASH_SIZE] for at in range(0, len(self._newest), HASH_SIZE))
        return whole

    def root_at(self, size: int, tile: TileOf) -> bytes:
        """The root of an earlier size, for which a full tile of level 0 may have to be seen again."""
        if self._node is None:
            self._node = node_reader(partial(self._fetch, lru_cache(maxsize=64)(tile)))
        return merkle.root_at(size, self._node)

    def _fetch(self, tile: TileOf, level: int, n: int) -> bytes:
        if level:
            return bytes(self._levels[level - 1][n * _TILE : (n + 1) * _TILE])
        if n == self._range.size:
            return self._newest
        return self.checked(n, tile(n))

    def checked(self, n: int, data: bytes) -> bytes:
        """The full tile `n` of level 0; VerificationError unless `data` has its hash."""
        if len(data) != _TILE or tile_root(data) != self._levels[0][n * HASH_SIZE : (n + 1) * HASH_SIZE]:
            raise VerificationError(f"tile 0/{n}: expected the hashes that it had before, found others")
        return data

    def _put(self, root: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Add the hash of a full tile of level 0; yields the tiles above that it fills."""
        self._range.append(root)
        level = 0
        while True:
            if len(self._levels) == level:
                self._levels.append(bytearray())
            hashes = self._levels[level]
            hashes += root
            if len(hashes) % _TILE:
                return
            level += 1
            tile = bytes(hashes[-_TILE:])
            yield level, len(hashes) // _TILE - 1, tile
            root = tile_root(tile)
