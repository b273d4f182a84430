"""What stands round the app and sees every request, whatever route it means or none: one ASGI layer.

* A request gets an id, and one line in the log.
* A head is short, and gives its body one length: of two lengths a proxy may have believed the other, and then what it takes
  for a body is for us another request.
* A path is plain, or there is no such route: no route has a segment that is empty, begins with a dot, or holds anything but
  letters, digits and `:._-`. So what could climb folders or end a line never reaches a route.
* HEAD is GET with its body left out, here and nowhere else, so it cannot let through what GET does not.
* A body arrives in time or the request ends: `receive` waits for its next piece, not for ever.
* Whatever a route raises that Litestar did not answer is a problem here.
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, cast

from litestar.types import Scope

from inbond.api import problems
from inbond.api.logs import RequestLog, Seen
from inbond.schemas.errors import NotFound

Message = MutableMapping[str, Any]
"""A message of ASGI, whatever its type."""

App = Callable[[Any, Any, Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Heard = Callable[[Seen, int], None]

MAX_HEAD: Final = 32 * 1024
"""Bytes of a request's line and header fields: a hundred references in a query string, and then some."""

_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_:-][A-Za-z0-9_:.-]*)+")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_SEEN: Final = "inbond.seen"
_HEAD: Final = "inbond.head"


class BrokenOffError(Exception):
    """An answer has begun and cannot be ended: whoever runs the app closes the connection, so that the client knows."""


def seen_of(scope: Scope) -> Seen:
    """What is known so far of a request."""
    return cast(Seen, cast(MutableMapping[str, Any], scope)[_SEEN])


def is_head(scope: Scope) -> bool:
    """Whether nobody will be sent the body of the answer."""
    return bool(cast(MutableMapping[str, Any], scope).get(_HEAD))


class Edge:
    """The layer. `private` are names of folders that no problem tells; `heard` is told the status of each request."""

    def __init__(self, app: App, log: RequestLog, wait: float, private: tuple[str, ...], heard: Heard) -> None:
        self._app, self._log, self._wait, self._private, self._heard = app, log, wait, private, heard

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = str(scope["method"])
        seen = Seen(_request_id(scope), method)
        inner = cast(Scope, {**scope, _SEEN: seen, _HEAD: method == "HEAD", "method": "GET" if method == "HEAD" else method})
        answer = _Answer(send, seen.id, head=method == "HEAD")
        try:
            _check_head(scope)
            _check_path(scope)
            await self._app(inner, _Patient(receive, self._wait), answer)
        except Exception as error:
            if answer.status is not None:
                self._log.failure(seen, error)
                raise BrokenOffError(f"the answer to request {seen.id} broke off") from None
            await self._refuse(answer, seen, error)
        finally:
            seen.route = _template(inner)
            status = problems.ClientLeft.status if answer.status is None else answer.status
            self._log.request(seen, status)
            self._heard(seen, status)

    async def _refuse(self, answer: "_Answer", seen: Seen, error: Exception) -> None:
        told = problems.explained(error)
        if told.status >= 500:
            self._log.failure(seen, error)
        headers = [(name.encode(), value.encode()) for name, value in problems.headers_of(told).items()]
        body = problems.body_of(told, seen.id, self._private)
        headers.append((b"content-length", str(len(body)).encode()))
        await answer({"type": "http.response.start", "status": told.status, "headers": headers})
        await answer({"type": "http.response.body", "body": body, "more_body": False})


class _Answer:
    """Sends an answer on: with the request's id, without a body for HEAD, with HEAD wherever GET is allowed."""

    def __init__(self, send: Send, id: str, *, head: bool) -> None:
        self._send, self._id, self._head = send, id.encode(), head
        self._ended = False
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [(name, _with_head(value) if name == b"allow" else value) for name, value in message["headers"]]
            message = {**message, "headers": [*headers, (b"x-request-id", self._id)]}
        elif message["type"] == "http.response.body" and self._head:
            if self._ended:
                return
            self._ended = True
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)


class _Patient:
    """Receives the pieces of a body, each within `wait` seconds."""

    def __init__(self, receive: Receive, wait: float) -> None:
        self._receive, self._wait = receive, wait
        self._whole = False

    async def __call__(self) -> Any:
        if self._whole:
            return await self._receive()  # waits for the client to go
        try:
            async with asyncio.timeout(self._wait):
                message = await self._receive()
        except TimeoutError:
            raise problems.TooSlow(f"expected the next piece of the body within {self._wait:g} seconds") from None
        self._whole = not message.get("more_body", False)
        return message


def _check_head(scope: Scope) -> None:
    """Raise, and have the connection closed, unless the head is one that everybody reads in the same way."""
    names = [name for name, _ in scope["headers"]]
    if b"transfer-encoding" in names and b"content-length" in names:
        raise problems.BadFraming("expected a body of one length, found both Transfer-Encoding and Content-Length")
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"]) + sum(map(_length, scope["headers"]))
    if size > MAX_HEAD:
        raise problems.HeadTooLarge(f"expected a head of at most {MAX_HEAD} bytes, found {size}", limit=MAX_HEAD)


def _length(field: tuple[bytes, bytes]) -> int:
    return len(field[0]) + len(field[1]) + len(b": \r\n")


def _check_path(scope: Scope) -> None:
    path, raw = scope["path"], scope.get("raw_path") or b""
    if (path != "/" and _PATH.fullmatch(path) is None) or b"%2f" in raw.lower():
        raise NotFound("no route has this path", hint="GET /v1/schema/openapi.json lists all routes")


def _request_id(scope: Scope) -> str:
    """The client's id of the request where it is well-formed, else one of ours."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(text := value.decode("latin-1")):
            return text
    return secrets.token_hex(16)


def _template(scope: Scope) -> str | None:
    return cast(MutableMapping[str, Any], scope).get("path_template")


def _with_head(allow: bytes) -> bytes:
    methods = {method.strip() for method in allow.split(b",")}
    return b", ".join(sorted(methods | ({b"HEAD"} if b"GET" in methods else set())))
