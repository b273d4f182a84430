"""Audits of logs in which something was changed behind the log's back, with plain SQLite and triggers out of the way."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from inbond.ledger import tables
from inbond.ledger.audit import AuditReport, audit_log
from inbond.ledger.log import Log
from inbond.schemas.errors import VerificationError
from tests.ledger.world import NameRules, World, names

FLIPS = 3 * int(os.environ.get("INBOND_FAULTS", "20"))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A closed log of 22 entries in four batches; tests work on copies."""
    folder = tmp_path_factory.mktemp("original")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        world = World(folder / "log")
        second = world.key("second")
        world.log.append([*world.parties(9), world.enrol(second)])
        world.log.append([*world.parties(8), world.party("a", "b", keys=[second, world.producer])])
        world.log.append_one(world.revoke(second))
    world.log.close()
    return world


@pytest.fixture
def copy(original: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the log's folder, with a state folder of its own."""
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    shutil.copytree(original.folder.parent / "state", tmp_path / "state")
    return Path(shutil.copytree(original.folder, tmp_path / "log"))


def audited(folder: Path) -> AuditReport:
    """What an audit of the log in `folder` says; that it cannot even be opened is a finding too."""
    rules = NameRules()
    try:
        log = Log(folder, rules)
    except VerificationError as error:
        return AuditReport(str(folder), problem=error.message)
    try:
        return audit_log(log, rules)
    finally:
        log.close()


def change(folder: Path, *statements: str) -> int:
    """Run SQL on the database with its triggers out of the way and then back; the number of changed rows."""
    connection = sqlite3.connect(folder / "ledger.db")
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    connection.execute("PRAGMA ignore_check_constraints=ON")
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    before = connection.total_changes
    for statement in statements:
        connection.execute(statement)
    changed = connection.total_changes - before
    for _, sql in triggers:
        connection.execute(sql)
    connection.commit()
    connection.close()
    return changed


def test_a_clean_log(copy: Path, original: World) -> None:
    report = audited(copy)
    assert report.verdict == "clean"
    assert (report.origin, report.size, report.checkpoints, report.tables) == ("example.org/log", 22, 5, 4)
    assert report.signatures == 22 + 1 + 1 + 1
    assert report.root == original.policy.open_checkpoint(_note(copy)).root.hex()


def test_an_audit_says_how_far_it_is(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.log.append(world.parties(300))
    steps: list[tuple[int, int]] = []
    audit_log(world.log, world.rules, lambda done, all: steps.append((done, all)))
    assert steps == [(256, 302), (302, 302)]


def _note(folder: Path) -> bytes:
    connection = sqlite3.connect(folder / "ledger.db")
    [(note,)] = connection.execute("SELECT note FROM head").fetchall()
    connection.close()
    return bytes(note)


FLIP = "CAST(replace(CAST({0} AS TEXT), '{1}', '{2}') AS BLOB)"
HASH = "X'" + "ab" * 32 + "'"

CHANGES = {
    # what the entries say
    "payload": ("UPDATE entries SET data = " + FLIP.format("data", '"payload":"e', '"payload":"f') + " WHERE seq = 5", "entry 5"),
    "signature": ("UPDATE entries SET data = " + FLIP.format("data", '"sig":"', '"sig":"A') + " WHERE seq = 5", "entry 5"),
    "kind within": (
        "UPDATE entries SET data = " + FLIP.format("data", '"kind":"party"', '"kind":"terms"') + " WHERE seq = 5",
        "entry 5",
    ),
    "seq within": (
        "UPDATE entries SET data = " + FLIP.format("data", '"seq":5', '"seq":6') + " WHERE seq = 5",
        "entry 5: expected seq 5",
    ),
    "time within": (
        "UPDATE entries SET data = " + FLIP.format("data", '"time":"2', '"time":"3') + " WHERE seq = 5",
        "table entries: row seq=5: column leaf",
    ),
    "version": ("UPDATE entries SET data = " + FLIP.format("data", '"v":1', '"v":2') + " WHERE seq = 5", "entry 5"),
    "another entry": (
        "UPDATE entries SET data = (SELECT data FROM entries WHERE seq = 6) WHERE seq = 5",
        "entry 5: expected seq 5",
    ),
    "empty": ("UPDATE entries SET data = X'' WHERE seq = 5", "entry 5"),
    "genesis": (
        "UPDATE entries SET data = " + FLIP.format("data", '"time":"2', '"time":"1') + " WHERE seq = 0",
        "table entries: row seq=0: column leaf",
    ),
    # what is kept beside them
    "leaf": (f"UPDATE entries SET leaf = {HASH} WHERE seq = 5", "table entries: row seq=5: column leaf"),
    "prev": (f"UPDATE entries SET prev = {HASH} WHERE seq = 5", "table entries: row seq=5: column prev"),
    "header_id": ("UPDATE entries SET header_id = X'00' WHERE seq = 5", "table entries: row seq=5: column header_id"),
    "payload_sha": (f"UPDATE entries SET payload_sha = {HASH} WHERE seq = 5", "row seq=5: column payload_sha"),
    "kind": ("UPDATE entries SET kind = 'terms' WHERE seq = 5", "row seq=5: column kind: expected 'party', found 'terms'"),
    "kind of a key": ("UPDATE entries SET kind = 'party' WHERE seq = 1", "row seq=1: column kind: expected 'key'"),
    "seq": ("UPDATE entries SET seq = 99 WHERE seq = 21", "expected 22 entries as the checkpoint says, found 21"),
    "a type": ("UPDATE entries SET leaf = 7 WHERE seq = 5", "CHECK constraint failed in entries"),
    "another type": ("UPDATE entries SET data = CAST(data AS TEXT) WHERE seq = 5", "CHECK constraint failed in entries"),
    "signer": (f"UPDATE signers SET keyid = {HASH} WHERE seq = 5", "table signers: row seq=5"),
    "signer's entry": ("UPDATE signers SET seq = 99 WHERE seq = 5", "table signers: row seq=5"),
    "tile": (f"UPDATE tiles SET data = CAST({HASH} || substr(data, 33) AS BLOB)", "table tiles: row level=0, n=0: column data"),
    "tile cut": ("UPDATE tiles SET data = substr(data, 1, 32)", "table tiles: row level=0, n=0: column data"),
    "tile wider": (f"UPDATE tiles SET data = CAST(data || {HASH} AS BLOB)", "table tiles: row level=0, n=0: column data"),
    "tile number": ("UPDATE tiles SET n = 1", "table tiles: row level=0, n=0"),
    "projection": ("UPDATE names SET name = 'x' WHERE name = 'a'", "table names: row name='a' is missing"),
    "projection's column": ("UPDATE names SET seq = 3 WHERE name = 'a'", "table names: row name='a': column seq: expected 20"),
    "head size": ("UPDATE head SET size = 21", "head.size: expected 22 from the entries, found 21"),
    "head size beyond": ("UPDATE head SET size = 23", "head.size: expected 22 from the entries, found 23"),
    "head root": (f"UPDATE head SET root = {HASH}", "head.root"),
    "head leaf": (f"UPDATE head SET leaf = {HASH}", "head.leaf"),
    "head time": ("UPDATE head SET time = '2020-01-01T00:00:00.000Z'", "head.time"),
    "head frontier": ("UPDATE head SET frontier = zeroblob(96)", "head.frontier"),
    "head note": ("UPDATE head SET note = (SELECT note FROM checkpoints WHERE size = 2)", "table entries: row seq=2"),
    "head note's root": (
        "UPDATE head SET note = CAST('example.org/log\n22\n' || '" + "A" * 43 + "=' || substr(CAST(note AS TEXT), 64) AS BLOB)",
        "checkpoint",
    ),
    "head id": ("UPDATE head SET id = 2", "table head: expected the row 1, found row 2"),
    "checkpoint": ("UPDATE checkpoints SET note = CAST(replace(note, '\n12\n', '\n13\n') AS BLOB)", "checkpoint 12"),
    "checkpoint's size": ("UPDATE checkpoints SET size = 13 WHERE size = 12", "checkpoint 13: expected that size, found 12"),
    "a signature in a checkpoint": (
        "UPDATE checkpoints SET note = CAST(substr(CAST(note AS TEXT), 1, length(CAST(note AS TEXT)) - 9) || 'AAAAAAA=\n'"
        " AS BLOB) WHERE size = 12",
        "checkpoint 12",
    ),
    "checkpoint of another size": (
        "UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE size = 2) WHERE size = 12",
        "checkpoint 12: expected that size, found 2",
    ),
    # rows that are gone
    "no entry 0": ("DELETE FROM entries WHERE seq = 0", "entry 0"),
    "no entry 5": ("DELETE FROM entries WHERE seq = 5", "table entries: row seq=5 is missing"),
    "no last entry": ("DELETE FROM entries WHERE seq = 21", "expected 22 entries as the checkpoint says, found 21"),
    "no signer": ("DELETE FROM signers WHERE seq = 5", "table signers: row seq=5, keyid="),
    "no tile": ("DELETE FROM tiles", "table tiles: row level=0, n=0 is missing"),
    "no name": ("DELETE FROM names WHERE name = 'b'", "table names: row name='b' is missing"),
    "no newest checkpoint": ("DELETE FROM checkpoints WHERE size = 22", "head: expected the note of the newest checkpoint"),
    "no checkpoints": ("DELETE FROM checkpoints", "head: expected the note of the newest checkpoint"),
    "no head": ("DELETE FROM head", "table head: expected one row, found none"),
    # rows that no entry backs
    "an entry more": (
        f"INSERT INTO entries SELECT 22, kind, X'01', payload_sha, {HASH}, leaf, data FROM entries WHERE seq = 5",
        "table entries: row seq=22 follows from no entry",
    ),
    "a negative entry": (
        f"INSERT INTO entries SELECT -1, kind, X'01', payload_sha, {HASH}, leaf, data FROM entries WHERE seq = 5",
        "table entries: row seq=-1 follows from no entry",
    ),
    "a signer more": (f"INSERT INTO signers VALUES (5, {HASH})", "follows from no entry"),
    "a tile more": ("INSERT INTO tiles SELECT 1, 0, data FROM tiles", "row level=1, n=0 follows from no entry"),
    "a name more": (f"INSERT INTO names VALUES ('zz', 5, {HASH})", "table names: row name='zz' follows from no entry"),
    "a head more": ("INSERT INTO head SELECT 2, size, root, leaf, time, frontier, note FROM head", "expected one row"),
    "a checkpoint more": ("INSERT INTO checkpoints SELECT 13, note FROM checkpoints WHERE size = 12", "checkpoint 13"),
    "a checkpoint beyond": ("INSERT INTO checkpoints SELECT 30, note FROM checkpoints WHERE size = 22", "checkpoint 30"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_first_difference_is_named(copy: Path, name: str) -> None:
    statement, message = CHANGES[name]
    assert change(copy, statement) > 0
    report = audited(copy)
    assert report.verdict == "differs", report
    assert message in (report.problem or ""), report.problem


@pytest.mark.parametrize("verb", ["update", "delete"])
def test_a_missing_trigger_is_named(copy: Path, verb: str) -> None:
    connection = sqlite3.connect(copy / "ledger.db")
    connection.execute(f"DROP TRIGGER entries_no_{verb}")
    connection.commit()
    connection.close()
    assert f'trigger entries_no_{verb}: expected "CREATE TRIGGER' in (audited(copy).problem or "")


def test_a_log_behind_the_file_outside_is_named(copy: Path) -> None:
    old = copy / "ledger.db"
    world = World(copy, create=False)
    world.log.close()
    content = old.read_bytes()
    world.log = world.open()
    world.log.append(world.parties(1))
    world.log.close()
    old.write_bytes(content)
    report = audited(copy)
    assert report.verdict == "differs"
    assert "is behind: expected at least size 23" in (report.problem or "")


def all_rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    connection = sqlite3.connect(path)
    try:
        return {
            table.name: connection.execute(
                f"SELECT * FROM {table.name} ORDER BY {', '.join(c.name for c in table.primary_key.columns)}"
            ).fetchall()
            for table in (*tables.TABLES, names)
        }
    finally:
        connection.close()


def test_a_flipped_byte_is_named_or_means_nothing(copy: Path) -> None:
    """Any bit of the file: either the audit reports it, or every table reads as before."""
    path = copy / "ledger.db"
    content = path.read_bytes()
    expected = all_rows(path)
    choose = random.Random(22)
    used = [at for at, byte in enumerate(content) if byte]
    reported = 0
    for attempt in range(FLIPS):
        at = choose.choice(used) if attempt % 4 else choose.randrange(len(content))
        altered = bytearray(content)
        altered[at] ^= 1 << choose.randrange(8)
        path.write_bytes(altered)
        report = audited(copy)
        if report.problem is None:
            assert all_rows(path) == expected, f"offset {at}"
        else:
            assert report.verdict == "differs"
            reported += 1
        for name in ("ledger.db-wal", "ledger.db-shm"):
            (copy / name).unlink(missing_ok=True)
    assert reported > FLIPS // 3


def test_a_flipped_byte_in_the_wal_is_named_or_means_nothing(copy: Path, tmp_path: Path) -> None:
    """What was committed but not moved into the file yet lies in the WAL, which SQLite reads up to the first bad frame."""
    world = World(copy, create=False)
    world.log.append(world.parties(3))
    live = shutil.copytree(copy, tmp_path / "live")
    world.log.close()
    (live / "ledger.db-shm").unlink()
    content = (live / "ledger.db-wal").read_bytes()
    choose = random.Random(23)
    for attempt in range(FLIPS // 6):
        folder = Path(shutil.copytree(live, tmp_path / f"live-{attempt}"))
        altered = bytearray(content)
        at = choose.randrange(len(content))
        altered[at] ^= 1 << choose.randrange(8)
        (folder / "ledger.db-wal").write_bytes(altered)
        report = audited(folder)
        if report.problem is None:
            assert all_rows(folder / "ledger.db") == all_rows(copy / "ledger.db"), f"offset {at}"
        shutil.rmtree(folder)
