"""From what is on record to the engine's question: teachers with their circumstances, documents, weights, rulings, the plan.

Shards that were made alike (same teacher, same time, same party) are one `Use`, so that a question grows with circumstances
and not with records. A teacher that is a student of this registry brings its own teachers along.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from msgspec import UnsetType
from sqlalchemy import Connection, exists, func, select

from inbond.registry import gate, names
from inbond.registry import tables as t
from inbond.registry.current import EVER, first_of, newest, newest_bodies
from inbond.registry.given import chunks
from inbond.registry.terms.bands import Band, band_of
from inbond.registry.terms.circumstances import Circumstances, read
from inbond.registry.terms.known import Document, documents
from inbond.registry.terms.question import Base, Plan, Question, Ruling, Use
from inbond.schemas.statements import Question as Asked
from inbond.schemas.statements import ReleasePlan, Student


def question_of(
    connection: Connection,
    student: str,
    shards: Iterable[str],
    used: str,
    *,
    actual: ReleasePlan | None = None,
    size: int | None = None,
) -> Question:
    """The question whether `student` may learn from `shards` at time `used`, as the first `size` entries say.

    `actual` is what a release says in place of the student's plan.
    """
    gathering = Gathering(connection, size)
    learner = gathering.learners([student])[student]
    return gathering.question(learner, gathering.uses(shards), used, actual)


def question_of_any(connection: Connection, shards: Iterable[str], used: str, size: int | None = None) -> Question:
    """What terms say of a student of which nothing is known, that learns from `shards` at time `used`."""
    return Question(None, Plan(None), used, Gathering(connection, size).uses(shards))


def stated_in(release: ReleasePlan) -> dict[str, Any]:
    """What a release is planned to be, or was, by the fields of `Plan`; None where that is not known."""
    facts = {name: getattr(release, name) for name in ReleasePlan.__struct_fields__}
    return {name: fact.known if fact.is_known else None for name, fact in facts.items()}


def shards_of(connection: Connection, student: str, size: int | None = None) -> list[str]:
    """The shards that any run of a student was to read, as the first `size` entries say."""
    limit = EVER if size is None else size
    r, s, p = t.runs.c, t.run_sources.c, t.dataset_parts.c
    query = (
        select(p.shard)
        .join_from(t.dataset_parts, t.run_sources, (s.dataset == p.dataset) & (s.split == p.split))
        .join(t.runs, r.ref == s.run)
        .where(r.student == student, r.seq < limit)
    )
    return sorted(set(connection.execute(query.distinct()).scalars()))


def shards_of_sources(connection: Connection, sources: Iterable[tuple[str, str]]) -> list[str]:
    """The shards in splits of datasets."""
    p, found = t.dataset_parts.c, set[str]()
    for dataset, split in sources:
        found.update(connection.execute(select(p.shard).where(p.dataset == dataset, p.split == split).distinct()).scalars())
    return sorted(found)


@dataclass(frozen=True, slots=True)
class Learner:
    """What the engine asks about a student, whatever it learns from: its party and plan, its weights, the rulings on it."""

    ref: str
    owner: str
    domicile: str | None
    revenue: Band | None
    stated: ReleasePlan
    bases: tuple[Base, ...]
    rulings: tuple[Ruling, ...]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A use whose documents are named and not read yet."""

    use: Use
    terms: tuple[str, ...]


class Gathering:
    """Parts of questions, read from one snapshot as its first `size` entries say; what is read once is kept."""

    def __init__(self, connection: Connection, size: int | None = None) -> None:
        self.connection, self.size = connection, size
        self.limit = EVER if size is None else size
        self._documents: dict[str, Document] = {}
        self._routed: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}

    def question(self, learner: Learner, uses: tuple[Use, ...], used: str, actual: ReleasePlan | None = None) -> Question:
        """The question of a student about outputs; `actual` is what a release says in place of its plan."""
        return Question(learner.ref, self.plan(learner, actual), used, uses, learner.bases, learner.rulings)

    def plan(self, learner: Learner, actual: ReleasePlan | None = None) -> Plan:
        """The plan of a release, or what a release was."""
        return Plan(learner.owner, domicile=learner.domicile, revenue=learner.revenue, **stated_in(actual or learner.stated))

    def uses(self, shards: Iterable[str]) -> tuple[Use, ...]:
        """The uses of the models behind `shards` with their documents, and of the teachers of those that were students here."""
        drafts = list(self._drafts(shards, ()))
        self._load(ref for draft in drafts for ref in draft.terms)
        known = self._documents
        return tuple(replace(draft.use, documents=tuple(known[ref] for ref in draft.terms)) for draft in drafts)

    def learners(self, students: Iterable[str]) -> dict[str, Learner]:
        """What is asked about each of `students`."""
        wanted = list(dict.fromkeys(students))
        bodies = newest_bodies(self.connection, wanted, self.size)
        owners = self._owners(wanted)
        parties = newest_bodies(self.connection, owners.values(), self.size)
        ruled, revenue = self._rulings(wanted), self._revenue()
        found = {}
        for ref in wanted:
            owner = owners[ref]
            drafts = list(self._bases(ref, set()))
            self._load(each for _, _, _, terms in drafts for each in terms)
            bases = tuple(
                Base(model, name, tuple(self._documents[each] for each in terms), family) for model, name, family, terms in drafts
            )
            domicile = parties[owner][1].domicile.value_or("") or None
            found[ref] = Learner(
                ref, owner, domicile, revenue.get(owner), bodies[ref][1].release_plan, bases, tuple(ruled.get(ref, ()))
            )
        return found

    def _revenue(self) -> dict[str, Band | None]:
        """The band of revenue of each party that states one that can be compared."""
        c = t.things.c
        said = select(c.ref).where(c.kind == "operator", c.amends.is_(None), c.seq < self.limit)
        bodies = newest_bodies(self.connection, self.connection.execute(said).scalars(), self.size)
        stated = {body.party: body.revenue.known for _, body in bodies.values()}
        return {party: None if isinstance(known, UnsetType) else band_of(known.band) for party, known in stated.items()}

    def _load(self, terms: Iterable[str]) -> None:
        if missing := sorted(set(terms) - self._documents.keys()):
            self._documents.update({each.ref: each for each in documents(self.connection, missing, self.size)})

    # -- outputs -----------------------------------------------------------------------------------------------------------

    def _drafts(self, shards: Iterable[str], via: tuple[str, ...]) -> Iterator[_Draft]:
        """The uses of the models behind `shards`, and of the teachers of those that were students here."""
        made = self._made(shards)
        teachers = newest_bodies(self.connection, {teacher for each in made for teacher, _ in each.models}, self.size)
        called = names.names_of(self.connection, teachers, self.size)
        applying = gate.terms_of(self.connection, [ref for ref, _ in teachers.values()], self.limit)
        brought: dict[str, None] = {}
        for each in made:
            for teacher, role in each.models:
                ref, body = teachers[teacher]
                path = None if isinstance(body.access_path.known, UnsetType) else body.access_path.known.value
                use = Use(
                    teacher, called[teacher], body.party.value_or("") or None, path, (), each.generated, each.bound, each.bought,
                    role, via, each.acceptances,
                )  # fmt: skip
                behind = self._behind_router(ref, each.route) if path in ("router", None) or each.route else ()
                yield _Draft(use, tuple(dict.fromkeys([*applying[ref], *behind])))
                if isinstance(body.same_as_student, str) and body.same_as_student not in via:
                    brought[body.same_as_student] = None
        for student in brought:
            yield from self._drafts(shards_of(self.connection, student, self.size), (*via, student))

    def _made(self, shards: Iterable[str]) -> list[Circumstances]:
        """The distinct circumstances that the newest statements about `shards` say, in order of their first entries."""
        m, later = t.shard_makings.c, t.shard_makings.alias()
        corrected = select(later.c.ref).where(later.c.shard == m.shard, later.c.seq > m.seq, later.c.seq < self.limit)
        query = select(m.made, func.min(m.seq)).where(m.seq < self.limit, ~exists(corrected)).group_by(m.made)
        found: dict[str, int] = {}
        for chunk in chunks(sorted(set(shards))):
            for made, seq in self.connection.execute(query.where(m.shard.in_(chunk))):
                found[made] = min(seq, found.get(made, seq))
        return [read(made) for made in sorted(found, key=lambda made: found[made])]

    def _behind_router(self, teacher: str, route: tuple[str, ...]) -> tuple[str, ...]:
        """The documents of the provider's own API, which bind through a router too, and those of the routers on the way."""
        if (teacher, route) in self._routed:
            return self._routed[teacher, route]
        row = self.connection.execute(select(t.teachers).where(t.teachers.c.ref == teacher)).one()
        c = t.terms_scopes.c
        query = select(t.terms_scopes).where(c.party.in_([row.party, *route]), c.seq < self.limit).order_by(c.seq, c.position)
        found = []
        for scope in self.connection.execute(query):
            own = scope.party == row.party
            through = _Path(row.model, row.version, "api" if own else "router")
            if gate.applies(through, scope):
                found.append(scope.ref)
        self._routed[teacher, route] = tuple(dict.fromkeys(first_of(self.connection, found).values()))
        return self._routed[teacher, route]

    # -- the student -------------------------------------------------------------------------------------------------------

    def _owners(self, students: list[str]) -> dict[str, str]:
        c, found = t.things.c, dict[str, str]()
        for chunk in chunks(students):
            found.update((row.ref, row.owner) for row in self.connection.execute(select(c.ref, c.owner).where(c.ref.in_(chunk))))
        return found

    def _bases(self, student: str, seen: set[str]) -> Iterator[tuple[str, str, str | None, tuple[str, ...]]]:
        """(model, name, base family, documents) of the weights that a student starts from, through students of this registry."""
        seen.add(student)
        body: Student = newest(self.connection, student, self.size)[1]
        for origin in body.initialised_from:
            if origin.model.startswith("student:"):
                if origin.model not in seen:
                    yield from self._bases(origin.model, seen)
                continue
            ref, teacher = newest(self.connection, origin.model, self.size)
            stated = origin.terms.value_or("")
            terms = (stated,) if stated else tuple(gate.terms_of(self.connection, [ref], self.limit)[ref])
            called = names.names_of(self.connection, [origin.model], self.size)[origin.model]
            yield origin.model, called, teacher.base_family.value_or("") or None, terms
            same = teacher.same_as_student
            if isinstance(same, str) and same not in seen:
                yield from self._bases(same, seen)

    def _rulings(self, students: list[str]) -> dict[str, list[Ruling]]:
        """The rulings on each student and a document, oldest first."""
        d, other = t.decisions.c, t.decisions.alias()
        questions = (Asked.AUTHORISATION.value, Asked.EXCEPTION.value)
        found: dict[str, list[Ruling]] = {}
        for chunk in chunks(students):
            query = (
                select(d.ref, d.subject, d.ruling, d.starts, d.until, d.question, other.c.subject.label("terms"))
                .join(other, other.c.ref == d.ref)
                .where(d.subject.in_(chunk), other.c.subject.like("terms:%"), d.phase == "rule", d.question.in_(questions))
                .where(d.seq < self.limit)
                .order_by(d.seq)
            )
            for row in self.connection.execute(query):
                ruling = Ruling(row.ref, row.terms, row.ruling == "permit", row.starts, row.until, Asked(row.question))
                found.setdefault(row.subject, []).append(ruling)
        return found


@dataclass(frozen=True, slots=True)
class _Path:
    """A teacher as it is reached on some path."""

    model: str | None
    version: str | None
    access_path: str
