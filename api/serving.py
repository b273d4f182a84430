"""Running the app: one process, one socket, until it is told to stop; then what was begun is finished.

TLS, and limits on who may ask how often, are matters of a proxy in front.
"""

import contextlib
import gc
import logging
import socket
import sys
from collections.abc import Callable, Iterator

import h11
import uvicorn
from litestar import Litestar

from inbond.api import problems
from inbond.api.app import create_app
from inbond.api.deadlines import Protocol
from inbond.api.edge import MAX_HEAD
from inbond.api.logs import Handler, RequestLog
from inbond.api.settings import Settings
from inbond.registry.registry import Registry
from inbond.schemas.errors import InvalidInput, StoreError

_CONNECTIONS = 1000
TURN = 0.0005  # seconds; Python's own 5 ms are what each statement of SQL may wait for a busy event loop to let go
_LAST_WORDS = 15  # seconds for requests that are at work when the server is told to stop

Tell = Callable[[str], None]


def serve(registry: Registry, host: str, port: int, tell: Tell, *, settings: Settings | None = None) -> None:
    """Serve until the process gets SIGTERM or SIGINT; `tell` hears the address once it is listened on.

    Raises StoreError where the address cannot be had.
    """
    log = RequestLog()
    app = create_app(registry, settings=settings, log=log)
    sys.setswitchinterval(TURN)
    gc.freeze()  # modules and routes, which stay as long as the server: to look through them takes longer than a request
    with listening(host, port) as bound, _said_by_libraries(log):
        _Server(config(app), lambda: tell(address_of(bound))).run(sockets=[bound])


def config(app: Litestar) -> uvicorn.Config:
    """How the app is served: bounded heads and connections, nothing said about the server."""
    return uvicorn.Config(
        app,
        http=_Http,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_LAST_WORDS,
        h11_max_incomplete_event_size=2 * MAX_HEAD,  # over MAX_HEAD the edge says so
    )


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens; port 0 is any that is free."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise InvalidInput(f"--host: expected a name or address of this machine, found {host!r}: {error}") from None
    with socket.socket(family, kind, protocol) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(where)
            bound.listen(2048)
        except OSError as error:
            raise StoreError(
                f"{host}:{port} cannot be listened on: {error.strerror}", hint="--port 0 takes any that is free"
            ) from None
        yield bound


def address_of(bound: socket.socket) -> str:
    """The address under which a socket is reached."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if bound.family == socket.AF_INET6 else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """A server for which a signal is how it ends, not how it fails; `began` is called when it takes requests and signals."""

    def __init__(self, config: uvicorn.Config, began: Callable[[], None]) -> None:
        super().__init__(config)
        self._began = began

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn, and say so."""
        await super().startup(sockets=sockets)
        self._began()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn, but for raising the signal once more when everything is done."""
        with super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals.clear()


class _Http(Protocol):
    """HTTP/1.1 as the app speaks it: also to whoever sends none."""

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no request, and close."""
        error = InvalidInput("expected an HTTP/1.1 request, found something else")
        body = problems.body_of(error, "none")
        headers = {**problems.headers_of(error), "content-length": str(len(body)), "connection": "close"}
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(self.conn.send(h11.Response(status_code=400, headers=list(headers.items()))) or b"")
            self.transport.write(self.conn.send(h11.Data(data=body)) or b"")
            self.transport.write(self.conn.send(h11.EndOfMessage()) or b"")
        self.transport.close()


@contextlib.contextmanager
def _said_by_libraries(log: RequestLog) -> Iterator[None]:
    """Let what uvicorn and asyncio have to say be lines of our log."""
    handler = Handler(log)
    loggers = [logging.getLogger(name) for name in ("uvicorn", "asyncio", "inbond")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
