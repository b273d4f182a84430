"""What a witness has cosigned, kept such that it can never go back.

Safety argument
---------------
* *One step at a time.* The state of a log is read, checked and replaced in one `BEGIN IMMEDIATE` transaction, which no
  other thread or process overlaps; and the replacement names the size that was checked (`UPDATE … WHERE origin AND size`)
  and must have changed one row. Two requests that follow from the same size cannot both succeed.
* *On disk before it is said.* A cosignature is made inside the transaction, because it says "as of this time the largest
  that I have seen", and leaves `advance` only after COMMIT has synced it. A witness that is killed in between has forgotten
  nothing: the log asks again, hears 409 with the new size, and gets its cosignature for that size.
* *Time never runs back.* A cosignature is never older than the one before it, or a smaller tree would look newer than a
  larger one. A clock more than an hour behind its own last cosignature is refused.
* *An empty state is a decision.* A state file that is missing is an error, not a beginning: a witness that forgets would
  cosign another history. For the same reason it must not be restored from a backup; a witness whose state is lost gets a new
  key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Integer, LargeBinary, MetaData, String, Table, insert, select, update

from inbond.ledger import merkle, notes, witness
from inbond.ledger.cosigner import Cosigner
from inbond.ledger.notes import Note, NoteSignature
from inbond.ledger.statefile import StateFile
from inbond.ledger.witness import AddCheckpoint, Latest
from inbond.schemas.errors import Conflict, InbondError, NotFound, StoreError

FRESH = 10  # seconds for which a cosignature is given again instead of made anew
MAX_CLOCK_STEP_BACK = 3600
MAX_CONTRADICTIONS = 100  # kept of one log; the first ones say it all

_KIND = 0x696E7769  # "inwi"
_METADATA = MetaData()
_LATEST = Table(
    "latest",
    _METADATA,
    Column("origin", String, primary_key=True),
    Column("origin_sha256", String, nullable=False, unique=True),
    Column("size", Integer, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("time", Integer, nullable=False),
    Column("note", LargeBinary, nullable=False),
)
_CONTRADICTIONS = Table(
    "contradictions",
    _METADATA,
    Column("origin", String, primary_key=True),
    Column("size", Integer, primary_key=True),
    Column("root", LargeBinary, primary_key=True),
    Column("time", Integer, nullable=False),
    Column("note", LargeBinary, nullable=False),
    Column("cosigned", LargeBinary, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two notes of one size that a log has signed over different roots: proof of two histories."""

    origin: str
    size: int
    time: int
    note: bytes
    cosigned: bytes


class WitnessState:
    """The newest checkpoint of every log that a witness has cosigned, in a file."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    @classmethod
    def open(cls, path: Path) -> "WitnessState":
        """The state in a file; NotFound if there is none."""
        try:
            return cls(StateFile(path, _KIND))
        except NotFound as error:
            hint = "find it, or retire the witness's key; --new makes one, for keys that have never cosigned"
            raise NotFound(error.message, hint=hint) from None

    @classmethod
    def create(cls, path: Path) -> "WitnessState":
        """A new state, which has seen nothing; Conflict if there is a file."""
        return cls(StateFile.create(path, _KIND, _METADATA))

    def advance(self, request: AddCheckpoint, own: Sequence[NoteSignature], cosigners: Sequence[Cosigner], now: int) -> Latest:
        """Take the checkpoint of `request`, on which `own` are the log's verified signatures, as the newest; cosign it.

        One that was cosigned within FRESH seconds is given as it is. Raises what `witness.check` raises, and StoreError
        where nothing could be kept; then nothing was cosigned either.
        """
        with self._file.writing() as connection:
            latest = _one(connection, _LATEST.c.origin == request.checkpoint.origin)
            refusal = _refusal(request, latest)
            if refusal is None:
                made = _made(request, own, cosigners, now, latest)
                if made is not latest:
                    _replace(connection, made, latest)
                return made
            if latest is None or not witness.contradicts(request.checkpoint, latest):
                raise refusal
            _keep(connection, request, own, latest, now)
        raise refusal  # after what it proves was kept

    def latest(self, origin: str) -> Latest | None:
        """What was cosigned last for a log."""
        with self._file.reading() as connection:
            return _one(connection, _LATEST.c.origin == origin)

    def latest_by_hash(self, origin_sha256: str) -> Latest | None:
        """What was cosigned last for the log whose origin has this hash, in hex."""
        with self._file.reading() as connection:
            return _one(connection, _LATEST.c.origin_sha256 == origin_sha256)

    def all(self) -> list[Latest]:
        """What was cosigned last for every log, by origin."""
        with self._file.reading() as connection:
            return [_latest(row) for row in connection.execute(select(_LATEST).order_by(_LATEST.c.origin))]

    def contradictions(self) -> list[Contradiction]:
        """The proofs of misbehaviour that were kept, oldest first."""
        with self._file.reading() as connection:
            rows = connection.execute(select(_CONTRADICTIONS).order_by(_CONTRADICTIONS.c.time, _CONTRADICTIONS.c.origin))
            return [Contradiction(row.origin, row.size, row.time, row.note, row.cosigned) for row in rows]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _refusal(request: AddCheckpoint, latest: Latest | None) -> InbondError | None:
    try:
        witness.check(request, latest)
    except InbondError as error:
        return error
    return None


def _made(
    request: AddCheckpoint, own: Sequence[NoteSignature], cosigners: Sequence[Cosigner], now: int, latest: Latest | None
) -> Latest:
    new = request.checkpoint
    before = latest.time if latest else 1
    if before - now > MAX_CLOCK_STEP_BACK:
        raise StoreError(
            f"the clock reads {now}, more than an hour before the last cosignature for {new.origin}, at {before}",
            hint="set the clock right",
        )
    if latest is not None and latest.size == new.size and 0 <= now - before < FRESH and _signed_by(latest, cosigners):
        return latest
    moment = max(now, before)
    note = Note(request.note.text, (*own, *(cosigner.cosign(request.note.text, moment) for cosigner in cosigners)))
    return Latest(new.origin, new.size, new.root, moment, note.to_bytes())


def _signed_by(latest: Latest, cosigners: Sequence[Cosigner]) -> bool:
    there = {(each.name, each.key_id) for each in notes.parse(latest.note).signatures}
    return there.issuperset((each.name, each.verifier.key_id) for each in cosigners)


def _replace(connection: Connection, made: Latest, latest: Latest | None) -> None:
    """Compare and set: the row must still be of the size that was checked."""
    values = {"size": made.size, "root": made.root, "time": made.time, "note": made.note}
    if latest is None:
        digest = sha256(made.origin.encode()).hexdigest()
        empty = {"size": 0, "root": merkle.EMPTY_ROOT, "time": 0, "note": b""}
        connection.execute(insert(_LATEST), {"origin": made.origin, "origin_sha256": digest, **empty})
    size = latest.size if latest else 0
    changed = connection.execute(update(_LATEST).where(_LATEST.c.origin == made.origin, _LATEST.c.size == size).values(values))
    if changed.rowcount != 1:
        raise Conflict(f"{made.origin}: expected the size {size} that was checked, found another by now", size=size)


def _keep(connection: Connection, request: AddCheckpoint, own: Sequence[NoteSignature], latest: Latest, now: int) -> None:
    """Keep both notes, once, and not without end."""
    kept = connection.execute(
        select(_CONTRADICTIONS.c.root, _CONTRADICTIONS.c.size).where(_CONTRADICTIONS.c.origin == latest.origin)
    )
    known = {(row.root, row.size) for row in kept}
    new = request.checkpoint
    if (new.root, new.size) not in known and len(known) < MAX_CONTRADICTIONS:
        note = Note(request.note.text, tuple(own)).to_bytes()
        row = {"origin": new.origin, "size": new.size, "root": new.root, "time": now, "note": note, "cosigned": latest.note}
        connection.execute(insert(_CONTRADICTIONS), row)


def _one(connection: Connection, where: ColumnElement[bool]) -> Latest | None:
    row = connection.execute(select(_LATEST).where(where)).first()
    return _latest(row) if row else None


def _latest(row: Any) -> Latest:
    return Latest(row.origin, row.size, row.root, row.time, row.note)
