"""Tiles and entry bundles (C2SP tlog-tiles): their names, what they hold, and which of them an append changes.

A tile of level L and number n holds up to 256 hashes; hash i is the root of the perfect subtree of 256^L leaves number
n·256+i. The hash of a full tile stands in the level above; a partial tile is never hashed upward. An entry bundle holds
the up to 256 entries under a level-0 tile, each after its length in two bytes, big-endian.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from inbond.ledger.encoding import MAX_SIZE
from inbond.ledger.merkle import HASH_SIZE, NodeReader
from inbond.schemas.entry import MAX_ENTRY
from inbond.schemas.errors import InvalidInput, VerificationError

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_LEVEL = 63

TileFetcher = Callable[[int, int], bytes]
"""(level, n) → the bytes of that tile, full or as wide as the log has it."""

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<number>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)
_PAIR = 2 * HASH_SIZE
_MEMORY = 256  # tiles that a reader remembers, with the hashes over each: 4 MB


@dataclass(frozen=True, slots=True)
class TileName:
    """Which tile: `level` 0 to 63, or None for an entry bundle; number `n`; `width` 1 to 256 hashes or entries."""

    level: int | None
    n: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The path under a log's prefix, without a leading slash; InvalidInput for numbers that no tile has."""
        return _path(self.level, self.n, self.width)


def tile_path(level: int, n: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile of hashes, such as `tile/0/x001/234.p/5`."""
    return _path(level, n, width)


def entries_path(n: int, width: int = TILE_WIDTH) -> str:
    """The path of an entry bundle, such as `tile/entries/x001/234.p/5`."""
    return _path(None, n, width)


def parse_path(path: str) -> TileName:
    """The tile that a path names.

    Raises InvalidInput unless the path is exactly the one that `TileName.path` writes.
    """
    match = _PATH.fullmatch(path) if len(path) <= 64 else None
    if match is not None:
        level = None if match["level"] == "entries" else int(match["level"])
        n = int(re.sub("[x/]", "", match["number"]))
        width = int(match["width"] or TILE_WIDTH)
        partial = match["width"] is not None
        name = TileName(level, n, width)
        if partial == (width < TILE_WIDTH) and _exists(level, n, width) and name.path == path:
            return name
    raise InvalidInput(f"expected the path of a tile, such as tile/0/x001/234.p/5, found {path[:80]!r}")


def tiles_of(size: int) -> Iterator[TileName]:
    """Every tile of hashes of a log with `size` entries, lowest level first, the partial one last in its level."""
    for level in range(MAX_LEVEL + 1):
        hashes = size >> (TILE_HEIGHT * level)
        if hashes == 0:
            return
        yield from _names(level, hashes)


def bundles_of(size: int) -> Iterator[TileName]:
    """Every entry bundle of a log with `size` entries, the partial one last."""
    yield from _names(None, size)


def node_reader(fetch: TileFetcher) -> NodeReader:
    """A reader of subtree hashes out of tiles.

    It remembers tiles and the hashes over them, as what it was asked for never changes; make a new one where the tiles
    themselves are to be read again. It raises VerificationError if a tile is too short for the hash that is asked for.
    """
    memory: dict[tuple[int, int], list[bytes]] = {}  # by tile: its hashes, then those of pairs, of fours …

    def node(level: int, index: int) -> bytes:
        tile_level, inner = divmod(level, TILE_HEIGHT)
        n, at = divmod(index, TILE_WIDTH >> inner)
        last = ((at + 1) << inner) - 1
        rows = memory.get((tile_level, n))
        if rows is None or len(rows[0]) <= last * HASH_SIZE:
            data = fetch(tile_level, n)
            _hash_in(data, tile_level, n, last)
            if len(memory) >= _MEMORY:
                memory.clear()
            rows = memory[tile_level, n] = [data]
        while len(rows) <= inner:
            rows.append(_over(rows[-1]))
        return rows[inner][at * HASH_SIZE : (at + 1) * HASH_SIZE]

    return node


def updated_tiles(size: int, fetch: TileFetcher, new_leaf_hashes: Sequence[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """The tiles (level, n, bytes) that are new or wider when leaves are appended to a log of `size` entries.

    `fetch` is asked only for the partial tile at the right edge of each level that grows. Raises VerificationError if
    that is shorter than `size` says.
    """
    new = list(new_leaf_hashes)
    for level in range(MAX_LEVEL + 1):
        if not new:
            return
        n, width = divmod(size >> (TILE_HEIGHT * level), TILE_WIDTH)
        data = b""
        if width:
            old = fetch(level, n)
            _hash_in(old, level, n, width - 1)
            data = old[: width * HASH_SIZE]
        data += b"".join(new)
        new = []
        for start in range(0, len(data), TILE_WIDTH * HASH_SIZE):
            tile = data[start : start + TILE_WIDTH * HASH_SIZE]
            yield level, n, tile
            if len(tile) == TILE_WIDTH * HASH_SIZE:
                new.append(tile_root(tile))
            n += 1


def tile_root(tile: bytes) -> bytes:
    """The hash that stands for a full tile in the level above."""
    if len(tile) != TILE_WIDTH * HASH_SIZE:
        raise InvalidInput(f"expected a full tile of {TILE_WIDTH * HASH_SIZE} bytes, found {len(tile)}")
    while len(tile) > HASH_SIZE:
        tile = _over(tile)
    return tile


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """An entry bundle of 1 to 256 entries of at most 65,535 bytes each."""
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise InvalidInput(f"expected 1 to {TILE_WIDTH} entries in a bundle, found {len(entries)}")
    parts = []
    for entry in entries:
        if len(entry) > MAX_ENTRY:
            raise InvalidInput(f"expected an entry of at most {MAX_ENTRY} bytes, found {len(entry)}")
        parts += [len(entry).to_bytes(2, "big"), entry]
    return b"".join(parts)


def decode_bundle(data: bytes, count: int | None = None) -> list[bytes]:
    """The entries of a bundle; `count` is how many the name of the bundle promises.

    Raises VerificationError for a bundle that is cut off, has bytes after its last entry, or another number of entries.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if len(data) < at + 2 or end > len(data):
            raise VerificationError(f"entry bundle: expected {end - len(data)} bytes more at byte {at}, found its end")
        if len(entries) == TILE_WIDTH:
            raise VerificationError(f"entry bundle: expected at most {TILE_WIDTH} entries, found bytes after them")
        entries.append(data[at + 2 : end])
        at = end
    if not entries or (count is not None and len(entries) != count):
        wanted = f"1 to {TILE_WIDTH}" if count is None else count
        raise VerificationError(f"entry bundle: expected {wanted} entries, found {len(entries)}")
    return entries


def _exists(level: int | None, n: int, width: int) -> bool:
    return (level is None or 0 <= level <= MAX_LEVEL) and 0 <= n <= MAX_SIZE and 1 <= width <= TILE_WIDTH


def _path(level: int | None, n: int, width: int) -> str:
    if not _exists(level, n, width):
        raise InvalidInput(
            f"expected a tile of level 0 to {MAX_LEVEL} and width 1 to {TILE_WIDTH}, found level {level}, number {n}, "
            f"width {width}"
        )
    digits = str(n)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    number = "".join(f"x{group}/" for group in groups[:-1]) + groups[-1]
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{'entries' if level is None else level}/{number}{partial}"


def _names(level: int | None, count: int) -> Iterator[TileName]:
    full, width = divmod(count, TILE_WIDTH)
    for n in range(full):
        yield TileName(level, n)
    if width:
        yield TileName(level, full, width)


def _over(hashes: bytes) -> bytes:
    """The hashes of the nodes over neighbours: `merkle.node_hash` of each pair, sooner; an odd one at the end is left out."""
    return b"".join([sha256(b"\x01" + hashes[i : i + _PAIR]).digest() for i in range(0, len(hashes) - _PAIR + 1, _PAIR)])


def _hash_in(data: bytes, level: int, n: int, at: int) -> bytes:
    value = data[at * HASH_SIZE : (at + 1) * HASH_SIZE]
    if len(value) != HASH_SIZE or len(data) % HASH_SIZE or len(data) > TILE_WIDTH * HASH_SIZE:
        raise VerificationError(
            f"tile {level}/{n}: expected at least {at + 1} hashes of {HASH_SIZE} bytes, at most {TILE_WIDTH}, "
            f"found {len(data)} bytes"
        )
    return value
