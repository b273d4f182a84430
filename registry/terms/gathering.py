"""From what is on record to the engine's question: teachers with their circumstances, documents, weights, rulings, the plan.

Shards that were made alike (same teacher, same time, same party) are one `Use`, so that a question grows with circumstances
and not with records. A teacher that is a student of this registry brings its own teachers along.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from msgspec import UnsetType
from sqlalchemy import Connection, select

from inbond.registry import gate, names
from inbond.registry import tables as t
from inbond.registry.current import EVER, first_of, newest, newest_of
from inbond.registry.given import chunks
from inbond.registry.terms.known import documents
from inbond.registry.terms.question import Base, Plan, Question, Ruling, Use
from inbond.schemas import canonical
from inbond.schemas.statements import CreatedBy, ReleasePlan, Shard, Student, Teacher
from inbond.schemas.statements import Question as Asked


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
    work = _Work(connection, size)
    body: Student = newest(connection, student, size)[1]
    drafts = list(work.drafts(shards, ()))
    bases = list(work.bases(student, set()))
    wanted = {ref for draft in drafts for ref in draft.terms} | {ref for _, _, _, terms in bases for ref in terms}
    known = {each.ref: each for each in documents(connection, sorted(wanted), size)}
    return Question(
        student,
        work.plan(student, actual or body.release_plan),
        used,
        tuple(replace(draft.use, documents=tuple(known[ref] for ref in draft.terms)) for draft in drafts),
        tuple(Base(model, name, tuple(known[ref] for ref in terms), family) for model, name, family, terms in bases),
        tuple(work.rulings(student, [*known])),
    )


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


@dataclass(frozen=True, slots=True)
class _Draft:
    """A use whose documents are named and not read yet."""

    use: Use
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Work:
    connection: Connection
    size: int | None

    @property
    def limit(self) -> int:
        return EVER if self.size is None else self.size

    # -- outputs -----------------------------------------------------------------------------------------------------------

    def drafts(self, shards: Iterable[str], via: tuple[str, ...]) -> Iterator[_Draft]:
        """The uses of the models behind `shards`, and of the teachers of those that were students here."""
        circumstances: dict[Any, None] = {}
        for owner, body in self._shards(shards):
            route = tuple(body.route.value_or(()))
            for model in body.models:
                if model.rows.value_or(1):
                    circumstances[(model.teacher, model.role, *_made(owner, body), route)] = None
        refs = {each[0] for each in circumstances}
        teachers = {ref: self._newest(ref) for ref in refs}
        called = names.names_of(self.connection, refs, self.size)
        applying = gate.terms_of(self.connection, [ref for ref, _ in teachers.values()], self.limit)
        for teacher, role, generated, bound, is_bought, route in circumstances:
            newest_ref, made = teachers[teacher]
            path = None if isinstance(made.access_path.known, UnsetType) else made.access_path.known.value
            party = made.party.value_or("") or None
            use = Use(teacher, called[teacher], party, path, (), generated, bound, is_bought, role.value, via)
            behind = self._behind_router(newest_ref, route) if path in ("router", None) or route else []
            yield _Draft(use, tuple(dict.fromkeys([*applying[newest_ref], *behind])))
            student = made.same_as_student
            if isinstance(student, str) and student not in via:
                yield from self.drafts(shards_of(self.connection, student, self.size), (*via, student))

    def _shards(self, shards: Iterable[str]) -> Iterator[tuple[str, Shard]]:
        """(owner, newest body) of each shard."""
        c = t.things.c
        for chunk in chunks(sorted(set(shards))):
            newest = list(newest_of(self.connection, chunk, self.size).values())
            for row in self.connection.execute(select(c.owner, c.body).where(c.ref.in_(newest)).order_by(c.seq)):
                yield row.owner, canonical.decode(bytes(row.body), Shard, what="a shard")

    def _newest(self, teacher: str) -> tuple[str, Teacher]:
        return newest(self.connection, teacher, self.size)

    def _behind_router(self, teacher: str, route: tuple[str, ...]) -> list[str]:
        """The documents of the provider's own API, which bind through a router too, and those of the routers on the way."""
        row = self.connection.execute(select(t.teachers).where(t.teachers.c.ref == teacher)).one()
        c = t.terms_scopes.c
        query = select(t.terms_scopes).where(c.party.in_([row.party, *route]), c.seq < self.limit).order_by(c.seq, c.position)
        found = []
        for scope in self.connection.execute(query):
            own = scope.party == row.party
            through = _Path(row.model, row.version, "api" if own else "router")
            if gate.applies(through, scope):
                found.append(scope.ref)
        return list(first_of(self.connection, found).values())

    # -- the student -------------------------------------------------------------------------------------------------------

    def plan(self, student: str, stated: ReleasePlan) -> Plan:
        """The plan of a release, or what a release was."""
        owner = names.owner_of(self.connection, student)
        values: dict[str, Any] = {}
        for name in ReleasePlan.__struct_fields__:
            fact = getattr(stated, name)
            values[name] = fact.known if fact.is_known else None
        domicile = newest(self.connection, owner, self.size)[1].domicile.value_or("") or None
        return Plan(owner, domicile=domicile, **values)

    def bases(self, student: str, seen: set[str]) -> Iterator[tuple[str, str, str | None, tuple[str, ...]]]:
        """(model, name, base family, documents) of the weights that a student starts from, through students of this registry."""
        seen.add(student)
        body: Student = newest(self.connection, student, self.size)[1]
        for origin in body.initialised_from:
            if origin.model.startswith("student:"):
                if origin.model not in seen:
                    yield from self.bases(origin.model, seen)
                continue
            ref, teacher = self._newest(origin.model)
            stated = origin.terms.value_or("")
            terms = (stated,) if stated else tuple(gate.terms_of(self.connection, [ref], self.limit)[ref])
            called = names.names_of(self.connection, [origin.model], self.size)[origin.model]
            yield origin.model, called, teacher.base_family.value_or("") or None, terms
            same = teacher.same_as_student
            if isinstance(same, str) and same not in seen:
                yield from self.bases(same, seen)

    def rulings(self, student: str, terms: list[str]) -> Iterator[Ruling]:
        """The rulings on a student and documents, oldest first."""
        d, other = t.decisions.c, t.decisions.alias()
        questions = (Asked.AUTHORISATION.value, Asked.EXCEPTION.value)
        for chunk in chunks(terms):
            query = (
                select(d.ref, d.ruling, d.starts, d.until, d.question, other.c.subject.label("terms"))
                .join(other, other.c.ref == d.ref)
                .where(d.subject == student, other.c.subject.in_(chunk), d.phase == "rule", d.question.in_(questions))
                .where(d.seq < self.limit)
                .order_by(d.seq)
            )
            for row in self.connection.execute(query):
                yield Ruling(row.ref, row.terms, row.ruling == "permit", row.starts, row.until, Asked(row.question))


@dataclass(frozen=True, slots=True)
class _Path:
    """A teacher as it is reached on some path."""

    model: str | None
    version: str | None
    access_path: str


def _made(owner: str, body: Shard) -> tuple[tuple[str, str] | None, str | None, bool]:
    """(when, by whom, whether they were bought) as a shard declares it."""
    stated = body.generated.known
    generated = None if isinstance(stated, UnsetType) else (stated.first, stated.last)
    by = body.created_by.value_or(CreatedBy.UNKNOWN)
    supplier = body.supplier.value_or("") or None
    bound = owner if by is CreatedBy.OPERATOR else supplier if by in (CreatedBy.CONTRACTOR, CreatedBy.THIRD_PARTY) else None
    return generated, bound, by is CreatedBy.THIRD_PARTY
