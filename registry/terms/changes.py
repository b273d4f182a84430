"""What a change of terms does: everything that rests on a document, evaluated before the change and after it.

A change is a new version of a document, a reading or an acceptance, or a correction of one of them. What rests on a document
is every grant whose run was to read outputs under it, every release of such a student (as it was released), the student
itself over all its runs, and the reports about it. Nothing is recorded.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import Connection, func, select

from inbond.ledger.reader import LedgerReader
from inbond.registry import tables as t
from inbond.registry.current import newest, newest_bodies
from inbond.registry.given import chunks
from inbond.registry.names import names_of
from inbond.registry.terms.answers import Changed, Review, TermsImpact, Unread
from inbond.registry.terms.engine import evaluate
from inbond.registry.terms.gathering import Gathering, shards_of_sources
from inbond.registry.terms.known import Document, documents
from inbond.registry.terms.moments import is_before
from inbond.registry.terms.question import Evaluation, Question, Use
from inbond.registry.times import now
from inbond.schemas.errors import InvalidInput
from inbond.schemas.statements import ReleasePlan, Verdict


def impact_of_terms(reader: LedgerReader, ref: str, since: int | None, at: str | None) -> TermsImpact:
    """What the newest statement about a document changed, or all since the log had `since` entries; used at `at` (now)."""
    connection, used = reader.connection, at or now()
    about = {each.ref for each in documents(connection, [ref])}
    size = _last_change(connection, about) if since is None else since
    if not 0 < size < reader.size:
        raise InvalidInput(f"terms impact: expected a size from 1 to {reader.size - 1}, found {size}")
    resting = list(_resting(connection))
    answers = _Answers(connection, about, size, used, {each.student for each in resting})
    found, looked_at = list[Changed](), 0
    for each in resting:
        answer = answers.of(each)
        if answer is None:
            continue
        looked_at += 1
        if answer.before is not answer.after:
            rules = answer.rules_before, answer.rules_after
            found.append(Changed(each.ref, each.student, answer.before, answer.after, *rules))
    found += list(_reports(connection, found))
    named = (each.ref for each in found if not each.ref.startswith("grant:"))  # nobody gives a grant a name
    called = names_of(connection, [ref, *named, *(each.student for each in found)])
    return TermsImpact(ref, size, reader.size, at, looked_at, tuple(found), called)


def unread(reader: LedgerReader, days: int, today: str) -> Review:
    """The documents in force on the day `today` that nobody has read again for `days` days, longest first."""
    c = t.things.c
    refs = list(reader.connection.execute(select(c.ref).where(c.kind == "terms", c.amends.is_(None))).scalars())
    found = []
    for each in documents(reader.connection, refs):
        if not each.in_force(today) and not is_before(today, each.starts):
            continue
        retrieved = newest(reader.connection, each.ref)[1].retrieved
        read_on = max((reading.fact.read_on for reading in each.readings), default=retrieved)[:10]
        past = (date.fromisoformat(today) - date.fromisoformat(read_on)).days
        if past >= days:
            found.append(Unread(each.ref, each.name, read_on, past))
    return Review(days, tuple(sorted(found, key=lambda each: (-each.days, each.name))), reader.size)


def _last_change(connection: Connection, about: set[str]) -> int:
    """The entry of the newest statement about any of these documents: how many entries there were before it."""
    c = t.things.c
    facts = select(t.terms_facts.c.seq).where(t.terms_facts.c.terms.in_(about))
    accepted = select(t.acceptances.c.seq).where(t.acceptances.c.terms.in_(about))
    own = select(func.max(c.seq)).where(c.ref.in_(about) | c.amends.in_(about) | c.seq.in_(facts) | c.seq.in_(accepted))
    return int(connection.execute(own).scalar_one())


@dataclass(frozen=True, slots=True)
class _Resting:
    """A student, grant or release: what its runs were to read (datasets with splits), and what was released, if anything."""

    ref: str
    student: str
    sources: frozenset[tuple[str, str]]
    actual: ReleasePlan | None = None


def _resting(connection: Connection) -> Iterator[_Resting]:
    """Every student, with all that its runs were to read, every grant and every release."""
    r, s, g, c = t.runs.c, t.run_sources.c, t.grants.c, t.things.c
    read: dict[str, set[tuple[str, str]]] = {}
    for row in connection.execute(select(s.run, s.dataset, s.split)):
        read.setdefault(row.run, set()).add((row.dataset, row.split))
    by_run = {run: frozenset(sources) for run, sources in read.items()}
    by_student: dict[str, set[tuple[str, str]]] = {}
    for run, student in connection.execute(select(r.ref, r.student)):
        by_student.setdefault(student, set()).update(by_run[run])
    students = select(c.ref).where(c.kind == "student", c.amends.is_(None)).order_by(c.seq)
    whole = {ref: frozenset(by_student.get(ref, ())) for ref in connection.execute(students).scalars()}
    yield from (_Resting(ref, ref, sources) for ref, sources in whole.items())
    for grant, run, student in connection.execute(select(g.ref, g.run, g.student).order_by(g.seq)):
        yield _Resting(grant, student, by_run[run])
    released = select(t.releases.c.ref, t.releases.c.student).order_by(t.releases.c.seq)
    rows = connection.execute(released).all()
    bodies = newest_bodies(connection, [row.ref for row in rows])
    yield from (_Resting(row.ref, row.student, whole[row.student], bodies[row.ref][1].actual) for row in rows)


@dataclass(frozen=True, slots=True)
class _Answer:
    """The verdicts before a change and after it, and the rules that shut the gate."""

    before: Verdict
    after: Verdict
    rules_before: tuple[str, ...]
    rules_after: tuple[str, ...]


def _answered(before: Evaluation, after: Evaluation) -> _Answer:
    return _Answer(before.verdict, after.verdict, _shutting(before), _shutting(after))


class _Answers:
    """Evaluations before a change and after it: each distinct question is put once, however many things rest on it.

    All but the documents is as it is now in both, so that terms alone are compared.
    """

    def __init__(self, connection: Connection, about: set[str], size: int, used: str, students: set[str]) -> None:
        self._connection, self._about, self._size, self._used = connection, about, size, used
        self._gathering = Gathering(connection)
        self._learners = self._gathering.learners(sorted(students))
        self._uses: dict[frozenset[tuple[str, str]], tuple[Use, ...]] = {}
        self._earlier: dict[str, Document | None] = {}
        self._by_thing: dict[Any, _Answer | None] = {}
        self._by_question: dict[Any, _Answer | None] = {}

    def of(self, thing: _Resting) -> _Answer | None:
        """Before and after, None for what does not rest on the documents that changed."""
        key = (thing.student, thing.sources, thing.actual)
        if key not in self._by_thing:
            self._by_thing[key] = self._of(thing)
        return self._by_thing[key]

    def _of(self, thing: _Resting) -> _Answer | None:
        learner = self._learners[thing.student]
        if thing.sources not in self._uses:
            self._uses[thing.sources] = self._gathering.uses(shards_of_sources(self._connection, thing.sources))
        after = self._gathering.question(learner, self._uses[thing.sources], self._used, thing.actual)
        rulings = tuple(replace(each, decision="") for each in after.rulings)  # no verdict hangs on what a ruling is called
        bases = tuple((each.model, each.base_family, tuple(one.ref for one in each.documents)) for each in after.bases)
        key = (thing.sources, after.plan, bases, rulings)
        if key not in self._by_question:
            rests = bool(self._about & _governing(after))
            self._by_question[key] = _answered(evaluate(self._before(after)), evaluate(after)) if rests else None
        return self._by_question[key]

    def _before(self, after: Question) -> Question:
        """The question with its documents as they were known before."""
        if missing := sorted(_governing(after) - self._earlier.keys()):
            there = [ref for chunk in chunks(missing) for ref in _on_record(self._connection, chunk, self._size)]
            known = {each.ref: each for each in documents(self._connection, there, self._size)}
            self._earlier.update({ref: known.get(ref) for ref in missing})

        def then(found: tuple[Document, ...]) -> tuple[Document, ...]:
            return tuple(each for each in (self._earlier[now.ref] for now in found) if each is not None)

        uses = tuple(replace(use, documents=then(use.documents)) for use in after.uses)
        return replace(after, uses=uses, bases=tuple(replace(base, documents=then(base.documents)) for base in after.bases))


def _governing(question: Question) -> set[str]:
    """The documents that a question rests on."""
    of_uses = {document.ref for use in question.uses for document in use.documents}
    return of_uses | {document.ref for base in question.bases for document in base.documents}


def _on_record(connection: Connection, refs: Iterable[str], size: int) -> list[str]:
    c = t.things.c
    return list(connection.execute(select(c.ref).where(c.ref.in_(refs), c.seq < size)).scalars())


def _shutting(found: Evaluation) -> tuple[str, ...]:
    return tuple(sorted({each.rule for each in found.reasons if each.verdict is not Verdict.PERMITTED}))


def _reports(connection: Connection, changed: list[Changed]) -> Iterator[Changed]:
    """The reports about students whose verdict changed."""
    p = t.reports.c
    for each in changed:
        if each.ref == each.student:
            for ref in connection.execute(select(p.ref).where(p.student == each.student).order_by(p.seq)).scalars():
                yield replace(each, ref=ref)
