"""Which tables a log's database has: revisions of the log's own, made by Alembic; and the catalogue's, made again from entries.

A new log has the newest revision and is marked with it. One made before there were revisions is recognised by its tables. What
follows from the entries is never migrated: where the catalogue's tables are not those of this version, a rebuild makes them.
"""

import importlib.resources
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table

from inbond.ledger import tables
from inbond.ledger.database import Database, adapted
from inbond.schemas.errors import Conflict, InvalidInput, StoreError, VerificationError

REVISION = "0001"
"""The newest revision, which this version reads and writes."""

BASE = "base"
"""Before the first revision: no tables."""

_VERSIONS = "alembic_version"
_CREATE = f"CREATE TABLE {_VERSIONS} (version_num VARCHAR(32) NOT NULL, CONSTRAINT {_VERSIONS}_pkc PRIMARY KEY (version_num))"


def mark(connection: Connection) -> None:
    """Say of a new log's tables that they are those of the newest revision."""
    connection.exec_driver_sql(_CREATE)
    connection.exec_driver_sql(f"INSERT INTO {_VERSIONS} VALUES ('{REVISION}')")


def revision(connection: Connection) -> str:
    """The revision of a database; one that does not say and has a log's tables has the first."""
    there = _tables(connection)
    if _VERSIONS in there:
        found = connection.exec_driver_sql(f"SELECT version_num FROM {_VERSIONS}").scalars().all()
        return str(found[0]) if found else BASE
    return "0001" if tables.head.name in there else BASE


def expect_current(name: str, connection: Connection) -> None:
    """Raise StoreError unless a database has the newest revision; VerificationError where it has no tables of a log."""
    found = revision(connection)
    if found == REVISION:
        return
    if found == BASE:
        raise VerificationError(f"{name}: expected the tables of a log, found none")
    if found > REVISION:
        raise StoreError(f"{name}: expected tables of revision {REVISION} or older, found {found}", hint="use a newer inbond")
    raise StoreError(f"{name}: expected tables of revision {REVISION}, found {found}", hint="inbond database upgrade")


def upgrade(database: Database, to: str = "head") -> tuple[str, str]:
    """Bring the log's own tables to a revision, in one transaction; returns the revisions before and after.

    Raises Conflict for tables that are no log's.
    """
    return _migrate(database, "upgrade", to)


def downgrade(database: Database, to: str) -> tuple[str, str]:
    """Take the log's own tables back to an earlier revision. What holds entries is never taken apart: Conflict."""
    return _migrate(database, "downgrade", to)


def differences(connection: Connection, wanted: Iterable[Table]) -> list[str]:
    """How the tables in a database differ from `wanted` and those of the log, a line each; other tables are not looked at."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    metadata = adapted([*tables.TABLES, *wanted], connection.dialect.name)

    def ours(_item: object, name: str | None, kind: str, *_: object) -> bool:
        return kind != "table" or name in metadata.tables

    context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": True})
    return [_said(difference) for difference in compare_metadata(context, metadata)]


def _tables(connection: Connection) -> set[str]:
    """Which of the two tables that matter here a database has; asked at every opening, so asked of the database itself."""
    if connection.dialect.name == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('{}', '{}')"
    else:
        query = "SELECT name FROM unnest(ARRAY['{}', '{}']) AS name WHERE to_regclass(quote_ident(name)) IS NOT NULL"
    return set(connection.exec_driver_sql(query.format(_VERSIONS, tables.head.name)).scalars())


def _migrate(database: Database, direction: str, to: str) -> tuple[str, str]:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    with importlib.resources.as_file(importlib.resources.files("inbond.ledger.databases") / "migrations") as scripts:
        config = Config()
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        with database.migrating() as connection:
            before = revision(connection)
            config.attributes["connection"] = connection
            if before != BASE and _VERSIONS not in _tables(connection):
                found = differences(connection, [])
                if found:
                    raise Conflict(f"{database.name}: expected the tables of a log, found others: {found[0]}")
                mark(connection)
            try:
                getattr(command, direction)(config, to)
            except CommandError as error:
                raise InvalidInput(f"{database.name}: {error}") from None
            after = revision(connection)
            database.commit(connection)
            return before, after


def _said(difference: Any) -> str:
    kind, *rest = difference[0] if isinstance(difference, list) else difference
    names = [getattr(each, "name", each) for each in rest if each is not None and not isinstance(each, dict)]
    return " ".join(str(each) for each in (kind.replace("_", " "), *names))
