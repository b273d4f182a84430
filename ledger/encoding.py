"""The two textual forms that every C2SP format shares: padded standard base64 and decimal sizes.

Both are read canonically: a text is accepted only if it is the one that the value is written as.
"""

import re
from base64 import b64encode

import msgspec

from inbond.schemas.errors import VerificationError

MAX_SIZE = 2**63 - 1  # the largest size or index that other implementations can hold

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def to_base64(data: bytes) -> str:
    """`data` as standard base64 with padding."""
    return b64encode(data).decode("ascii")


def from_base64(text: str, what: str, *, length: int | None = None, limit: int = 1 << 20) -> bytes:
    """The bytes of canonical standard base64.

    `length` is the exact number of bytes wanted, `limit` the most that is decoded. Raises VerificationError, naming
    `what`, for another alphabet, missing padding, unused bits that are not zero, white space, or another length.
    """
    if len(text) > (limit + 2) // 3 * 4:
        raise VerificationError(f"{what}: expected at most {limit} bytes in base64, found {len(text)} characters")
    try:  # by msgspec, in a third of the time of binascii
        data = msgspec.convert(text, bytes)
        canonical = msgspec.to_builtins(data) == text
    except (msgspec.ValidationError, ValueError):  # ValueError: text that is not Unicode
        canonical = False
    if not canonical:
        raise VerificationError(f"{what}: expected padded standard base64, found {text[:80]!r}")
    if length is not None and len(data) != length:
        raise VerificationError(f"{what}: expected {length} bytes, found {len(data)}")
    return data


def from_decimal(text: str, what: str) -> int:
    """A number of 0 to 2^63-1, written without sign, leading zeros or white space.

    Raises VerificationError, naming `what`, for anything else.
    """
    if _DECIMAL.fullmatch(text) is None or int(text) > MAX_SIZE:
        raise VerificationError(f"{what}: expected a decimal number of 0 to 2^63-1, found {text[:40]!r}")
    return int(text)
