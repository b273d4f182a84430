"""A small SQLite file for what a witness, or a log's client of witnesses, must remember.

Unlike the ledger it is written seldom and a row at a time, by processes that may be several, so it has a rollback journal and
no WAL: SQLite's own locks make writers take turns, and the WAL-reset bug of 3.7.0 to 3.51.2 has no WAL to reset. With
`synchronous=EXTRA` file, journal and folder are synced before COMMIT returns.

A COMMIT that fails may or may not be on disk, and the system's cache may hold what the disk does not. Nothing is read from
such a file until it is opened again.
"""

import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, MetaData, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from inbond.ledger.database import translated
from inbond.ledger.files import make_folders, sync_folder
from inbond.schemas.errors import Conflict, NotFound, StoreError, VerificationError

WAIT = 10  # seconds for another process's write to end


class StateFile:
    """One file with one connection, for the threads of this process in turn. `kind` is its SQLite application id.

    Raises NotFound for no file, VerificationError for one that is not of this kind; an empty one is not.
    """

    def __init__(self, path: Path, kind: int) -> None:
        if not path.is_file():
            raise NotFound(f"{path}: expected a state file, found none")
        self.path = path
        self._lock = threading.RLock()
        self._broken: str | None = None
        with translated(path):
            self._connection = _connect(path)
            try:
                found = self._connection.exec_driver_sql("PRAGMA application_id").scalar_one()
                if found != kind:
                    raise VerificationError(f"{path}: expected a state file of kind {kind:08x}, found {found:08x}")
            except BaseException:
                self._connection.close()
                raise

    @classmethod
    def create(cls, path: Path, kind: int, metadata: MetaData) -> "StateFile":
        """Make the file with its tables, for its owner alone; Conflict if there is one. It appears whole or not at all."""
        try:
            make_folders(path.parent)
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            os.close(descriptor)
            try:
                with translated(path), closing(_connect(Path(name))) as connection:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                    metadata.create_all(connection)
                    connection.exec_driver_sql(f"PRAGMA application_id={kind}")
                    connection.exec_driver_sql("COMMIT")
                os.link(name, path)
            finally:
                Path(name).unlink()
            sync_folder(path.parent)
        except FileExistsError:
            raise Conflict(f"{path}: expected no state file there yet, found one") from None
        except OSError as error:
            raise StoreError(f"{path}: the state file could not be created: {error.strerror}") from error
        return cls(path, kind)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other overlaps, from its first reading on. It is committed, and on disk, at the end.

        An error inside rolls it back. Raises StoreError where it is not known whether it is on disk.
        """
        with self._lock, translated(self.path):
            connection = self._usable()
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            try:
                connection.exec_driver_sql("COMMIT")
            except BaseException as error:
                self._broken = "a write failed and it is not known whether it is on disk"
                cause = error.orig if isinstance(error, DBAPIError) else error
                raise StoreError(f"{self.path}: {self._broken} ({cause})", hint="start again") from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot."""
        with self._lock, translated(self.path):
            connection = self._usable()
            connection.exec_driver_sql("BEGIN")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("ROLLBACK")

    def close(self) -> None:
        """Close the file; a write in flight finishes first."""
        with self._lock:
            self._broken = self._broken or "it was closed"
            self._connection.close()

    def _usable(self) -> Connection:
        if self._broken:
            raise StoreError(f"{self.path}: {self._broken}", hint="start again")
        return self._connection


def _connect(path: Path) -> Connection:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=WAIT, check_same_thread=False, isolation_level=None
        )
        for pragma in ("journal_mode=DELETE", "synchronous=EXTRA", "fullfsync=ON", "cell_size_check=ON"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    return create_engine("sqlite://", creator=connect, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect()
