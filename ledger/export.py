"""Writing a log out as the static files of C2SP `tlog-tiles`, so that any web server can serve it and anyone can audit it."""

from collections.abc import Callable
from pathlib import Path

from inbond.ledger import checkpoints, notes
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.files import make_folders, write_durably
from inbond.ledger.publishing import PublishedHeads
from inbond.ledger.reader import LedgerReader
from inbond.ledger.tiles import encode_bundle, entries_path, tile_path, tiles_of
from inbond.schemas.errors import InvalidInput, StoreError, VerificationError

Progress = Callable[[int, int], None]


def export(
    reader: LedgerReader, folder: Path, progress: Progress | None = None, *, note: bytes | None = None, public: bool = False
) -> int:
    """Write tiles and entry bundles of a checkpoint to `folder`, then `checkpoint` itself; returns the file count.

    `note` is the checkpoint with the cosignatures that it is to have, the newest without any unless given. What is `public` has
    no entry bundles. Files that are there already with the same content are left alone, so an export can be brought up to date.
    Raises InvalidInput for a folder that holds another log, a later state of this one, a tile or bundle that differs, or
    bundles where there are to be none, and StoreError where a file cannot be written.
    """
    note = note or reader.note
    try:
        _check_folder(reader, folder, checkpoints.parse(notes.parse(note).text))
        if public and (folder / "tile" / "entries").exists():
            raise InvalidInput(
                f"{folder / 'tile' / 'entries'}: expected no entries in a public export, found some",
                hint="give another folder: these files are of an export that has them",
            )
        return _write(reader, folder, note, progress, public=public)
    except OSError as error:
        raise StoreError(f"{folder}: the export could not be written: {error}") from error


def note_for(reader: LedgerReader, folder: Path, heads: PublishedHeads) -> bytes:
    """The checkpoint to bring an export up to: the one that is shown, or where the folder has come further already, that one."""
    note, there = heads.newest(reader), _there(folder)
    if there is not None and checkpoints.parse(notes.parse(note).text).size < there.size <= reader.size:
        return heads.at(reader, there.size)
    return note


def _there(folder: Path) -> Checkpoint | None:
    """The checkpoint in a folder, not verified. Raises InvalidInput for a file that is none."""
    path = folder / "checkpoint"
    if not path.is_file():
        return None
    try:
        return checkpoints.parse(notes.parse(path.read_bytes()).text)
    except VerificationError as error:
        raise InvalidInput(f"{path}: expected a checkpoint of this log or no file, found: {error.message}") from None


def _check_folder(reader: LedgerReader, folder: Path, here: Checkpoint) -> None:
    path, there = folder / "checkpoint", _there(folder)
    if there is None:
        return
    if there.origin != here.origin or (0 < there.size <= here.size and reader.root_at(there.size) != there.root):
        raise InvalidInput(
            f"{path} belongs to another log: expected one of {here.origin} with root {here.root.hex()} at size {here.size}, "
            f"found {there.origin} with root {there.root.hex()} at size {there.size}"
        )
    if there.size > here.size:
        raise InvalidInput(f"{path}: expected a size of at most {here.size}, which is this log's, found {there.size}")


def _write(reader: LedgerReader, folder: Path, note: bytes, progress: Progress | None, *, public: bool) -> int:
    size = checkpoints.parse(notes.parse(note).text).size
    bundles = [] if public else [(n, min(256, size - 256 * n)) for n in range((size + 255) // 256)]
    hashes = list(tiles_of(size))
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
    write_durably(folder / "checkpoint", note)
    return total + 1


def _put(path: Path, data: bytes) -> None:
    if path.is_file():
        if path.read_bytes() != data:
            raise InvalidInput(f"{path} belongs to another log or was altered: expected the bytes of this log's tile")
        return
    make_folders(path.parent)
    write_durably(path, data)
