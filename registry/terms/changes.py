"""What a change of terms does: everything that rests on a document, evaluated before the change and after it.

A change is a new version of a document, a reading or an acceptance, or a correction of one of them. What rests on a document
is every grant whose run was to read outputs under it, every release of such a student (as it was released), the student
itself over all its runs, and the reports about it. Nothing is recorded.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import Connection, func, select

from inbond.registry import tables as t
from inbond.registry.current import newest
from inbond.registry.given import chunks
from inbond.registry.lists import sources_of
from inbond.registry.opened import OpenRegistry
from inbond.registry.terms.engine import evaluate
from inbond.registry.terms.gathering import question_of, shards_of
from inbond.registry.terms.known import Document, documents
from inbond.registry.terms.moments import is_before
from inbond.registry.terms.question import Evaluation, Question
from inbond.registry.times import now
from inbond.schemas.errors import InvalidInput
from inbond.schemas.statements import Release, ReleasePlan, Verdict


@dataclass(frozen=True, slots=True)
class Changed:
    """Something whose verdict changes: what it is, the verdicts, and the rules that shut it before and after."""

    ref: str
    student: str
    before: Verdict
    after: Verdict
    rules_before: tuple[str, ...]
    rules_after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TermsImpact:
    """What changed with the documents of a timeline between two sizes of the log; `looked_at` counts what rests on them."""

    terms: str
    size_before: int
    tree_size: int
    at: str
    looked_at: int
    changed: tuple[Changed, ...]
    called: dict[str, str]


@dataclass(frozen=True, slots=True)
class Unread:
    """A document that nobody has read since `read_on`, the newest day on which a clause was read, or the text retrieved."""

    terms: str
    name: str
    read_on: str
    days: int


def impact_of_terms(registry: OpenRegistry, terms: str, *, before: int | None = None, at: str | None = None) -> TermsImpact:
    """What the newest statement about a document changed, or all since the log had `before` entries; used at time `at` (now).

    Needs the registry's folder.
    """
    ref, used = registry.resolve(terms, "terms"), at or now()
    with registry.reading() as reader:
        connection = reader.connection
        about = {each.ref for each in documents(connection, [ref])}
        size = _last_change(connection, about) if before is None else before
        if not 0 < size < reader.size:
            raise InvalidInput(f"terms impact: expected a size from 1 to {reader.size - 1}, found {size}")
        found, looked_at = list[Changed](), 0
        for thing, student, shards, actual in _resting(connection):
            after = question_of(connection, student, shards, used, actual=actual)
            if not about & _governing(after):
                continue
            looked_at += 1
            earlier = _as_of(connection, after, size)
            changed = _compared(thing, student, evaluate(earlier), evaluate(after))
            found += [] if changed is None else [changed]
        found += list(_reports(connection, found))
        called = registry.called([ref, *(each.ref for each in found), *(each.student for each in found)])
        return TermsImpact(ref, size, reader.size, used, looked_at, tuple(found), called)


def unread(registry: OpenRegistry, days: int, today: str | None = None) -> list[Unread]:
    """The documents in force that nobody has read again for `days` days, longest first. Needs the registry's folder."""
    day = (today or now())[:10]
    c = t.things.c
    with registry.reading() as reader:
        refs = list(reader.connection.execute(select(c.ref).where(c.kind == "terms", c.amends.is_(None))).scalars())
        found = []
        for each in documents(reader.connection, refs):
            if not each.in_force(day) and not is_before(day, each.starts):
                continue
            retrieved = newest(reader.connection, each.ref)[1].retrieved
            read_on = max((reading.fact.read_on for reading in each.readings), default=retrieved)[:10]
            past = (date.fromisoformat(day) - date.fromisoformat(read_on)).days
            if past >= days:
                found.append(Unread(each.ref, each.name, read_on, past))
    return sorted(found, key=lambda each: (-each.days, each.name))


def _last_change(connection: Connection, about: set[str]) -> int:
    """The entry of the newest statement about any of these documents: how many entries there were before it."""
    c = t.things.c
    facts = select(t.terms_facts.c.seq).where(t.terms_facts.c.terms.in_(about))
    accepted = select(t.acceptances.c.seq).where(t.acceptances.c.terms.in_(about))
    own = select(func.max(c.seq)).where(c.ref.in_(about) | c.amends.in_(about) | c.seq.in_(facts) | c.seq.in_(accepted))
    return int(connection.execute(own).scalar_one())


def _resting(connection: Connection) -> Iterator[tuple[str, str, list[str], ReleasePlan | None]]:
    """(thing, student, shards, what was released) of every student with runs, grant and release."""
    g, r, s = t.grants.c, t.releases.c, t.things.c
    by_run: dict[str, list[str]] = {}
    by_student: dict[str, list[str]] = {}
    for student in (
        connection.execute(select(s.ref).where(s.kind == "student", s.amends.is_(None)).order_by(s.seq)).scalars().all()
    ):
        by_student[student] = shards_of(connection, student)
        yield student, student, by_student[student], None
    for grant in connection.execute(select(g.ref, g.run, g.student).order_by(g.seq)).all():
        if grant.run not in by_run:
            by_run[grant.run] = _shards_of_run(connection, grant.run)
        yield grant.ref, grant.student, by_run[grant.run], None
    for release in connection.execute(select(r.ref, r.student).order_by(r.seq)).all():
        body: Release = newest(connection, release.ref)[1]
        yield release.ref, release.student, by_student[release.student], body.actual


def _shards_of_run(connection: Connection, run: str) -> list[str]:
    p = t.dataset_parts.c
    found: set[str] = set()
    for source in sources_of(connection, run):
        query = select(p.shard).where(p.dataset == source.dataset, p.split == source.split)
        found.update(connection.execute(query.distinct()).scalars())
    return sorted(found)


def _as_of(connection: Connection, after: Question, size: int) -> Question:
    """The question with its documents as they were known at `size`; all else is as now, so that terms alone are compared."""
    there = [ref for chunk in chunks(sorted(_governing(after))) for ref in _on_record(connection, chunk, size)]
    known = {each.ref: each for each in documents(connection, there, size)}

    def then(found: tuple[Document, ...]) -> tuple[Document, ...]:
        return tuple(known[each.ref] for each in found if each.ref in known)

    uses = tuple(replace(use, documents=then(use.documents)) for use in after.uses)
    return replace(after, uses=uses, bases=tuple(replace(base, documents=then(base.documents)) for base in after.bases))


def _governing(question: Question) -> set[str]:
    """The documents that a question rests on."""
    of_uses = {document.ref for use in question.uses for document in use.documents}
    return of_uses | {document.ref for base in question.bases for document in base.documents}


def _on_record(connection: Connection, refs: Iterable[str], size: int) -> list[str]:
    c = t.things.c
    return list(connection.execute(select(c.ref).where(c.ref.in_(refs), c.seq < size)).scalars())


def _compared(thing: str, student: str, before: Evaluation, after: Evaluation) -> Changed | None:
    if before.verdict is after.verdict:
        return None
    return Changed(thing, student, before.verdict, after.verdict, _shutting(before), _shutting(after))


def _shutting(found: Evaluation) -> tuple[str, ...]:
    return tuple(sorted({each.rule for each in found.reasons if each.verdict is not Verdict.PERMITTED}))


def _reports(connection: Connection, changed: list[Changed]) -> Iterator[Changed]:
    """The reports about students whose verdict changed."""
    p = t.reports.c
    for each in changed:
        if each.ref == each.student:
            for ref in connection.execute(select(p.ref).where(p.student == each.student).order_by(p.seq)).scalars():
                yield replace(each, ref=ref)
