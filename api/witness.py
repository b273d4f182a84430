"""A witness over HTTP (C2SP tlog-witness): `POST /add-checkpoint`, `GET /<hex of SHA-256(origin)>/checkpoint`, plain text.

Who may ask is not asked: what counts is the log's signature. So everything is bounded before it is read: heads and bodies in
length and in time, and the number of requests at work.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from litestar import HttpMethod, Litestar, Request, Response, post, route
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from inbond.api.deadlines import Protocol
from inbond.ledger.cosigning import Pushback, Witness
from inbond.ledger.witness import MAX_REQUEST
from inbond.schemas.errors import Conflict, InbondError, StoreError

BODY_SECONDS = 10.0
MOST_AT_WORK = 64
BUSY_SECONDS = 5
MAX_HEAD = 1 << 14

Asked = Request[Any, Any, Any]
Tell = Callable[[str], None]

_log = logging.getLogger("inbond.witness")


def make_app(witness: Witness, *, body_seconds: float = BODY_SECONDS, most: int = MOST_AT_WORK) -> Litestar:
    """The application of one witness."""
    at_work = 0

    @post("/add-checkpoint", status_code=200, media_type="text/plain")
    async def add_checkpoint(request: Asked) -> Response[bytes]:
        nonlocal at_work
        if at_work >= most:
            raise Pushback(f"too many requests: expected fewer than {most} at once", BUSY_SECONDS)
        at_work += 1
        try:
            async with asyncio.timeout(body_seconds):
                body = b"".join([chunk async for chunk in request.stream()])
            return _plain(200, await asyncio.to_thread(witness.add_checkpoint, body))
        except TimeoutError:
            return _plain(408, f"expected the whole request within {body_seconds:g} seconds\n".encode(), {"connection": "close"})
        finally:
            at_work -= 1

    @route("/{origin_sha256:str}/checkpoint", http_method=[HttpMethod.GET, HttpMethod.HEAD], media_type="text/plain")
    async def checkpoint(request: Asked) -> Response[bytes]:
        found = await asyncio.to_thread(witness.checkpoint, request.path_params["origin_sha256"])
        return _plain(200, found, {"cache-control": "no-cache"})

    def refuse(_: Asked, error: InbondError) -> Response[bytes]:
        if isinstance(error, StoreError):
            _log.error("%s", error.message)
            return _plain(503, b"the witness cannot keep its state now\n")
        return _refused(error)

    def fail(_: Asked, error: Exception) -> Response[bytes]:
        _log.error("unexpected %s: %s", type(error).__name__, error)
        return _plain(500, b"internal error\n")

    handlers: ExceptionHandlersMap = {InbondError: refuse, HTTPException: _http, Exception: fail}
    return Litestar(
        [add_checkpoint, checkpoint],
        openapi_config=None,
        request_max_body_size=MAX_REQUEST,
        exception_handlers=handlers,
        logging_config=None,
    )


def serve(witness: Witness, host: str, port: int, tell: Tell) -> None:
    """Serve until the process gets SIGTERM or SIGINT; `tell` hears the address once it is listened on.

    Raises StoreError where the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, port))
            bound.listen(128)
        except OSError as error:
            raise StoreError(
                f"{host}:{port} cannot be listened on: {error.strerror or error}", hint="give another --port"
            ) from None
        tell(f"http://{f'[{host}]' if family == socket.AF_INET6 else host}:{bound.getsockname()[1]}")
        _Server(config(make_app(witness))).run(sockets=[bound])


class _Server(uvicorn.Server):
    """A server for which a signal is how it ends, not how it fails."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn, but for raising the signal once more when everything is done."""
        with super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals.clear()


def config(app: Litestar) -> uvicorn.Config:
    """How the application is served: few connections, short waits, nothing said about the server."""
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=256,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=MAX_HEAD,
    )


def _plain(status: int, body: bytes, headers: dict[str, str] | None = None) -> Response[bytes]:
    return Response(body, status_code=status, media_type="text/plain", headers=headers)


def _refused(error: InbondError) -> Response[bytes]:
    if isinstance(error, Conflict):  # the header by hand: a character set beside the type would make it another one
        return _plain(409, b"%d\n" % error.members["size"], {"content-type": "text/x.tlog.size"})
    if isinstance(error, Pushback):
        return _plain(429, _text(error.message), {"retry-after": str(error.retry_after)})
    return _plain(error.status, _text(error.message))


def _http(_: Asked, error: HTTPException) -> Response[bytes]:
    return _plain(error.status_code, _text(error.detail), dict(error.headers or {}))


def _text(message: str) -> bytes:
    return message.encode(errors="backslashreplace") + b"\n"
