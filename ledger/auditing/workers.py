"""Worker processes, and threads where there is too little to do for a process.

A process of its own for each core: examining an entry is Python for the most part, which threads cannot share. They are
started as `python -m`, not forked and not through multiprocessing, so that it does not matter which threads and
connections this process has, nor what its main module does when it is imported.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, overload

import msgspec

from inbond.ledger.auditing import worker
from inbond.ledger.auditing.examining import Examine, Examined, Keys
from inbond.ledger.auditing.heads import Heads, HeadsFound
from inbond.ledger.keys import PublicKey
from inbond.schemas.errors import StoreError

T = TypeVar("T")

APART = 4096
"""Entries for which it is worth starting processes."""

# Made here, as msgspec 0.22 crashes when two threads learn what a struct is made of at the same time.
_EXAMINED, _FOUND = msgspec.msgpack.Decoder(Examined), msgspec.msgpack.Decoder(HeadsFound)
_PATIENCE = 10.0  # seconds for a worker to go when it is told to


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """Does tasks, `count` at a time: in processes, or with `apart` false in threads of this one."""

    def __init__(self, count: int, *, apart: bool) -> None:
        self.count = count
        self._keys: list[bytes] = []
        self._own = Keys()
        self._here = threading.local()
        self._processes: list[_Process] = []
        self._lock = threading.Lock()
        self._apart = apart
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="inbond-audit")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self._processes if kind is not None else ():
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.close()

    @overload
    def submit(self, task: Examine) -> Future[Examined]: ...
    @overload
    def submit(self, task: Heads) -> Future[HeadsFound]: ...
    def submit(self, task: Examine | Heads) -> "Future[Examined] | Future[HeadsFound]":
        """Have a task done."""
        return self._threads.submit(self._do, task, len(self._keys))  # type: ignore[return-value]

    def learn(self, keys: Sequence[bytes]) -> None:
        """Tasks that are submitted from now on know these public keys."""
        self._keys += keys
        for raw in keys:
            self._own.add(PublicKey(raw))

    def _do(self, task: Examine | Heads, known: int) -> Examined | HeadsFound:
        if not self._apart:
            return worker.perform(worker.Order(task, []), self._own)
        process: _Process | None = getattr(self._here, "process", None)
        if process is None:
            process = self._here.process = _Process()
            with self._lock:
                self._processes.append(process)
        return process.do(task, self._keys, known)


class _Process:
    """One worker process, used by one thread."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", worker.__name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                process_group=0,  # an interrupt from the terminal is for this process, which tells its workers
            )
        except OSError as error:
            raise StoreError(f"the audit could not start a worker process: {error}") from error
        self._told = 0
        self._encoder = msgspec.msgpack.Encoder()

    def do(self, task: Examine | Heads, keys: list[bytes], known: int) -> Examined | HeadsFound:
        """Do one task; the first `known` of `keys` belong to it, of which the worker has heard some before."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            worker.write_frame(self._process.stdin, self._encoder.encode(worker.Order(task, keys[self._told : known])))
            self._told = max(self._told, known)
            data = worker.read_frame(self._process.stdout)
        except OSError as error:
            raise StoreError(f"a worker process of the audit has gone: {error}") from error
        if data is None:
            raise StoreError("a worker process of the audit has gone: see what it has said above")
        return _EXAMINED.decode(data) if isinstance(task, Examine) else _FOUND.decode(data)

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()

    def close(self) -> None:
        """Let it end; it has nothing more to do."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # it has gone with something still to be written
                    pipe.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
