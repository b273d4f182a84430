"""A proxy between a client and a real server that does to chosen answers what a test says. Sockets on both sides."""

import http.client
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.registry.places.scripted import QuietHandler, serving


@dataclass(frozen=True)
class Passed:
    """An exchange: what was asked, and what the server answered (or what is answered instead).

    `cut` sends so many bytes of the body and closes; `dropped` closes without an answer, after the server has given one.
    """

    method: str
    path: str
    sent: bytes
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    cut: int | None = None
    dropped: bool = False

    def with_body(self, body: bytes) -> "Passed":
        return replace(self, body=body)

    def with_json(self, change: Callable[[Any], Any]) -> "Passed":
        """The answer with its JSON changed in place, or into what `change` returns."""
        value = json.loads(self.body)
        return self.with_body(json.dumps(change(value) or value).encode())

    def with_header(self, name: str, value: str) -> "Passed":
        others = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return replace(self, headers=(*others, (name, value)))

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


Change = Callable[[Passed], Passed]


class Proxy(ThreadingHTTPServer):
    """Passes everything on to the server at `upstream`; `changes` are tried in order, by method and path."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream)
        self.changes: list[tuple[str, re.Pattern[str], Change, list[int]]] = []
        self.passed: list[Passed] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def change(self, method: str, path: str, change: Change, times: int = -1) -> None:
        """From now on, answer as `change` says where the path (without query) matches whole; `times` is how often, -1 always."""
        self.changes.append((method, re.compile(path), change, [times]))

    def honest(self) -> None:
        """Change nothing any more."""
        self.changes.clear()

    def seen(self, method: str, path: str) -> list[Passed]:
        """The exchanges so far, as the server answered."""
        return [each for each in self.passed if each.method == method and re.fullmatch(path, each.path.partition("?")[0])]

    def answer(self, passed: Passed) -> Passed:
        with self.lock:
            self.passed.append(passed)
            for method, path, change, times in self.changes:
                if method == passed.method and path.fullmatch(passed.path.partition("?")[0]) and times[0]:
                    times[0] -= 1
                    passed = change(passed)
        return passed


@contextmanager
def between(upstream: str) -> Iterator[Proxy]:
    """A proxy in front of a server."""
    proxy = Proxy(upstream)
    with serving(proxy):
        yield proxy


class _Handler(QuietHandler):
    server: Proxy

    def _pass(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        upstream = http.client.HTTPConnection(str(self.server.upstream.hostname), self.server.upstream.port, timeout=60)
        try:
            upstream.request(self.command, self.path, sent or None, dict(self.headers.items()))
            answer = upstream.getresponse()
            body = answer.read()
            got = Passed(self.command, self.path, sent, answer.status, tuple(answer.getheaders()), body)
        finally:
            upstream.close()
        told = self.server.answer(got)
        if told.dropped:
            self.close_connection = True
            return
        self.send_response_only(told.status)
        for name, value in told.headers:
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        if told.status != 304:
            self.send_header("Content-Length", str(len(told.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told.body if told.cut is None else told.body[: told.cut])
        self.close_connection = told.cut is not None

    do_GET = do_POST = do_PUT = do_HEAD = _pass  # noqa: N815
