"""A registry made by another version of inbond: what differs in its tables, and how they become those of this one."""

from dataclasses import dataclass
from pathlib import Path

from inbond.ledger.databases import open_database, schema
from inbond.ledger.rebuild import Progress
from inbond.registry.home import Home
from inbond.registry.registry import Registry
from inbond.registry.tables import TABLES
from inbond.schemas.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Tables:
    """The revision of the log's own tables, the newest one, and how the tables differ from those of this version."""

    revision: str
    newest: str
    differences: list[str]


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The revisions before and after, and how many entries the catalogue was made again from; 0 where it was right."""

    before: str
    after: str
    rebuilt: int


def look(folder: Path) -> Tables:
    """Compare the tables of the registry in `folder` with those of this version."""
    Home.read(folder)
    database = open_database(folder)
    try:
        with database.reading() as connection:
            return Tables(schema.revision(connection), schema.REVISION, schema.differences(connection, TABLES))
    finally:
        database.close()


def upgrade(folder: Path, progress: Progress | None = None) -> Upgraded:
    """Bring the tables of the registry in `folder` to those of this version: the log's own, then the catalogue's."""
    Home.read(folder)
    database = open_database(folder)
    try:
        before, after = schema.upgrade(database)
    finally:
        database.close()
    rebuilt = 0
    if look(folder).differences:
        with Registry.open(folder) as registry:
            rebuilt = registry.rebuild(progress)
    return Upgraded(before, after, rebuilt)


def downgrade(folder: Path, to: str) -> Upgraded:
    """Take the log's own tables back to an earlier revision, for an earlier version of inbond; it rebuilds the catalogue."""
    Home.read(folder)
    if to == schema.BASE:
        raise InvalidInput("expected a revision, found base: a ledger with entries is never taken apart")
    database = open_database(folder)
    try:
        before, after = schema.downgrade(database, to)
    finally:
        database.close()
    return Upgraded(before, after, 0)
