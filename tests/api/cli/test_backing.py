"""Backups and the tables of the database, from the shell."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from tests import postgres
from tests.api.cli.shell import ok, run


def test_backup_and_restore(warehouse: Path) -> None:
    found = ok("backup", "../b", "--json").json
    assert found["keys"] is False
    assert found["copied"] == found["objects"] > 0
    assert "keep a copy of keys/" in ok("backup", "../b").err
    ok("backup", "../b", "--keys")
    restored = ok("restore", "../b", "../there", "--database", postgres.new_schema())
    assert f"size {found['size']}" in restored.out
    os.chdir(warehouse.parent / "there")
    assert "party x on record" in ok("party", "add", "x").out
    assert ok("log", "audit").out.splitlines()[-1] == "clean"
    assert ok("database", "check", "--json").json["differences"] == []
    refused = run("restore", "../b", "../there")
    assert (refused.code, "is not empty" in refused.err) == (8, True)


def test_tables_of_another_version(warehouse: Path) -> None:
    with closing(sqlite3.connect(warehouse / "ledger.db")) as connection:
        connection.execute("DROP TABLE alembic_version")
        connection.execute("DROP TABLE exposures")
        connection.commit()
    refused = run("lineage", "acme/mini")
    assert (refused.code, "no such table: exposures; an earlier version wrote it" in refused.err) == (3, True)
    assert "inbond database upgrade" in refused.err
    told = run("doctor")
    assert (told.code, "another version's (add table exposures): inbond database upgrade" in told.out) == (1, True)
    checked = run("database", "check")
    assert (checked.code, "add table exposures" in checked.out) == (1, True)
    assert "made again from" in ok("database", "upgrade").out
    assert "none" in ok("database", "check").out
    assert ok("log", "audit").out.splitlines()[-1] == "clean"
    refused = run("database", "downgrade", "base")
    assert (refused.code, "a ledger with entries is never taken apart" in refused.err) == (2, True)
