"""What survives when processes die, and when several write at once. INBOND_FAULTS sets the number of kills."""

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from inbond.ledger import dsse
from inbond.ledger.audit import audit_log
from inbond.ledger.databases.sqlite import creating
from inbond.ledger.log import Appended
from inbond.ledger.tables import TABLES
from inbond.schemas import statement
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import StoreError
from tests.ledger.world import World, seqs

ROOT = Path(__file__).resolve().parents[2]
FAULTS = int(os.environ.get("INBOND_FAULTS", "20"))


class Appenders:
    """A server of `tests/ledger/appender.py`: forks are cheap, and importing everything twenty times is not."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.ledger.appender"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def start(self, folder: Path, run: str, first: int, sizes: list[int]) -> int:
        """Start an appender; its process id."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{folder} {run} {first} {','.join(map(str, sizes))}\n".encode())
        self.process.stdin.flush()
        word, pid = self.line().split()
        assert word == "pid"
        return int(pid)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def until_end(self) -> Iterator[str]:
        """The lines up to `end`."""
        while (line := self.line()) != "end":
            assert line, "the server has died"
            yield line


@contextmanager
def appenders() -> Iterator[Appenders]:
    made = Appenders()
    try:
        yield made
    finally:
        made.process.communicate(timeout=60)
        assert made.process.returncode == 0


def names_on_record(world: World) -> list[str]:
    """The name that each party statement brings, in the order of the log."""
    found = []
    for data in world.entries():
        read = statement.read(dsse.payload_of(msgspec.convert(msgspec.json.decode(data)["dsse"], Envelope)))
        if read.kind == "party":
            found.append(read.body.aliases[0])
    return found


def test_kill_at_any_moment(make_world: Callable[..., World]) -> None:
    """Everything acknowledged is there once, and the same statements go on where they stopped."""
    shots = random.Random(2026)
    world = make_world()
    folder = world.folder
    acknowledged: dict[int, int] = {}
    with appenders() as server:
        for moment in range(FAULTS):
            world.log.close()
            sizes = [shots.randint(1, 3) for _ in range(5)]
            pid = server.start(folder, "kill", len(acknowledged), sizes)
            lines = []
            for _ in range(shots.randint(0, 7)):
                lines.append(server.line())
            time.sleep(shots.random() * (0.3 if not lines else 0.02))
            os.kill(pid, signal.SIGKILL)
            lines += server.until_end()
            for line in lines:
                number, seq = map(int, line.split())
                assert acknowledged.setdefault(number, seq) == seq
            world.log = world.open()
            report = audit_log(world.log, world.rules)
            assert report.verdict == "clean", (moment, report)
            world.log.check_high_water()
            names = names_on_record(world)
            assert names == [f"kill/{number}" for number in range(len(names))], moment
            assert len(names) >= len(acknowledged)
            assert all(seq == number + 2 for number, seq in acknowledged.items())
    assert len(acknowledged) > FAULTS
    more = [world.numbered(number, "kill") for number in range(len(names) + 3)]
    assert seqs(world.log.append(more)) == [number + 2 for number in range(len(names) + 3)]
    assert audit_log(world.log, world.rules).verdict == "clean"


def test_kill_while_the_log_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a whole log or none, and then it can be made."""
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    shots = random.Random(7)
    with appenders() as server:
        for moment in range(max(3, FAULTS // 5)):
            folder = tmp_path / str(moment)
            pid = server.start(folder, "make", 0, [1])
            time.sleep(shots.random() * 0.5)
            os.kill(pid, signal.SIGKILL)
            list(server.until_end())
            world = World(folder, create=not (folder / "ledger.db").exists())
            if len(world.entries()) == 1:
                world.log.append_one(world.enrol(world.producer))
            assert world.log.append_one(world.numbered(1, "after")).seq >= 2
            assert audit_log(world.log, world.rules).verdict == "clean"
            world.log.close()


def test_a_ledger_that_stays_in_its_wal_is_not_put_in_place(tmp_path: Path) -> None:
    """SQLite closes without a word when it could not move the WAL into the file, as on a disk that fails then."""

    def make(other: ExitStack) -> None:
        with creating(tmp_path, TABLES) as (database, connection):
            database.commit(connection)
            reader = other.enter_context(closing(sqlite3.connect(database.path)))  # as long as it is there, nothing is moved
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM entries")

    with ExitStack() as other, pytest.raises(StoreError, match="could not be written into one file"):
        make(other)
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.lock"]


def test_two_processes_append_at_once(make_world: Callable[..., World]) -> None:
    """Each has statements of its own and all have some in common: one chain without gaps, each statement once."""
    world = make_world()
    command = [sys.executable, "-m", "tests.ledger.appender", str(world.folder)]
    work = [("one", "30", "1,5,2"), ("two", "30", "3,1,9"), ("one", "30", "7,2")]
    running = [
        subprocess.Popen([*command, run, "0", count, sizes], cwd=ROOT, stdout=subprocess.PIPE) for run, count, sizes in work
    ]
    mine = world.log.append([world.numbered(number, "mine") for number in range(5)])
    outputs = [process.communicate(timeout=120)[0].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    answers = [dict(map(int, line.split()) for line in output.splitlines()) for output in outputs]
    assert answers[0] == answers[2], "two processes that send the same statements get the same answers"
    names = names_on_record(world)
    assert len(names) == 30 + 30 + 5 == len(set(names))
    for (run, _, _), answer in zip(work, answers, strict=True):
        assert all(names[seq - 2] == f"{run}/{number}" for number, seq in answer.items())
    assert all(isinstance(result, Appended) and names[result.seq - 2].startswith("mine") for result in mine)
    report = audit_log(world.log, world.rules)
    assert (report.verdict, report.size) == ("clean", 67)


FULL = """
import resource, signal, sys
from pathlib import Path
from inbond.schemas.errors import InbondError, StoreError
from tests.ledger.world import World, seqs

world = World(Path(sys.argv[1]), create=False)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sent = [world.numbered(number, "full") for number in range(200)]
acknowledged = seqs(world.log.append(sent[:3]))
limit = int(sys.argv[2]) + (Path(sys.argv[1]) / "ledger.db-wal").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
errors = []
for start in (3, 100):
    try:
        acknowledged += seqs(world.log.append(sent[start:start + 90]))
    except StoreError as error:
        errors.append(error.message)
print(len(acknowledged))
print("\\n".join(errors))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for start in (3, 100):
    try:
        world.log.append(sent[start:start + 3])
        print("goes on")
    except StoreError as error:
        print(error.message, "|", error.hint)
world.log.close()
"""


@pytest.mark.parametrize("room", [0, 60_000])
def test_a_full_disk(make_world: Callable[..., World], room: int) -> None:
    """The disk is full in the middle of a batch: nothing of it is half there, and what was acknowledged stays."""
    world = make_world()
    world.log.close()
    process = subprocess.run(
        [sys.executable, "-c", FULL, str(world.folder), str(room)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 0, process.stderr
    first, *messages = process.stdout.splitlines()
    world.log = world.open()
    report = audit_log(world.log, world.rules)
    assert report.verdict == "clean", report
    names = names_on_record(world)
    assert len(names) == len(set(names)) >= int(first)
    failures = [message for message in messages if message != "goes on"]
    assert failures
    if "COMMIT failed" in failures[0]:
        assert all("COMMIT failed" in message for message in failures), "poisoned until it is opened again"
    assert all(re.search("disk I/O error|disk is full|not known", message) for message in failures)
    assert seqs(world.log.append([world.numbered(number, "full") for number in range(200)])) != []
    assert audit_log(world.log, world.rules).verdict == "clean"
