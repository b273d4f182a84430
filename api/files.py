"""Answers that are files of the store: sent in pieces that a thread reads ahead, whole or one range of them."""

import asyncio
import os
from typing import Any, BinaryIO, Final

from litestar import Request, Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from inbond.api.conditional import Span, etag, is_known, wanted
from inbond.api.edge import is_head
from inbond.registry.shards.blocks import Ranged

PIECE: Final = 1 << 20
"""Bytes that are read at once: at most three such pieces are in memory for an answer."""


class FileResponse(Response[bytes]):
    """The bytes of `file`, which it closes, under their bare digest. Never compressed, so that ranges mean the same to all."""

    def __init__(self, file: BinaryIO, digest: str, *, cache: str) -> None:
        super().__init__(b"", headers={"etag": etag(digest), "accept-ranges": "bytes", "cache-control": cache})
        self._file = file

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **given: Any) -> ASGIResponse:
        """The answer to one request."""
        return _Sent(self._file, self.headers, str(given["media_type"]))


class _Sent(ASGIResponse):
    def __init__(self, file: BinaryIO, headers: dict[str, str], media_type: str) -> None:
        super().__init__(headers=headers, media_type=media_type)
        self._file, self._tag = file, headers["etag"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what the request wants of the file."""
        try:
            await self._answer(scope, send)
        finally:
            self._file.close()

    async def _answer(self, scope: Scope, send: Send) -> None:
        size = await asyncio.get_running_loop().run_in_executor(None, self._file.seek, 0, os.SEEK_END)
        headers = [pair for pair in self.encode_headers() if pair[0] != b"content-length"]
        if is_known(scope["headers"], self._tag):
            headers = [pair for pair in headers if pair[0] != b"content-type"]
            await _whole(send, 304, headers)
            return
        part = wanted(scope["headers"], size, self._tag)
        span = part or Span(0, size)
        if part is not None:
            headers.append((b"content-range", f"bytes {span.first}-{span.last - 1}/{size}".encode()))
        headers.append((b"content-length", str(span.last - span.first).encode()))
        if is_head(scope) or span.first == span.last:
            await _whole(send, 206 if part else 200, headers)
            return
        await send({"type": "http.response.start", "status": 206 if part else 200, "headers": headers})
        await self._pieces(span, send)

    async def _pieces(self, span: Span, send: Send) -> None:
        """Send the bytes; the next piece is read while the one before goes out."""
        loop = asyncio.get_running_loop()

        def piece(at: int) -> bytes | memoryview:
            last = min(at + PIECE, span.last)
            if isinstance(self._file, Ranged):  # somewhere else, such as in a bucket
                return self._file.read_at(at, last)
            return os.pread(self._file.fileno(), last - at, at)

        def read(at: int) -> "asyncio.Future[bytes | memoryview]":
            return loop.run_in_executor(None, piece, at)

        at, coming = span.first, read(span.first)
        try:
            while at < span.last:
                data = await coming
                if not data:
                    raise EOFError(f"expected a file of {span.last} bytes, found its end at byte {at}")
                at += len(data)
                if at < span.last:
                    coming = read(at)
                await send({"type": "http.response.body", "body": bytes(data), "more_body": at < span.last})
        finally:
            await asyncio.wait([coming])  # before the file is closed under the thread that reads it


async def _whole(send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
