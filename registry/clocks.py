"""Clocks: when a student learned, by what is asked. Each answers for many ways at once, and says where it knows no time."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from msgspec import UnsetType
from sqlalchemy import select

from inbond.ledger.reader import LedgerReader
from inbond.registry import tables as t
from inbond.registry.current import newest_of
from inbond.registry.given import chunks
from inbond.registry.spread import NEVER, Spread
from inbond.registry.times import Window, entry_times
from inbond.registry.ways import Way
from inbond.schemas.declared import Declared


@dataclass(frozen=True, slots=True)
class Seen:
    """What a clock shows of a way: its first and last known time, whether all are known, whether one lies in the window."""

    first: str | None
    last: str | None
    complete: bool
    inside: bool


Clock = Callable[[Way], Seen]

_NEVER = Seen(None, None, False, False)


def _consumed(reader: LedgerReader, spread: Spread, window: Window, found: list[Way]) -> Clock:
    """The entries that put rows into runs; of weights, and of what may have been read besides, there are none."""
    seqs = {seq for way in found for taken in way.taken() for seq in (taken.first, taken.last)} - {NEVER}
    times = entry_times(reader, seqs)

    def read(way: Way) -> Seen:
        taken = way.taken()
        complete = all(step.taken for step in way.steps) and not any(each.at_most for each in taken)
        firsts = [each.first for each in taken if each.first != NEVER]
        if not firsts:
            return _NEVER
        last = max(each.last for each in taken)
        return Seen(times[min(firsts)], times[last], complete, any(each.inside for each in taken))

    return read


def _released(reader: LedgerReader, spread: Spread, window: Window, found: list[Way]) -> Clock:
    """The releases of the student."""
    r = t.releases.c
    times: dict[str, list[str]] = {}
    for chunk in chunks(sorted({way.student for way in found})):
        query = select(r.student, r.released).where(r.student.in_(chunk), r.seq < spread.size)
        for row in spread.connection.execute(query):
            times.setdefault(row.student, []).append(row.released)

    def read(way: Way) -> Seen:
        own = times.get(way.student)
        return Seen(min(own), max(own), True, any(window.holds(time, time) for time in own)) if own else _NEVER

    return read


def _declared(name: str) -> Callable[[LedgerReader, Spread, Window, list[Way]], Clock]:
    """The times that the shards behind a way declare, as far as is known by then."""

    def clock(reader: LedgerReader, spread: Spread, window: Window, found: list[Way]) -> Clock:
        spans = _spans(spread, name, {shard for way in found for shard in way.shards})
        shown: dict[tuple[tuple[str, ...], bool], Seen] = {}  # many students read the same shards

        def read(way: Way) -> Seen:
            key = way.shards, way.is_whole
            if key not in shown:
                shown[key] = _over([spans.get(shard) for shard in way.shards], way.is_whole, window)
            return shown[key]

        return read

    return clock


def _over(spans: list["Span | None"], is_whole: bool, window: Window) -> Seen:
    known = [span for span in spans if span is not None]
    if not known:
        return _NEVER
    inside = any(window.holds(span.first, None if span.live else span.last) for span in known)
    complete = is_whole and len(known) == len(spans)
    return Seen(min(span.first for span in known), max(span.last for span in known), complete, inside)


class Span(msgspec.Struct, frozen=True):
    """From when to when outputs were made or had; `live` says that it goes on."""

    first: str
    last: str
    live: bool = False


class _Dated(msgspec.Struct):
    """As much of a shard's statement as clocks need."""

    generated: Declared[Span]
    acquired: Declared[str]


_DATED = msgspec.json.Decoder(_Dated)


def _spans(spread: Spread, name: str, shards: set[str]) -> dict[str, Span]:
    """What the newest statement about each shard says of its time; shards of which it is not known are left out."""
    newest = newest_of(spread.connection, sorted(shards), spread.size)
    said = {after: ref for ref, after in newest.items()}
    found: dict[str, Span] = {}
    for chunk in chunks(sorted(said)):
        for row in spread.connection.execute(select(t.things.c.ref, t.things.c.body).where(t.things.c.ref.in_(chunk))):
            body = _DATED.decode(bytes(row.body))
            if name == "generated" and not isinstance(body.generated.known, UnsetType):
                found[said[row.ref]] = body.generated.known
            elif name == "acquired" and not isinstance(body.acquired.known, UnsetType):
                found[said[row.ref]] = Span(body.acquired.known, body.acquired.known)
    return found


CLOCKS: dict[str, Callable[[LedgerReader, Spread, Window, list[Way]], Clock]] = {
    "generated": _declared("generated"),
    "acquired": _declared("acquired"),
    "consumed": _consumed,
    "released": _released,
}
"""What each clock is made from: all ways that it will be asked about, so that a few queries answer for all."""
