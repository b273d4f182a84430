"""Parts of a file on their way: copied and verified by other threads, while what is there already is decoded."""

import io
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from concurrent.futures import Future

import pyarrow as pa

from inbond.registry.shards.blocks import BLOCK, SHARE, Share, VerifiedFile, threads, waiting_threads


class Fetched(io.RawIOBase):
    """Parts of a file, copied and verified by other threads; a file of the same size, in which the other parts are not there.

    Reads wait for what they need. Not for several threads at once. `end` are verified bytes that the file ends with: whoever
    opened it has them, and nobody fetches them again.
    """

    def __init__(self, file: VerifiedFile, spans: Iterable[tuple[int, int]], end: memoryview) -> None:
        super().__init__()
        self._file, self._position = file, 0
        there = file.size() - len(end)
        runs = [
            (first * BLOCK, min(last * BLOCK, file.size()))
            for first, last in file.runs(span for span in spans if span[0] < there)
        ]
        data = memoryview(pa.allocate_buffer(sum(stop - start for start, stop in runs))).cast("B")
        self._starts: list[int] = []
        self._parts: list[tuple[int, memoryview]] = []  # each with where it ends
        shares: list[list[Share]] = []
        pool, share = (threads(), SHARE) if file.ranged is None else (waiting_threads(), max(SHARE, file.ranged.piece // BLOCK))
        at = 0
        for start, stop in runs:
            view = data[at : at + stop - start]
            at += stop - start
            self._starts.append(start)
            self._parts.append((stop, view))
            first, last = start // BLOCK, -(-stop // BLOCK)
            shares += ([Share(view, first, block, min(block + share, last))] for block in range(first, last, share))
        if file.ranged is None:
            shares = list(_together(shares))
        self._starts.append(there)
        self._parts.append((file.size(), end))
        self._waiting: list[Future[None]] = [pool.submit(file.fill, several) for several in shares]

    def ready(self) -> None:
        """Return when all is there and verified. Raises VerificationError, or what the file raises, where it is not."""
        while self._waiting:
            self._waiting[0].result()
            self._waiting.pop(0)

    def view(self, start: int, end: int) -> memoryview:
        """Verified bytes [start, end) of the file; those that were not asked for are fetched now."""
        self.ready()
        number = bisect_right(self._starts, start) - 1
        if number >= 0 and end <= self._parts[number][0]:
            first = self._starts[number]
            return self._parts[number][1][start - first : end - first]
        return self._file.read_at(start, end - start)

    def read(self, size: int | None = -1) -> bytes:
        """Verified bytes at the present position."""
        return bytes(self.read_buffer(size))

    def read_buffer(self, size: int | None = -1) -> memoryview:
        """As `read`, without another copy; what pyarrow calls where a file has it."""
        rest = max(self._file.size() - self._position, 0)
        data = self.view(self._position, self._position + (rest if size is None or size < 0 else min(size, rest)))
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position, as `io.IOBase.seek`."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size()}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Let go of what is under way; the file stays open."""
        for waiting in self._waiting:
            waiting.cancel()
        self._waiting, self._parts, self._starts = [], [], []
        super().close()


def _together(shares: Iterable[list[Share]]) -> Iterator[list[Share]]:
    """Shares of at least as many blocks as are worth handing over; runs of small columns have few."""
    several: list[Share] = []
    for one in shares:
        several += one
        if sum(each.last - each.first for each in several) >= SHARE:
            yield several
            several = []
    if several:
        yield several
