"""The ledger's SQLite file: who may open it, how, and when bytes count as written.

Safety argument
---------------
* One process writes at a time: every write transaction, every WAL checkpoint (automatic ones happen inside COMMIT) and
  every close of a writing connection happens while this process holds an exclusive `flock` on `ledger.lock`. This also
  removes the precondition of the WAL-reset bug of SQLite 3.7.0 to 3.51.2 (two connections, one checkpointing while the
  other resets the WAL).
* A commit that returned is on disk: WAL with `synchronous=FULL` syncs the WAL at every COMMIT.
* Readers open the file `mode=ro` with `query_only`, so they can neither write nor checkpoint.
* Nothing here opens and closes the database file by other means: closing any descriptor of it would drop the POSIX
  locks that SQLite holds in this process.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool, QueuePool

from inbond.schemas.errors import InbondError, NotFound, StoreError, VerificationError

_APPEND_ONLY = """
CREATE TRIGGER entries_no_{lower} BEFORE {verb} ON entries
BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END
"""


class Database:
    """One SQLite file with its lock file. Writers come one at a time, readers are read-only."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise NotFound(f"{path} does not exist: expected a ledger database", hint="inbond init DIR --origin NAME")
        self.path = path
        self._mutex = threading.RLock()
        self._writer: Connection | None = None
        self._write_engine = _engine(path, "rw", NullPool)
        self._read_engine = _engine(path, "ro", QueuePool)

    @classmethod
    def create(cls, path: Path, tables: list[Table]) -> "Database":
        """Make a new file at `path` with `tables`; the entries table gets its append-only triggers."""
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        os.close(descriptor)  # nobody holds SQLite locks on a file that was created just now
        database = cls(path)
        with database.writing() as connection:
            tables[0].metadata.create_all(connection, tables=tables)
            for verb in ("UPDATE", "DELETE"):
                connection.exec_driver_sql(_APPEND_ONLY.format(verb=verb, lower=verb.lower()))
            connection.exec_driver_sql("COMMIT")
        return database

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Hold the lock and an open `BEGIN IMMEDIATE` transaction. The caller commits; leaving without it rolls back."""
        with self._mutex, self._locked():
            connection = self._connection()
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            finally:
                if _in_transaction(connection):
                    connection.exec_driver_sql("ROLLBACK")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read-only connection in one snapshot."""
        with translated(self.path), self._read_engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                if _in_transaction(connection):
                    connection.exec_driver_sql("ROLLBACK")

    def drop_writer(self) -> None:
        """Close the writing connection, under the lock; the next write opens a new one."""
        with self._mutex:
            if self._writer is not None:
                with self._locked():
                    writer, self._writer = self._writer, None
                    writer.close()

    def close(self) -> None:
        """Close every connection."""
        self.drop_writer()
        self._read_engine.dispose()

    def integrity(self) -> None:
        """Ask SQLite to check every page, row and index; raise VerificationError with its first findings."""
        with self.reading() as connection:
            found = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check(5)")]
        if found != ["ok"]:
            raise VerificationError(
                f"{self.path} is damaged: expected an intact SQLite file, found: {'; '.join(found)}"
            )

    def _connection(self) -> Connection:
        if self._writer is None:
            with translated(self.path):
                self._writer = self._write_engine.connect()
        return self._writer

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = os.open(self.path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the database driver's errors into ours: damage is a verification failure, anything else a store error."""
    try:
        yield
    except InbondError:
        raise
    except (DatabaseError, sqlite3.DatabaseError) as error:
        cause = error.orig if isinstance(error, DatabaseError) else error
        if isinstance(cause, sqlite3.DatabaseError) and cause.sqlite_errorcode & 0xFF in _DAMAGED:
            raise VerificationError(f"{path} is damaged: expected an intact SQLite file, found: {cause}") from None
        raise StoreError(f"{path}: the database refused: {cause}", hint="inbond doctor") from error


_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}


def _in_transaction(connection: Connection) -> bool:
    return bool(connection.connection.dbapi_connection.in_transaction)  # type: ignore[union-attr]


def _engine(path: Path, mode: str, pool: Any) -> Engine:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={mode}",
            uri=True,
            timeout=60,
            check_same_thread=False,
            isolation_level=None,
        )

    engine = create_engine("sqlite://", creator=connect, poolclass=pool, isolation_level="AUTOCOMMIT")

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        for pragma in ("journal_mode=WAL",) if mode == "rw" else ("query_only=ON",):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA recursive_triggers=ON")  # else REPLACE would delete a row without its trigger
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA cell_size_check=ON")

    return engine
