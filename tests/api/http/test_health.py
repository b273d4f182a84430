"""Whether the server says that it lives and can work, and what it serves."""

import errno
import io
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.api.http.serving import Server, copied, problem, served
from tests.registry.world import World


def test_a_server_that_can_work_says_so(server: Server) -> None:
    assert server.json("/health/live") == {"status": "ok"}
    found = server.json("/health/ready")
    size = server.world.size()
    assert (found["status"], found["tree_size"], found["published"], found["witnesses"]) == ("ok", size, size, [])
    assert found["sqlite"] == {
        "version": sqlite3.sqlite_version,
        "wal_reset_bug": sqlite3.sqlite_version_info < (3, 51, 3),
    }
    with server.world.registry.reading() as reader:
        assert found["head_time"] == reader.time
    assert found["head_age"] >= 0


def test_it_says_which_registry_it_is(server: Server) -> None:
    facts = server.json("/v1/registry")
    registry = server.world.registry
    assert facts["origin"] == registry.origin
    assert facts["genesis"] == registry.home.genesis.hex()
    assert facts["operator"] == registry.operator
    assert facts["policy"] == (server.world.folder / "policy.txt").read_text()
    assert facts["tree_size"] == server.world.size()


@pytest.mark.parametrize("missing", ["log.key", "head", "room"])
def test_a_server_that_cannot_write_is_not_ready(
    lived_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "world" / "state"))
    folder = copied(lived_in, tmp_path / "world")
    if missing == "log.key":
        (folder / "keys" / "log.key").unlink()
    world = World(folder)
    if missing == "head":  # the folder was put back from a backup: it is behind what this machine has seen
        other = World(copied(lived_in, tmp_path / "later"))
        other.student("lab/later")
        other.registry.close()
    if missing == "room":

        class Full(io.FileIO):
            def write(self, data: Any) -> int:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(io, "FileIO", Full)
    with served(world) as server:
        found = problem(server.get("/health/ready"), 503, "store-failed")
        assert str(tmp_path) not in str(found)
        assert server.json("/health/live") == {"status": "ok"}
        assert server.json("/v1/registry")["tree_size"] == world.size()
    world.registry.close()
