"""Stands between a log and its PostgreSQL server, and cuts the connection at COMMIT.

Cut `before`, the server never hears of the COMMIT and rolls back. Cut `after`, it has committed and answered, and nobody hears
the answer. Cut `between`, it hears the COMMIT from somebody who has gone. The log cannot tell these apart.
"""

import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

MOMENTS = ("before", "after", "between")

_COMMIT = b"COMMIT\0"
_SOCKET = ".s.PGSQL.5432"


class Cutter:
    """A server's socket in a folder of its own. `armed` is the moment at which the next COMMIT is cut, None when it is not."""

    def __init__(self, server: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="inbond-cut-"))
        self.armed: str | None = None
        self.fired = 0
        self._server = server
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / _SOCKET))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        (self.folder / _SOCKET).unlink()
        self.folder.rmdir()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server / _SOCKET))
                _Pair(self, client, server)

    def take(self) -> str | None:
        """The moment for a COMMIT that came by, once."""
        with self._lock:
            armed, self.armed = self.armed, None
            self.fired += armed is not None
            return armed


class _Pair:
    """Both ends of one connection, with a thread for each direction."""

    def __init__(self, cutter: Cutter, client: socket.socket, server: socket.socket) -> None:
        self.cutter, self.client, self.server = cutter, client, server
        self.silent = False  # what the server says now is heard by nobody, and then the connection ends
        self._ended = threading.Barrier(2)
        for pump in (self._ask, self._answer):
            threading.Thread(target=self._run, args=(pump,), daemon=True).start()

    def _run(self, pump: Callable[[], None]) -> None:
        with suppress(OSError):
            pump()
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with suppress(threading.BrokenBarrierError):
            if self._ended.wait() == 0:
                self.client.close()
                self.server.close()

    def _ask(self) -> None:
        while data := self.client.recv(1 << 16):
            moment = self.cutter.take() if _COMMIT in data else None
            if moment == "before":
                return
            self.silent = moment is not None  # a server that answers at once is not heard either
            self.server.sendall(data)
            if moment == "between":
                return

    def _answer(self) -> None:
        while data := self.server.recv(1 << 16):
            if self.silent:
                return
            self.client.sendall(data)
