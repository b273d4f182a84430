"""What the argument in `databases.postgresql` rests on, against a real server."""

import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from inbond.ledger import databases
from inbond.ledger.audit import audit_log
from inbond.ledger.databases.postgresql import PostgresDatabase
from inbond.ledger.log import Log
from inbond.schemas.errors import Conflict, InbondError, InvalidInput, StoreError, VerificationError
from tests import postgres
from tests.ledger.world import NameRules, World, seqs

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = re.compile(r"csearch_path%3D(\w+)")


def address_of(world: World) -> str:
    return (world.folder / databases.ADDRESS).read_text().strip()


def schema_of(world: World) -> str:
    found = ADDRESS.search(address_of(world))
    assert found is not None
    return found[1]


def execute(world: World, *statements: str) -> list[tuple[object, ...]]:
    """Run SQL as the owner of the tables, in one session."""
    return postgres.execute("; ".join(statements), address_of(world))


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world(database=postgres.new_schema())


@pytest.mark.parametrize(
    "query", ["UPDATE entries SET data = data", "DELETE FROM entries WHERE seq = 1", "TRUNCATE entries CASCADE"]
)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_entries_are_append_only(world: World, query: str, role: str) -> None:
    before = world.entries()
    with pytest.raises(Exception, match="entries are append-only"):
        execute(world, f"SET session_replication_role = {role}", query)
    with pytest.raises(StoreError, match="entries are append-only"), world.log.database.writing() as connection:
        connection.exec_driver_sql(query)
    assert world.entries() == before


@pytest.mark.parametrize(
    "tampering",
    [
        "ALTER TABLE entries DISABLE TRIGGER entries_no_delete",
        "ALTER TABLE entries ENABLE TRIGGER entries_no_update",
        "DROP TRIGGER entries_no_truncate ON entries",
        "CREATE OR REPLACE FUNCTION inbond_append_only() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$",
        "CREATE TRIGGER sly BEFORE INSERT ON entries FOR EACH STATEMENT EXECUTE FUNCTION inbond_append_only()",
    ],
)
def test_an_audit_misses_no_trigger(world: World, tampering: str) -> None:
    execute(world, tampering)
    assert "trigger" in (audit_log(world.log, world.rules).problem or "")


def test_a_server_that_owns_nothing_can_append_and_cannot_change(world: World) -> None:
    """The SQL of docs/operations.md, as it stands there."""
    page = (ROOT / "docs" / "operations.md").read_text()
    sql = page[page.index("CREATE ROLE inbond_server") :]
    role, schema = f"r{secrets.token_hex(4)}", schema_of(world)
    sql = sql[: sql.index("```")].replace("inbond_server", role).replace("SCHEMA public", f"SCHEMA {schema}")
    execute(world, sql)
    theirs = address_of(world).replace("postgresql://postgres:@", f"postgresql://{role}@")
    (world.folder / databases.ADDRESS).write_text(theirs)
    log = world.open()
    assert seqs(log.append(world.parties(3))) == [2, 3, 4]
    for query, message in (
        ("UPDATE entries SET data = data", "permission denied"),
        ("DELETE FROM checkpoints", "permission denied"),
        ("TRUNCATE entries CASCADE", "permission denied"),
        ("DROP TRIGGER entries_no_update ON entries", "must be owner"),
        ("ALTER TABLE entries DISABLE TRIGGER ALL", "must be owner"),
    ):
        with pytest.raises(StoreError, match=message), log.database.writing() as connection:
            connection.exec_driver_sql(query)
    assert audit_log(log, world.rules).verdict == "clean"
    log.close()


def test_readers_cannot_write_and_keep_their_snapshot(world: World) -> None:
    with pytest.raises(StoreError, match="read-only transaction"), world.log.database.reading() as connection:
        connection.exec_driver_sql("DELETE FROM signers")
    with world.log.reading() as before:
        world.log.append_one(world.party("a"))
        assert len(list(before.entries())) == before.size == 2


@pytest.mark.parametrize("query", ["SELECT * FROM missing", "SELECT missing FROM entries"])
def test_tables_of_an_earlier_version_are_said_to_be(world: World, query: str) -> None:
    with (
        pytest.raises(VerificationError, match="an earlier version wrote it") as found,
        world.log.database.reading() as connection,
    ):
        connection.exec_driver_sql(query)
    assert "inbond database upgrade" in (found.value.hint or "")


def test_text_is_in_byte_order_and_integers_are_wide(world: World) -> None:
    world.log.append([world.party(name) for name in ("b", "B", "ä", "_", "Z", "aa")])
    with world.log.reading() as reader:
        found = [row[0] for row in reader.connection.exec_driver_sql("SELECT name FROM names ORDER BY name")]
        types = reader.connection.exec_driver_sql(
            "SELECT DISTINCT data_type FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY 1"
        )
        assert [row[0] for row in types] == ["bigint", "bytea", "character varying"]
    assert found == sorted(found, key=str.encode)


def test_writers_of_several_processes_take_turns(world: World) -> None:
    words = [sys.executable, "-m", "tests.ledger.appender", str(world.folder)]
    running = [
        subprocess.Popen([*words, run, "0", "60", "1,7,3"], cwd=ROOT, stdout=subprocess.PIPE, text=True) for run in ("a", "b")
    ]
    lines = [process.communicate(timeout=300)[0].splitlines() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    found = sorted(int(line.split()[1]) for some in lines for line in some)
    assert found == list(range(2, 122))
    assert audit_log(world.log, world.rules).verdict == "clean"


def test_a_session_that_the_server_ends_costs_nothing(world: World) -> None:
    """Idle connections are replaced; a transaction that is cut off leaves nothing and the log goes on."""
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query NOT LIKE '%pg_stat%'"
    world.log.append_one(world.party("a"))
    execute(world, end)
    assert len(world.entries()) == 3
    execute(world, end)
    world.log.append_one(world.party("b"))

    def cut_off() -> None:
        with world.log.database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM signers")
            execute(world, end)
            connection.exec_driver_sql("SELECT 1")

    with pytest.raises(StoreError):
        cut_off()
    world.log.append_one(world.party("c"))
    assert audit_log(world.log, world.rules).verdict == "clean"


def test_a_commit_that_was_a_rollback_is_noticed(world: World) -> None:
    def commit() -> None:
        with world.log.database.writing() as connection:
            with suppress(Exception):
                connection.exec_driver_sql("SELECT * FROM nowhere")
            world.log.database.commit(connection)

    with pytest.raises(StoreError, match="expected COMMIT to be answered with COMMIT, found ROLLBACK"):
        commit()


def test_a_log_is_made_once_and_whole(world: World, tmp_path: Path) -> None:
    address = address_of(world)
    with pytest.raises(Conflict, match="expected a schema without a log's tables"):
        Log.create(tmp_path, world.genesis, world.log_key, world.rules, database=address)
    fresh = postgres.new_schema()
    with pytest.raises(InbondError, match="genesis"):
        Log.create(tmp_path, world.party("x"), world.log_key, world.rules, database=fresh)
    assert not (tmp_path / databases.ADDRESS).exists()
    made: list[object] = []

    def make(folder: Path) -> None:
        folder.mkdir()
        try:
            made.append(Log.create(folder, world.genesis, world.log_key, NameRules(), database=fresh))
        except InbondError as error:
            made.append(error)

    threads = [threading.Thread(target=make, args=[tmp_path / str(n)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(each) for each in made].count(Conflict) == 3
    for each in made:
        if isinstance(each, Log):
            each.close()


@pytest.mark.parametrize("address", ["", "sqlite:///x", "mysql://u@h/d", "nonsense", "postgresql://" + "x" * 5000])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="expected an address such as postgresql://"):
        PostgresDatabase(address)


def test_what_cannot_be_reached_is_said_without_its_password(tmp_path: Path) -> None:
    address = "postgresql://user:secret@127.0.0.1:1/db"
    with pytest.raises(StoreError) as caught, PostgresDatabase(address).reading():
        pass
    assert "secret" not in str(caught.value)
    (tmp_path / databases.ADDRESS).write_text(address)
    (tmp_path / "ledger.db").write_text("")
    with pytest.raises(Conflict, match="found both"):
        databases.open_database(tmp_path)
