"""A file on a server, read by ranges: not verified, for `VerifiedFile` to verify, and read ahead while that goes on.

Whoever knows what it needs asks for that with `read_at`, in several threads. For whoever reads it as a file, it is cut into
cells. Whoever jumps fetches the cells that are touched; whoever reads on finds the next run of cells under way, in one request,
while the one before is used. Few cells are kept, so memory is bounded whatever the size of the file. The right to read is asked
anew with every request: one that ended in between is an error at the next.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Lock

from inbond.registry.shards.positioned import PositionedFile
from inbond.schemas.errors import InvalidInput

CELL = 1 << 20
"""Bytes that are asked for at least: whole blocks, and enough of them that asking costs little beside sending."""

RUN = 4
"""Cells that are asked for at most at once; as many are read ahead."""

_LETTING_GO = 2.0  # seconds

Fetch = Callable[[int, int, Callable[[], bool]], bytes]
"""Gives bytes [first, last) of the file, or gives up when told that they are unwanted; raises an InbondError."""


class RemoteFile(PositionedFile):
    """A read-only, seekable file of `size` bytes, of which `fetch` gives any piece. Raises what `fetch` raises.

    Reads take turns, but for `read_at`; `fetch` is called from several threads. `ended` is called when the file is closed.
    """

    piece = 4 << 20
    gap = 128 << 10

    def __init__(self, fetch: Fetch, size: int, ended: Callable[[], object] = bool) -> None:
        super().__init__(size)
        self._fetch, self._ended = fetch, ended
        self._cells: dict[int, tuple[Future[bytes], int]] = {}  # what will bring a cell, and which of its cells it is
        self._process = os.getpid()
        self._lock = Lock()

    def read_at(self, first: int, last: int) -> bytes:
        """Bytes [first, last), in one request, at most up to the end; nothing is kept and the position does not matter."""
        if self.closed:
            raise InvalidInput("expected a file that is open, found it closed")
        last = min(last, self._size)
        return self._fetch(first, last, lambda: self.closed) if first < last else b""

    def close(self) -> None:
        """Let go of what is kept, and of what is under way, whose connections are then free again."""
        was_open = not self.closed
        super().close()
        if self._process == os.getpid():
            wait({run for run, _ in self._cells.values() if not run.cancel()}, timeout=_LETTING_GO)
        self._cells.clear()
        if was_open:
            self._ended()

    def _take(self, first: int, last: int) -> bytes:
        with self._lock:
            parts, end = [], -(-last // CELL)
            for number in range(first // CELL, end):
                start = number * CELL
                parts.append(self._cell(number, end)[max(first - start, 0) : last - start])
            return b"".join(parts)

    def _cell(self, number: int, end: int) -> memoryview:
        """The bytes of a cell, for a reader who wants those before `end` too, and more where it came from the one before."""
        if self.closed:
            raise InvalidInput("expected a file that is open, found it closed")
        if self._process != os.getpid():  # in a fork, what the parent had under way never ends
            self._cells, self._process = {}, os.getpid()
        goes_on = number == 0 or number - 1 in self._cells
        if number not in self._cells:
            self._ask(number, max(end - number, RUN if goes_on and number else 1))
        ahead = number + 1
        while ahead in self._cells:
            ahead += 1
        if (goes_on or end > ahead) and ahead - number <= RUN:
            self._ask(ahead, RUN)
        for old in [cell for cell in self._cells if not number - 1 <= cell <= number + 2 * RUN]:
            self._cells.pop(old)
        run, at = self._cells[number]
        try:
            return memoryview(run.result())[at * CELL : (at + 1) * CELL]
        except BaseException:  # whoever asks again asks the server again
            self._cells = {cell: found for cell, found in self._cells.items() if found[0] is not run}
            raise

    def _ask(self, first: int, count: int) -> None:
        """Ask for `count` cells from `first` on, at most a run, up to the end or the first that is there already."""
        last = first
        while last < min(first + min(count, RUN), -(-self._size // CELL)) and last not in self._cells:
            last += 1
        if last > first:
            begin, end = first * CELL, min(last * CELL, self._size)
            run = _threads().submit(self._fetch, begin, end, lambda: self.closed)
            self._cells.update({cell: (run, cell - first) for cell in range(first, last)})


_pool: ThreadPoolExecutor | None = None


def _threads() -> ThreadPoolExecutor:
    """Threads that wait for a network; made anew in a forked data-loader worker."""
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(8, thread_name_prefix="inbond-fetch")
    return _pool


def _forget_threads() -> None:
    global _pool
    _pool = None


os.register_at_fork(after_in_child=_forget_threads)
