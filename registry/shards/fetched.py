"""Parts of a file on their way: copied and verified by other threads, while what is there already is decoded."""

import io
from collections.abc import Iterable
from concurrent.futures import Future

import pyarrow as pa

from inbond.registry.shards.blocks import BLOCK, SHARE, VerifiedFile, threads, waiting_threads


class Fetched(io.RawIOBase):
    """Parts of a file, copied and verified by other threads; a file of the same size, in which the other parts are not there.

    Reads wait for what they need. Not for several threads at once. `end` are verified bytes that the file ends with: whoever
    opened it has them, and nobody fetches them again.
    """

    def __init__(self, file: VerifiedFile, spans: Iterable[tuple[int, int]], end: memoryview) -> None:
        super().__init__()
        self._file, self._position = file, 0
        there = file.size() - len(end)
        self._parts = [(there, file.size(), end)]
        self._waiting: list[Future[None]] = []
        pool, share = (threads(), SHARE) if file.ranged is None else (waiting_threads(), max(SHARE, file.ranged.piece // BLOCK))
        for first, last in file.runs(span for span in spans if span[0] < there):
            start, stop = first * BLOCK, min(last * BLOCK, file.size())
            view = memoryview(pa.allocate_buffer(stop - start)).cast("B")
            self._parts.append((start, stop, view))
            for at in range(first, last, share):
                self._waiting.append(pool.submit(file.fill, view, first, at, min(at + share, last)))

    def ready(self) -> None:
        """Return when all is there and verified. Raises VerificationError, or what the file raises, where it is not."""
        while self._waiting:
            self._waiting[0].result()
            self._waiting.pop(0)

    def view(self, start: int, end: int) -> memoryview:
        """Verified bytes [start, end) of the file; those that were not asked for are fetched now."""
        self.ready()
        for first, last, data in self._parts:
            if first <= start and end <= last:
                return data[start - first : end - first]
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
        self._waiting, self._parts = [], []
        super().close()
