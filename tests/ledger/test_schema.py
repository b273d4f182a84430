"""Revisions of the log's tables, on both kinds of database: up, down, and where nobody wrote the revision down."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect

from inbond.ledger.audit import audit_log
from inbond.ledger.database import Database
from inbond.ledger.databases import schema
from inbond.ledger.databases.postgresql import PostgresDatabase
from inbond.ledger.databases.sqlite import SqliteDatabase
from inbond.ledger.rules import NoRules
from inbond.schemas.errors import Conflict, InvalidInput, StoreError
from tests import postgres
from tests.ledger.world import NameRules, World

pytestmark = pytest.mark.both_databases


@pytest.fixture
def empty(database: str, tmp_path: Path) -> Iterator[Database]:
    """A database without tables."""
    made: Database
    if database == "postgresql":
        made = PostgresDatabase(postgres.new_schema())
    else:
        with closing(sqlite3.connect(tmp_path / "empty.db")) as connection:
            connection.execute("VACUUM")
        made = SqliteDatabase(tmp_path / "empty.db")
    yield made
    made.close()


def shape(database: Database) -> Any:
    """Everything that the database says of its tables."""
    with database.reading() as connection:
        if connection.dialect.name == "sqlite":
            made = connection.exec_driver_sql("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").all()
            return [(*row[:3], "".join((row[3] or "").split())) for row in made]
        queries = (
            "SELECT table_name, column_name, ordinal_position, data_type, is_nullable, collation_name, column_default "
            "FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1, 3",
            "SELECT tablename, replace(indexdef, current_schema(), '') FROM pg_indexes WHERE schemaname = current_schema() "
            "ORDER BY 1, 2",
            "SELECT conrelid::regclass::text, conname, contype FROM pg_constraint "
            "WHERE connamespace = current_schema()::regnamespace ORDER BY 1, 2",
            "SELECT tgname, tgenabled, tgtype, prosrc FROM pg_trigger JOIN pg_proc p ON p.oid = tgfoid "
            "WHERE tgrelid = to_regclass('entries') AND NOT tgisinternal ORDER BY 1",
        )
        return [connection.exec_driver_sql(query).all() for query in queries]


def test_migrations_make_what_a_new_log_has(empty: Database, make_world: Callable[..., World]) -> None:
    made = make_world(rules=NoRules())
    assert schema.upgrade(empty) == (schema.BASE, schema.REVISION)
    assert shape(empty) == shape(made.log.database)
    with empty.reading() as connection:
        empty.check_guards(connection)
        assert schema.differences(connection, []) == []


def test_up_and_down_and_up_again(empty: Database, make_world: Callable[..., World]) -> None:
    make_world("unused")
    schema.upgrade(empty)
    before = shape(empty)
    assert schema.downgrade(empty, schema.BASE) == (schema.REVISION, schema.BASE)
    with empty.reading() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    assert schema.upgrade(empty) == (schema.BASE, schema.REVISION)
    assert shape(empty) == before
    assert schema.upgrade(empty) == (schema.REVISION, schema.REVISION)


def test_what_holds_entries_is_never_taken_apart(world: World, make_world: Callable[..., World]) -> None:
    before = shape(world.log.database), world.entries()
    with pytest.raises(Conflict, match="expected no entries in a ledger that is taken apart, found 2"):
        schema.downgrade(world.log.database, schema.BASE)
    assert (shape(world.log.database), world.entries()) == before
    assert audit_log(world.log, world.rules).verdict == "clean"


def test_a_log_from_before_there_were_revisions(world: World, make_world: Callable[..., World]) -> None:
    before = shape(world.log.database)
    with world.log.database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
        world.log.database.commit(connection)
    world.reopen().append_one(world.party("a"))
    assert schema.upgrade(world.log.database) == ("0001", schema.REVISION)
    assert shape(world.log.database) == before


def test_tables_that_are_no_logs_are_left_alone(world: World, make_world: Callable[..., World]) -> None:
    with world.log.database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
        connection.exec_driver_sql("ALTER TABLE signers ADD COLUMN other INTEGER")
        world.log.database.commit(connection)
    before = shape(world.log.database)
    with pytest.raises(Conflict, match=r"expected the tables of a log, found others: remove column .*signers other"):
        schema.upgrade(world.log.database)
    assert shape(world.log.database) == before


@pytest.mark.parametrize(("found", "hint"), [("9999", "use a newer inbond"), ("0000", "inbond database upgrade")])
def test_other_revisions_are_not_opened(world: World, found: str, hint: str, make_world: Callable[..., World]) -> None:
    with world.log.database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{found}'")
        world.log.database.commit(connection)
    with pytest.raises(StoreError, match=f"expected tables of revision .* found {found}") as caught:
        world.open()
    assert caught.value.hint == hint
    with pytest.raises(InvalidInput, match=found):
        schema.upgrade(world.log.database)


def test_differences_are_named(world: World, make_world: Callable[..., World]) -> None:
    database = world.log.database
    with database.writing() as connection:
        assert schema.differences(connection, NameRules.tables) == []
        connection.exec_driver_sql("DROP INDEX ix_entries_kind")
        connection.exec_driver_sql("DROP TABLE names")
        connection.exec_driver_sql("ALTER TABLE tiles ADD COLUMN other INTEGER")
        connection.exec_driver_sql("CREATE TABLE theirs (id INTEGER)")
        found = schema.differences(connection, NameRules.tables)
    assert [line for line in found if "names" in line] == ["add table names"]
    assert any("ix_entries_kind" in line for line in found)
    assert any("tiles other" in line for line in found)
    assert len(found) == 3


def test_the_newest_revision_is_the_newest_script(make_world: Callable[..., World]) -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == schema.REVISION
