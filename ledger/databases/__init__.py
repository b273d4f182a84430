"""Where a log's tables are: in an SQLite file of its folder, or in a PostgreSQL database that a file of its folder names."""

from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import Connection, Table

from inbond.ledger.database import Database
from inbond.ledger.databases import sqlite
from inbond.schemas.errors import Conflict

ADDRESS = "ledger.address"


def open_database(folder: Path) -> Database:
    """The database of the log in `folder`. Raises NotFound when there is none, Conflict when there are two."""
    file, address = folder / sqlite.FILE, folder / ADDRESS
    if not address.is_file():
        return sqlite.SqliteDatabase(file)
    if file.exists():
        raise Conflict(f"{folder}: expected {sqlite.FILE} or {ADDRESS}, found both", hint="move away the one that is not in use")
    from inbond.ledger.databases import postgresql

    return postgresql.opened(address)


def creating(folder: Path, tables: list[Table], address: str | None) -> AbstractContextManager[tuple[Database, Connection]]:
    """Make a log's database in `folder`, or at a PostgreSQL `address` that the folder then names.

    The block writes what comes first and commits; without that there is nothing. Raises Conflict if there is a log already.
    """
    if address is None:
        return sqlite.creating(folder, tables)
    from inbond.ledger.databases import postgresql

    return postgresql.creating(folder / ADDRESS, tables, address)
