"""Conditional requests and ranges (RFC 9110): ETags that are digests, 304, 206, 416; and files that are sent in pieces.

Every answer to GET that is whole in one piece gets the SHA-256 of its body as a strong ETag, unless its route gave it one.
For objects and shards the ETag is their own digest.

Of ranges one is served. Several at once are ignored, as RFC 9110 §14.2 allows, and the whole is sent; so is one in another
unit, or one that cannot be read. `If-Range` compares strongly, and never by date.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from inbond.api.edge import App, Message, Send
from inbond.api.problems import RangeNotSatisfiable

Headers = Iterable[tuple[bytes, bytes]]

IMMUTABLE: Final = "max-age=31536000, immutable"

_TAGGED: Final = ("application/json", "text/", "application/octet-stream")
_RANGE: Final = re.compile(r"bytes=[ \t]*(?:([0-9]{1,19})-([0-9]{0,19})|-([0-9]{1,19}))[ \t]*")
_TAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e]*")')


def etag(digest: str) -> str:
    """The strong ETag of bytes by their bare digest."""
    return f'"sha256-{digest}"'


def is_known(headers: Headers, tag: str) -> bool:
    """Whether `If-None-Match` says that the client has what `tag` names; weak comparison, as the RFC wants it here."""
    given = _field(headers, b"if-none-match")
    if given is None:
        return False
    return given.strip() == "*" or tag in _TAG.findall(given)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes [first, last) of a file."""

    first: int
    last: int


def wanted(headers: Headers, size: int, tag: str) -> Span | None:
    """The part of `size` bytes that a request asks for, None for the whole. Raises RangeNotSatisfiable."""
    given, condition = _field(headers, b"range"), _field(headers, b"if-range")
    match = _RANGE.fullmatch(given) if given else None
    if match is None or (condition is not None and condition.strip() != tag):
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        begin, end = max(0, size - int(suffix)), size
    else:
        begin, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None  # not a range at all
    if begin >= size:
        raise RangeNotSatisfiable(f"expected a range that begins before byte {size}, found {given}", size=size)
    return Span(begin, end)


class Tagging:
    """The layer that gives ETags to answers which have none, and says 304 to clients that have them already."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Tagged(send, scope))


class _Tagged:
    """Holds the start of an answer back until it is known whether its body comes in one piece."""

    def __init__(self, send: Send, scope: Any) -> None:
        self._send, self._scope = send, scope
        self._start: Message | None = None
        self._ended = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] != 200:
                await self._send(message)
                return
            self._start = message
            return
        start, self._start = self._start, None
        if self._ended:
            return
        if start is None or message["type"] != "http.response.body":
            await self._send(message)
            return
        headers = list(start["headers"])
        body = message.get("body", b"")
        tag = _field(headers, b"etag")
        if tag is None and not message.get("more_body", False) and _is_tagged(headers):
            tag = etag(sha256(body).hexdigest())
            headers.append((b"etag", tag.encode()))
        if _field(headers, b"cache-control") is None:
            headers.append((b"cache-control", b"private, no-cache" if self._scope.get("user") else b"no-cache"))
        if tag is not None and is_known(self._scope["headers"], tag):
            self._ended = True
            await self._send({**start, "status": 304, "headers": [pair for pair in headers if pair[0] not in _OF_THE_BODY]})
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await self._send({**start, "headers": headers})
        await self._send(message)


_OF_THE_BODY: Final = (b"content-length", b"content-type", b"content-range", b"content-encoding")


def _field(headers: Headers, name: bytes) -> str | None:
    """The value of a header field, its values joined by commas where it stands several times."""
    found = [value.decode("latin-1") for each, value in headers if each == name]
    return ", ".join(found) if found else None


def _is_tagged(headers: Headers) -> bool:
    return (_field(headers, b"content-type") or "").startswith(_TAGGED)
