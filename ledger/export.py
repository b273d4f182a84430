"""Writing a log out as the static files of C2SP `tlog-tiles`, so that any web server can serve it and anyone can audit it."""

from collections.abc import Callable
from pathlib import Path

from inbond.ledger.files import write_durably
from inbond.ledger.reader import LedgerReader
from inbond.ledger.tiles import encode_bundle, entries_path, tile_path, tiles_of
from inbond.schemas.errors import InvalidInput

Progress = Callable[[int, int], None]


def export(reader: LedgerReader, folder: Path, progress: Progress | None = None) -> int:
    """Write tiles and entry bundles of the newest checkpoint to `folder`, then `checkpoint` itself; returns the file count.

    Files that are there already with the same content are left alone, so an export can be brought up to date; a full tile
    or bundle that differs is refused.
    """
    bundles = [(n, min(256, reader.size - 256 * n)) for n in range((reader.size + 255) // 256)]
    hashes = list(tiles_of(reader.size))
    total = len(bundles) + len(hashes)
    for count, name in enumerate(hashes):
        data = reader.tile(name.level or 0, name.n)[: 32 * name.width]
        _put(folder / tile_path(name.level or 0, name.n, name.width), data)
        if progress:
            progress(count + 1, total)
    for count, (n, width) in enumerate(bundles):
        data = encode_bundle([data for _, data in reader.entries(256 * n, 256 * n + width)])
        _put(folder / entries_path(n, width), data)
        if progress:
            progress(len(hashes) + count + 1, total)
    write_durably(folder / "checkpoint", reader.note)
    return total + 1


def _put(path: Path, data: bytes) -> None:
    if path.is_file():
        if path.read_bytes() != data:
            raise InvalidInput(f"{path} belongs to another log or was altered: expected the bytes of this log's tile")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, data)
