"""The cosignatures that a log has got, and when each witness may be asked again.

They lie in `witnessed.db` beside the ledger, not in it: no append waits for them, a log without witnesses has no such file, and
nothing in it is needed to make the log again. If it is lost, the witnesses are asked once more. Every cosignature is kept,
as each says "existed by then": at most one a witness every ten seconds while the log grows (100 bytes, with ML-DSA-44 2.5 kB).
"""

import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from inbond.ledger import checkpoints, notes
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.notes import Note, NoteSignature
from inbond.ledger.policy import TrustPolicy
from inbond.ledger.reader import LedgerReader
from inbond.ledger.statefile import StateFile
from inbond.schemas.errors import Conflict, NotFound, StoreError, VerificationError

FILE = "witnessed.db"
LONGEST_WAIT = 3600.0  # seconds; a later turn than that can only come from a clock that was wrong

_KIND = 0x696E7764  # "inwd"
_METADATA = MetaData()
_COSIGNATURES = Table(
    "cosignatures",
    _METADATA,
    Column("size", Integer, primary_key=True),
    Column("root", LargeBinary, primary_key=True),
    Column("name", String, primary_key=True),
    Column("key_id", LargeBinary, primary_key=True),
    Column("time", Integer, nullable=False),
    Column("blob", LargeBinary, nullable=False),
)
_TURNS = Table(
    "turns",
    _METADATA,
    Column("url", String, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("asked", Float, nullable=False),
    Column("next", Float, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("problem", String, nullable=True),
    Column("evidence", LargeBinary, nullable=True),
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One server of witnesses, as its last turn left it. Times are POSIX seconds.

    `size` is what it cosigned last as far as we know, `failures` how often in a row it did not help, `problem` why. `evidence` is
    a checkpoint that this log's key has signed and this log does not hold.
    """

    url: str
    size: int = 0
    asked: float = 0
    next: float = 0
    failures: int = 0
    problem: str | None = None
    evidence: bytes | None = None


class Witnessed:
    """The file of one log, made when there is something to keep. For many threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = threading.Lock()
        self._opened: StateFile | None = None

    def claim(self, url: str, now: float, lease: float) -> Turn | None:
        """Take the turn to ask a server, for `lease` seconds; None when it is not due or somebody else has it."""
        with self._made().writing() as connection:
            connection.execute(upsert(_TURNS).on_conflict_do_nothing(), _row(Turn(url)))
            due = or_(_TURNS.c.next <= now, _TURNS.c.next > now + LONGEST_WAIT + lease)
            taken = connection.execute(update(_TURNS).where(_TURNS.c.url == url, due).values(asked=now, next=now + lease))
            if taken.rowcount != 1:
                return None
            return _turn(connection.execute(select(_TURNS).where(_TURNS.c.url == url)).one())

    def finish(self, turn: Turn, *, next: float, **changes: Any) -> None:
        """End a turn with what it has shown; the next one begins at `next`."""
        with self._made().writing() as connection:
            row = _row(replace(turn, next=next, **changes))
            connection.execute(update(_TURNS).where(_TURNS.c.url == turn.url).values(row))

    def turn(self, url: str) -> Turn:
        """How a server's last turn ended."""
        rows = self._rows(select(_TURNS).where(_TURNS.c.url == url))
        return _turn(rows[0]) if rows else Turn(url)

    def keep(self, head: Checkpoint, signatures: Iterable[NoteSignature]) -> None:
        """Keep verified cosignatures of a checkpoint of this log; of one key the first says the most."""
        with self._made().writing() as connection:
            for each in signatures:
                row = {"size": head.size, "root": head.root, "name": each.name, "key_id": each.key_id, "blob": each.blob}
                row["time"] = int.from_bytes(each.blob[:8], "big")
                connection.execute(upsert(_COSIGNATURES).on_conflict_do_nothing(), row)

    def signatures(self, head: Checkpoint) -> list[NoteSignature]:
        """The cosignatures of a checkpoint, oldest first."""
        table = _COSIGNATURES
        query = select(table).where(table.c.size == head.size, table.c.root == head.root).order_by(table.c.time, table.c.name)
        return [NoteSignature(row.name, row.key_id, row.blob) for row in self._rows(query)]

    def cosigned(self, note: bytes) -> bytes:
        """A signed checkpoint with all cosignatures that were kept for it."""
        if self._there() is None:
            return note
        parsed = notes.parse(note)
        return _joined(parsed, self.signatures(checkpoints.parse(parsed.text))).to_bytes()

    def newest(self, name: str, key_id: bytes) -> tuple[int, int] | None:
        """(size, time) of the largest checkpoint that a key has cosigned."""
        table = _COSIGNATURES
        query = select(table.c.size, table.c.time).where(table.c.name == name, table.c.key_id == key_id)
        rows = self._rows(query.order_by(table.c.size.desc()).limit(1))
        return (rows[0].size, rows[0].time) if rows else None

    def accepted(self, reader: LedgerReader, policy: TrustPolicy, above: int = 0) -> bytes | None:
        """The newest checkpoint larger than `above` that a policy accepts, with its cosignatures; None if there is none yet."""
        sizes = select(_COSIGNATURES.c.size).where(_COSIGNATURES.c.size > above, _COSIGNATURES.c.size <= reader.size).distinct()
        found = self._rows(sizes.order_by(_COSIGNATURES.c.size.desc()).limit(1000))
        for size in dict.fromkeys((reader.size, *(row.size for row in found))):
            try:
                note = self.cosigned(reader.checkpoint(size))
                policy.open_checkpoint(note)
            except (NotFound, VerificationError):
                continue
            return note
        return None

    def count(self) -> int:
        """How many cosignatures were ever kept: nothing has changed while that stays as it is."""
        rows = self._rows(select(func.max(literal_column("rowid"))).select_from(_COSIGNATURES))
        return int(rows[0][0] or 0) if rows else 0

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()

    def _rows(self, query: Select[Any]) -> Sequence[Any]:
        """What a query finds; nothing where there is no file yet."""
        file = self._there()
        if file is None:
            return ()
        with file.reading() as connection:
            return connection.execute(query).all()

    def _there(self) -> StateFile | None:
        with self._lock:
            if self._opened is None:
                with suppress(NotFound):
                    self._opened = StateFile(self._path, _KIND)
            return self._opened

    def _made(self) -> StateFile:
        found = self._there()
        if found is None:
            with suppress(Conflict):  # another process, or thread, has made it just now
                StateFile.create(self._path, _KIND, _METADATA).close()
            found = self._there()
        if found is None:
            raise StoreError(f"{self._path}: expected the file that was made just now, found none")
        return found


def _joined(note: Note, signatures: Iterable[NoteSignature]) -> Note:
    """The note with the signatures of keys that have not signed it yet."""
    by_key: dict[tuple[str, bytes], NoteSignature] = {}
    for each in signatures:
        by_key.setdefault((each.name, each.key_id), each)
    there = {(each.name, each.key_id) for each in note.signatures}
    return Note(note.text, (*note.signatures, *(each for key, each in by_key.items() if key not in there)))


def _row(turn: Turn) -> dict[str, Any]:
    return {column.name: getattr(turn, column.name) for column in _TURNS.columns}


def _turn(row: Any) -> Turn:
    return Turn(**row._mapping)
