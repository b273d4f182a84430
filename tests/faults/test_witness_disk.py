"""A witness on disks that lose what was not synced, and whose calls fail: whatever it has said, it still knows."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from inbond.ledger.witness_state import WitnessState
from inbond.schemas.errors import InbondError, NotFound, VerificationError
from tests.faults.disk import CALLS, replay
from tests.ledger.test_witness_faults import Answer, check_history
from tests.ledger.witness_process import log_key

pytestmark = pytest.mark.faults
ROOT = Path(__file__).resolve().parents[2]
FAULTS = int(os.environ.get("INBOND_FAULTS", "20"))


@pytest.fixture(autouse=True)
def _strace_is_there() -> None:
    assert shutil.which("strace"), "strace is not installed: apt-get install strace"


def run(folder: Path, *options: str, seed: int = 1, settings: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """A climb of one log to size 40 under strace."""
    climb = ["-m", "tests.ledger.witness_process", str(folder / "witness.db"), "0", "1", "40", "-1", str(seed), *settings]
    command = ["strace", "-f", *options, sys.executable, *climb]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def known(folder: Path) -> int:
    """The size that a witness knows of, after whatever happened."""
    state = WitnessState.open(folder / "witness.db")
    try:
        latest = state.latest(log_key(0).name)
        return latest.size if latest else 0
    finally:
        state.close()


@pytest.mark.parametrize("setting", ["", "synchronous=OFF"])
def test_what_was_answered_survives_power_failures(setting: str, tmp_path: Path) -> None:
    """And the check has teeth: without SQLite's syncs something is lost."""
    base, trace = tmp_path / "disk", tmp_path / "trace"
    base.mkdir()
    options = ("-o", str(trace), "-xx", "-s", "10000000", "-e", f"trace={CALLS}")
    done = run(base, *options, settings=(setting,) if setting else ())
    assert len(done.stdout.splitlines()) > 15
    choose = random.Random(1)
    answered, problems, tried = 0, [], 0
    for output, disk in replay(trace, base):
        fresh = [Answer.read(line).new for line in output.decode().splitlines()]
        answered = max([answered, *fresh])
        if not fresh and choose.random() > 0.3:
            continue
        for how in ("synced", "names", "some"):
            tried += 1
            target = tmp_path / "crashed"
            disk.crash(target, how, choose)
            try:
                found = known(target)
            except InbondError as error:
                found = 0
                if answered or not isinstance(error, NotFound | VerificationError):  # it was being made
                    problems.append(f"{how}: {error.message}")
            if found < answered:
                problems.append(f"{how}: answered for {answered}, found {found}")
            shutil.rmtree(target)
    assert tried > 100
    assert bool(problems) == bool(setting), problems[:3]


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "openat", "unlink"])
@pytest.mark.parametrize("how", ["error=EIO", "error=ENOSPC", "signal=KILL"])
def test_calls_that_fail(call: str, how: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Every answer is known afterwards, a witness that went on has gone on rightly, and the faults did fire."""
    WitnessState.create(tmp_path / "template.db").close()
    choose = random.Random(f"{call}{how}")
    fired = 0
    for attempt in range(max(2, FAULTS // 10)):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        shutil.copy(tmp_path / "template.db", folder / "witness.db")
        trace = folder / "trace"
        paths = [word for each in ("witness.db", "witness.db-journal", "") for word in ("-P", str(folder / each))]
        inject = f"inject={call}:{how}:when={choose.randint(1, 15)}"
        done = run(folder, "-o", str(trace), *paths, "-e", f"trace={call}", "-e", inject, seed=attempt)
        fired += any(text in trace.read_text() for text in ("INJECTED", "killed by SIGKILL"))
        answers = [Answer.read(line) for line in done.stdout.splitlines()]
        check_history(answers)
        assert known(folder) >= max([answer.new for answer in answers], default=0)
        again = run(folder, "-o", os.devnull, "-e", "trace=exit")
        assert again.returncode == 0, again.stderr
        assert known(folder) == 40
    record_property("injected", [f"{call} (witness)", how.replace("=KILL", "=SIGKILL"), fired])
    assert fired, f"no {call} failed"
