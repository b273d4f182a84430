"""Bodies of requests: as long as a route takes, as fast as a poor line, and nothing but what they say they are."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from time import monotonic
from typing import Annotated, Any, BinaryIO, Final

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.types import Empty
from msgspec import Meta

from inbond.api.appending import MAX_BATCH
from inbond.api.problems import ClientLeft, TooLarge, TooSlow, WrongMediaType
from inbond.api.tokens import Principal
from inbond.registry.objects import ObjectStore, bare
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InvalidInput, VerificationError
from inbond.schemas.scalars import ObjectList, Ref, Time
from inbond.schemas.statements import Extent, ReleasePlan

SLOWEST: Final = 16 * 1024
"""Bytes a second, once the edge's patience for one piece is used up: a body in drops is none."""

_AT_ONCE: Final = 1 << 20


class ApiRequest(Request[Principal | None, None, State]):
    """A request whose JSON is bounded in length by its route and in depth by the parser."""

    async def json(self) -> Any:
        """The body's JSON."""
        if self._json is Empty:
            self._json = _parsed(self.headers.get("content-type"), await self.body())
        return self._json

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body, piece by piece. Raises TooLarge before reading, where the length is known."""
        limit = self.route_handler.resolve_request_max_body_size()
        async for piece in pieces(self, limit):
            yield piece


class Delivering(msgspec.Struct, forbid_unknown_fields=True):
    """Either `grant`: all that a grant for files covers; or `object`, a dataset version or shard, and who gets it, if known.

    With `object`, `extent` says whether whole shards leave, or rows alone.
    """

    grant: Ref | None = None
    object: Ref | None = None
    recipient: Ref | None = None
    extent: Extent | None = None


class Releasing(msgspec.Struct, forbid_unknown_fields=True):
    """A student, how it is or was released, and the time of which the gate is asked."""

    student: Ref
    actual: ReleasePlan
    at: Time


class Publishing(msgspec.Struct, forbid_unknown_fields=True):
    """The parts of a dataset version, a list in the store, and the time of which terms are asked."""

    parts: ObjectList
    at: Time


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """Statements of any kinds, in the order in which they are to stand."""

    statements: Annotated[list[Envelope], Meta(min_length=1, max_length=MAX_BATCH)]


async def pieces(request: Request[Any, Any, Any], limit: int | None) -> AsyncGenerator[bytes, None]:
    """The pieces of a body of at most `limit` bytes, none of them empty."""
    announced = request.headers.get("content-length", "")
    if limit is not None and announced.isdecimal() and int(announced) > limit:
        raise TooLarge(f"expected a body of at most {limit} bytes, found {announced} announced", limit=limit)
    seen, wait, began = 0, request.app.state["served"].settings.body_wait, monotonic()
    while True:
        message: Any = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft("expected the whole body, found its end")
        piece = message["body"]
        seen += len(piece)
        if monotonic() - began > wait + seen / SLOWEST:
            raise TooSlow(f"expected a body of at least {SLOWEST} bytes a second, found it slower")
        if limit is not None and seen > limit:
            raise TooLarge(f"expected a body of at most {limit} bytes, found more", limit=limit)
        if piece:
            yield piece
        if not message.get("more_body", False):
            return


async def keep(request: Request[Any, Any, Any], store: ObjectStore, digest: str, limit: int) -> tuple[int, bool]:
    """Keep the body as the object that `digest` names, hashed while it is written; returns its size, and whether it is new.

    A body that breaks off, is too long or has another digest (VerificationError) leaves nothing.
    """
    expected = bare(digest)
    loop = asyncio.get_running_loop()
    seen, size, waiting, held = hashlib.sha256(), 0, bytearray(), ExitStack()
    try:
        file: BinaryIO = await loop.run_in_executor(None, held.enter_context, store.scratch())

        def write(data: bytes) -> None:
            seen.update(data)
            file.write(data)

        def finish() -> bool:
            if seen.hexdigest() != expected:
                raise VerificationError(
                    f"object: expected bytes of the SHA-256 {expected}, found {seen.hexdigest()} over {size} bytes",
                    object=expected,
                )
            new = not store.has(expected)
            store.put_file(file, expected)
            return new

        async for piece in pieces(request, limit):
            size += len(piece)
            waiting += piece
            if len(waiting) >= _AT_ONCE:
                data, waiting = bytes(waiting), bytearray()
                await loop.run_in_executor(None, write, data)
        await loop.run_in_executor(None, write, bytes(waiting))
        return size, await loop.run_in_executor(None, finish)
    finally:
        await asyncio.shield(loop.run_in_executor(None, held.close))


def _parsed(media_type: str | None, body: bytes) -> Any:
    if media_type is not None and media_type.partition(";")[0].strip().lower() != "application/json":
        raise WrongMediaType("expected a body of application/json, found another")
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise InvalidInput("body: expected JSON that is not nested deeply, found it nested far deeper") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidInput(f"body: expected JSON, found something else: {error}") from None
