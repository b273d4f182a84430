"""Makes system calls of a writer fail, or kills it in them, with `strace -e inject`, and counts the faults that fired.

A fault counts when strace says that it injected it into a call on a file of the log or of its state folder. One that hit
nothing, or something else, proves nothing.
"""

import json
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0
"""Seconds without a word after which a writer counts as hanging."""

_CALL = re.compile(r"^\d+ +(?:<\.\.\. )?(?P<name>\w+)(?:\(| resumed>)")


@dataclass
class Life:
    """What became of one writer."""

    on: dict[int, int] = field(default_factory=dict)
    heads: set[tuple[int, str]] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    escaped: list[str] = field(default_factory=list)
    killed: bool = False
    calls: Counter[str] = field(default_factory=Counter)
    fired: int = 0


class Writers:
    """The server of `tests/faults/writer.py`, whose forks are traced one at a time. `base` holds all that they write."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.settimeout(PATIENCE)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.writer"],
            cwd=ROOT,
            stdin=theirs,
            env={"INBOND_STATE": str(base / "state"), "TMPDIR": str(base), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        theirs.close()

    def close(self) -> None:
        self._line.close()
        self._process.wait(PATIENCE)

    def live(self, folder: Path, first: int, last: int, calls: str, *inject: str) -> Life:
        """A writer of statements `first` to `last - 1` with `calls` traced and, as `inject` says, made to fail."""
        pid = self._fork(folder, first, last)
        trace = self.base / "trace"
        words = [word for each in (f"trace={calls}", *inject) for word in ("-e", each)]
        command = ["strace", "-f", "-y", "-s", "0", "-o", str(trace), *words, "-p", str(pid)]
        strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert strace.stderr is not None
        said = strace.stderr.readline()
        life = self._follow(lambda: None)
        said += strace.communicate(timeout=PATIENCE)[1]
        assert f"Process {pid} attached" in said, said
        self._count(life, trace)
        return life

    def live_through(self, folder: Path, first: int, last: int, event: Callable[[], None]) -> Life:
        """A writer of statements `first` to `last - 1`, which nobody traces; `event` is called at each word of its."""
        self._fork(folder, first, last)
        return self._follow(event)

    def _fork(self, folder: Path, first: int, last: int) -> int:
        self._line.send(json.dumps({"folder": str(folder), "first": first, "last": last}).encode())
        pid = self._hear()["pid"]
        assert isinstance(pid, int)
        return pid

    def _follow(self, event: Callable[[], None]) -> Life:
        self._line.send(b"go")
        life = Life()
        while "end" not in (heard := self._hear()):
            life.on |= {int(number): int(seq) for number, seq in heard.get("on", [])}
            life.heads |= {tuple(heard["head"])} if "head" in heard else set()
            life.refused += [heard["refused"]] if "refused" in heard else []
            life.escaped += [heard["escaped"]] if "escaped" in heard else []
            event()
        life.killed = heard["end"] == signal.SIGKILL
        return life

    def _count(self, life: Life, trace: Path) -> None:
        """Which calls there were on files of the log, and how many of them failed because strace said so."""
        last: dict[str, bool] = {}
        for line in trace.read_text(encoding="ascii", errors="replace").splitlines():
            pid, _, rest = line.partition(" ")
            call = _CALL.match(line)
            if call is not None:
                ours = str(self.base) in rest or (last.get(pid, False) and "resumed>" in rest)
                life.calls[call["name"]] += ours and "resumed>" not in rest
                life.fired += ours and "(INJECTED)" in rest
                last[pid] = ours
            elif "+++ killed by SIGKILL" in rest:
                life.fired += last.get(pid, False)

    def _hear(self) -> dict[str, Any]:
        heard = self._line.recv(1 << 20)
        assert heard, "the server of writers has died"
        said: dict[str, Any] = json.loads(heard)
        return said


@contextmanager
def writers(base: Path) -> Iterator[Writers]:
    made = Writers(base)
    try:
        yield made
    finally:
        made.close()
