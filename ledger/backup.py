"""A log outside its database, and back: the files of an export, and every checkpoint that was signed.

A copy in this form belongs to no database: it is brought up to date by writing what is new, anyone can audit it, and it is
restored into SQLite or PostgreSQL. Restoring makes everything again from the entries.

checkpoints/000000 …   the notes of 256 checkpoints each, by size, in the encoding of entry bundles
"""

from collections.abc import Callable
from hashlib import sha256
from itertools import islice
from pathlib import Path

from inbond.ledger import checkpoints, databases, dsse, notes, tables
from inbond.ledger.batch import Batch
from inbond.ledger.export import export
from inbond.ledger.files import make_folders, write_durably
from inbond.ledger.keyring import Keyring
from inbond.ledger.prepared import Prepared
from inbond.ledger.published import FileSource, FolderFiles
from inbond.ledger.reader import LedgerReader
from inbond.ledger.replay import replayed
from inbond.ledger.rules import Rules
from inbond.ledger.tiles import TILE_WIDTH, decode_bundle, encode_bundle
from inbond.schemas.errors import InbondError, StoreError, VerificationError

Progress = Callable[[int, int], None]

_NOTES = "checkpoints"
_AT_ONCE = 16 * TILE_WIDTH


def back_up(reader: LedgerReader, folder: Path, progress: Progress | None = None) -> int:
    """Write the log, as of the reader's snapshot, to `folder`, or bring it up to date; returns the number of files looked at.

    Raises InvalidInput for a folder that holds another log or a later state of this one, StoreError where it cannot be written.
    """
    try:
        make_folders(folder / _NOTES)
        signed, count = reader.checkpoints(), 0
        while some := [note for _, note in islice(signed, TILE_WIDTH)]:
            path, data = folder / _NOTES / f"{count:06}", encode_bundle(some)
            if not path.is_file() or path.read_bytes() != data:
                write_durably(path, data)
            count += 1
    except OSError as error:
        raise StoreError(f"{folder}: the backup could not be written: {error}") from error
    return count + export(reader, folder, progress)  # the newest checkpoint is its last file: what it needs is there by then


def restore(folder: Path, into: Path, rules: Rules, database: str | None = None, progress: Progress | None = None) -> int:
    """Make a log in `into` (or in the PostgreSQL `database`) from a copy that `back_up` wrote; returns its size.

    All of it or nothing. Nothing is believed that the entries do not show, but signatures are left to an audit, which the
    caller runs before anybody uses the log. Raises VerificationError where the copy is damaged.
    """
    source = FileSource(FolderFiles(folder))
    note = source.checkpoint()
    head = checkpoints.parse(notes.parse(note).text)
    with databases.creating(into, [*tables.TABLES, *rules.tables], database) as (made, connection):
        keyring = Keyring()
        batch = Batch.first(head.origin, "")
        root = frontier = b""
        for chunk in source.chunks(0, head.size, _AT_ONCE):
            for data in chunk.entries:
                try:
                    draft = replayed(connection, rules, keyring, data)
                    if draft.seq != batch.next_seq:
                        raise VerificationError(f"expected entry {batch.next_seq}, found entry {draft.seq}")
                    rules.project(connection, draft)
                    keyring.apply(draft)
                except InbondError as error:
                    raise VerificationError(f"{folder}: entry {batch.next_seq} cannot be restored: {error.message}") from None
                batch.put(draft, sha256(dsse.payload_of(draft.envelope)).digest(), data)
                time = draft.time
            root, frontier = batch.write(connection)
            batch = Batch(keyring, batch.next_seq, batch.leaf, frontier, time)
            if progress:
                progress(batch.size, head.size)
        if (batch.size, root) != (head.size, head.root):
            raise VerificationError(
                f"{folder}: expected {head.size} entries with root {head.root.hex()}, as its checkpoint says, found {batch.size} "
                f"with root {root.hex()}"
            )
        _CHECKPOINT.run_many(connection, list({size: (size, each) for size, each in _signed(folder, note)}.values()))
        _HEAD.run(connection, 1, head.size, root, batch.leaf, batch.time, frontier, note)
        made.commit(connection)
    return head.size


def _signed(folder: Path, newest: bytes) -> list[tuple[int, bytes]]:
    """(size, note) of every checkpoint up to the newest one; an interrupted backup may have left later ones."""
    last = checkpoints.parse(notes.parse(newest).text).size
    found = []
    for path in sorted((folder / _NOTES).glob("*")):
        for note in decode_bundle(path.read_bytes()):
            size = checkpoints.parse(notes.parse(note).text).size
            if size < last:
                found.append((size, note))
    return [*found, (last, newest)]


_CHECKPOINT, _HEAD = Prepared.insert(tables.checkpoints), Prepared.insert(tables.head)
