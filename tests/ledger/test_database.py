import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import select

from inbond.ledger import tables
from inbond.ledger.databases.sqlite import SqliteDatabase
from inbond.ledger.log import Log
from inbond.schemas.errors import Conflict, NotFound, StoreError, VerificationError
from tests.ledger.world import World, names

APPEND_ONLY = [
    "UPDATE entries SET data = data",
    "UPDATE OR REPLACE entries SET seq = 0 WHERE seq = 1",
    "DELETE FROM entries",
    "DELETE FROM entries WHERE seq = 1",
    "REPLACE INTO entries SELECT * FROM entries WHERE seq = 1",
    "INSERT OR REPLACE INTO entries SELECT 7, kind, header_id, payload_sha, prev, leaf, data FROM entries WHERE seq = 1",
]


@pytest.mark.parametrize("query", APPEND_ONLY)
def test_entries_are_append_only(world: World, query: str) -> None:
    before = world.entries()
    with pytest.raises(StoreError, match="entries are append-only"), world.log.database.writing() as connection:
        connection.exec_driver_sql(query)
    assert world.entries() == before


def test_readers_cannot_write(world: World) -> None:
    with (
        pytest.raises(StoreError, match="readonly"),
        world.log.database.reading() as connection,
    ):
        connection.exec_driver_sql("DELETE FROM signers")


def test_a_file_read_as_one_that_nobody_writes_must_stay_as_it_was(world: World) -> None:
    database = SqliteDatabase(world.folder / "ledger.db")
    database._frozen = (1, 2, 3)  # as where the folder cannot be written; the mount itself is tried in test_troubles
    with pytest.raises(StoreError, match="it was written since"), database.reading() as connection:
        connection.execute(select(tables.head)).all()
    database.close()


def test_the_settings_that_the_safety_argument_needs(world: World) -> None:
    expected = {"synchronous": 2, "recursive_triggers": 1, "foreign_keys": 1, "cell_size_check": 1, "journal_mode": "wal"}
    for opened in (world.log.database.reading, world.log.database.writing):
        with opened() as connection:
            for name, value in expected.items():
                assert connection.exec_driver_sql(f"PRAGMA {name}").scalar() == value, (opened, name)


def test_leaving_a_write_without_commit_takes_it_back(world: World) -> None:
    database = world.log.database
    with database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM signers")

    def fail() -> None:
        with database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM signers")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.reading() as connection:
        assert len(connection.execute(select(tables.signers)).all()) == 3


def test_a_reader_keeps_its_snapshot(world: World) -> None:
    with world.log.reading() as before:
        world.log.append_one(world.party("a"))
        assert len(list(before.entries())) == before.size == 2
        assert list(before.entries(0, 10)) == list(before.entries())
    assert len(world.entries()) == 3


def test_many_readers_at_once_inside_a_write(world: World) -> None:
    """More readers than a pool usually holds, while a writer is busy: nobody waits for anybody."""
    inside = threading.Barrier(25)
    sizes = []

    def read() -> None:
        with world.log.reading() as reader:
            inside.wait(timeout=30)
            sizes.append(len(list(reader.entries())))

    threads = [threading.Thread(target=read) for _ in range(24)]
    with world.log.database.writing():
        for thread in threads:
            thread.start()
        inside.wait(timeout=30)
        for thread in threads:
            thread.join()
    assert sizes == [2] * 24


def test_only_one_process_writes_at_a_time(world: World) -> None:
    """Another process that asks for the lock gets it when this one leaves its transaction, not before."""
    script = f"""
import fcntl, os, sys
lock = os.open({str(world.folder / "ledger.lock")!r}, os.O_RDWR)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("free")
except BlockingIOError:
    print("held")
"""

    def ask() -> str:
        return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()

    with world.log.database.writing():
        assert ask() == "held"
    assert ask() == "free"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        SqliteDatabase(tmp_path / "ledger.db")
    assert caught.value.hint == "inbond init DIR --origin NAME"
    with pytest.raises(StoreError, match="could not be created"):
        SqliteDatabase.create(tmp_path / "nowhere" / "ledger.db", tables.TABLES)


def test_a_database_is_made_once(tmp_path: Path) -> None:
    database = SqliteDatabase.create(tmp_path / "ledger.db", tables.TABLES)
    database.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger.db", "ledger.lock"]
    with pytest.raises(Conflict, match="found one"):
        SqliteDatabase.create(tmp_path / "ledger.db", tables.TABLES)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [("entries", "data", "text"), ("entries", "kind", b"blob"), ("tiles", "data", 5), ("tiles", "level", "zero")],
)
def test_values_are_stored_as_what_they_are(tmp_path: Path, table: str, column: str, value: object) -> None:
    """SQLite alone takes anything anywhere."""
    database = SqliteDatabase.create(tmp_path / "ledger.db", tables.TABLES)
    row = {"seq": 1, "kind": "k", "header_id": b"", "payload_sha": b"", "prev": b"", "leaf": b"", "data": b""}
    row = row if table == "entries" else {"level": 0, "n": 0, "data": b""}
    row[column] = value
    query = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
    with pytest.raises(StoreError, match="CHECK constraint"), database.writing() as connection:
        connection.exec_driver_sql(query, tuple(row.values()))
    database.close()


def test_a_file_that_is_no_database(world: World) -> None:
    world.log.close()
    path = world.folder / "ledger.db"
    for content in (b"", b"not a database, but long enough to be taken for one" * 100, path.read_bytes()[:5000]):
        path.write_bytes(content)
        with pytest.raises(VerificationError):
            world.open()


def test_errors_of_the_driver_become_ours(world: World) -> None:
    for query in ("SELECT * FROM missing", "SELECT missing FROM entries", "INSERT INTO head (missing) VALUES (1)"):
        with (
            pytest.raises(VerificationError, match=r"missing; an earlier version wrote it") as found,
            world.log.database.writing() as to,
        ):
            to.exec_driver_sql(query)
        assert "inbond database upgrade" in (found.value.hint or "")
    with pytest.raises(StoreError, match="database refused"), world.log.database.reading() as connection:
        connection.exec_driver_sql("SELECT ?", ("too", "many"))


def test_tables_of_rules_get_the_same_constraints(tmp_path: Path) -> None:
    database = SqliteDatabase.create(tmp_path / "ledger.db", [*tables.TABLES, names])
    with pytest.raises(StoreError, match="CHECK"), database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO names VALUES ('a', 1, 'text')")
    database.close()


def test_a_log_is_made_once(world: World) -> None:
    before = world.entries()
    with pytest.raises(Conflict, match=r"ledger\.db"):
        Log.create(world.folder, world.genesis, world.log_key, world.rules)
    assert world.entries() == before


def test_a_log_is_not_made_on_the_remains_of_another(world: World, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "ledger.db-wal").write_bytes(b"frames")
    with pytest.raises(Conflict, match=r"ledger\.db-wal.*what is left of it"):
        Log.create(tmp_path / "new", world.genesis, world.log_key, world.rules)


def test_a_closed_log_is_one_file(world: World) -> None:
    world.log.close()
    assert sorted(path.name for path in world.folder.iterdir()) == ["ledger.db", "ledger.lock"]
