"""HTTP to one registry and to nobody else: sizes are bounded, redirects are not followed, and what fails is an InbondError.

Whatever is sent may be sent again: a statement is known by its header id, an object by its digest. So a connection that
is lost, or a server that asks for patience, is met with the same request again, a while later, for a bounded time. A
request that must not arrive twice is marked `once`: it is repeated only where it cannot have arrived.

The token goes into the `Authorization` header of requests to this one address and nowhere else; over plain http only to
this machine.
"""

import os
import random
import re
import ssl
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from threading import Lock
from typing import TypeVar
from urllib.parse import urlsplit

import httpx

from inbond import __version__
from inbond.registry.places.problems import MAX_PROBLEM, Words, decoded
from inbond.schemas.errors import InbondError, Inconclusive, InvalidInput, StoreError, VerificationError

T = TypeVar("T")
Params = Sequence[tuple[str, str]]
Content = bytes | Iterable[bytes]

MAX_ANSWER = 64 << 20
"""The longest answer that is read where nothing says how long it is to be."""

PATIENCE = 20.0
"""Seconds for which a request is repeated once the server has been reached; before that, a second."""

_FIRST_PATIENCE = 1.0
_MAX_SECONDS = 300.0  # for one answer, however slowly its bytes drip in
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_LIMITS = httpx.Limits(max_connections=16, max_keepalive_connections=16, keepalive_expiry=2.0)
_TOKEN = re.compile("[!-~]{8,512}")
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.InvalidURL, httpx.UnsupportedProtocol)


def address_of(url: str) -> str:
    """`url` without a slash at its end, as an address that a token may be sent to.

    Raises InvalidInput for anything but https, or http to this machine, and for a user, query or fragment in it.
    """
    shown = re.sub("//[^/?#]*@", "//", url[:200])  # what stands before an @ may be a password
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidInput(f"expected the address of a server, https://HOST[:PORT], found {shown!r}: {error}") from None
    if parts.scheme not in ("http", "https") or not host or port == 0 or re.search(r"[^!-~]|\\", url):
        raise InvalidInput(f"expected the address of a server, https://HOST[:PORT], found {shown!r}")
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise InvalidInput(
            f"expected an address without user, query and fragment, found {shown!r}", hint="INBOND_TOKEN holds the token"
        )
    if parts.scheme == "http" and not _is_here(host):
        raise InvalidInput(
            f"{shown}: expected https, as a token must not travel in clear; plain http is for this machine alone",
            hint=f"https://{parts.netloc}{parts.path}",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


class Transport:
    """Requests to the registry at `url`, as whoever `token` names, or as nobody in particular. Safe in many threads.

    Raises the error that the server's problem names, StoreError where it cannot be reached, Inconclusive where a write
    may have arrived and its answer did not, VerificationError for an answer that cannot be one.
    """

    def __init__(self, url: str, token: str | None = None, *, patience: float | None = None) -> None:
        self.address = address_of(url)
        if token is not None and _TOKEN.fullmatch(token) is None:
            raise InvalidInput("token: expected one line of 8 to 512 printable characters, found something else")
        self._token, self._words = token, Words(token)
        self._patience = PATIENCE if patience is None else patience
        self._reached = self._closed = False
        self._lock = Lock()
        self._client: tuple[int, httpx.Client] | None = None

    def get(self, path: str, params: Params = (), *, limit: int = MAX_ANSWER) -> bytes:
        """The body of an answer, at most `limit` bytes."""
        return self._exchange("GET", path, lambda response: _body(response, path, limit), params=params)

    def json(self, path: str, type: type[T], params: Params = ()) -> T:
        """An answer's JSON as `type`."""
        return decoded(self.get(path, params), type, path)

    def post(self, path: str, body: bytes, type: type[T], *, once: bool = False) -> tuple[bool, T] | InbondError:
        """Post JSON; returns whether that made something which was not there before, and the answer.

        Returns the error, where the server says that it refuses what was sent; raises where nothing follows about that.
        """

        def read(response: httpx.Response) -> tuple[bool, T] | InbondError:
            if 400 <= response.status_code < 500:
                return self._problem(response, path)
            return response.status_code == 201, decoded(_body(response, path, MAX_ANSWER), type, path)

        headers = {"Content-Type": "application/json"}
        return self._exchange("POST", path, read, headers=headers, content=lambda: body, once=once, refusals=True)

    def put(self, path: str, chunks: Callable[[], Iterable[bytes]], size: int, type: type[T]) -> T:
        """Put `size` bytes; `chunks` gives them from the first on, each time it is called."""

        def read(response: httpx.Response) -> T:
            return decoded(_body(response, path, MAX_ANSWER), type, path)

        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        return self._exchange("PUT", path, read, headers=headers, content=chunks)

    def piece(
        self, path: str, params: Params, span: tuple[int, int], size: int, etag: str | None, unwanted: Callable[[], bool] = bool
    ) -> bytes:
        """Bytes [first, last) of something that has `size` bytes and the entity tag `etag`, or any where that is None.

        Raises VerificationError for any other answer than exactly those bytes of exactly that; gives up, with StoreError,
        when they are `unwanted`.
        """
        first, last = span
        where = f"bytes {first}-{last - 1}/{size}"

        def read(response: httpx.Response) -> bytes:
            found = response.headers.get("Content-Range", "no range"), response.headers.get("ETag", "no ETag")
            if response.status_code != 206 or found != (where, found[1] if etag is None else etag):
                raise VerificationError(
                    f"the server's answer to {path}: expected status 206 with {where} of {etag or 'any ETag'}, found "
                    f"{response.status_code} with {self._words.plain(found[0], 80)} of {self._words.plain(found[1], 80)}"
                )
            data = _body(response, path, last - first, unwanted)
            if len(data) != last - first:
                raise VerificationError(f"the server's answer to {path}: expected {last - first} bytes, found {len(data)}")
            return data

        headers = {"Range": f"bytes={first}-{last - 1}"} | ({} if etag is None else {"If-Range": etag})
        return self._exchange("GET", path, read, params=params, headers=headers, unwanted=unwanted)

    def close(self) -> None:
        """Close the connections; nothing is asked any more."""
        with self._lock:
            if self._client is not None and self._client[0] == os.getpid():
                self._client[1].close()
            self._client, self._closed = None, True

    def _exchange(
        self,
        method: str,
        path: str,
        read: Callable[[httpx.Response], T],
        *,
        params: Params = (),
        headers: Mapping[str, str] | None = None,
        content: Callable[[], Content] | None = None,
        once: bool = False,
        refusals: bool = False,
        unwanted: Callable[[], bool] = bool,
    ) -> T:
        """Send a request until it is answered, or patience is at its end; `read` gives what the answer says.

        Answers of status 4xx are raised as what they say, or with `refusals` given to `read`.
        """
        pauses = _Pauses(self._patience if self._reached else min(self._patience, _FIRST_PATIENCE))
        may_have_arrived = False
        while True:
            try:
                with self._http().stream(
                    method,
                    self.address + path,
                    params=list(params),
                    headers=dict(headers or {}),
                    content=None if content is None else content(),
                ) as response:
                    self._reached = True
                    if not (refusals and 400 <= response.status_code < 500 and response.status_code != 429):
                        self._check_status(response, path)
                    return read(response)
            except _Later as later:
                failure, goes_on = later.error, pauses.take(later.seconds)
                may_have_arrived |= later.may_have_arrived
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
                failure, goes_on = self._unreachable(error), not _is_final(error) and pauses.take()
                may_have_arrived |= not isinstance(error, _NOT_SENT)
            if goes_on and not unwanted() and not (once and may_have_arrived):
                continue
            if method == "POST" and may_have_arrived:
                raise Inconclusive(
                    f"{failure.message}; it is not known whether what was sent is on record",
                    hint="look whether it is there" if once else "send the same again: it will not be doubled",
                )
            raise failure

    def _http(self) -> httpx.Client:
        """The connections of this process: those that a fork has copied belong to the parent."""
        with self._lock:
            if self._closed:
                raise InvalidInput(f"{self.address}: expected a connection that is open, found it closed")
            if self._client is None or self._client[0] != os.getpid():
                headers = {"User-Agent": f"inbond/{__version__}", "Accept-Encoding": "identity"}
                if self._token is not None:
                    headers["Authorization"] = f"Bearer {self._token}"
                client = httpx.Client(
                    headers=headers,
                    timeout=_TIMEOUT,
                    limits=_LIMITS,
                    follow_redirects=False,
                    trust_env=self.address.startswith("https://"),  # a proxy must not see a token in clear
                )
                self._client = os.getpid(), client
            return self._client[1]

    def _check_status(self, response: httpx.Response, path: str) -> None:
        """Raise what an answer other than success means."""
        status = response.status_code
        if 200 <= status < 300:
            return
        if status < 400:
            leads_to = self._words.plain(response.headers.get("Location", "nowhere"), 200)
            raise StoreError(f"{self.address}{path}: expected an answer, found status {status}, which leads to {leads_to}")
        error, seconds = self._problem(response, path), _retry_after(response)
        if status in (429, 503) and seconds is not None:
            raise _Later(error, seconds, may_have_arrived=status == 503)
        if status in (502, 504):
            raise _Later(error, None, may_have_arrived=True)
        raise error

    def _problem(self, response: httpx.Response, path: str) -> InbondError:
        try:
            data = _body(response, path, MAX_PROBLEM)
        except VerificationError:
            data = b""
        return self._words.error(response.status_code, data, path)

    def _unreachable(self, error: Exception) -> StoreError:
        reason = self._words.plain(str(error), 300) or type(error).__name__
        return StoreError(f"could not reach {self.address}: {reason}", hint="is the server running, and is this its address?")


class _Later(Exception):
    """The server asks to be asked later, after some seconds where it says so; `error` is what it says now."""

    def __init__(self, error: InbondError, seconds: float | None, *, may_have_arrived: bool) -> None:
        super().__init__(error.message)
        self.error, self.seconds, self.may_have_arrived = error, seconds, may_have_arrived


class _Pauses:
    """Pauses between attempts: each longer than the one before, at random within that, `patience` seconds in all."""

    def __init__(self, patience: float) -> None:
        self._until, self._next = time.monotonic() + patience, 0.05

    def take(self, seconds: float | None = None) -> bool:
        """Wait, for `seconds` where that is asked; False, at once, where there is no time for it."""
        pause = self._next * random.uniform(0.5, 1.0) if seconds is None else seconds
        self._next = min(self._next * 2, 5.0)
        if time.monotonic() + pause > self._until:
            return False
        time.sleep(pause)
        return True


def _body(response: httpx.Response, path: str, limit: int, unwanted: Callable[[], bool] = bool) -> bytes:
    """The bytes of an answer as they were sent, at most `limit`, in bounded time, unless they become `unwanted`."""
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise VerificationError(f"the server's answer to {path}: expected plain bytes, found them encoded, {encoding[:40]!r}")
    until = time.monotonic() + _MAX_SECONDS
    chunks, size = [], 0
    for chunk in response.iter_raw():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            raise VerificationError(f"the server's answer to {path}: expected at most {limit} bytes, found more")
        if time.monotonic() > until or unwanted():
            raise StoreError(f"the server's answer to {path}: expected all of it within {_MAX_SECONDS:.0f} s, found less")
    return b"".join(chunks)


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    if re.fullmatch("[0-9]{1,6}", text):
        return float(text)
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    return None


def _is_final(error: BaseException | None) -> bool:
    """Whether asking again cannot help: a certificate that does not hold, or an address that is none."""
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | httpx.StreamError):
        return True
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
