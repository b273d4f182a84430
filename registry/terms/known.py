"""What is known of documents: the timeline of each, what was in force at a time, and the readings and acceptances on record.

Two clocks: *in force* asks the documents' own days, *known* asks the log's first entries. The versions of one document
share party and title. Where no end is stated, a version is in force until the next one begins; nobody types that.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from inbond.registry import tables as t
from inbond.registry.current import EVER, newest_bodies
from inbond.registry.given import chunks
from inbond.registry.terms.moments import is_before, start_of
from inbond.schemas.statements import Acceptance, AppliesTo, Terms, TermsFact


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading of a clause: the statement that made it, and what the newest one says."""

    ref: str
    fact: TermsFact


@dataclass(frozen=True, slots=True)
class Accepted:
    """That a party is bound: the statement that made it, and what the newest one says."""

    ref: str
    acceptance: Acceptance


@dataclass(frozen=True, slots=True)
class Document:
    """One version of a document with everything known about it. It is in force from `starts` until `ends` (None: open).

    `stated_end` says that the document itself states its end; else the next version's beginning is it.
    """

    ref: str
    party: str
    title: str
    version: str
    starts: str
    ends: str | None
    stated_end: bool
    applies_to: tuple[AppliesTo, ...]
    text: str
    readings: tuple[Reading, ...] = ()
    accepted: tuple[Accepted, ...] = ()

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.title}@{self.version}"

    def in_force(self, first: str, last: str | None = None) -> bool:
        """Whether it is in force at some instant from `first` to `last` (the same instant unless given)."""
        after_start = not is_before(last or first, self.starts)
        return after_start and (self.ends is None or is_before(first, self.ends))


def timeline(versions: Iterable[Document]) -> list[Document]:
    """The versions of one document, oldest first; those without a stated end end where the next one begins."""
    ordered = sorted(versions, key=lambda each: (start_of(each.starts), each.ref))
    following = [*ordered[1:], None]
    return [_until(each, after) for each, after in zip(ordered, following, strict=True)]


def overlaps(versions: Iterable[Document]) -> list[tuple[Document, Document]]:
    """The pairs of versions of one document that are in force at once: that cannot be, so one of them is wrong."""
    ordered = timeline(versions)
    return [
        (one, other)
        for at, one in enumerate(ordered)
        for other in ordered[at + 1 :]
        if start_of(one.starts) == start_of(other.starts) or (one.ends is not None and is_before(other.starts, one.ends))
    ]


def documents(connection: Connection, refs: Iterable[str], size: int | None = None) -> list[Document]:
    """The documents of `refs` (references of the statements that made them) with all versions, as the first `size` entries say.

    Oldest entry first within a title; readings and acceptances in the order in which they came.
    """
    found = versions(connection, refs, size)
    of, limit = [each.ref for each in found], EVER if size is None else size
    readings = _about(connection, t.terms_facts, of, limit)
    accepted = _about(connection, t.acceptances, of, limit)
    return [
        replace(
            each,
            readings=tuple(Reading(ref, body) for ref, body in readings.get(each.ref, ())),
            accepted=tuple(Accepted(ref, body) for ref, body in accepted.get(each.ref, ())),
        )
        for each in found
    ]


def versions(connection: Connection, refs: Iterable[str], size: int | None = None) -> list[Document]:
    """As `documents`, without what was read and accepted."""
    series: dict[tuple[str, str], list[Document]] = {}
    listed = _versions_of(connection, refs, EVER if size is None else size)
    for ref, (_, body) in newest_bodies(connection, listed, size).items():
        found = _document(ref, body)
        series.setdefault((found.party, found.title), []).append(found)
    return [each for group in series.values() for each in timeline(group)]


def _until(one: Document, after: Document | None) -> Document:
    if one.stated_end or after is None:
        return one
    return replace(one, ends=after.starts)


def _versions_of(connection: Connection, refs: Iterable[str], limit: int) -> list[str]:
    """The documents of `refs` and every other version of them, oldest entry first."""
    wanted = sorted(set(refs))
    c, s = t.things.c, t.terms_scopes.c
    titles: set[tuple[str, str]] = set()
    for chunk in chunks(wanted):
        query = select(s.party, c.name).join(t.things, c.ref == s.ref).where(c.ref.in_(chunk), c.seq < limit)
        titles.update((row.party, row.name.rpartition("@")[0]) for row in connection.execute(query))
    every: dict[str, int] = {}
    for parties in chunks(sorted({party for party, _ in titles})):
        of_parties = select(c.ref, c.name, c.seq, s.party).join(t.terms_scopes, c.ref == s.ref)
        for row in connection.execute(of_parties.where(s.party.in_(parties), c.amends.is_(None), c.seq < limit)):
            if (row.party, row.name.rpartition("@")[0]) in titles:
                every[row.ref] = row.seq
    return sorted(every, key=lambda ref: every[ref])


def _document(ref: str, body: Terms) -> Document:
    ends = body.effective.to.value_or("") or None
    return Document(
        ref, body.party, body.title, body.version, body.effective.from_, ends, ends is not None, body.applies_to, body.text
    )


def _about(connection: Connection, table: Any, terms: list[str], limit: int) -> dict[str, list[tuple[str, Any]]]:
    """By document, (reference, newest body) of each thing of a table that is about it."""
    c, columns = t.things.c, table.c
    refs: list[str] = []
    for chunk in chunks(terms):
        query = select(columns.ref).join(t.things, c.ref == columns.ref)
        query = query.where(columns.terms.in_(chunk), c.amends.is_(None), columns.seq < limit).order_by(columns.seq)
        refs += connection.execute(query).scalars()
    size = None if limit == EVER else limit
    found: dict[str, list[tuple[str, Any]]] = {}
    for ref, (_, body) in newest_bodies(connection, refs, size).items():
        found.setdefault(body.terms, []).append((ref, body))
    return found
