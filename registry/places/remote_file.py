"""A file on a server, read by ranges: not verified, for `VerifiedFile` to verify, and read ahead while that goes on.

The file is cut into pieces, each fetched by one request over one of several connections. Whoever reads on from piece to
piece finds the next ones under way; whoever jumps fetches the pieces that it touches. A few pieces are kept, so memory is
bounded whatever the size of the file. The right to read is asked anew with every piece: a right that ended in between is
an error at the next one.
"""

import io
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Lock

from inbond.schemas.errors import InvalidInput

PIECE = 2 << 20
"""Bytes of a request: whole blocks, and enough of them that asking costs little beside sending."""

_AHEAD = 3  # pieces under way behind the one that is read
_KEPT = 6  # pieces in memory, those under way included
_LETTING_GO = 2.0  # seconds

Fetch = Callable[[int, int, Callable[[], bool]], bytes]
"""Gives bytes [first, last) of the file, or gives up when told that they are unwanted; raises an InbondError."""


class RemoteFile(io.RawIOBase):
    """A read-only, seekable file of `size` bytes, of which `fetch` gives any piece. Raises what `fetch` raises.

    Reads take turns; `fetch` is called from several threads.
    """

    def __init__(self, fetch: Fetch, size: int) -> None:
        super().__init__()
        self._fetch, self._size, self._position = fetch, size, 0
        self._pieces: dict[int, Future[bytes]] = {}  # those used last stand last
        self._process = os.getpid()
        self._lock = Lock()

    def read(self, size: int | None = -1) -> bytes:
        """Bytes at the present position, as many as were asked for unless the file ends before."""
        with self._lock:
            rest = max(self._size - self._position, 0)
            wanted = rest if size is None or size < 0 else min(size, rest)
            first, last = self._position, self._position + wanted
            parts = []
            for number in range(first // PIECE, -(-last // PIECE)):
                start = number * PIECE
                view = memoryview(self._piece(number, -(-last // PIECE)))
                parts.append(view[max(first - start, 0) : last - start])
            self._position = last
            return b"".join(parts)

    def readinto(self, buffer: object) -> int:
        """Fill `buffer`, unless the file ends before."""
        target = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        data = self.read(len(target))
        target[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Everything from the present position on."""
        return self.read()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position, as `io.IOBase.seek`."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def size(self) -> int:
        """The size in bytes."""
        return self._size

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Let go of what is kept, and of what is under way, whose connections are then free again."""
        super().close()
        if self._process == os.getpid():
            wait([piece for piece in self._pieces.values() if not piece.cancel()], timeout=_LETTING_GO)
        self._pieces.clear()

    def _piece(self, number: int, end: int) -> bytes:
        """The bytes of a piece, whose reader will want those before `end`, and more where it came here from the one before."""
        if self.closed:
            raise InvalidInput("expected a file that is open, found it closed")
        if self._process != os.getpid():  # in a fork, what the parent had under way never ends
            self._pieces, self._process = {}, os.getpid()
        goes_on = number - 1 in self._pieces or number == 0
        ahead = number + _AHEAD + 1 if goes_on else min(end, number + _AHEAD + 1)
        for wanted in range(number, min(ahead, -(-self._size // PIECE))):
            if wanted not in self._pieces:
                self._pieces[wanted] = self._ask(wanted)
        piece = self._pieces[number] = self._pieces.pop(number)
        for old in list(self._pieces):
            if len(self._pieces) <= _KEPT:
                break
            if not number <= old <= number + _AHEAD:
                self._pieces.pop(old).cancel()
        try:
            return piece.result()
        except BaseException:
            self._pieces.pop(number, None)  # whoever asks again asks the server again
            raise

    def _ask(self, number: int) -> Future[bytes]:
        first = number * PIECE
        return _threads().submit(self._fetch, first, min(first + PIECE, self._size), lambda: self.closed)


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
