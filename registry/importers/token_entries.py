"""Log-probabilities as chat interfaces list them: an object for each token, and one for each alternative within it.

    [{"token": "Hi", "bytes": [72, 105], "logprob": -0.1, "top_logprobs": [{"token": "Hi", "bytes": [72, 105], "logprob": -0.1}]}]

`bytes` counts where it is there, because strings cannot carry a part of a character. A token is an id where every entry has
`id` or every text is `token_id:<number>`.
"""

import re
from collections.abc import Sequence

import msgspec

from inbond.registry.importers.fields import Fault
from inbond.registry.importers.observed import TokenLogprobs, token_logprobs
from inbond.registry.importers.typed import decode, has_name_twice

TOKEN_ID = re.compile(r"token_id:([0-9]{1,10})")


class Entry(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One token with its log-probability, as the source has it."""

    token: str
    logprob: float | None
    bytes: list[int] | None = None
    id: int | None = None


class Position(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The token at one position, and the alternatives to it."""

    token: str
    logprob: float | None
    bytes: list[int] | None = None
    id: int | None = None
    top_logprobs: list[Entry] | None = None


class _OpenEntry(msgspec.Struct, gc=False):
    token: str
    logprob: float | None
    bytes: list[int] | None = None
    id: int | None = None


class _OpenPosition(msgspec.Struct, gc=False):
    token: str
    logprob: float | None
    bytes: list[int] | None = None
    id: int | None = None
    top_logprobs: list[_OpenEntry] | None = None


_positions = msgspec.json.Decoder(list[Position])
_open_positions = msgspec.json.Decoder(list[_OpenPosition])

_AnyEntry = Entry | Position | _OpenEntry | _OpenPosition


def read_positions(raw: bytes | msgspec.Raw, path: str) -> tuple[TokenLogprobs | None, bool]:
    """(what the array `raw`, which is the field `path`, says; whether it says nothing more, so that it need not be kept).

    None for no tokens. Raises Fault.
    """
    positions: Sequence[Position | _OpenPosition]
    is_all = True
    try:
        positions = _positions.decode(raw)
    except msgspec.ValidationError:
        opened = decode(_open_positions, raw, path)
        positions, is_all = opened, False
    entries = [entry for position in positions for entry in position.top_logprobs or ()]
    named = bytes(raw).count(b'"logprob"')
    if named != len(positions) + len(entries) and has_name_twice(raw):
        raise Fault("duplicate-field", path, "entries that name each field once", "one that names a field twice")
    if not positions:
        return None, is_all
    tokens, alternatives = _tokens(positions, entries, path)
    found = token_logprobs(
        tokens,
        [position.logprob for position in positions],
        [len(position.top_logprobs or ()) for position in positions],
        alternatives,
        [float("-inf") if entry.logprob is None else entry.logprob for entry in entries],
    )
    return found, is_all


def text_bytes(token: str, given: list[int] | None, path: str) -> bytes:
    """The bytes of a token. Raises Fault for numbers that are no bytes. An empty array says nothing about a text."""
    if not given:
        return token.encode()
    try:
        return bytes(given)
    except ValueError:
        raise Fault("wrong-value", path, "bytes from 0 to 255", str(given)[:40]) from None


def _tokens(
    positions: Sequence[_AnyEntry], entries: Sequence[_AnyEntry], path: str
) -> tuple[list[int] | list[bytes], list[int] | list[bytes]]:
    every: list[int] | list[bytes] | None = _ids(positions)
    others = None if every is None else _ids(entries)
    if every is not None and others is not None:
        return every, others
    every = [text_bytes(entry.token, entry.bytes, path) for entry in positions]
    return every, [text_bytes(entry.token, entry.bytes, path) for entry in entries]


def _ids(entries: Sequence[_AnyEntry]) -> list[int] | None:
    """The ids of all entries; None unless each has one."""
    if all(entry.id is not None for entry in entries):
        return [entry.id for entry in entries if entry.id is not None]
    if not all(entry.token.startswith("token_id:") for entry in entries):
        return None
    found = [TOKEN_ID.fullmatch(entry.token) for entry in entries]
    return [int(match[1]) for match in found if match] if all(found) else None
