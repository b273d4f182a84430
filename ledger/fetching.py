"""The files of a log at an address, from whoever serves them: nothing of it is believed, and nothing of it can hold us up.

Every answer has a limit in bytes, before and after decompression, and in time; redirects are not followed; the token goes to
this one address, over https or to this machine. A server that is silent, slow or at its limits leaves a log unchecked
(Inconclusive); one that sends more than a file can hold has another file than the log's.
"""

import asyncio
import re
import threading
import zlib
from concurrent.futures import CancelledError
from ipaddress import ip_address
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from inbond.schemas.errors import Inconclusive, InvalidInput, VerificationError

SECONDS = 60.0
"""For one file, however slowly its bytes drip in."""

ATTEMPTS = 4
AT_ONCE = 8

_TIMEOUT = httpx.Timeout(15.0)
_LIMITS = httpx.Limits(max_connections=2 * AT_ONCE, max_keepalive_connections=2 * AT_ONCE)
_LONGEST_WAIT = 30.0
_ENCODED = 64 << 10  # bytes that a compressed file may be longer than a plain one
_TOKEN = re.compile("[!-~]{8,512}")
_DECIMAL = re.compile("[0-9]{1,4}")
_ABSENT = (404, 410)
_FORBIDDEN = (401, 403)
_LATER = (408, 429, 500, 502, 503, 504)


class AddressFiles:
    """Files under `url`, read with the token where there is one. For many threads; one of its own does the waiting."""

    ahead = AT_ONCE

    def __init__(self, url: str, token: str | None = None, *, seconds: float = SECONDS, attempts: int = ATTEMPTS) -> None:
        self.name = check_address(url)
        self.withheld: str | None = None
        self._seconds, self._attempts = seconds, attempts
        headers = {"user-agent": "inbond", "accept-encoding": "gzip, identity"}
        if token is not None:
            if _TOKEN.fullmatch(token) is None:
                raise InvalidInput("token: expected one line of 8 to 512 printable characters, found something else")
            headers["authorization"] = f"Bearer {token}"
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=_TIMEOUT,
            limits=_LIMITS,
            follow_redirects=False,
            trust_env=self.name.startswith("https://"),  # a proxy must not see a token in clear
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="inbond-fetch", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._finish(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def read(self, path: str, limit: int) -> bytes | None:
        """The bytes of a file, None where there is none or it is not for us."""
        try:
            return asyncio.run_coroutine_threadsafe(self._read(path, limit), self._loop).result()
        except CancelledError:
            raise Inconclusive(f"{self.name}/{path}: was not waited for") from None

    def paths(self) -> None:
        """None: a server does not say what it has."""

    def under(self, prefix: str) -> None:
        """Look for files under `prefix` from now on."""
        self.name = f"{self.name}/{prefix}"

    async def _finish(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.aclose()

    async def _read(self, path: str, limit: int) -> bytes | None:
        for attempt in range(1, self._attempts + 1):
            wait = 0.25 * 2**attempt
            try:
                async with asyncio.timeout(self._seconds), self._client.stream("GET", f"{self.name}/{path}") as response:
                    status = response.status_code
                    if status == 200:
                        return await self._body(response, path, limit)
                    asked = response.headers.get("retry-after", "")
            except TimeoutError:
                found = f"nothing whole within {self._seconds:.0f} s"
            except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError) as error:
                found = f"{type(error).__name__}: {error}"
            else:
                if status in _ABSENT:
                    return None
                if status in _FORBIDDEN:
                    self.withheld = "entries are for auditors: expected a token that may read them, in INBOND_TOKEN"
                    return None
                found = f"status {status}"
                if status not in _LATER:
                    break
                wait = min(_LONGEST_WAIT, float(asked)) if _DECIMAL.fullmatch(asked) else wait
            if attempt < self._attempts:
                await asyncio.sleep(wait)
        shown = "".join(c if c.isprintable() else "?" for c in found[:200])
        raise Inconclusive(f"{self.name}/{path}: expected a file of the log, found {shown}")

    async def _body(self, response: httpx.Response, path: str, limit: int) -> bytes:
        encoding = response.headers.get("content-encoding", "identity")
        if encoding not in ("identity", "gzip"):
            raise VerificationError(f"{self.name}/{path}: expected plain bytes or gzip, found them encoded, {encoding[:40]!r}")
        inflate = zlib.decompressobj(31) if encoding == "gzip" else None
        data, received = bytearray(), 0
        async for chunk in response.aiter_raw():
            received += len(chunk)
            try:
                data += chunk if inflate is None else inflate.decompress(chunk, limit + 1 - len(data))
            except zlib.error:
                raise VerificationError(f"{self.name}/{path}: expected gzip, as its answer says, found other bytes") from None
            if len(data) > limit or received > limit + _ENCODED:
                raise VerificationError(f"{self.name}/{path}: expected at most {limit} bytes, found more")
        if inflate is not None and not inflate.eof:
            raise VerificationError(f"{self.name}/{path}: expected gzip to its end, found less")
        return bytes(data)


def check_address(url: str) -> str:
    """`url` without a slash at its end; InvalidInput for anything but https, or http to this machine."""
    shown = re.sub("//[^/?#]*@", "//", url[:200])  # what stands before an @ may be a password
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidInput(f"expected the address of a log, https://HOST[:PORT][/PATH], found {shown!r}: {error}") from None
    plain = not re.search(r"[^!-~]|[\\?#]", url) and "@" not in parts.netloc
    if parts.scheme not in ("http", "https") or not host or not plain:
        raise InvalidInput(f"expected the address of a log, https://HOST[:PORT][/PATH], found {shown!r}")
    if parts.scheme == "http" and not _is_here(host):
        raise InvalidInput(
            f"{shown}: expected https, as a token must not travel in clear; plain http is for this machine alone",
            hint=f"https://{parts.netloc}{parts.path}",
        )
    return url.rstrip("/")


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
