"""Times as sources write them, to milliseconds since 1970 UTC."""

import re
from datetime import UTC, datetime

from inbond.registry.importers.fields import Fields, describe

LAST_SECOND = 253_402_300_799  # of the year 9999

_SECONDS = re.compile(rb"([0-9]{1,12})(?:\.([0-9]+))?")


def milliseconds_of_seconds(fields: Fields, name: str) -> int | None:
    """A number of seconds, which may have a fraction; taken out. None where it is absent or null. Raises Fault."""
    if not fields.known(name):
        return None
    raw = fields.peek(name) or b""
    match = _SECONDS.fullmatch(raw)
    if match is None or int(match[1]) > LAST_SECOND:
        fields.refuse(name, f"seconds since 1970, at most {LAST_SECOND}", describe(raw))
    fields.drop(name)
    return int(match[1]) * 1000 + int((match[2] or b"0")[:3].ljust(3, b"0"))


def milliseconds_of_text(fields: Fields, name: str) -> int | None:
    """A time of RFC 3339, which is kept where it says no time zone; else taken out. None where it is absent or null."""
    text = fields.text_or_none(name, keep=True)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fields.refuse(name, "a time such as 2026-01-31T12:00:00Z", repr(text[:40]), "wrong-value")
    if moment.tzinfo is None:
        return None
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    milliseconds = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
    if milliseconds < 0:
        return None
    fields.drop(name)
    return milliseconds
