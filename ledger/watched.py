"""What a monitor remembers: of each log the newest head that it has verified, whoever showed it."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Column, Float, Integer, LargeBinary, MetaData, String, Table, insert, select, update

from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.statefile import StateFile
from inbond.schemas.errors import Conflict, NotFound, StoreError

_KIND = 0x696E776D  # "inwm"
_METADATA = MetaData()
_HEADS = Table(
    "heads",
    _METADATA,
    Column("origin", String, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", LargeBinary, nullable=False),
    Column("since", Float, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Known:
    """A head with its signed note, and the POSIX time at which it was first seen."""

    head: Checkpoint
    note: bytes
    since: float


class Watched:
    """The file of one monitor, made with its first head; every change is on disk, whole, before it counts."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = StateFile(path, _KIND)
        except NotFound:
            with suppress(Conflict):  # another process has made it just now
                StateFile.create(path, _KIND, _METADATA).close()
            self._file = StateFile(path, _KIND)

    def newest(self, origin: str) -> Known | None:
        """The newest head of a log that was verified."""
        with self._file.reading() as connection:
            row = connection.execute(select(_HEADS).where(_HEADS.c.origin == origin)).one_or_none()
        if row is None:
            return None
        if row.size < 0 or len(row.root) != 32:
            raise StoreError(f"{self._file.path}: expected a head of {origin}, found a damaged row")
        return Known(Checkpoint(origin, row.size, row.root), row.note, row.since)

    def keep(self, before: Known | None, known: Known) -> bool:
        """Put a verified head in the place of `before`; False, and nothing is changed, where another one is there by now."""
        row = {"size": known.head.size, "root": known.head.root, "note": known.note, "since": known.since}
        c = _HEADS.c
        with self._file.writing() as connection:
            found = connection.execute(select(c.size, c.root).where(c.origin == known.head.origin)).one_or_none()
            there = () if found is None else (found.size, found.root)
            expected = () if before is None else (before.head.size, before.head.root)
            if there != expected:
                return False
            if found is None:
                connection.execute(insert(_HEADS), {"origin": known.head.origin, **row})
            else:
                connection.execute(update(_HEADS).where(c.origin == known.head.origin).values(row))
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
