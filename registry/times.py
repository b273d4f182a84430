"""The times of entries, for many of them at once; and times as people type them, a day or an instant, compared."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from sqlalchemy import func, select

from inbond.ledger import tables as ledger
from inbond.ledger.entries import parse_entry
from inbond.ledger.reader import LedgerReader
from inbond.registry.given import chunks
from inbond.schemas.errors import InvalidInput
from inbond.schemas.scalars import Time

_TAIL = re.compile(rb'"time":"([0-9TZ:.-]{24})","v":1\}$')
_TAIL_BYTES = 48


def entry_times(reader: LedgerReader, seqs: Iterable[int]) -> dict[int, str]:
    """The time of each entry; of its bytes no more is read than the end, where it stands."""
    e = ledger.entries.c
    found: dict[int, str] = {}
    for chunk in chunks(sorted(set(seqs))):
        tail = func.substr(e.data, func.length(e.data) - (_TAIL_BYTES - 1))
        query = select(e.seq, tail.label("tail")).where(e.seq.in_(chunk))
        for row in reader.connection.execute(query):
            match = _TAIL.search(bytes(row.tail))
            found[row.seq] = match[1].decode() if match else parse_entry(reader.entry(row.seq)).time
    return found


def now() -> str:
    """The time now, as statements write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:23] + "Z"


def expect_time(name: str, value: str) -> str:
    """`value`, which must be a day that exists, or an instant in UTC with milliseconds; InvalidInput, which names `name`."""
    try:
        return msgspec.convert(value, Time)
    except msgspec.ValidationError:
        raise InvalidInput(
            f"{name}: expected a day (2026-01-31) or an instant (2026-01-31T12:00:00.000Z), found {value!r}"
        ) from None


@dataclass(frozen=True, slots=True)
class Window:
    """The times from `since` to `until`, both included; a day means all of it, and None has no end."""

    since: str | None = None
    until: str | None = None

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            if getattr(self, name) is not None:
                expect_time(name, getattr(self, name))
        if self.since is not None and self.until is not None and _before(self.until, self.since):
            raise InvalidInput(f"since: expected a time that is not after {self.until}, as until says, found {self.since}")

    @property
    def is_open(self) -> bool:
        """Whether every time lies within."""
        return self.since is None and self.until is None

    def holds(self, first: str, last: str | None) -> bool:
        """Whether some time from `first` to `last` (None: without end) lies within, as far as a day can tell."""
        after = self.until is not None and _before(self.until, first)
        before = self.since is not None and last is not None and _before(last, self.since)
        return not after and not before

    def entries(self, reader: LedgerReader, size: int) -> tuple[int, int]:
        """The entries [first, last) of the first `size` whose time lies within; times of entries never go back."""
        first = 0 if self.since is None else _bisect(reader, size, lambda time: not _before(time, str(self.since)))
        last = size if self.until is None else _bisect(reader, size, lambda time: _before(str(self.until), time))
        return first, last


def _before(one: str, other: str) -> bool:
    """Whether a time lies before another; a day and an instant in it are taken to be the same."""
    digits = min(len(one), len(other))
    return one[:digits] < other[:digits]


def _bisect(reader: LedgerReader, size: int, is_beyond: Callable[[str], bool]) -> int:
    """The first of `size` entries of which `is_beyond` holds, `size` where it holds of none."""
    first, last = 0, size
    while first < last:
        middle = (first + last) // 2
        if is_beyond(entry_times(reader, [middle])[middle]):
            last = middle
        else:
            first = middle + 1
    return first
