"""A log in an SQLite file: who may open it, how, and when bytes count as written.

Safety argument
---------------
* One process writes at a time: every write transaction, every WAL checkpoint (automatic ones happen inside COMMIT) and
  every close of a writing connection happens while this process holds an exclusive `flock` on `ledger.lock`. This also
  removes the precondition of the WAL-reset bug of SQLite 3.7.0 to 3.51.2 (two connections, one checkpointing while the
  other resets the WAL).
* A commit that returned is on disk: WAL with `synchronous=FULL` syncs the WAL at every COMMIT.
* Readers open the file `mode=ro` with `query_only`, so they can neither write nor checkpoint.
* In a folder that cannot be written SQLite cannot make the WAL's index, so the file alone is read, `immutable`: only where
  no WAL with newer content lies beside it, and only while the file stays as it was, which every reading checks at its end.
* Nothing here opens and closes the database file by other means: closing any descriptor of it would drop the POSIX
  locks that SQLite holds in this process.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, LargeBinary, Table, create_engine, event
from sqlalchemy.pool import NullPool, QueuePool

from inbond.ledger import tables
from inbond.ledger.database import create_tables, locked, translated
from inbond.ledger.databases import schema
from inbond.ledger.files import sync_folder
from inbond.ledger.pending import pending
from inbond.schemas.errors import Conflict, NotFound, StoreError, VerificationError

FILE = "ledger.db"

_APPEND_ONLY = """
CREATE TRIGGER entries_no_{lower} BEFORE {verb} ON entries
BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END
"""


class SqliteDatabase:
    """One SQLite file with its lock file. Writers come one at a time, readers are read-only."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        if not path.is_file():
            raise NotFound(f"{path} does not exist: expected a ledger database", hint="inbond init DIR --origin NAME")
        self.path, self.name = path, str(path)
        self._mutex = threading.RLock()
        self._writer: Connection | None = None
        self._frozen = _state(path) if _only_as_it_lies(path) else None
        self._durable = durable
        self._read_engine = _engine(path, "ro" if self._frozen is None else "ro&immutable=1", QueuePool, durable)

    @classmethod
    def create(cls, path: Path, tables: list[Table], *, durable: bool = True) -> "SqliteDatabase":
        """Make a new file at `path` with `tables`; the entries table gets its append-only triggers.

        One that is not `durable`, for scratch work, syncs nothing.
        Raises Conflict if there is a file already.
        """
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        except FileExistsError:
            raise Conflict(f"{path}: expected no ledger there yet, found one") from None
        except OSError as error:
            raise StoreError(f"{path}: the database could not be created: {error.strerror}") from error
        os.close(descriptor)  # nobody holds SQLite locks on a file that was created just now
        database = cls(path, durable=durable)
        with database.writing() as connection:
            create_tables(connection, tables)
            for verb in ("UPDATE", "DELETE"):
                connection.exec_driver_sql(_APPEND_ONLY.format(verb=verb, lower=verb.lower()))
            schema.mark(connection)
            database.commit(connection)
        return database

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Hold the lock and an open `BEGIN IMMEDIATE` transaction. The caller commits; leaving without it rolls back."""
        with self._mutex, self._locked(), translated(self.path, log=True):
            connection = self._connection()
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            pending(connection).drop()  # what a transaction has left that came to nothing
            try:
                yield connection
            finally:
                if _in_transaction(connection):
                    connection.exec_driver_sql("ROLLBACK")

    def migrating(self) -> AbstractContextManager[Connection]:
        """As `writing`: the lock is a file's."""
        return self.writing()

    def commit(self, connection: Connection) -> None:
        """End a write; it is on disk when this returns. Raises StoreError or VerificationError where that is not known."""
        with translated(self.path, log=True):
            connection.exec_driver_sql("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read-only connection in one snapshot."""
        with translated(self.path, log=True), self._read_engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                if _in_transaction(connection):
                    connection.exec_driver_sql("ROLLBACK")
                if self._frozen is not None and self._frozen != _state(self.path):
                    raise StoreError(
                        f"{self.path}: expected a file that nobody writes, as its folder is read-only here; it was written since",
                        hint="repeat the command",
                    )

    def drop_writer(self) -> None:
        """Close the writing connection, under the lock; the next write opens a new one."""
        with self._mutex:
            if self._writer is not None:
                with self._locked():
                    writer, self._writer = self._writer, None
                    writer.close()

    def close(self) -> None:
        """Close every connection, the writing one last: then SQLite moves the WAL into the file and removes it."""
        self._read_engine.dispose()
        self.drop_writer()

    def integrity(self) -> None:
        """Ask SQLite to check every page, row, index and constraint; raise VerificationError with its first findings.

        Connections that were opened read-only do not look at constraints, so this one could write, but does not. Where
        nothing can be written constraints are left to those who read the values.
        """
        if os.access(self.path.parent, os.W_OK) and os.access(self.path, os.W_OK):
            found = self._examine()
        else:
            with self.reading() as connection:
                found = _findings(connection)
        if found != ["ok"]:
            raise VerificationError(f"{self.path} is damaged: expected an intact SQLite file, found: {'; '.join(found)}")

    def check_guards(self, connection: Connection) -> None:
        """Raise VerificationError unless the triggers are those of a new ledger."""
        found, expected = _triggers(connection), _expected_triggers()
        for name in sorted(found.keys() | expected.keys()):
            if found.get(name) != expected.get(name):
                raise VerificationError(
                    f"trigger {name}: expected {_cut(expected.get(name))}, which keeps entries append-only, found "
                    f"{_cut(found.get(name))}"
                )

    def _examine(self) -> list[str]:
        with translated(self.path, log=True):
            with self._locked():
                connection = self._write_engine.connect()
            try:
                connection.exec_driver_sql("PRAGMA query_only=ON")
                return _findings(connection)
            finally:
                with self._locked():
                    connection.close()

    def _connection(self) -> Connection:
        if self._writer is None:
            self._writer = self._write_engine.connect()
        return self._writer

    @cached_property
    def _write_engine(self) -> Engine:
        """Made when something is written: most of those who open a log only read it."""
        return _engine(self.path, "rw", NullPool, self._durable)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with locked(self.path.with_suffix(".lock")):
            yield


@contextmanager
def creating(folder: Path, wanted: list[Table]) -> Iterator[tuple[SqliteDatabase, Connection]]:
    """Make the ledger's file in `folder` with `wanted`, and what is written and committed inside; all of it or nothing.

    Raises Conflict if there is one already.
    """
    path = folder / FILE
    with (
        locked(path.with_suffix(".lock")),
        TemporaryDirectory(prefix=".ledger-", dir=folder, ignore_cleanup_errors=True) as building,
    ):
        # A WAL that a deleted ledger has left behind would be replayed into the new one.
        for there in (path, path.with_name(f"{FILE}-wal"), path.with_name(f"{FILE}-shm")):
            if there.exists():
                raise Conflict(f"{there}: expected no ledger there yet, found one or what is left of it")
        database = SqliteDatabase.create(Path(building) / FILE, wanted)
        try:
            with database.writing() as connection:
                yield database, connection
        finally:
            database.close()  # the last connection: SQLite moves everything into the one file and syncs it
        if Path(building, f"{FILE}-wal").exists():  # closing says nothing of a page that could not be written
            raise StoreError(f"{path}: the new ledger could not be written into one file", hint="free space or mend the disk")
        try:
            Path(building, FILE).rename(path)
            sync_folder(folder)
        except OSError as error:
            raise StoreError(f"{path}: the new ledger could not be put in its place for certain: {error}") from error


def _triggers(connection: Connection) -> dict[str, str]:
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
    return {name: sql for name, sql in connection.exec_driver_sql(query)}


@cache
def _expected_triggers() -> dict[str, str]:
    """The triggers of a new ledger."""
    with TemporaryDirectory(prefix="inbond-audit-") as folder:
        fresh = SqliteDatabase.create(Path(folder) / FILE, tables.TABLES, durable=False)
        try:
            with fresh.reading() as connection:
                return _triggers(connection)
        finally:
            fresh.close()


def _cut(sql: str | None) -> str:
    text = repr(sql)
    return text if len(text) <= 80 else text[:77] + "…"


class _Bytes(LargeBinary):
    """Bytes as they are; a value that damage has made a text or a number is named, not converted."""

    def bind_processor(self, dialect: Dialect) -> None:
        return None

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        def process(value: Any) -> Any:
            if value is None or isinstance(value, bytes):
                return value
            raise VerificationError(f"the ledger's database: expected bytes, found {type(value).__name__} {str(value)[:60]!r}")

        return process


def _only_as_it_lies(path: Path) -> bool:
    """Whether SQLite can open the file only as one that nobody writes. Raises StoreError where that would hide entries."""
    if os.access(path.parent, os.W_OK):
        return False
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            connection.execute("PRAGMA schema_version")
        finally:
            connection.close()
        return False
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            return False  # whoever reads hears of it
    wal = path.with_name(f"{path.name}-wal")
    if wal.exists() and wal.stat().st_size:
        raise StoreError(
            f"{path}: newer content lies in {wal.name}, which SQLite cannot read where it cannot write",
            hint="open it once where its folder can be written, such as in a copy: inbond log head",
        )
    return True


def _state(path: Path) -> tuple[int, int, int]:
    """What changes when the file is written; asked of its name, as opening it would drop SQLite's locks."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _findings(connection: Connection) -> list[str]:
    return [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check(5)")]


def _in_transaction(connection: Connection) -> bool:
    return bool(connection.connection.dbapi_connection.in_transaction)  # type: ignore[union-attr]


def _engine(path: Path, mode: str, pool: Any, durable: bool) -> Engine:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={mode}",
            uri=True,
            timeout=60,
            check_same_thread=False,
            isolation_level=None,
        )

    # Readers are as many as there are threads that ask at once: one that had to wait for another could wait for itself.
    limit = {} if pool is NullPool else {"max_overflow": -1}
    engine = create_engine("sqlite://", creator=connect, poolclass=pool, isolation_level="AUTOCOMMIT", **limit)
    engine.dialect.colspecs = {**engine.dialect.colspecs, LargeBinary: _Bytes}

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        # A batch touches many pages of the indexes over random ids: with room for them a page is moved out of the WAL once
        # for many batches, and none is written before COMMIT.
        writer = ("journal_mode=WAL", "wal_autocheckpoint=4000", "cache_size=-65536")
        for pragma in writer if mode == "rw" else ("query_only=ON",):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
        connection.execute("PRAGMA fullfsync=ON")  # macOS: a plain fsync leaves data in the disk's cache
        connection.execute("PRAGMA checkpoint_fullfsync=ON")
        connection.execute("PRAGMA recursive_triggers=ON")  # else REPLACE would delete a row without its trigger
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA cell_size_check=ON")

    return engine
