"""Clients that take for ever.

uvicorn waits without end for the rest of a request's head, and reads a body without end although it was answered; this does not.
`Protocol` goes to uvicorn as `http=`. Bodies that are still wanted are the application's to bound, in length and in time.
"""

import asyncio
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle


class Protocol(H11Protocol):
    """HTTP/1.1 for clients that send each request's head within `HEAD_SECONDS`; the connections of others are closed.

    Of a body that has been refused another `MOST_UNWANTED` bytes are read, so that the client sees the answer.
    """

    HEAD_SECONDS: ClassVar[float] = 10
    MOST_UNWANTED: ClassVar[int] = 1 << 20

    _waiting: asyncio.TimerHandle | None = None
    _unwanted: int = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Stop waiting once a request is there; wait from the first byte of a later one."""
        super().data_received(data)
        if self._between_requests():
            self._wait()
            self._unwanted += len(data) if self.conn.their_state is h11.SEND_BODY else 0
            if self._unwanted > self.MOST_UNWANTED:
                self.transport.close()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there to wait for."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _between_requests(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(self.HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if self._between_requests():
            self.transport.close()
