"""The ledger's SQLite file: who may open it, how, and when bytes count as written.

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

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Connection,
    Dialect,
    Engine,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    create_engine,
    event,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool

from inbond.schemas.errors import Conflict, InbondError, NotFound, StoreError, VerificationError

_APPEND_ONLY = """
CREATE TRIGGER entries_no_{lower} BEFORE {verb} ON entries
BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END
"""

_STORAGE = {LargeBinary: "blob", String: "text", Boolean: "integer", Integer: "integer", Float: "real"}


class Database:
    """One SQLite file with its lock file. Writers come one at a time, readers are read-only."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        if not path.is_file():
            raise NotFound(f"{path} does not exist: expected a ledger database", hint="inbond init DIR --origin NAME")
        self.path = path
        self._mutex = threading.RLock()
        self._writer: Connection | None = None
        self._frozen = _state(path) if _only_as_it_lies(path) else None
        self._write_engine = _engine(path, "rw", NullPool, durable)
        self._read_engine = _engine(path, "ro" if self._frozen is None else "ro&immutable=1", QueuePool, durable)

    @classmethod
    def create(cls, path: Path, tables: list[Table], *, durable: bool = True) -> "Database":
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
            connection.exec_driver_sql("COMMIT")
        return database

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Hold the lock and an open `BEGIN IMMEDIATE` transaction. The caller commits; leaving without it rolls back."""
        with self._mutex, self._locked(), translated(self.path):
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

    def _examine(self) -> list[str]:
        with translated(self.path):
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

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with locked(self.path.with_suffix(".lock")):
            yield


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive `flock` on the file at `path`, which is made if it is not there."""
    try:
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: the lock file could not be opened: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def create_tables(connection: Connection, tables: list[Table]) -> None:
    """Make `tables`, each column with a constraint on how its values are stored.

    SQLite takes a value of any type in any column. With the constraint `PRAGMA integrity_check` finds a value whose
    stored type was changed by damage, before any code meets a string where it expects bytes.
    """
    metadata = MetaData()
    for table in tables:
        copy = table.to_metadata(metadata)
        for column in copy.columns:
            declared = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
            storage = next((name for type, name in _STORAGE.items() if isinstance(declared, type)), None)
            if storage is not None:
                allowed = f"'{storage}', 'null'" if column.nullable else f"'{storage}'"
                copy.append_constraint(CheckConstraint(f'typeof("{column.name}") IN ({allowed})'))
    metadata.create_all(connection)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the database driver's errors into ours: damage is a verification failure, anything else a store error."""
    try:
        yield
    except InbondError:
        raise
    except UnicodeDecodeError as error:  # the driver, of a message that quotes damaged names
        raise VerificationError(f"{path} is damaged: expected UTF-8, found {error.object[:80]!r}") from None
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause = getattr(error, "orig", None) or error
        # Python's own complaints have no code: those about a value that is not what it should be are DataError and
        # OperationalError ("could not decode to UTF-8").
        code = getattr(cause, "sqlite_errorcode", None)
        undecodable = code is None and isinstance(cause, sqlite3.OperationalError | sqlite3.DataError)
        if undecodable or (code is not None and code & 0xFF in _DAMAGED):
            raise VerificationError(f"{path} is damaged: expected an intact SQLite file, found: {cause}") from None
        raise StoreError(f"{path}: the database refused: {cause}", hint="inbond doctor") from error


_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}


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
