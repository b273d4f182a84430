"""A writer's system calls fail, or it is killed in them: nothing that was acknowledged is lost, doubled or forked.

`make faults` asks for more than a thousand faults that fired, and prints how many did, by call and kind.
"""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.account import Account
from tests.faults.injecting import Writers, writers

pytestmark = pytest.mark.faults
QUOTA = max(1, int(os.environ.get("INBOND_FAULTS", "20")) * 40 // 100)
"""Faults that have to fire in each test; 24 tests and those of a log that is made have more than a thousand at 100."""

CALLS = ("write", "pwrite64", "fsync", "fdatasync", "openat", "unlink", "rename", "ftruncate")
KINDS = ("error=EIO", "error=ENOSPC", "signal=SIGKILL")
STATEMENTS = 24  # of one life: the log is opened and closed four times
LONG = 120  # entries after which a new log is begun, as every audit reads all of them


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writers]:
    # Whoever selects these tests wants faults that fire: without the tool they fail, they do not pass unseen.
    assert shutil.which("strace"), "strace is not installed: apt-get install strace"
    with writers(tmp_path_factory.mktemp("injected")) as made:
        yield made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", CALLS)
def test_acknowledged_statements_outlive_calls_that_fail(
    call: str,
    kind: str,
    served: Writers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    choose = random.Random(f"{call} {kind}")
    fired = 0
    account, total = begin(served, call)
    for _ in range(6 * QUOTA):
        if fired >= QUOTA:
            break
        if len(account.on) > LONG:
            account, total = begin(served, call)
        when = str(choose.randint(1, total))
        if kind != "signal=SIGKILL" and choose.random() < 0.3:  # and again and again
            when += f"+{choose.randint(2, max(2, total // 3))}"
        life = served.live(
            account.folder, len(account.on), len(account.on) + STATEMENTS, call, f"inject={call}:{kind}:when={when}"
        )
        assert life.killed == (kind == "signal=SIGKILL" and life.fired > 0)
        fired += life.fired
        account.add(life)
        check_copy(account, tmp_path / "crashed", monkeypatch)
    record_property("injected", [call, kind, fired])
    assert fired >= QUOTA, f"only {fired} faults fired"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", ["pwrite64", "openat", "fsync", "rename"])
def test_a_log_is_made_whole_or_not_at_all(
    call: str,
    kind: str,
    served: Writers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    shutil.rmtree(served.base / "log", ignore_errors=True)
    total = served.live(served.base / "log", 0, 2, call).calls[call]
    choose = random.Random(f"{call} {kind}")
    fired = 0
    for when in sorted(choose.sample(range(1, total + 1), min(total, QUOTA // 3 + 1))):
        shutil.rmtree(served.base / "log", ignore_errors=True)
        account = Account(served.base / "log")
        life = served.live(account.folder, 0, 2, call, f"inject={call}:{kind}:when={when}")
        fired += life.fired
        account.add(life)
        check_copy(account, tmp_path / "crashed", monkeypatch)
    record_property("injected", [call, kind, fired])
    assert fired


def begin(served: Writers, call: str) -> tuple[Account, int]:
    """A new log, and how often a life like those to come makes `call`."""
    for folder in ("log", "state"):
        shutil.rmtree(served.base / folder, ignore_errors=True)
    account = Account(served.base / "log")
    account.add(served.live(account.folder, 0, 6, call))
    life = served.live(account.folder, 6, 6 + STATEMENTS, call)
    account.add(life)
    assert life.calls[call], f"{call} is not called"
    return account, life.calls[call]


def check_copy(account: Account, crashed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check a copy, so that the next writer finds the files as the last one left them."""
    shutil.copytree(account.folder.parent, crashed, ignore=shutil.ignore_patterns("trace"))
    monkeypatch.setenv("INBOND_STATE", str(crashed / "state"))
    account.check(crashed / account.folder.name)
    shutil.rmtree(crashed)
