"""What a server says, taken for what it is: somebody else's words. Problems become errors, JSON becomes our types."""

import re
from collections.abc import Iterator
from threading import Lock
from typing import Any, TypeVar

import msgspec

from inbond.schemas.errors import (
    Conflict,
    InbondError,
    InvalidInput,
    NotFound,
    NotPermitted,
    StoreError,
    Unauthenticated,
    VerificationError,
)

T = TypeVar("T")

MAX_PROBLEM = 1 << 16

_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_BY_STATUS = {401: Unauthenticated, 403: NotPermitted, 404: NotFound, 409: Conflict}
_ESCAPED = re.compile(rb"(?<!\\)(?:\\\\)*\\(?:u00(?:0[0-8bcef]|1[0-9a-fA-F]|7[fF])|[bf])")  # controls, but for tab and line ends
_TAKEN = {"type", "title", "status", "detail", "hint", "message", "self"}


def decoded(data: bytes, type: type[T], what: str) -> T:
    """An answer's JSON as `type`; VerificationError, naming `what` was asked, where it is something else.

    What it says will be shown to people: no name in it has control characters, as none on record has.
    """
    try:
        if _ESCAPED.search(data):
            raise ValueError("it holds control characters")
        with _learning:  # msgspec 0.22 crashes when two threads learn what a struct is made of at the same time
            if type not in _decoders:
                _decoders[type] = msgspec.json.Decoder(type)
        return _decoders[type].decode(data)  # type: ignore[no-any-return]
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError, InbondError) as error:
        raise VerificationError(
            f"the server's answer to {what} is not what was expected: {str(error)[:300]}", hint="is its inbond another release?"
        ) from None


_learning = Lock()
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


class Words:
    """Reads what a server says to people: without control characters, and without the token should it repeat that."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def plain(self, text: str, limit: int = 4000) -> str:
        """`text` as it may be shown."""
        plain = _CONTROLS.sub("?", text)
        return (plain.replace(self._token, "[token]") if self._token else plain)[:limit]

    def error(self, status: int, data: bytes, path: str) -> InbondError:
        """The error that a problem (RFC 9457) names; one that the status suggests where `data` is no problem."""
        try:
            found = msgspec.json.decode(data, type=dict[str, Any])
        except (msgspec.MsgspecError, ValueError, RecursionError):
            found = {}
        type, detail, hint = (found.get(name) for name in ("type", "detail", "hint"))
        kind = next((each for each in _family(InbondError) if each.type == type), _by_status(status))
        if not isinstance(detail, str):
            detail = f"expected an answer to {path}, or a problem that says why there is none, found status {status}"
        members = {self.plain(key): self._value(value) for key, value in found.items() if key not in _TAKEN}
        if kind is Unauthenticated and self._token is None:
            hint = "put the token that the registry's admin gave you into INBOND_TOKEN"
        return kind(self.plain(detail), hint=self.plain(hint) if isinstance(hint, str) else None, **members)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.plain(value)
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if isinstance(value, dict):
            return {self.plain(key): self._value(item) for key, item in value.items()}
        return value


def _by_status(status: int) -> type[InbondError]:
    return _BY_STATUS.get(status, InvalidInput if status < 500 else StoreError)


def _family(kind: type[InbondError]) -> Iterator[type[InbondError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _family(each)
