"""Answers in gzip for clients that ask for it (RFC 9110 §12.5.3), where it makes them shorter."""

import gzip
import re
from typing import Final

_ITEM: Final = re.compile(r"[ \t]*([A-Za-z0-9*_.+-]+)[ \t]*(?:;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?[ \t]*")
_NAMES: Final = ("gzip", "x-gzip", "*")
_LEVEL: Final = 6


def accepts_gzip(header: str | None) -> bool:
    """Whether an `Accept-Encoding` asks for gzip; what cannot be read asks for nothing."""
    weights: dict[str, float] = {}
    for item in (header or "").split(","):
        match = _ITEM.fullmatch(item)
        if match is not None:
            weights[match[1].lower()] = float(match[2] or 1)
    named = [weights[name] for name in _NAMES if name in weights]
    return bool(named) and named[0] > 0


def encoded(data: bytes, header: str | None) -> tuple[bytes, dict[str, str]]:
    """The bytes to send and their headers: gzip where `Accept-Encoding` asks for it and it is shorter.

    The same bytes compress to the same bytes, so each form has one strong ETag of its own.
    """
    headers = {"vary": "accept-encoding"}
    if accepts_gzip(header):
        shorter = gzip.compress(data, _LEVEL, mtime=0)
        if len(shorter) < len(data):
            return shorter, headers | {"content-encoding": "gzip"}
    return data, headers
