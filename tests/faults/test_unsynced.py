"""Power failures: a writer's system calls are traced, and whatever it had not synced is thrown away.

Killing a process cannot show a missing sync, because the kernel still has what was written. Here every statement that
was acknowledged by some call must be found on every disk that the calls up to then allow.
"""

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inbond.ledger.audit import audit_log
from inbond.schemas.errors import InbondError
from tests.faults.disk import CALLS, Disk, replay
from tests.ledger.test_faults import ROOT, names_on_record
from tests.ledger.world import World

pytestmark = pytest.mark.faults
CRASHES = 5 * int(os.environ.get("INBOND_FAULTS", "20"))


@pytest.fixture(autouse=True)
def _strace_is_there() -> None:
    # Whoever selects these tests wants faults that fire: without the tool they fail, they do not pass unseen.
    assert shutil.which("strace"), "strace is not installed: apt-get install strace"


def traced(tmp_path: Path, *settings: str, count: int = 24) -> Path:
    """The trace of an appender of `count` statements in a folder that is not there yet."""
    trace = tmp_path / "trace"
    (tmp_path / "disk").mkdir()
    command = [sys.executable, "-m", "tests.ledger.appender", str(tmp_path / "disk" / "log"), "run", "0", str(count), "1,3,7"]
    subprocess.run(
        ["strace", "-f", "-o", str(trace), "-xx", "-s", "10000000", "-e", f"trace={CALLS}", *command, *settings],
        cwd=ROOT,
        env=os.environ | {"INBOND_STATE": str(tmp_path / "disk" / "state"), "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=300,
    )
    return trace


def states(trace: Path, base: Path) -> Iterator[tuple[int, dict[int, int], Disk]]:
    """(calls so far, acknowledged statements with their seq, disk) after every call that changed something."""
    acknowledged: dict[int, int] = {}
    for calls, (output, disk) in enumerate(replay(trace, base)):
        acknowledged |= {int(number): int(seq) for number, seq in (line.split() for line in output.decode().splitlines())}
        yield calls, acknowledged, disk


def lost(folder: Path, acknowledged: dict[int, int], monkeypatch: pytest.MonkeyPatch, *, thoroughly: bool) -> str | None:
    """What is wrong with the log that was found after a crash, None if nothing is."""
    monkeypatch.setenv("INBOND_STATE", str(folder / "state"))
    if not (folder / "log" / "ledger.db").is_file():
        return f"the log is gone with {len(acknowledged)} statements" if acknowledged else None
    try:
        world = World(folder / "log", create=False)
    except InbondError as error:
        return f"the log does not open: {error.message}"
    try:
        world.log.check_high_water()
        names, outside = names_on_record(world), size_outside(folder / "state", world)
        if outside < len(acknowledged) + 2 and acknowledged:
            return f"the checkpoint outside is of size {outside} with {len(acknowledged)} statements acknowledged"
        missing = [number for number, seq in acknowledged.items() if names[seq - 2 : seq - 1] != [f"run/{number}"]]
        if missing:
            return f"statements {missing} are gone"
        if thoroughly:
            report = audit_log(world.log, world.rules)
            if report.problem:
                return report.problem
            if len(names) or acknowledged:
                world.log.append_one(world.party("goes on"))
    except InbondError as error:
        return f"the log cannot go on: {error.message}"
    finally:
        world.log.close()
    return None


def size_outside(state: Path, world: World) -> int:
    """The size that the checkpoint file speaks of, 0 where there is none or half of one."""
    path = state / world.genesis_leaf.hex() / "checkpoint"
    lines = path.read_text().splitlines() if path.is_file() else []
    return int(lines[1]) if len(lines) > 3 else 0


def losses(trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int = 1) -> tuple[list[str], int]:
    """What is lost in crashes after each acknowledgement and after some other calls; and how many were tried."""
    base = tmp_path / "disk"
    choose = random.Random(seed)
    total = sum(1 for _ in states(trace, base))
    chosen = set(choose.sample(range(total), min(total, CRASHES)))
    found: list[str] = []
    tried = known = 0
    for calls, acknowledged, disk in states(trace, base):
        fresh, known = len(acknowledged) > known, len(acknowledged)
        if not fresh and calls not in chosen:
            continue
        for how in ("synced", "names", "some"):
            tried += 1
            target = tmp_path / "crashed"
            disk.crash(target, how, choose)
            problem = lost(target, acknowledged, monkeypatch, thoroughly=tried % 8 == 0)
            if problem is not None:
                found.append(f"after call {calls} of {total}, {how}: {problem}")
            shutil.rmtree(target)
    return found, tried


def test_what_was_acknowledged_survives_power_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = traced(tmp_path)
    *_, (_, acknowledged, disk) = states(trace, tmp_path / "disk")
    assert acknowledged == {number: number + 2 for number in range(24)}
    for path, file in disk.names.items():  # the replay is right: it ends with the very files that the writer left
        assert file.folder or Path(path).read_bytes() == bytes(file.content), path
    found, tried = losses(trace, tmp_path, monkeypatch)
    assert not found, found[0]
    assert tried > 3 * 9


@pytest.mark.parametrize(
    ("setting", "lost"),
    [
        ("synchronous=off", "signing now would fork the log"),
        ("unsynced=files", "expected a checkpoint signed by this log, found: note"),
        ("unsynced=folders", "the checkpoint outside is of size"),
    ],
)
def test_a_missing_sync_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, lost: str) -> None:
    """The check has teeth: without SQLite's syncs, or those of our own files, or of the folders around them, it fails."""
    found, _ = losses(traced(tmp_path, setting), tmp_path, monkeypatch)
    assert any(re.search(lost, problem) for problem in found), found


def test_a_sync_before_the_rename_is_needed(tmp_path: Path) -> None:
    """The model of the disk itself, on a trace of two files: one written as it should be, one not."""
    base = tmp_path / "disk"
    hexed = {name: "".join(f"\\x{byte:02x}" for byte in f"{base}/{name}".encode()) for name in ("new", "good", "bad")}
    folder = "".join(f"\\x{byte:02x}" for byte in str(base).encode())
    lines = []
    for name, sync in (("good", True), ("bad", False)):
        lines += [f'1 openat(AT_FDCWD, "{hexed["new"]}", O_RDWR|O_CREAT|O_EXCL, 0600) = 3', r'1 write(3, "\x61\x62", 2) = 2']
        lines += ["1 fsync(3) = 0"] if sync else []
        lines += ["1 close(3) = 0", f'1 rename("{hexed["new"]}", "{hexed[name]}") = 0']
        lines += [f'1 openat(AT_FDCWD, "{folder}", O_RDONLY) = 3', "1 fsync(3) = 0", "1 close(3) = 0"]
    (tmp_path / "trace").write_text("\n".join(lines) + "\n")
    *_, (_, disk) = replay(tmp_path / "trace", base)
    disk.crash(tmp_path / "after", "synced")
    assert {path.name: path.read_bytes() for path in (tmp_path / "after").iterdir()} == {"good": b"ab", "bad": b""}


def test_the_log_can_be_opened_at_every_moment_of_its_making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the log has its name there is none; from then on it is whole."""
    trace = traced(tmp_path, count=1)
    seen = set()
    for calls, acknowledged, disk in states(trace, tmp_path / "disk"):
        for how in ("synced", "names"):
            there = f"{tmp_path}/disk/log/ledger.db" in (disk.names if how == "names" else disk.synced_names)
            if there or calls % 7 == 0:
                disk.crash(tmp_path / "crashed", how)
                assert lost(tmp_path / "crashed", acknowledged, monkeypatch, thoroughly=False) is None, (calls, how)
                shutil.rmtree(tmp_path / "crashed")
                seen.add(there)
    assert seen == {True, False}
