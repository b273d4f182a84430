"""Lists of what is on record, newest last: what `list` commands and pages show. Queries over the catalogue, no rules."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, func, select

from inbond.ledger.keys import PublicKey, read_key
from inbond.registry import tables as t
from inbond.registry.gate import applicable_terms
from inbond.registry.opened import OpenRegistry
from inbond.schemas.errors import InbondError


@dataclass(frozen=True, slots=True)
class ListedParty:
    """A party; `teachers` counts those it provides."""

    ref: str
    name: str
    entry: int
    teachers: int


@dataclass(frozen=True, slots=True)
class ListedTeacher:
    """A teacher; `access_path` is None where it is not known, `terms` names the documents that apply to it."""

    ref: str
    name: str
    entry: int
    party: str | None
    access_path: str | None
    same_as: str | None
    shards: int
    records: int
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListedTerms:
    """A document of terms with the models and paths that it applies to."""

    ref: str
    name: str
    entry: int
    party: str
    models: tuple[str, ...]
    access_paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListedDataset:
    """A dataset version."""

    ref: str
    name: str
    entry: int
    records: int
    shards: int
    teachers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListedStudent:
    """A student; `releases` counts releases of its weights."""

    ref: str
    name: str
    entry: int
    runs: int
    releases: int


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run; `outcome` is None while it is open. `samples` counts what segments delivered, repeats in later epochs too.

    `delivered` says that whole datasets were delivered to it, beside segments or without any.
    """

    ref: str
    name: str
    entry: int
    student: str
    datasets: tuple[str, ...]
    segments: int
    samples: int
    outcome: str | None
    delivered: bool


@dataclass(frozen=True, slots=True)
class ListedDecision:
    """A question to compliance about `subjects`; `ruling` is None while nobody has ruled."""

    ref: str
    entry: int
    subjects: tuple[str, ...]
    ruling: str | None
    ruled_by: str | None
    until: str | None


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key of this log. `file` is where its private half lies, None when it is not at hand; `revoked` an entry."""

    fingerprint: str
    roles: tuple[str, ...]
    party: str
    entry: int
    revoked: int | None
    file: str | None


def parties(registry: OpenRegistry) -> list[ListedParty]:
    """Every party."""
    count = select(func.count()).where(t.teachers.c.party == t.things.c.ref).scalar_subquery()
    with registry.reading() as reader:
        rows = reader.connection.execute(_things("party", count.label("teachers")))
        return [ListedParty(row.ref, row.name or "", row.seq, row.teachers) for row in rows]


def teachers(registry: OpenRegistry) -> list[ListedTeacher]:
    """Every teacher."""
    e, s = t.edges.c, t.shards.c
    with registry.reading() as reader:
        connection = reader.connection
        made = (
            select(e.dst, func.count().label("shards"), func.sum(s.rows).label("rows"))
            .join(t.shards, s.ref == e.src)
            .where(e.relation.like("model:%"))
            .group_by(e.dst)
        )
        counts = {row.dst: (row.shards, int(row.rows)) for row in connection.execute(made)}
        rows = connection.execute(select(t.teachers).order_by(t.teachers.c.seq)).all()
        terms = {row.ref: applicable_terms(connection, row.ref) for row in rows}
        called = names_of(connection, [ref for row in rows for ref in (row.ref, row.party, row.same_as, *terms[row.ref])])
        return [
            ListedTeacher(
                row.ref,
                called[row.ref],
                row.seq,
                called.get(row.party),
                row.access_path,
                called.get(row.same_as),
                *counts.get(row.ref, (0, 0)),
                tuple(called[ref] for ref in terms[row.ref]),
            )
            for row in rows
        ]


def terms(registry: OpenRegistry) -> list[ListedTerms]:
    """Every document of terms."""
    with registry.reading() as reader:
        connection = reader.connection
        scopes: dict[str, list[Any]] = {}
        for row in connection.execute(select(t.terms_scopes).order_by(t.terms_scopes.c.seq, t.terms_scopes.c.position)):
            scopes.setdefault(row.ref, []).append(row)
        called = names_of(connection, [ref for own in scopes.values() for row in own for ref in (row.ref, row.party)])
        return [
            ListedTerms(
                ref,
                called[ref],
                own[0].seq,
                called[own[0].party],
                _distinct(row.models for row in own),
                _distinct(row.access_path for row in own),
            )
            for ref, own in scopes.items()
        ]


def datasets(registry: OpenRegistry) -> list[ListedDataset]:
    """Every dataset version."""
    d, p, e = t.datasets.c, t.dataset_parts.c, t.edges.c
    with registry.reading() as reader:
        connection = reader.connection
        shards = select(p.dataset, func.count(p.shard.distinct()).label("shards")).group_by(p.dataset)
        counts = {row.dataset: row.shards for row in connection.execute(shards)}
        made = (
            select(p.dataset, e.dst)
            .join_from(t.dataset_parts, t.edges, and_(e.src == p.shard, e.relation.like("model:%")))
            .distinct()
            .order_by(p.dataset, e.dst)
        )
        by: dict[str, list[str]] = {}
        for row in connection.execute(made):
            by.setdefault(row.dataset, []).append(row.dst)
        called = names_of(connection, [ref for found in by.values() for ref in found])
        return [
            ListedDataset(
                row.ref, f"{row.name}@{row.version}", row.seq, row.rows, counts.get(row.ref, 0),
                tuple(called[ref] for ref in by.get(row.ref, ())),
            )
            for row in connection.execute(select(t.datasets).order_by(d.seq))
        ]  # fmt: skip


def students(registry: OpenRegistry) -> list[ListedStudent]:
    """Every student."""
    runs = select(func.count()).where(t.runs.c.student == t.things.c.ref).scalar_subquery()
    with registry.reading() as reader:
        connection = reader.connection
        released = connection.execute(select(t.things.c.body).where(t.things.c.kind == "release")).scalars()
        counts = Counter(msgspec.json.decode(bytes(body), type=_OfStudent).student for body in released)
        rows = connection.execute(_things("student", runs.label("runs")))
        return [ListedStudent(row.ref, row.name, row.seq, row.runs, counts[row.ref]) for row in rows]


def runs(registry: OpenRegistry, ref: str | None = None) -> list[ListedRun]:
    """Every run, or the one that `ref` names."""
    r, c, s, x = t.runs.c, t.consumptions.c, t.run_sources.c, t.exposures.c
    wanted = [] if ref is None else [r.ref == ref]
    with registry.reading() as reader:
        connection = reader.connection
        read = select(c.run, func.count().label("segments"), func.sum(c.rows).label("samples")).group_by(c.run)
        counts = {row.run: (row.segments, int(row.samples)) for row in connection.execute(read)}
        handed = select(x.run).where(x.by >= "delivery:", x.by < "delivery;").distinct()  # in the order of the primary key
        delivered = set(connection.execute(handed).scalars())
        sources: dict[str, list[str]] = {}
        for row in connection.execute(select(s.run, s.dataset).order_by(s.run, s.position)):
            sources.setdefault(row.run, []).append(row.dataset)
        rows = connection.execute(select(t.runs).where(*wanted).order_by(r.seq)).all()
        called = names_of(connection, [x for row in rows for x in (row.student, *sources.get(row.ref, ()))])
        return [
            ListedRun(
                row.ref,
                row.name,
                row.seq,
                called[row.student],
                tuple(called[dataset] for dataset in sources.get(row.ref, ())),
                *counts.get(row.ref, (0, 0)),
                row.outcome,
                row.ref in delivered,
            )
            for row in rows
        ]


def decisions(registry: OpenRegistry) -> list[ListedDecision]:
    """Every question to compliance with its newest ruling, those that are open first."""
    d = t.decisions.c
    with registry.reading() as reader:
        connection = reader.connection
        rows = connection.execute(select(t.decisions).order_by(d.seq, d.subject)).all()
        called = names_of(connection, [row.subject for row in rows])
    rulings = {row.ask: row for row in rows if row.phase == "rule"}
    subjects: dict[str, list[str]] = {}
    for row in rows:
        if row.phase == "ask":
            subjects.setdefault(row.ref, []).append(called[row.subject])
    listed = []
    for row in {row.ref: row for row in rows if row.phase == "ask"}.values():
        ruled = rulings.get(row.ref)
        until = (ruled or row).until
        listed.append(
            ListedDecision(
                row.ref, row.seq, tuple(subjects[row.ref]), ruled.ruling if ruled else None, ruled.ref if ruled else None, until
            )
        )
    return sorted(listed, key=lambda item: (item.ruling is not None, item.entry))


def keys(registry: OpenRegistry) -> list[ListedKey]:
    """Every key that the log knows, but for the keys of runs; log keys last."""
    files: dict[str, str] = {}
    for path in sorted(registry.keys.folder.glob("*.key")):
        try:
            files[read_key(path).public.fingerprint] = str(path)
        except InbondError:
            continue  # `inbond doctor` and `inbond verify` say what is wrong with it
    with registry.reading() as reader:
        states = registry.log.keyring.keys
        called = names_of(reader.connection, [state.party for state in states.values()])
    listed = [
        ListedKey(
            keyid, tuple(sorted(state.roles)), called.get(state.party, state.party), state.since, state.revoked, files.get(keyid)
        )
        for keyid, state in states.items()
    ]
    operator = called.get(registry.operator, registry.operator)
    for key in registry.log.keyring.log_keys:
        keyid = PublicKey(key.public).fingerprint
        listed.append(ListedKey(keyid, ("log",), operator, 0, None, files.get(keyid)))
    return listed


def names_of(connection: Connection, refs: Iterable[str | None]) -> dict[str, str]:
    """What people call each reference, itself where it has no name."""
    wanted = sorted({ref for ref in refs if ref})
    found = {ref: ref for ref in wanted}
    for start in range(0, len(wanted), 500):
        query = select(t.things.c.ref, t.things.c.name).where(t.things.c.ref.in_(wanted[start : start + 500]))
        found.update({row.ref: row.name for row in connection.execute(query) if row.name})
    return found


class _OfStudent(msgspec.Struct):
    """What a release is counted by."""

    student: str


def _things(kind: str, *more: Any) -> Any:
    c = t.things.c
    return select(c.ref, c.name, c.seq, *more).where(c.kind == kind).order_by(c.seq)


def _distinct(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))
