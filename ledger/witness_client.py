"""One question to a witness (C2SP tlog-witness), and its answer, none of which is believed.

An answer is bounded in length and in time, counts for nothing without a signature that verifies under a key from the reader's
own policy, and says nothing about any other checkpoint than the one that was asked about.
"""

import asyncio
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

import httpx

from inbond.ledger import notes
from inbond.ledger.encoding import from_decimal
from inbond.ledger.keys import VerifierKey
from inbond.ledger.notes import NoteSignature
from inbond.ledger.witness import AddCheckpoint
from inbond.schemas.errors import InvalidInput, VerificationError

MAX_ANSWER = 1 << 17  # bytes
MAX_AHEAD = 3600  # seconds that a witness's clock may be ahead of ours

_SECONDS = re.compile("[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Cosigned:
    """The witness has cosigned: one line of each of its keys that we know, verified."""

    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The witness has cosigned another size last than the request starts from."""

    size: int


@dataclass(frozen=True, slots=True)
class Refused:
    """No cosignature. `later` is in how many seconds it wants to be asked again, where it says so."""

    why: str
    status: int = 0
    later: int | None = None


Answer = Cosigned | Elsewhere | Refused


@cache
def _trusted_servers() -> ssl.SSLContext:
    return httpx.create_ssl_context()  # reads a file of certificates: once is enough


def new_client() -> httpx.AsyncClient:
    """A client for the questions of one log."""
    return httpx.AsyncClient(
        verify=_trusted_servers(),
        timeout=httpx.Timeout(10.0),
        limits=httpx.Limits(keepalive_expiry=60.0),
        headers={"user-agent": "inbond", "accept-encoding": "identity"},
    )


def check_url(url: str) -> str:
    """A submission prefix without its last slash; InvalidInput for what is none."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidInput(f"witness: expected an address, found {url[:120]!r}: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.fragment or parsed.userinfo:
        raise InvalidInput(f"witness: expected an address such as https://witness.example/prefix, found {url[:120]!r}")
    return url.rstrip("/")


async def ask(
    client: httpx.AsyncClient, url: str, request: AddCheckpoint, keys: Sequence[VerifierKey], now: float, deadline: float
) -> Answer:
    """Ask for a cosignature. Whatever goes wrong is an answer: Refused says what was expected and found."""
    try:
        async with asyncio.timeout(deadline):
            response, body = await _exchange(client, "POST", f"{url}/add-checkpoint", request.to_bytes())
    except (httpx.HTTPError, OSError, TimeoutError, VerificationError) as error:
        return Refused(_words(error, deadline))
    status = response.status_code
    try:
        if status == 200:
            return Cosigned(read_cosignatures(body, request, keys, now))
        if status == 409:
            return Elsewhere(read_size(response.headers.get("content-type", ""), body))
    except VerificationError as error:
        return Refused(f"{status}: {error.message}", status)
    later = response.headers.get("retry-after", "")
    seconds = int(later) if _SECONDS.fullmatch(later) else None
    return Refused(f"expected status 200, found {status}: {_printable(body)}", status, seconds)


async def newest(client: httpx.AsyncClient, url: str, origin: str, deadline: float) -> bytes | None:
    """The checkpoint that a witness shows to monitors for a log, not verified; None where it shows none."""
    path = f"{url}/{sha256(origin.encode()).hexdigest()}/checkpoint"
    try:
        async with asyncio.timeout(deadline):
            response, body = await _exchange(client, "GET", path)
    except (httpx.HTTPError, OSError, TimeoutError, VerificationError):
        return None
    return body if response.status_code == 200 else None


def read_cosignatures(body: bytes, request: AddCheckpoint, keys: Sequence[VerifierKey], now: float) -> tuple[NoteSignature, ...]:
    """The cosignatures in an answer that `keys` have made, one each, all verified; those of other keys are left out.

    Raises VerificationError for an answer that is no signature lines, for none by `keys`, one that fails, and a time that is
    zero or more than an hour ahead.
    """
    text = request.note.text
    note, _ = notes.open_note(text + b"\n" + body, keys)
    if note.text != text:
        raise VerificationError("cosignatures: expected signature lines and nothing else, found a blank line")
    known = {(key.name, key.key_id) for key in keys}
    found: dict[tuple[str, bytes], NoteSignature] = {}
    for each in note.signatures:
        if (each.name, each.key_id) in known:
            time = int.from_bytes(each.blob[:8], "big")
            if not 0 < time <= now + MAX_AHEAD:
                raise VerificationError(f"cosignature by {each.name}: expected a time up to {now:.0f}, found {time}")
            found.setdefault((each.name, each.key_id), each)
    return tuple(found.values())


def read_size(content_type: str, body: bytes) -> int:
    """The size in an answer 409."""
    if content_type.partition(";")[0].strip() != "text/x.tlog.size" or not body.endswith(b"\n"):
        raise VerificationError(f"expected a size as text/x.tlog.size, found {content_type[:40]!r} {body[:40]!r}")
    return from_decimal(body[:-1].decode("latin-1"), "size that a witness has cosigned")


async def _exchange(
    client: httpx.AsyncClient, method: str, url: str, content: bytes | None = None
) -> tuple[httpx.Response, bytes]:
    """The response and its body as it came over the wire; VerificationError for one that is longer than any answer."""
    body = b""
    async with client.stream(method, url, content=content, follow_redirects=False) as response:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_ANSWER:
                raise VerificationError(f"expected an answer of at most {MAX_ANSWER} bytes, found a longer one")
    return response, body


def _words(error: Exception, deadline: float) -> str:
    if isinstance(error, VerificationError):
        return error.message
    if isinstance(error, TimeoutError):
        return f"no answer within {deadline:g} seconds"
    return f"no answer: {_printable(str(error).encode() or type(error).__name__.encode())}"


def _printable(text: bytes) -> str:
    """The first line of what a stranger says, in printable ASCII."""
    first = text.lstrip(b"\n").partition(b"\n")[0][:160].decode("ascii", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in first)
