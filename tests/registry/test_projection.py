"""The catalogue is what follows from the entries: rebuilt it is the same, altered it is named."""

import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Integer, LargeBinary, Table

from inbond.ledger.comparing import compare_table
from inbond.registry import tables as t
from inbond.registry.registry import Registry
from inbond.schemas.errors import VerificationError
from tests.registry.world import CHAT_ROWS, CODE_ROWS, World


def test_a_new_world_is_sound(world: World) -> None:
    world.check()
    assert world.registry.verify().verdict == "proved"


def test_every_table_has_rows_after_all_flows_and_a_rebuild_makes_them_again(lived: World) -> None:
    assert all(lived.rows()[table.name] for table in t.TABLES)
    lived.check()
    checked = lived.registry.verify()
    assert (checked.verdict, checked.problems, checked.unchecked) == ("proved", [], [])


def test_a_rebuild_makes_the_tables_of_an_older_version_anew(world: World) -> None:
    before = world.rows()
    with closing(sqlite3.connect(world.folder / "ledger.db")) as database:
        database.execute("DROP TABLE reports")
        database.execute("DROP TABLE things")
        database.execute("CREATE TABLE things (ref TEXT PRIMARY KEY, kind TEXT NOT NULL)")  # without columns that came since
        database.commit()
    with Registry.open(world.folder) as again:
        assert again.rebuild() == world.size()
    assert world.rows() == before


def test_every_row_names_an_entry_of_its_own_time(lived: World) -> None:
    size = lived.size()
    for table in t.TABLES:
        for row in lived.rows()[table.name]:
            assert 0 <= row["seq"] < size


def test_a_statement_makes_one_thing_and_genesis_two(lived: World) -> None:
    things = lived.rows()["things"]
    assert len(things) == lived.size() + 1
    assert {row["seq"] for row in things} == set(range(lived.size()))


def test_exposures_are_the_segments_on_shards(lived: World) -> None:
    run = lived.ref("lessons")
    rows = [row for row in lived.rows()["exposures"] if row["run"] == run]
    sizes = [(row["shard"], row["first"], row["last"]) for row in sorted(rows, key=lambda row: (row["seq"], row["position"]))]
    a, b, c = (part[0] for part in lived.parts("chat"))
    d = lived.parts("code")[0][0]
    assert sizes == [(a, 0, 12), (b, 0, 4), (b, 4, 12), (c, 0, 6), (d, 0, 2), (d, 2, 10)]
    copied = [row for row in lived.rows()["exposures"] if row["run"] == lived.ref("copies")]
    assert {(row["shard"], row["first"], row["last"], row["epoch"]) for row in copied} == {
        (shard, 0, last, None) for shard, _, last in lived.parts("chat")
    }
    assert sum(row["last"] - row["first"] for row in rows) == CHAT_ROWS + CODE_ROWS


def other(column: Any, value: Any, chance: random.Random) -> Any:
    """Another value of the same stored type."""
    if isinstance(column.type, Integer):
        return (value or 0) + 1000
    if isinstance(column.type, LargeBinary):
        at = chance.randrange(len(value))
        return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
    return "x" if not value else value[:-1] + ("0" if value[-1] != "0" else "1")


def altered(world: World, statement: str, *values: Any) -> None:
    with sqlite3.connect(world.folder / "ledger.db") as connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


def where(table: Table, row: dict[str, Any]) -> tuple[str, list[Any]]:
    keys = [column.name for column in table.primary_key.columns]
    return " AND ".join(f'"{key}" = ?' for key in keys), [row[key] for key in keys]


@pytest.fixture(scope="module")
def beside(lived_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, World]]:
    """Two worlds alike; whoever alters the second mends it."""
    worlds = []
    with pytest.MonkeyPatch.context() as environment:
        for name in ("whole", "lived"):
            folder = shutil.copytree(lived_template, tmp_path_factory.mktemp("beside") / name)
            environment.setenv("INBOND_STATE", str(folder / "state"))
            worlds.append(World(folder / "registry"))
    yield worlds[0], worlds[1]
    for world in worlds:
        world.registry.close()


@pytest.mark.parametrize("table", t.TABLES, ids=lambda table: table.name)
def test_an_altered_row_is_named(beside: tuple[World, World], table: Table) -> None:
    """Each column is changed alone and compared with the entries' own rows; then a row is lost."""
    whole, world = beside
    chance = random.Random(table.name)
    for column in table.columns:
        row = chance.choice(world.rows(table)[table.name])
        value = other(column, row[column.name], chance)
        condition, key = where(table, row)
        altered(world, f'UPDATE "{table.name}" SET "{column.name}" = ? WHERE {condition}', value, *key)
        words = "missing|no entry" if column.primary_key else f"column {column.name}: expected"
        assert re.search(f"row .*({words})", differs(beside, table))
        condition, key = where(table, row | {column.name: value})
        altered(world, f'UPDATE "{table.name}" SET "{column.name}" = ? WHERE {condition}', row[column.name], *key)
    row = chance.choice(world.rows(table)[table.name])
    condition, key = where(table, row)
    altered(world, f'DELETE FROM "{table.name}" WHERE {condition}', *key)
    assert re.search("row .* is missing", differs(beside, table))
    names = ", ".join(f'"{name}"' for name in row)
    altered(world, f'INSERT INTO "{table.name}" ({names}) VALUES ({", ".join("?" * len(row))})', *row.values())
    assert world.rows(table) == whole.rows(table)


def differs(beside: tuple[World, World], table: Table) -> str:
    """How the second world's table is said to differ from the first's."""
    whole, world = beside
    with whole.registry.reading() as expected, world.registry.reading() as found, pytest.raises(VerificationError) as caught:
        compare_table(table, found.connection, expected.connection, world.folder)
    assert f"table {table.name}: " in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("table", [t.TABLES[0], t.exposures, t.TABLES[-1]], ids=lambda table: table.name)
def test_a_lost_row_is_found_by_verify_and_comes_back(
    make_world: Callable[..., World], lived_template: Path, table: Table
) -> None:
    """Of the tables that are compared first and last, and of one between."""
    world = make_world("lived", lived_template)
    before = world.rows()
    condition, key = where(table, random.Random(1).choice(before[table.name]))
    altered(world, f'DELETE FROM "{table.name}" WHERE {condition}', *key)
    checked = world.registry.verify()
    assert checked.verdict == "differs"
    assert any(f"table {table.name}: row" in each and "is missing" in each for each in checked.problems), checked.problems
    world.registry.rebuild()
    assert world.rows() == before
