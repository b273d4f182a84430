"""Rows of the catalogue as the items of lists (`listing`): what is counted is counted for these items alone.

A thing that was corrected stands in its list once, under the statement that made it, with the facts of the newest.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, func, select

from inbond.ledger.encoding import to_base64
from inbond.ledger.keyring import Keyring
from inbond.ledger.logkeys import fingerprint_of
from inbond.registry import tables as t
from inbond.registry.current import newest_of
from inbond.registry.gate import applicable_terms
from inbond.registry.listing import (
    ListedAcceptance,
    ListedDataset,
    ListedDecision,
    ListedFact,
    ListedKey,
    ListedOperator,
    ListedParty,
    ListedRun,
    ListedShard,
    ListedSource,
    ListedStudent,
    ListedTeacher,
    ListedTerms,
)
from inbond.registry.names import names_of
from inbond.registry.terms.known import versions
from inbond.schemas.statements import Key

PARTS_LOOKED_AT = 500
"""Of how many parts of a dataset version a list says the teachers; lineage says them all."""

SHARDS_ADDED_UP = 10_000
"""The most shards of a teacher whose records a list adds up."""

Rows = Sequence[Any]
"""Rows with ref, seq and owner, and what else their list selects."""

Items = Callable[[Connection, Rows], Iterable[Any]]
Earlier = Callable[[Connection, Rows, int | None], Iterable[Any]]
"""As `Items`, of things as the first so many entries say (all: None)."""


def plain(what: type, *columns: str) -> Items:
    """What makes items of `what`: their entry, their owner, and the columns that are called as fields are."""

    def made(_: Connection, rows: Rows) -> Iterable[Any]:
        for row in rows:
            yield what(ref=row.ref, entry=row.seq, owner=row.owner, **{name: getattr(row, name) for name in columns})

    return made


def parties(connection: Connection, rows: Rows) -> Iterable[ListedParty]:
    """Parties; rows have `teachers`."""
    called = names_of(connection, [row.ref for row in rows])
    return (ListedParty(row.ref, _name(called, row.ref), row.seq, row.owner, row.teachers) for row in rows)


def teachers(connection: Connection, rows: Rows) -> Iterable[ListedTeacher]:
    """Teachers, with the facts of their newest statements."""
    e, s, c = t.edges.c, t.shards.c, t.teachers.c
    refs = [row.ref for row in rows]
    called, newest = names_of(connection, refs), newest_of(connection, refs)
    stated = {row.ref: row for row in connection.execute(select(t.teachers).where(c.ref.in_(newest.values())))}
    by = (e.dst.in_(refs), e.relation.like("model:%"))
    made = {
        row.dst: row.shards
        for row in connection.execute(select(e.dst, func.count(e.src.distinct()).label("shards")).where(*by).group_by(e.dst))
    }
    each = (
        select(e.dst, e.src)
        .where(*by, e.dst.in_([ref for ref, count in made.items() if count <= SHARDS_ADDED_UP]))
        .distinct()
        .subquery()
    )
    added = select(each.c.dst, func.sum(s.rows).label("rows")).join(t.shards, s.ref == each.c.src).group_by(each.c.dst)
    records = {row.dst: int(row.rows) for row in connection.execute(added)}
    for row in rows:
        now = stated[newest[row.ref]]
        yield ListedTeacher(
            row.ref, called[row.ref], row.seq, row.owner, now.party, now.access_path, now.same_as, made.get(row.ref, 0),
            records.get(row.ref, None if made.get(row.ref) else 0), tuple(applicable_terms(connection, now.ref)),
        )  # fmt: skip


def terms(connection: Connection, rows: Rows, size: int | None = None) -> Iterable[ListedTerms]:
    """Documents of terms, with what their newest statements among the first `size` entries apply to."""
    c = t.terms_scopes.c
    refs = [row.ref for row in rows]
    called, newest = names_of(connection, refs, size), newest_of(connection, refs, size)
    in_force = {each.ref: each for each in versions(connection, refs, size)}
    scopes: dict[str, list[Any]] = {}
    for scope in connection.execute(select(t.terms_scopes).where(c.ref.in_(newest.values())).order_by(c.ref, c.position)):
        scopes.setdefault(scope.ref, []).append(scope)
    for row in rows:
        own = scopes[newest[row.ref]]
        models, paths = _distinct(scope.models for scope in own), _distinct(scope.access_path for scope in own)
        spell = in_force[row.ref]
        yield ListedTerms(row.ref, called[row.ref], row.seq, row.owner, own[0].party, models, paths, spell.starts, spell.ends)


def readings(connection: Connection, rows: Rows, size: int | None = None) -> Iterable[ListedFact]:
    """Readings of clauses, as they were known when the log had `size` entries."""
    for row, now in _now(connection, t.terms_facts, rows, size):
        yield ListedFact(row.ref, row.seq, row.owner, now.terms, now.clause, now.scope, now.permits, now.grade)


def acceptances(connection: Connection, rows: Rows, size: int | None = None) -> Iterable[ListedAcceptance]:
    """Acceptances, as they were known when the log had `size` entries."""
    for row, now in _now(connection, t.acceptances, rows, size):
        yield ListedAcceptance(row.ref, row.seq, row.owner, now.terms, now.party, now.means, now.accepted, now.ended)


def _now(connection: Connection, table: Any, rows: Rows, size: int | None) -> Iterable[tuple[Any, Any]]:
    """Each row with that of the newest statement about the same thing, among the first `size` entries."""
    newest = newest_of(connection, [row.ref for row in rows], size)
    stated = {row.ref: row for row in connection.execute(select(table).where(table.c.ref.in_(newest.values())))}
    return ((row, stated[newest[row.ref]]) for row in rows)


class _Counts(msgspec.Struct):
    shards: int


class _Counted(msgspec.Struct):
    """What a dataset version says of its parts, checked when it was admitted."""

    counts: _Counts


def datasets(connection: Connection, rows: Rows) -> Iterable[ListedDataset]:
    """Dataset versions; rows have their table's columns, and `body`."""
    p, e = t.dataset_parts.c, t.edges.c
    refs = [row.ref for row in rows]
    made = (
        select(p.dataset, e.dst)
        .join_from(t.dataset_parts, t.edges, and_(e.src == p.shard, e.relation.like("model:%")))
        .where(p.dataset.in_(refs), p.position < PARTS_LOOKED_AT)
        .distinct()
        .order_by(p.dataset, e.dst)
    )
    by: dict[str, list[str]] = {}
    for found in connection.execute(made):
        by.setdefault(found.dataset, []).append(found.dst)
    long = set(connection.execute(select(p.dataset).where(p.dataset.in_(refs), p.position == PARTS_LOOKED_AT)).scalars())
    for row in rows:
        counts = msgspec.json.decode(bytes(row.body), type=_Counted).counts
        yield ListedDataset(
            row.ref, f"{row.name}@{row.version}", row.version, row.seq, row.owner, row.rows, counts.shards,
            tuple(by.get(row.ref, ())), row.ref not in long,
        )  # fmt: skip


def shards(connection: Connection, rows: Rows) -> Iterable[ListedShard]:
    """Shards; rows have their table's columns."""
    e = t.edges.c
    made: dict[str, list[str]] = {}
    query = select(e.src, e.dst).where(e.src.in_([row.ref for row in rows]), e.relation.like("model:%")).distinct()
    for found in connection.execute(query.order_by(e.src, e.dst)):
        made.setdefault(found.src, []).append(found.dst)
    for row in rows:
        yield ListedShard(
            row.ref, row.seq, row.owner, row.kind, row.rows, row.size, row.file, row.import_identity, row.ordinal,
            tuple(made.get(row.ref, ())),
        )  # fmt: skip


def students(connection: Connection, rows: Rows) -> Iterable[ListedStudent]:
    """Students; rows have `runs` and `releases`."""
    called = names_of(connection, [row.ref for row in rows])
    return (ListedStudent(row.ref, called[row.ref], row.seq, row.owner, row.runs, row.releases) for row in rows)


def runs(connection: Connection, rows: Rows) -> Iterable[ListedRun]:
    """Runs; rows have their table's columns."""
    c, s, g, d = t.consumptions.c, t.run_sources.c, t.grants.c, t.deliveries.c
    refs = [row.ref for row in rows]
    read = select(c.run, func.count().label("segments"), func.sum(c.rows).label("samples")).where(c.run.in_(refs)).group_by(c.run)
    counts = {row.run: (row.segments, int(row.samples)) for row in connection.execute(read)}
    handed = select(g.run).join(t.deliveries, d.grant == g.ref).where(g.run.in_(refs)).distinct()
    delivered = set(connection.execute(handed).scalars())
    sources: dict[str, list[str]] = {}
    for row in connection.execute(select(s.run, s.dataset).where(s.run.in_(refs)).order_by(s.run, s.position)):
        sources.setdefault(row.run, []).append(row.dataset)
    for row in rows:
        yield ListedRun(
            row.ref, row.name, row.seq, row.owner, row.student, row.stage, tuple(sources.get(row.ref, ())),
            *counts.get(row.ref, (0, 0)), row.outcome, row.ref in delivered,
        )  # fmt: skip


def decisions(connection: Connection, rows: Rows) -> Iterable[ListedDecision]:
    """Questions to compliance; rows have `question` and `until`."""
    d = t.decisions.c
    refs = [row.ref for row in rows]
    subjects: dict[str, list[str]] = {}
    for row in connection.execute(select(d.ref, d.subject).where(d.ref.in_(refs)).order_by(d.ref, d.subject)):
        subjects.setdefault(row.ref, []).append(row.subject)
    rulings = {row.ask: row for row in connection.execute(select(t.decisions).where(d.ask.in_(refs)).order_by(d.seq))}
    for row in rows:
        ruled = rulings.get(row.ref)
        yield ListedDecision(
            row.ref, row.seq, row.owner, row.question, tuple(subjects[row.ref]),
            ruled.ruling if ruled else None, ruled.ref if ruled else None, (ruled or row).until,
        )  # fmt: skip


class _Source(msgspec.Struct):
    category: str


def sources(connection: Connection, rows: Rows) -> Iterable[ListedSource]:
    """Sources of prompts."""
    called = names_of(connection, [row.ref for row in rows])
    stated = _stated(connection, rows, _Source)
    return (ListedSource(row.ref, called[row.ref], row.seq, row.owner, stated[row.ref].category) for row in rows)


class _Operator(msgspec.Struct):
    party: str


def operators(connection: Connection, rows: Rows) -> Iterable[ListedOperator]:
    """What the operator says of itself."""
    stated = _stated(connection, rows, _Operator)
    return (ListedOperator(row.ref, row.seq, row.owner, stated[row.ref].party) for row in rows)


def keys(connection: Connection, keyring: Keyring) -> Iterable[ListedKey]:
    """Every key that the log knows, but for the keys of runs; log keys last."""
    c = t.things.c
    about: dict[str, list[tuple[int, Key]]] = {}
    for row in connection.execute(select(c.seq, c.body).where(c.kind == "key").order_by(c.seq)):
        body = msgspec.json.decode(bytes(row.body), type=Key)
        about.setdefault(body.fingerprint, []).append((row.seq, body))
    operator = connection.execute(select(c.owner).where(c.kind == "genesis")).scalar_one()
    for fingerprint, state in keyring.keys.items():
        seqs = [seq for seq, _ in about.get(fingerprint, ())]
        entries = tuple(seqs if state.since else [0, *seqs])
        yield ListedKey(
            fingerprint, state.public.base64, tuple(sorted(state.roles)), state.party, state.since, entries, state.revoked,
            state.not_after, state.suspect_from,
        )  # fmt: skip
    for key in keyring.log_keys:
        fingerprint = fingerprint_of(key)
        stated = about.get(fingerprint, [])
        enrolled = next((seq for seq, body in stated if body.revocation is msgspec.UNSET), 0)
        ended = next((seq for seq, body in stated if body.revocation is not msgspec.UNSET), None)
        entries = tuple(sorted({enrolled, *(seq for seq, _ in stated)}))
        suspect = keyring.log.suspect.get(key)
        yield ListedKey(fingerprint, to_base64(key.public), ("log",), operator, enrolled, entries, ended, None, suspect)


def _stated(connection: Connection, rows: Rows, form: type[Any]) -> dict[str, Any]:
    """As much as `form` of the newest statement about each row's thing."""
    c = t.things.c
    newest = newest_of(connection, [row.ref for row in rows])
    query = select(c.ref, c.body).where(c.ref.in_(newest.values()))
    bodies = {row.ref: msgspec.json.decode(bytes(row.body), type=form) for row in connection.execute(query)}
    return {ref: bodies[at] for ref, at in newest.items()}


def _name(called: dict[str, str], ref: str) -> str:
    return "" if called[ref] == ref else called[ref]


def _distinct(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))
