"""Converting inputs in several processes at the same time, with the result of one: the same records in the same order.

Each process takes the next unit (see `parts`) when it is through with its last. What it converts waits here until its turn
comes, at most WAITING bytes of each process: then the pipe is left to fill up, and the process waits. Processes begin from
nothing (no fork: pyarrow has threads), get no signals of the terminal, and end when this one does, however it does.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from threading import Condition, Thread
from typing import BinaryIO

from inbond.registry.importers.base import Importer, Rejected, StopImport
from inbond.registry.importers.frames import FrameReader
from inbond.registry.importers.inputs import Input, Progress
from inbond.registry.importers.observed import Observed
from inbond.registry.importers.parts import Unit, units_of
from inbond.registry.importers.worker import read_message, write_message
from inbond.registry.shards.records import Record
from inbond.schemas.errors import InbondError

WAITING = 4 << 20
MUCH = 48 << 20  # bytes of input from which on processes of their own are worth their start
_MOST = 3  # what one process can write keeps no more of them at work

_BEGIN = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from inbond.registry.importers.worker import main; main()"


def convert_apart(
    format: Importer,
    inputs: Sequence[Input],
    options: Mapping[str, str],
    jobs: int,
    begin: Callable[[Input], None],
    progress: Progress | None = None,
) -> Iterator[Record | Observed | Rejected]:
    """What `format.records` gives, converted by at most `jobs` other processes; records come with their content ids.

    `begin` hears of each input before its first record is given. Close the iterator where it is not read to its end. Raises as
    `Importer.records`, and InbondError where a process ends that should not.
    """
    units = units_of(inputs, together=format.remembers)
    crew = _Crew((format.name, format.check_options(options), list(inputs)), units, min(jobs, len(units)))
    try:
        begun = lines = elements = 0
        for number in range(len(units)):
            for payload, reader in crew.frames(number):
                frame = reader.open(payload)
                while begun <= frame.source:
                    begin(inputs[begun])
                    begun += 1
                    lines = elements = 0
                if progress is not None and frame.read:
                    progress(frame.read)
                yield from frame.items(lines, elements)
                lines, elements = lines + frame.lines, elements + frame.elements
    except StopImport as stop:
        raise stop.error() from None
    finally:
        crew.close()


def cores() -> int:
    """How many processes an import takes where there is much to convert, unless somebody says."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, _MOST)


class _Worker:
    """A process, and what it has converted that nobody took yet."""

    def __init__(self) -> None:
        # In a process group of its own, so that Ctrl-C reaches this process alone, which then ends the others.
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BEGIN, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests: BinaryIO = self.process.stdin  # type: ignore[assignment]
        self.results: BinaryIO = self.process.stdout  # type: ignore[assignment]
        self.reader = FrameReader()
        self.waiting = 0  # bytes

    def ended(self) -> InbondError:
        """What to say of a process that did not do its work."""
        code = self.process.wait()
        how = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit status {code}"
        return InbondError(
            f"process {self.process.pid}, which converted records for the import: expected it to go on, found its end by {how}",
            hint="The same import again goes on with what is missing. With --jobs 1 it takes one process, and less memory.",
        )


class _Crew:
    """The processes of one import, a thread for each of them, and the frames that wait."""

    def __init__(self, setup: object, units: Sequence[Unit], jobs: int) -> None:
        self._setup = pickle.dumps(setup, pickle.HIGHEST_PROTOCOL)
        self._units = units
        self._next = 0
        self._frames: dict[int, deque[tuple[bytes, bool, _Worker]]] = {}
        self._failed: BaseException | None = None
        self._closed = False
        self._change = Condition()
        self._workers: list[_Worker] = []
        self._threads: list[Thread] = []
        try:
            for _ in range(jobs):
                worker = _Worker()
                self._workers.append(worker)
                self._threads.append(Thread(target=self._drive, args=(worker,), name="inbond-convert", daemon=True))
                self._threads[-1].start()
        except BaseException:
            self.close()
            raise

    def frames(self, number: int) -> Iterator[tuple[bytes, FrameReader]]:
        """The frames of a unit, each with the reader of its process."""
        is_last = False
        while not is_last:
            with self._change:
                while not self._frames.get(number):
                    if self._failed is not None:
                        raise self._failed
                    self._change.wait()
                payload, is_last, worker = self._frames[number].popleft()
                worker.waiting -= len(payload)
                if is_last:
                    del self._frames[number]
                self._change.notify_all()
            yield payload, worker.reader

    def close(self) -> None:
        """End every process and thread. May be called twice."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for worker in self._workers:
            worker.process.kill()
        for thread in self._threads:
            thread.join()
        for worker in self._workers:
            worker.process.wait()
            worker.results.close()
            with suppress(BrokenPipeError):  # of what was not sent any more
                worker.requests.close()

    def _drive(self, worker: _Worker) -> None:
        """Give a process its units, and take what it makes of them."""
        try:
            write_message(worker.requests, self._setup)
            while (number := self._deal()) is not None:
                write_message(worker.requests, pickle.dumps(self._units[number]))
                is_last = False
                while not is_last:
                    message = read_message(worker.results)
                    if message is None:
                        raise EOFError("expected the frames of a unit")
                    is_last = message[1]
                    self._keep(worker, number, *message)
        except (OSError, EOFError):
            self._fail(worker.ended())
        except BaseException as error:
            self._fail(error)

    def _deal(self) -> int | None:
        with self._change:
            if self._closed or self._next == len(self._units):
                return None
            self._next += 1
            return self._next - 1

    def _keep(self, worker: _Worker, number: int, payload: bytes, is_last: bool) -> None:
        with self._change:
            while worker.waiting >= WAITING and not self._closed:
                self._change.wait()
            worker.waiting += len(payload)
            self._frames.setdefault(number, deque()).append((payload, is_last, worker))
            self._change.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._change:
            self._failed = self._failed or error
            self._change.notify_all()
