"""Entries: the canonical bytes that become the leaves of the tree."""

import re
from datetime import datetime

from inbond.schemas import canonical
from inbond.schemas.entry import GENESIS_PREV, MAX_ENTRY, Entry
from inbond.schemas.errors import InvalidInput, VerificationError

_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_HEX_32 = re.compile("[0-9a-f]{64}")
_KIND = re.compile("[a-z_]{1,32}")


def entry_bytes(entry: Entry) -> bytes:
    """The canonical bytes of an entry, such that `parse_entry` gives it back.

    Raises InvalidInput for more than 65,535 bytes and for fields that an entry cannot hold.
    """
    data = canonical.encode(entry)
    try:
        parse_entry(data)
    except VerificationError as error:
        raise InvalidInput(error.message) from None
    return data


def parse_entry(data: bytes) -> Entry:
    """The entry that `data` is the canonical bytes of.

    It says nothing about signatures, nor about the place in the chain. Raises VerificationError for more than 65,535
    bytes, bytes that do not re-encode to themselves, and fields out of form: times that do not exist, an entry 0 that
    has a predecessor, or another that has none.
    """
    if len(data) > MAX_ENTRY:
        raise VerificationError(f"entry: expected at most {MAX_ENTRY} bytes, found {len(data)}")
    try:
        entry = canonical.decode(data, Entry, what="entry")
    except InvalidInput as error:
        raise VerificationError(error.message) from None
    what = f"entry {entry.seq}"
    if _KIND.fullmatch(entry.kind) is None:
        raise VerificationError(f"{what}: expected a kind of a to z and underscores, found {entry.kind!r}")
    if _HEX_32.fullmatch(entry.prev) is None or (entry.seq == 0) != (entry.prev == GENESIS_PREV):
        raise VerificationError(f"{what}: expected the leaf hash of the entry before, found {entry.prev!r}")
    for signature in entry.dsse.signatures:
        if _HEX_32.fullmatch(signature.keyid) is None:
            raise VerificationError(f"{what}: expected a key id of 64 hex digits, found {signature.keyid!r}")
    _check_moment(what, entry.time)
    return entry


def _check_moment(what: str, time: str) -> None:
    try:
        valid = _MOMENT.fullmatch(time) is not None and datetime.fromisoformat(time) is not None
    except ValueError:
        valid = False
    if not valid:
        raise VerificationError(f"{what}: expected a time such as 2026-01-31T23:59:59.000Z, found {time!r}")
