"""A witness never goes back: processes that race, processes that die, disks that fail. INBOND_FAULTS sets the number of kills."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from base64 import b64decode
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from inbond.ledger import notes, statefile
from inbond.ledger.cosigning import Witness
from inbond.ledger.witness_state import WitnessState
from inbond.schemas.errors import Conflict, StoreError, VerificationError
from tests.ledger.witness_process import known, log, log_key
from tests.ledger.witnessed import COSIGNER, KNOWN, NOW, PlainLog

ROOT = Path(__file__).resolve().parents[2]
FAULTS = int(os.environ.get("INBOND_FAULTS", "20"))


@dataclass
class Answer:
    """A cosignature that somebody got."""

    log: int
    old: int
    new: int
    root: str
    began: int
    ended: int
    lines: bytes

    @classmethod
    def read(cls, line: str) -> "Answer":
        number, old, new, root, began, ended, answer = line.split()
        return cls(int(number), int(old), int(new), root, int(began), int(ended), b64decode(answer))

    def verify(self, fork: int, size: int) -> None:
        text = notes.parse(log(self.log, size, fork).note(self.new)).text
        notes.open_note(text + b"\n" + self.lines, [COSIGNER.verifier])


class Climbers:
    """The server of `tests/ledger/witness_process.py`."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.ledger.witness_process"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, *processes: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(";".join(processes) + "\n")
        self.process.stdin.flush()

    def answers(self, pids: list[int] | None = None) -> Iterator[Answer]:
        assert self.process.stdout is not None
        while (line := self.process.stdout.readline().strip()) != "end":
            assert line, "the server has died"
            if not line.startswith("pid "):
                yield Answer.read(line)
            elif pids is not None:
                pids += map(int, line.split()[1:])


@pytest.fixture(scope="module")
def climbers() -> Iterator[Climbers]:
    made = Climbers()
    yield made
    made.process.communicate(timeout=60)
    assert made.process.returncode == 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    WitnessState.create(tmp_path / "witness.db").close()
    return tmp_path / "witness.db"


def check_history(answers: list[Answer]) -> None:
    """One root for a size, each step once, never a smaller size after a larger one."""
    roots: dict[tuple[int, int], set[str]] = defaultdict(set)
    steps: dict[tuple[int, int], list[int]] = defaultdict(list)
    for answer in answers:
        roots[answer.log, answer.new].add(answer.root)
        if answer.old < answer.new:
            steps[answer.log, answer.old].append(answer.new)
    assert all(len(found) == 1 for found in roots.values())
    assert all(len(found) == 1 for found in steps.values())  # a size is left once: nobody ever came back to it
    largest: dict[int, list[Answer]] = defaultdict(list)
    for answer in sorted(answers, key=lambda answer: answer.ended):
        for before in largest[answer.log][-8:]:
            assert before.ended > answer.began or before.new <= answer.new
        largest[answer.log].append(answer)


def test_two_processes_race_for_every_step(climbers: Climbers, path: Path) -> None:
    climbers.start(*(f"{path} 0 2 80 -1 {seed}" for seed in (1, 2)))
    answers = list(climbers.answers())
    check_history(answers)
    assert {max(answer.new for answer in answers if answer.log == number) for number in range(2)} == {80}
    for answer in answers:
        answer.verify(-1, 80)


def test_two_processes_race_with_two_histories(climbers: Climbers, path: Path) -> None:
    """Whoever comes first decides which history there is; the other is refused for good."""
    forks = [0, 1]
    climbers.start(*(f"{path} 0 24 6 {fork} {fork + 1}" for fork in forks))
    answers = list(climbers.answers())
    check_history(answers)
    for number in range(24):
        mine = [answer for answer in answers if answer.log == number]
        assert mine[-1].new == 6
        possible = [fork for fork in forks if log(number, 6, fork).root(6).hex() == mine[-1].root]
        assert len(possible) == 1
        for answer in mine:
            answer.verify(possible[0], 6)


def test_a_witness_that_dies_between_the_sync_and_the_answer(climbers: Climbers, path: Path) -> None:
    climbers.start(f"{path} 0 1 30 -1 7 die=5")
    answers = list(climbers.answers())
    assert len(answers) == 4
    state = WitnessState.open(path)
    latest = state.latest(log_key(0).name)
    assert latest is not None
    assert latest.size > answers[-1].new
    one = Witness(state, [COSIGNER], known(0, 1), clock=lambda: latest.time + 60.0)
    tree, fork = log(0, 30, -1), log(0, 30, answers[-1].new)
    with pytest.raises(Conflict) as conflict:  # the log asks again as it had asked, and hears what was kept
        one.add_checkpoint(tree.body(answers[-1].new, latest.size))
    assert conflict.value.members["size"] == latest.size
    with pytest.raises(VerificationError):
        one.add_checkpoint(fork.body(latest.size, latest.size))
    answer = one.add_checkpoint(tree.body(latest.size, latest.size))
    notes.open_note(notes.parse(tree.note(latest.size)).text + b"\n" + answer, [COSIGNER.verifier])
    one.add_checkpoint(tree.body(latest.size, 30))
    state.close()


def test_killed_at_any_moment(climbers: Climbers, path: Path) -> None:
    """Whatever was answered is known afterwards, and the next process goes on from there."""
    shots = random.Random(2026)
    answers: list[Answer] = []
    killed = 0
    for round in range(FAULTS):
        climbers.start(f"{path} {round} 1 2000 -1 {round}")
        pids: list[int] = []
        mine: list[Answer] = []
        reader = climbers.answers(pids)
        mine.append(next(reader))
        killer = threading.Timer(shots.uniform(0, 0.05), lambda pid: os.kill(pid, signal.SIGKILL), pids[:1])
        killer.start()
        mine += reader
        killer.join()
        killed += 1
        state = WitnessState.open(path)
        latest = state.latest(log_key(round).name)
        state.close()
        assert latest is not None
        assert latest.size >= mine[-1].new
        assert latest.size <= mine[-1].new + 3
        answers += mine
    check_history(answers)
    assert killed == FAULTS


# Disks that fail -------------------------------------------------------------------------------------------------------


def test_a_disk_that_is_full_cosigns_nothing(path: Path) -> None:
    state = WitnessState.open(path)
    one = Witness(state, [COSIGNER], KNOWN, clock=lambda: NOW)
    tree = PlainLog()
    one.add_checkpoint(tree.body(0, 5))
    connection = state._file._connection
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    connection.exec_driver_sql("CREATE TEMP TRIGGER fill AFTER UPDATE ON main.latest BEGIN "
                               "UPDATE latest SET note = zeroblob(100000) WHERE origin = new.origin; END")  # fmt: skip
    with pytest.raises(StoreError, match="full"):
        one.add_checkpoint(tree.body(5, 9))
    connection.exec_driver_sql("DROP TRIGGER fill")
    latest = state.latest(KNOWN[0].origin)
    assert latest is not None
    assert latest.size == 5
    one.add_checkpoint(tree.body(5, 9))
    state.close()


def test_a_commit_that_fails_stops_the_witness(path: Path) -> None:
    """What is on disk then is not known, so nothing is said until the file is opened again."""
    state = WitnessState.open(path)
    one = Witness(state, [COSIGNER], KNOWN, clock=lambda: NOW)
    tree = PlainLog()
    one.add_checkpoint(tree.body(0, 5))
    for statement in (
        "PRAGMA foreign_keys=ON",
        "CREATE TABLE of (other INTEGER REFERENCES of (id) DEFERRABLE INITIALLY DEFERRED, id INTEGER PRIMARY KEY)",
        "CREATE TEMP TRIGGER fail AFTER UPDATE ON main.latest BEGIN INSERT INTO of (other) VALUES (77); END",
    ):
        state._file._connection.exec_driver_sql(statement)
    with pytest.raises(StoreError, match="not known whether it is on disk"):
        one.add_checkpoint(tree.body(5, 9))
    with pytest.raises(StoreError, match="not known whether it is on disk"):
        one.add_checkpoint(tree.body(5, 5))
    state.close()
    state = WitnessState.open(path)
    Witness(state, [COSIGNER], KNOWN, clock=lambda: NOW).add_checkpoint(tree.body(5, 9))
    state.close()


def test_another_process_that_holds_the_file_for_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statefile, "WAIT", 0.2)
    other = sqlite3.connect(path, isolation_level=None)
    state = WitnessState.open(path)
    other.execute("BEGIN IMMEDIATE")
    one = Witness(state, [COSIGNER], KNOWN, clock=lambda: NOW)
    began = time.monotonic()
    with pytest.raises(StoreError, match="locked"):
        one.add_checkpoint(PlainLog().body(0, 5))
    assert time.monotonic() - began < 5
    other.execute("COMMIT")
    other.close()
    one.add_checkpoint(PlainLog().body(0, 5))
    state.close()
