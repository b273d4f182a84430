"""The log: one transaction that makes statements entries of chain and tree, and its safety argument.

A statement is on record when `append` returns it. What holds then, and why:

1. *One history.* The head row, the chain and the tree move in one transaction, under `flock` and `BEGIN IMMEDIATE`, and
   are read inside it: no process keeps a head of its own. `UNIQUE(prev)` makes a fork a constraint violation.
2. *Exactly once.* Header ids are UNIQUE in the same transaction: the same payload again returns the first entry,
   another payload under that id is a Conflict. After a failure of any kind the caller may send the same again.
3. *Durable before "done".* COMMIT syncs (database.py); only then is the checkpoint written outside the database, and only
   then does the caller hear.
4. *Never two histories.* Before anything is written, the checkpoint outside is compared: if the database is behind it or
   does not contain it, the log refuses to sign. A crash between COMMIT and that file leaves the file behind, which is
   harmless: the file's checkpoint is then a prefix of the database.
5. *Nothing wrong is signed.* The root is computed twice: from tiles, written and read again, made of the leaf hashes at
   insertion; and from the compact range, extended by leaf hashes of entry bytes read again from the database. One
   flipped bit between hashing and storing shows as two roots, and nothing is committed.
6. *A failed COMMIT is not interpreted.* It may or may not be on disk; the log object refuses everything until it is
   opened again and reads what is there.
7. *A refusal touches nothing else.* Each statement stands in a savepoint of its own; a refused one leaves no row, its seq
   goes to the next, and the others of the batch go through.

Concurrent appends in one process are pooled: whoever gets the writer commits what everybody has queued by then.
"""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, insert, update
from sqlalchemy.exc import DatabaseError

from inbond.ledger import checkpoints, merkle, submission, tables
from inbond.ledger.batch import Appended, Batch
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.database import Database, translated
from inbond.ledger.highwater import HighWater
from inbond.ledger.keyring import Keyring
from inbond.ledger.keys import PublicKey, SigningKey
from inbond.ledger.reader import LedgerReader
from inbond.ledger.receipts import Receipt
from inbond.ledger.replay import draft_of
from inbond.ledger.rules import Rules
from inbond.ledger.submission import Submission
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InbondError, InvalidInput, NotPermitted, StoreError, VerificationError
from inbond.schemas.statement import Statement

MAX_BATCH = 4096
MAX_CLOCK_STEP_BACK = timedelta(hours=1)


class Log:
    """A log in a folder: `ledger.db` and `ledger.lock`. Without `log_key` it can be read and audited, not written."""

    def __init__(
        self, folder: Path, rules: Rules, log_key: SigningKey | None = None, *, accept_clock: bool = False
    ) -> None:
        self.database = Database(folder / "ledger.db")
        self.rules = rules
        self._accept_clock = accept_clock
        self._log_key = log_key
        self._keyring = Keyring()
        self._keyring_size = 0
        self._poisoned: str | None = None
        self._queue: list[_Ticket] = []
        self._queue_lock = threading.Lock()
        self._turn = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="inbond-signatures")
        with self.reading() as reader:
            genesis = reader.entry(0)
            self._catch_up(reader)
        self.origin = self._keyring.origin
        self.genesis_leaf = merkle.leaf_hash(genesis)
        self._high_water = HighWater(self.genesis_leaf, self.origin, self._keyring.log_keys)
        if log_key is not None and log_key.verifier not in self._keyring.log_keys:
            raise NotPermitted(f"log key {log_key.name}: expected a log key of {self.origin}, found another")

    @classmethod
    def create(cls, folder: Path, genesis: Envelope, log_key: SigningKey, rules: Rules) -> "Log":
        """Make the log's files in `folder` with `genesis` as entry 0, and its first checkpoint."""
        sent = submission.prepare(genesis, lambda _statement, _keyid: None)
        if sent.statement.kind != "genesis":
            raise InvalidInput(f"expected a genesis statement as entry 0, found {sent.statement.kind}")
        database = Database.create(folder / "ledger.db", [*tables.TABLES, *rules.tables])
        batch = Batch.first(sent.statement.header.registry, _now_text())
        try:
            with database.writing() as connection:
                batch.add(connection, rules, sent, lambda _size: bytes(32))
                note = _seal(connection, batch, log_key)
                connection.exec_driver_sql("COMMIT")
        finally:
            database.close()
        leaf = batch.leaves[0]
        HighWater(leaf, batch.keyring.origin, batch.keyring.log_keys).write(note)
        return cls(folder, rules, log_key)

    @property
    def keyring(self) -> Keyring:
        """The keys as of the newest head that this object has seen."""
        return self._keyring

    @contextmanager
    def reading(self) -> Iterator[LedgerReader]:
        """One snapshot of the log."""
        with self.database.reading() as connection, translated(self.database.path):
            yield LedgerReader(connection)

    def append(self, envelopes: Iterable[Envelope]) -> list[Appended | InbondError]:
        """Put statements on record, in order, each on its own: what is refused stands as its error in its place.

        Raises StoreError when nothing of the batch could be written, or when it is not known whether it was.
        """
        if self._log_key is None:
            raise NotPermitted(f"{self.origin}: this registry was opened without its log key and can only be read")
        sent = submission.prepare_all(envelopes, self._public_key, self._pool)
        ticket = _Ticket(sent)
        with self._queue_lock:
            self._queue.append(ticket)
        while not ticket.done.is_set():
            with self._turn:
                if not ticket.done.is_set():
                    self._commit(self._take())
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
        """Close the files. A write in flight finishes first."""
        with self._turn:
            self._pool.shutdown()
            self.database.close()

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
            if self._poisoned:
                raise StoreError(f"{self.origin}: {self._poisoned}", hint="open the registry again")
            with self.database.writing() as connection, translated(self.database.path):
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
        self._catch_up(reader)
        self._compare_high_water(reader)
        batch = Batch(self._keyring, reader.size, reader.leaf, reader.frontier, self._time(reader.time))
        batch.recall(connection, [sent for ticket in tickets for sent in ticket.sent if isinstance(sent, Submission)])
        for ticket in tickets:
            for sent in ticket.sent:
                try:
                    if isinstance(sent, InbondError):
                        raise sent
                    ticket.results.append(batch.add(connection, self.rules, sent, reader.root_at))
                except InbondError as error:
                    ticket.results.append(error)
        if batch.leaves and self._log_key is not None:
            note = _seal(connection, batch, self._log_key)
            try:
                connection.exec_driver_sql("COMMIT")
            except DatabaseError as error:
                self._poisoned = f"COMMIT failed and its outcome is not known ({error.orig})"
                raise StoreError(f"{self.origin}: {self._poisoned}", hint="open the registry again") from error
            self._keyring, self._keyring_size = batch.keyring, batch.next_seq
            self._high_water.write(note)

    def _time(self, previous: str) -> str:
        now = _now_text()
        if not self._accept_clock and _parse_time(previous) - _parse_time(now) > MAX_CLOCK_STEP_BACK:
            raise StoreError(
                f"the clock reads {now}, more than an hour before the newest entry at {previous}",
                hint="set the clock right; if it is right and the entry's time was wrong, pass --accept-clock",
            )
        return max(now, previous)

    def _compare_high_water(self, reader: LedgerReader) -> None:
        found = self._high_water.read()
        if found is None:
            return
        note, newest = found
        if note == reader.note:
            return
        if newest.size > reader.size:
            raise StoreError(
                f"{self.database.path} is behind: expected at least size {newest.size}, which this log has signed "
                f"({self._high_water.path}), found size {reader.size}; signing now would fork the log",
                hint="restore the newest ledger.db; if there is none, start a new registry and publish why (SECURITY.md)",
            )
        if reader.root_at(newest.size) != newest.root:
            raise VerificationError(
                f"{self.database.path} holds another history: at size {newest.size} expected root {newest.root.hex()}, "
                f"which this log has signed ({self._high_water.path}), found {reader.root_at(newest.size).hex()}",
                hint="keep both files as evidence and restore the database that holds the signed history",
            )

    def _catch_up(self, reader: LedgerReader) -> None:
        if self._keyring_size == reader.size:
            return
        keyring = self._keyring.copy()
        for _seq, data in reader.entries(self._keyring_size, kinds=("genesis", "key")):
            keyring.apply(draft_of(data))
        self._keyring, self._keyring_size = keyring, reader.size

    def _public_key(self, statement: Statement, keyid: str) -> PublicKey | None:
        found = self._keyring.keys.get(keyid)
        if found is None:
            with self.reading() as reader:
                self._catch_up(reader)
                other = self.rules.key_at(reader.connection, statement, keyid)
            found = self._keyring.keys.get(keyid)
            return found.public if found else other.public if other else None
        return found.public


@dataclass(slots=True)
class _Ticket:
    """One caller's statements, and what became of them."""

    sent: list[Submission | InbondError]
    results: list[Appended | InbondError] = field(default_factory=list)
    error: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)


def _seal(connection: Connection, batch: Batch, log_key: SigningKey) -> bytes:
    """Write entries and tree, sign the root, write checkpoint and head; returns the checkpoint's note."""
    root, frontier = batch.write(connection)
    size = batch.next_seq
    note = checkpoints.sign(Checkpoint(batch.keyring.origin, size, root), [log_key])
    connection.execute(insert(tables.checkpoints), {"size": size, "note": note})
    values = {"size": size, "root": root, "leaf": batch.leaf, "time": batch.time, "frontier": frontier, "note": note}
    if batch.size == 0:
        connection.execute(insert(tables.head), {"id": 1, **values})
    else:
        connection.execute(update(tables.head).where(tables.head.c.id == 1), values)
    return note


def _now_text() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:23] + "Z"


def _parse_time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
