import os
from pathlib import Path

import pytest

from inbond.registry.stores.folder import FolderStore
from tests.api.cli.shell import ok, run


def checks(*words: str) -> dict[str, tuple[str, str]]:
    return {item["what"]: (item["status"], item["text"]) for item in run("doctor", "--json", *words).json["checks"]}


def test_a_key_that_others_can_read_is_bad(warehouse: Path) -> None:
    assert {status for status, _ in checks().values()} <= {"ok", "note"}
    (warehouse / "keys" / "admin.key").chmod(0o644)
    done = run("doctor")
    assert done.code != 0
    assert "chmod 600" in done.out


def test_objects_without_an_entry_are_told_and_removed(warehouse: Path) -> None:
    store = FolderStore(warehouse / "objects")
    kept = {item.digest for item in store.list()}
    young, old = store.put_bytes(b"young"), store.put_bytes(b"old")
    for item in store.list():
        if item.digest != young:
            os.utime(store.path(item.digest), (1, 1))
    status, text = checks()["unreferenced objects"]
    assert (status, text.startswith("1 object, 3 bytes")) == ("note", True)
    assert "removed 1 object" in ok("doctor", "--remove").out
    assert {item.digest for item in store.list()} == kept | {young}
    assert not store.has(old)
    assert ok("verify").code == 0


def test_nothing_is_removed_when_the_log_differs(warehouse: Path) -> None:
    store = FolderStore(warehouse / "objects")
    old = store.put_bytes(b"old")
    os.utime(store.path(old), (1, 1))
    database = warehouse / "ledger.db"
    ok("rebuild")
    data = database.read_bytes()
    at = data.index(b"acme/mini")
    database.write_bytes(data[:at] + b"A" + data[at + 1 :])
    done = run("doctor", "--remove")
    assert done.code == 3
    assert store.has(old)


def test_what_an_interrupted_writer_left_goes(warehouse: Path) -> None:
    (warehouse / "objects" / "scratch" / ("0" * 32)).write_bytes(b"half a shard")
    assert checks()["scratch files"] == ("ok", "removed 1 file of interrupted writers")
    assert checks()["scratch files"] == ("ok", "none left behind")


def test_a_database_older_than_what_was_signed_is_bad(warehouse: Path) -> None:
    # close() leaves the WAL in the one file, so a copy of that is a backup
    backup = (warehouse / "ledger.db").read_bytes()
    ok("party", "add", "later")
    for path in warehouse.glob("ledger.db*"):
        path.unlink()
    (warehouse / "ledger.db").write_bytes(backup)
    status, text = checks()["newest checkpoint"]
    assert status == "bad"
    assert "is behind" in text
    assert run("party", "add", "forked").code == 1


@pytest.mark.parametrize("name", ["registry.toml", "ledger.db"])
def test_a_registry_that_does_not_open_is_examined_all_the_same(warehouse: Path, name: str) -> None:
    (warehouse / name).write_bytes(b"")
    done = run("--registry", str(warehouse), "doctor")
    assert done.code != 0
    assert "BAD" in done.out
    assert "permissions" in done.out
