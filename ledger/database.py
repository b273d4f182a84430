"""The database of a log, as the log sees it: one writer at a time, readers that each see one state, a COMMIT that lasts.

What holds on each side, and why, is argued in `databases.sqlite` and `databases.postgresql`. Everything above speaks to a
`sqlalchemy.Connection` in an open transaction, in SQL that both understand.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
)
from sqlalchemy.exc import SQLAlchemyError

from inbond.schemas.errors import InbondError, StoreError, VerificationError


class Database(Protocol):
    """The tables of one log. `name` is what messages call it: a path, or an address without its password."""

    name: str

    def writing(self) -> AbstractContextManager[Connection]:
        """Hold the log's write lock and an open transaction. The caller commits; leaving without it rolls back."""

    def migrating(self) -> AbstractContextManager[Connection]:
        """As `writing`, for a database whose tables may be missing or those of another version."""

    def commit(self, connection: Connection) -> None:
        """End a write; what it wrote is on disk when this returns.

        Raises StoreError or VerificationError where that is not known: it may be there, or not.
        """

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection that cannot write, in one snapshot."""

    def integrity(self) -> None:
        """Ask the database itself whether it is whole; VerificationError with its first findings."""

    def check_guards(self, connection: Connection) -> None:
        """Raise VerificationError unless entries are append-only, as in a new log."""

    def drop_writer(self) -> None:
        """Close the writing connection; the next write opens a new one."""

    def close(self) -> None:
        """Close every connection."""


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


def create_tables(connection: Connection, tables: Iterable[Table]) -> None:
    """Make `tables` where they are not there yet, as the connection's database needs them."""
    adapted(tables, connection.dialect.name).create_all(connection)


def adapted(tables: Iterable[Table], dialect: str) -> MetaData:
    """`tables` as a kind of database needs them."""
    metadata = MetaData()
    for table in tables:
        copy = table.to_metadata(metadata)
        for column in copy.columns:
            if dialect == "sqlite":
                _constrain(copy, column)
            else:
                _widen(column)
    return metadata


def _constrain(table: Table, column: Column[Any]) -> None:
    """SQLite takes a value of any type in any column; a constraint says how its values are stored.

    With it `PRAGMA integrity_check` finds a value whose stored type was changed by damage, before any code meets a string
    where it expects bytes.
    """
    storage = next((name for type, name in _STORAGE.items() if isinstance(_declared(column), type)), None)
    if storage is not None:
        allowed = f"'{storage}', 'null'" if column.nullable else f"'{storage}'"
        table.append_constraint(CheckConstraint(f'typeof("{column.name}") IN ({allowed})'))


def _widen(column: Column[Any]) -> None:
    """Elsewhere an integer is of 64 bits only where that is said, and text is in byte order only where that is said."""
    column.autoincrement = False
    if isinstance(_declared(column), Integer):
        column.type = BigInteger()
    elif isinstance(_declared(column), String):
        column.type = String(collation="C")


def _declared(column: Column[Any]) -> Any:
    return column.type.impl if isinstance(column.type, TypeDecorator) else column.type


_STORAGE = {LargeBinary: "blob", String: "text", Boolean: "integer", Integer: "integer", Float: "real"}


@contextmanager
def translated(name: Path | str, *, log: bool = False) -> Iterator[None]:
    """Turn a database driver's errors into ours: damage is a verification failure, anything else a store error.

    In a `log` a table or column that is not there is more likely one that an earlier version did not make.
    """
    try:
        yield
    except InbondError:
        raise
    except UnicodeDecodeError as error:  # the driver, of a message that quotes damaged names
        raise VerificationError(f"{name} is damaged: expected UTF-8, found {error.object[:80]!r}") from None
    except Exception as error:
        if not isinstance(error, SQLAlchemyError | sqlite3.Error) and not hasattr(error, "sqlstate"):
            raise
        cause = getattr(error, "orig", None) or error
        if log and _is_of_another_version(cause):
            missing = str(cause).partition("\n")[0]
            raise VerificationError(
                f"{name}: expected the tables of this inbond, found: {missing}; an earlier version wrote it, or it is damaged",
                hint="inbond database check\ninbond database upgrade    (makes the catalogue again from the entries)",
            ) from None
        if _is_damage(cause):
            raise VerificationError(f"{name} is damaged: expected an intact database, found: {cause}") from None
        said = " ".join(str(cause).split())
        raise StoreError(f"{name}: the database refused: {said}", hint="inbond doctor") from error


def _is_damage(cause: BaseException) -> bool:
    """What SQLite's codes and SQLSTATE's class XX say; and Python, of a value that is not what it should be.

    Its own complaints have no code: they are DataError and OperationalError ("could not decode to UTF-8").
    """
    if not isinstance(cause, sqlite3.Error):
        return (getattr(cause, "sqlstate", None) or "").startswith("XX")
    code = getattr(cause, "sqlite_errorcode", None)
    if code is None:
        return isinstance(cause, sqlite3.OperationalError | sqlite3.DataError)
    return code & 0xFF in _DAMAGED


def _is_of_another_version(cause: BaseException) -> bool:
    """Whether a table or column is missing: SQLite has words for it and no code, SQLSTATE 42P01 and 42703."""
    if isinstance(cause, sqlite3.Error):
        return str(cause).startswith(("no such table: ", "no such column: ")) or " has no column named " in str(cause)
    return getattr(cause, "sqlstate", None) in ("42P01", "42703")


_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
