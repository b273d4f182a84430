"""The log: one transaction that makes statements entries of chain and tree, and its safety argument.

A statement is on record when `append` returns it. What holds then, and why:

1. *One history.* The head row, the chain and the tree move in one transaction, under `flock` and `BEGIN IMMEDIATE`, and
   are read inside it: no process keeps a head of its own. `UNIQUE(prev)` makes a fork a constraint violation.
2. *Exactly once.* Header ids are UNIQUE in the same transaction: the same payload again returns the first entry,
   another payload under that id is a Conflict. After a failure of any kind the caller may send the same again.
3. *Durable before "done".* COMMIT syncs (database.py); only then is the checkpoint written outside the database, and only
   then does the caller hear.
4. *Never two histories.* Before anything is written, the checkpoint outside is compared: if the database is behind it or
   does not contain it, the log refuses to sign; from there to its replacement that file is locked, so of two copies of
   a database that write at once the second finds itself behind. A crash between COMMIT and that file leaves the file
   behind, which is harmless: the file's checkpoint is then a prefix of the database. Before a statement is answered as
   one that is on record already, the head is committed and the file written again, because whoever wrote it may have
   died in between.
5. *Nothing wrong is signed.* The root is computed twice: from tiles, written and read again, made of the leaf hashes at
   insertion; and from the compact range, extended by leaf hashes of entry bytes read again from the database. One
   flipped bit between hashing and storing shows as two roots, and nothing is committed.
6. *A failed COMMIT is not interpreted.* It may or may not be on disk; the log object refuses everything until it is
   opened again and reads what is there.
7. *A refusal touches nothing else.* A refused statement leaves no row, its seq goes to the next, and the others of the batch
   go through: what its projection wrote is taken back to a savepoint (`Batch.add_all`).

Concurrent appends in one process are pooled: whoever gets the writer commits what everybody has queued by then.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, bindparam, update

from inbond.ledger import checkpoints, databases, merkle, submission, tables
from inbond.ledger.batch import Appended, Batch
from inbond.ledger.checkpoints import Checkpoint, LogSigner
from inbond.ledger.databases import schema
from inbond.ledger.highwater import HighWater
from inbond.ledger.keyring import Keyring
from inbond.ledger.keys import PublicKey
from inbond.ledger.logkeys import LogSigners
from inbond.ledger.prepared import Prepared
from inbond.ledger.reader import LedgerReader
from inbond.ledger.receipts import Receipt
from inbond.ledger.replay import draft_of
from inbond.ledger.rules import Rules
from inbond.ledger.submission import Submission
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InbondError, InvalidInput, NotPermitted, StoreError, VerificationError
from inbond.schemas.statement import Statement

MAX_BATCH = 4096
_MEANWHILE = 0.004  # seconds after which somebody who waits looks whether the writer's turn is free
MAX_CLOCK_STEP_BACK = timedelta(hours=1)

Clock = Callable[[], datetime]
"""Tells the time, with its zone."""


def utc_now() -> datetime:
    """The system's clock."""
    return datetime.now(UTC)


class Log:
    """A log in a folder, with its database or the address of one. Without `log_key` it can be read and audited, not written.

    `log_key` is the log's key, or all at hand: an Ed25519 and an ML-DSA-44 key, old and new ones while they are rotated; the
    entries say which of them sign. An error in its place is why there is none: writing raises it. `genesis` pins the leaf hash
    of entry 0: another log in its place is refused.
    """

    def __init__(
        self,
        folder: Path,
        rules: Rules,
        log_key: LogSigner | Sequence[LogSigner] | InbondError | None = None,
        *,
        accept_clock: bool = False,
        genesis: bytes | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._clock = clock
        self.database = databases.open_database(folder)
        self.rules = rules
        self._accept_clock = accept_clock
        self.signers = LogSigners(None if isinstance(log_key, InbondError) else log_key)
        self._why_none = log_key if isinstance(log_key, InbondError) else None
        self._known = (Keyring(), 0)  # the keys, and the size of the log that they are of: one value, so read as one
        self._known_lock = threading.Lock()
        self._poisoned: str | None = None
        self._queue: list[_Ticket] = []
        self._queue_lock = threading.Lock()
        self._turn = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="inbond-signatures")
        try:
            self._begin(folder, genesis)
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(
        cls,
        folder: Path,
        genesis: Envelope,
        log_key: LogSigner | Sequence[LogSigner],
        rules: Rules,
        *,
        database: str | None = None,
        clock: Clock = utc_now,
    ) -> "Log":
        """Make the log in `folder` with `genesis` as entry 0, and its first checkpoint; all of it or nothing.

        Its tables are in a file there, or in the PostgreSQL `database` that the folder then names.
        Raises Conflict if there is a log already.
        """
        sent = submission.prepare(genesis, lambda _statement, _keyid: None)
        if sent.statement.kind != "genesis":
            raise InvalidInput(f"expected a genesis statement as entry 0, found {sent.statement.kind}")
        signers = LogSigners(log_key)
        for key in signers:
            if key.format() not in sent.statement.body.log_keys:
                raise NotPermitted(f"log key {key.name}: expected one of those in genesis, found another")
        batch = Batch.first(sent.statement.header.registry, _text(clock()))
        with databases.creating(folder, [*tables.TABLES, *rules.tables], database) as (made, connection):
            batch.add(connection, rules, sent, lambda _size: bytes(32))
            note = _seal(connection, batch, signers.due(batch.keyring.log, batch.next_seq, 0))
            made.commit(connection)
        HighWater(batch.leaves[0], batch.keyring.origin, batch.keyring.log).write(note)
        return cls(folder, rules, log_key, clock=clock)

    @property
    def keyring(self) -> Keyring:
        """The keys as of the newest head that this object has seen."""
        return self._known[0]

    @contextmanager
    def reading(self) -> Iterator[LedgerReader]:
        """One snapshot of the log."""
        with self.database.reading() as connection:
            yield LedgerReader(connection)

    def keyring_at(self, reader: LedgerReader) -> Keyring:
        """The keys at the reader's size, or at a later one; those of new entries are taken from there."""
        with self._known_lock:
            keyring, size = self._known
            if size < reader.size:
                keyring = keyring.copy()
                for _seq, data in reader.entries(size, kinds=("genesis", "key")):
                    keyring.apply(draft_of(data))
                self._known = (keyring, reader.size)
            return keyring

    def append(self, envelopes: Iterable[Envelope]) -> list[Appended | InbondError]:
        """Put statements on record, in order, each on its own: what is refused stands as its error in its place.

        Raises StoreError when nothing of the batch could be written, or when it is not known whether it was.
        """
        return self.append_prepared(self.prepare(envelopes))

    def prepare(self, envelopes: Iterable[Envelope]) -> list[Submission | InbondError]:
        """What can be done before the writer's turn: statements parsed, their signatures checked, side by side in threads.

        What is refused stands as its error in its place. Raises what keeps this object from writing at all.
        """
        if self._why_none is not None:
            raise self._why_none
        if not self.signers:
            raise NotPermitted(f"{self.origin}: this registry was opened without its log key and can only be read")
        self._check_usable()
        prepared = submission.prepare_all(envelopes, self._public_key, self._pool)
        return [each if isinstance(each, InbondError) else self.signers.refusal(each.statement) or each for each in prepared]

    def append_prepared(self, sent: list[Submission | InbondError]) -> list[Appended | InbondError]:
        """`append` for what `prepare` has made of statements."""
        ticket = _Ticket(sent)
        with self._queue_lock:
            self._queue.append(ticket)
        while not ticket.done.is_set():
            if not self._turn.acquire(blocking=False):
                ticket.done.wait(_MEANWHILE)  # whoever has the turn may commit it; at the lock, all would wake one by one
                continue
            try:
                if not ticket.done.is_set():
                    self._commit(self._take())
            finally:
                self._turn.release()
        if ticket.error is not None:
            raise ticket.error
        return ticket.results

    def append_one(self, envelope: Envelope) -> Appended:
        """Put one statement on record; raises the error that refuses it."""
        [result] = self.append([envelope])
        if isinstance(result, InbondError):
            raise result
        return result

    def receipt(self, seq: int, size: int | None = None, *, with_entry: bool = True) -> Receipt:
        """A receipt of entry `seq`, under the newest checkpoint unless a size is given."""
        with self.reading() as reader:
            return reader.receipt(seq, size, with_entry=with_entry)

    def check_high_water(self) -> None:
        """Raise unless the database contains the newest checkpoint that this machine has seen of this log."""
        with self.reading() as reader:
            self._compare_high_water(reader)

    def close(self) -> None:
        """Close the files. A write in flight finishes first; what comes later is refused."""
        with self._turn:
            self._poisoned = self._poisoned or "the log was closed"
            self._pool.shutdown()
            self.database.close()

    def _begin(self, folder: Path, genesis: bytes | None) -> None:
        """Read what the log is, and hold it against what is expected."""
        with self.database.reading() as connection:
            schema.expect_current(self.database.name, connection)
        with self.reading() as reader:
            self.genesis_leaf = merkle.leaf_hash(reader.entry(0))
            if genesis is not None and genesis != self.genesis_leaf:
                raise VerificationError(f"{folder}: expected the log of genesis {genesis.hex()}, found {self.genesis_leaf.hex()}")
            self.keyring_at(reader)
        self.origin = self.keyring.origin
        self._high_water = HighWater(self.genesis_leaf, self.origin, self.keyring.log)
        if self.signers and self.keyring.log.since.keys().isdisjoint(self.signers):
            raise NotPermitted(f"log key {next(iter(self.signers)).name}: expected a log key of {self.origin}, found another")

    def _check_usable(self) -> None:
        if self._poisoned:
            raise StoreError(f"{self.origin}: {self._poisoned}", hint="open the registry again")

    def _take(self) -> list["_Ticket"]:
        with self._queue_lock:
            taken: list[_Ticket] = []
            count = 0
            while self._queue and (not taken or count + len(self._queue[0].sent) <= MAX_BATCH):
                taken.append(self._queue.pop(0))
                count += len(taken[-1].sent)
            return taken

    def _commit(self, tickets: list["_Ticket"]) -> None:
        try:
            self._check_usable()
            with self._high_water.locked(), self.database.writing() as connection:
                self._write(connection, tickets)
        except InbondError as error:
            for ticket in tickets:
                ticket.error = error
        except BaseException:
            self._poisoned = "a write was interrupted and its outcome is not known"
            for ticket in tickets:
                ticket.error = StoreError(f"{self.origin}: {self._poisoned}", hint="open the registry again")
            raise
        finally:
            for ticket in tickets:
                ticket.done.set()

    def _write(self, connection: Connection, tickets: list["_Ticket"]) -> None:
        reader = LedgerReader(connection)
        current = self._compare_high_water(reader)
        batch = Batch(self.keyring_at(reader), reader.size, reader.leaf, reader.frontier, self._time(reader.time))
        everything = [sent for ticket in tickets for sent in ticket.sent]
        batch.recall(connection, [sent for sent in everything if isinstance(sent, Submission)])
        results = iter(batch.add_all(connection, self.rules, everything, reader.root_at))
        for ticket in tickets:
            ticket.results.extend(islice(results, len(ticket.sent)))
        note, signers = reader.note, self.signers.due(batch.keyring.log, batch.next_seq, batch.size)
        if batch.leaves:
            note = _seal(connection, batch, signers)
        elif current:
            return
        else:  # what is on record may not be on disk: its writer may have died before the sync of its COMMIT
            connection.execute(update(tables.head).where(tables.head.c.id == 1), {"note": note})
        try:
            self.database.commit(connection)
        except InbondError as error:
            self._poisoned = f"COMMIT failed and its outcome is not known ({error.message})"
            raise StoreError(f"{self.origin}: {self._poisoned}", hint="open the registry again") from error
        with self._known_lock:
            self._known = (batch.keyring, batch.next_seq)
        self._high_water.write(note)

    def _time(self, previous: str) -> str:
        now = _text(self._clock())
        if not self._accept_clock and _parse_time(previous) - _parse_time(now) > MAX_CLOCK_STEP_BACK:
            raise StoreError(
                f"the clock reads {now}, more than an hour before the newest entry at {previous}",
                hint="set the clock right; if it is right and the entry's time was wrong, pass --accept-clock",
            )
        return max(now, previous)

    def _compare_high_water(self, reader: LedgerReader) -> bool:
        """Whether the file outside holds this very head; raises unless it is missing or holds an earlier one."""
        self._high_water.keys = self.keyring_at(reader).log
        note = self._high_water.read()
        if note is None or note == reader.note:
            return note is not None
        newest = self._high_water.open(note)
        if newest.size > reader.size:
            raise StoreError(
                f"{self.database.name} is behind: expected at least size {newest.size}, which this log has signed "
                f"({self._high_water.path}), found size {reader.size}; signing now would fork the log",
                hint="restore the newest database; if there is none, start a new registry and publish why (SECURITY.md)",
            )
        if reader.root_at(newest.size) != newest.root:
            raise VerificationError(
                f"{self.database.name} holds another history: at size {newest.size} expected root {newest.root.hex()}, "
                f"which this log has signed ({self._high_water.path}), found {reader.root_at(newest.size).hex()}",
                hint="keep both files as evidence and restore the database that holds the signed history",
            )
        return False

    def _public_key(self, statement: Statement, keyid: str) -> PublicKey | None:
        found = self.keyring.keys.get(keyid)
        if found is not None:
            return found.public
        with self.reading() as reader:
            found = self.keyring_at(reader).keys.get(keyid)
            other = None if found else self.rules.key_at(reader.connection, statement, keyid)
        return found.public if found else other.public if other else None


@dataclass(slots=True)
class _Ticket:
    """One caller's statements, and what became of them."""

    sent: list[Submission | InbondError]
    results: list[Appended | InbondError] = field(default_factory=list)
    error: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)


def _seal(connection: Connection, batch: Batch, signers: Sequence[LogSigner]) -> bytes:
    """Write entries and tree, sign the root, write checkpoint and head; returns the checkpoint's note."""
    root, frontier = batch.write(connection)
    size = batch.next_seq
    time = int(_parse_time(batch.time).timestamp())
    note = checkpoints.sign(Checkpoint(batch.keyring.origin, size, root), signers, time)
    _INSERT_CHECKPOINT.run(connection, size, note)
    if batch.size == 0:
        _INSERT_HEAD.run(connection, 1, size, root, batch.leaf, batch.time, frontier, note)
    else:
        _UPDATE_HEAD.run(connection, size, root, batch.leaf, batch.time, frontier, note, 1)
    return note


_INSERT_CHECKPOINT, _INSERT_HEAD = Prepared.insert(tables.checkpoints), Prepared.insert(tables.head)
_UPDATE_HEAD = Prepared(
    update(tables.head).where(tables.head.c.id == bindparam("row")),
    ["size", "root", "leaf", "time", "frontier", "note", "row"],
)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:23] + "Z"


def _parse_time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise VerificationError(f"head.time: expected a time such as 2026-01-31T23:59:59.000Z, found {text!r}") from None
