"""May this statement stand here? Existence, ownership, objects and policy, kind by kind.

Roles and signatures are settled before (signers.py). Everything here is a question about the entries so far and about
objects named by digest, so an audit gets the same answers. Objects belong to the party that made them: a statement about
somebody else's is refused.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, select

from inbond.ledger import dsse
from inbond.ledger.keys import PublicKey
from inbond.ledger.rules import Draft
from inbond.registry import gate
from inbond.registry import tables as t
from inbond.registry.lists import Lists, delivered_spans, layout_of
from inbond.registry.signers import authorised, requested
from inbond.registry.training.layout import ORDER
from inbond.schemas.declared import Declared
from inbond.schemas.errors import Conflict, InvalidInput, NotPermitted, PolicyDenied
from inbond.schemas.statement import split_ref
from inbond.schemas.statements import (
    REQUEST_TYPE,
    Basis,
    Consume,
    ConsumeState,
    Dataset,
    DecisionAsk,
    DecisionRule,
    Delivery,
    Grant,
    GrantMode,
    Question,
    Release,
    RunClose,
    RunOpen,
    Shard,
    ShardKind,
    Student,
    Teacher,
    Terms,
    Verdict,
)

_REF = re.compile(r"[a-z][a-z_]{0,31}:[0-9a-f]{32}")

Check = Callable[[Connection, Draft, Any, Lists], None]


def admit(connection: Connection, draft: Draft, lists: Lists) -> None:
    """Raise the InbondError that keeps `draft` out; return if it may stand."""
    if draft.kind == "genesis":
        return
    if draft.kind not in _CHECKS:
        raise InvalidInput(f"{draft.kind} statements have no flow in this version: expected one of {', '.join(sorted(_CHECKS))}")
    owner = draft.signers[0].party if draft.kind == "key" else authorised(draft).party
    _check_references(connection, draft)
    _check_word(draft, owner)
    _check_amends(connection, draft, owner)
    for digest in named_objects(draft.body):
        lists.expect(digest, draft.kind)
    _CHECKS[draft.kind](connection, draft, owner, lists)


def references(value: Any) -> set[str]:
    """Every reference inside a statement's body or header."""
    found: set[str] = set()
    stack = [msgspec.to_builtins(value)]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            stack.extend(item)
        elif isinstance(item, str) and _REF.fullmatch(item):
            found.add(item)
    return found


def named_objects(body: Any) -> list[str]:
    """The digests of objects that must be in the store before a statement that names them may stand."""
    if isinstance(body, Terms):
        return [body.text]
    if isinstance(body, Shard):
        return [body.file, body.inputs.digest, body.derived_from.digest]
    if isinstance(body, Dataset):
        return [body.parts.digest]
    if isinstance(body, Grant):
        return [body.parts.digest, body.reasons.digest, body.obligations.digest]
    if isinstance(body, RunClose):
        return [body.inputs.digest]
    if isinstance(body, Release):
        return [body.obligations.digest]
    return []


def _check_references(connection: Connection, draft: Draft) -> None:
    wanted = references((draft.body, draft.statement.header))
    if not wanted:
        return
    query = select(t.things.c.ref).where(t.things.c.ref.in_(wanted))
    missing = wanted - set(connection.execute(query).scalars())
    if missing:
        raise InvalidInput(f"{draft.kind} statement: expected things that exist, found {', '.join(sorted(missing))}")


def _check_word(draft: Draft, owner: str) -> None:
    """Nobody puts observed words into another's mouth."""
    header = draft.statement.header
    _expect_kind(header.asserted_by.party, "party")
    if header.asserted_by.party != owner and header.basis is not Basis.ALLEGED:
        raise NotPermitted(
            f"{draft.kind} statement: expected asserted_by {owner}, the signer's party, or basis alleged, "
            f"found {header.asserted_by.party} with basis {header.basis.value}"
        )


def _check_amends(connection: Connection, draft: Draft, owner: str) -> None:
    amends = draft.statement.header.amends
    if isinstance(amends, UnsetType):
        return
    if split_ref(amends)[0] != draft.kind:
        raise InvalidInput(f"{draft.kind} statement: expected to amend a {draft.kind}, found {amends}")
    _check_owner(connection, amends, owner)


def _check_owner(connection: Connection, ref: str, owner: str) -> None:
    found = connection.execute(select(t.things.c.owner).where(t.things.c.ref == ref)).scalar_one()
    if found != owner:
        raise NotPermitted(f"{ref} belongs to {found}: expected a signature of that party, found one of {owner}")


def _expect_kind(ref: str, *kinds: str) -> None:
    if split_ref(ref)[0] not in kinds:
        raise InvalidInput(f"expected a reference to a {' or '.join(kinds)}, found {ref}")


def _anything(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """Nothing beyond what holds for every kind."""


def _expect_known_kind(fact: Declared[str], *kinds: str) -> None:
    if not isinstance(fact.known, UnsetType):
        _expect_kind(fact.known, *kinds)


def _key(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    _expect_kind(draft.body.party, "party")


def _terms(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    _expect_kind(draft.body.party, "party")


def _teacher(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    body: Teacher = draft.body
    _expect_known_kind(body.party, "party")
    for ancestor in body.ancestry.value_or(()):
        _expect_kind(ancestor.model, "teacher", "student")
    if not isinstance(body.same_as_student, UnsetType):
        _expect_kind(body.same_as_student, "student")
        _check_owner(connection, body.same_as_student, owner)


def _shard(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    body: Shard = draft.body
    if body.kind is not ShardKind.TEXT:
        raise InvalidInput(f"{body.kind.value} shards have no flow in this version: expected kind text")
    _expect_known_kind(body.supplier, "party")
    for model in body.models:
        _expect_kind(model.teacher, "teacher")
    lists.expect_size(body.file, body.size)
    lists.inputs(body.inputs)  # read now, so that what cannot be read never stands
    _check_derived(connection, body, lists)
    query = select(t.shards.c.ref).where(t.shards.c.import_identity == body.import_identity, t.shards.c.ordinal == body.ordinal)
    found = connection.execute(query).scalar_one_or_none()
    if found is not None:
        raise Conflict(
            f"shard {body.ordinal} of import {body.import_identity[:23]} is on record as {found}",
            hint="another process imports the same files: repeat the command when it has ended, nothing will be doubled",
        )


def _check_derived(connection: Connection, body: Shard, lists: Lists) -> None:
    """What a shard was made from does not lose its teachers: the gate and lineage ask the shard's own models."""
    lines = lists.derived(body.derived_from)
    rows = _rows_of(connection, {line.shard for line in lines})
    for line in lines:
        if line.rows[-1][1] > rows[line.shard]:
            raise InvalidInput(
                f"derived_from: expected rows within [0, {rows[line.shard]}) of {line.shard}, found {line.rows[-1]}"
            )
    named = {model.teacher for model in body.models}
    e = t.edges.c
    for source in sorted(rows):
        query = select(e.dst).where(e.src == source, e.relation.like("model:%"))
        if missing := set(connection.execute(query).scalars()) - named:
            raise InvalidInput(f"shard made from {source}: expected its models too, found none of {', '.join(sorted(missing))}")


def _dataset(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    body: Dataset = draft.body
    parts = lists.parts(body.parts)
    if not parts:
        raise InvalidInput(f"dataset {body.name}@{body.version}: expected at least one part, found none")
    rows = _rows_of(connection, {part.shard for part in parts})
    splits: dict[str, int] = {}
    for part in parts:
        if part.rows[-1][1] > rows[part.shard]:
            raise InvalidInput(
                f"dataset part: expected rows within [0, {rows[part.shard]}) of {part.shard}, found {part.rows[-1]}"
            )
        splits[part.split] = splits.get(part.split, 0) + part.count
    found = {"shards": len(rows), "rows": sum(splits.values()), "splits": splits}
    stated = {"shards": body.counts.shards, "rows": body.counts.rows, "splits": body.counts.splits}
    if found != stated:
        raise InvalidInput(f"dataset {body.name}@{body.version}: expected counts {found} as its parts say, found {stated}")
    taken = select(t.datasets.c.ref).where(
        t.datasets.c.owner == owner, t.datasets.c.name == body.name, t.datasets.c.version == body.version
    )
    if (other := connection.execute(taken).scalar_one_or_none()) is not None:
        raise Conflict(f"dataset {body.name}@{body.version} is on record as {other}: expected a new version")
    if not isinstance(body.previous, UnsetType):
        _expect_kind(body.previous, "dataset")
        _check_owner(connection, body.previous, owner)


def _rows_of(connection: Connection, shards: set[str]) -> dict[str, int]:
    listed, rows = sorted(shards), {}
    for start in range(0, len(listed), 500):
        query = select(t.shards.c.ref, t.shards.c.rows).where(t.shards.c.ref.in_(listed[start : start + 500]))
        rows.update({row.ref: row.rows for row in connection.execute(query)})
    if missing := shards - rows.keys():
        raise InvalidInput(f"expected shards that are on record, found {', '.join(sorted(missing)[:3])}")
    return rows


def _student(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    body: Student = draft.body
    for origin in body.initialised_from:
        _expect_kind(origin.model, "teacher", "student")
    taken = select(t.things.c.ref).where(
        t.things.c.kind == "student", t.things.c.owner == owner, t.things.c.name == f"{body.id}@{body.version}"
    )
    if draft.statement.header.amends is UNSET and (other := connection.execute(taken).scalar()) is not None:
        raise Conflict(f"student {body.id}@{body.version} is on record as {other}: expected a new version")


def _run(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    body: RunOpen | RunClose = draft.body
    _expect_kind(body.student, "student")
    _check_owner(connection, body.student, owner)
    if isinstance(body, RunClose):
        run = _open_run(connection, body.run)
        if run.student != body.student:
            raise InvalidInput(f"{body.run}: expected student {run.student}, found {body.student}")
        return
    if body.plan.order != ORDER:
        raise InvalidInput(f"run plan: expected order {ORDER}, found {body.plan.order}")
    for source in body.plan.sources:
        _expect_kind(source.dataset, "dataset")
        if source.weight != "1":
            raise InvalidInput(f"run plan: order {ORDER} reads each source once: expected weight 1, found {source.weight}")
    if not layout_of(connection, body.plan.sources).length:
        raise InvalidInput("run plan: expected at least one row in the splits it names, found none")
    taken = select(t.runs.c.ref).where(t.runs.c.student == body.student, t.runs.c.name == body.name)
    if (other := connection.execute(taken).scalar_one_or_none()) is not None:
        raise Conflict(f"a run called {body.name} of this student is on record as {other}: expected another name")


def _open_run(connection: Connection, ref: str) -> Any:
    _expect_kind(ref, "run")
    run = connection.execute(select(t.runs).where(t.runs.c.ref == ref)).one_or_none()
    if run is None:
        raise InvalidInput(f"expected the statement that opened a run, found {ref}")
    if run.closed is not None:
        raise Conflict(f"{ref} was closed by entry {run.closed}: expected an open run")
    return run


def _grant(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    body: Grant = draft.body
    run = _open_run(connection, body.run)
    public = PublicKey.from_base64(run.public_key)
    dsse.verify(body.request, lambda keyid: public if keyid == run.keyid else None, REQUEST_TYPE)
    request = requested(body.request)
    stated = (request.registry, request.run, request.columns, request.mode, request.parts)
    expected = (draft.statement.header.registry, body.run, body.columns, body.mode, body.parts)
    if stated != expected:
        raise InvalidInput(
            f"grant: expected the registry, run, columns, mode and parts of its request {expected}, found {stated}"
        )
    if body.plan != run.plan or body.student != run.student or body.principal != run.owner:
        raise InvalidInput(f"grant: expected plan, student and principal of {body.run}, found others")
    if connection.execute(select(t.grants.c.ref).where(t.grants.c.request == request.id)).first() is not None:
        raise Conflict(f"request {request.id} has been granted before: a request serves once")
    parts = lists.parts(body.parts)
    allowed = lists.layout(connection, body.run)
    if [(p.shard, *rows, p.split) for p in parts for rows in p.rows] != [
        (s.shard, s.first, s.last, s.split) for s in allowed.spans
    ]:
        raise InvalidInput(f"grant: expected the parts of the plan of {body.run}, found others")
    if body.evaluated.rules != gate.RULES_DIGEST:
        raise InvalidInput(f"grant: expected rules {gate.RULES_DIGEST}, found {body.evaluated.rules}")
    found = gate.evaluate(connection, body.student, [part.shard for part in parts], draft.time)
    if found.verdict is not Verdict.PERMITTED:
        raise PolicyDenied("; ".join(reason.text for reason in found.reasons if reason.verdict is not Verdict.PERMITTED))
    if body.verdict is not found.verdict or body.decisions != found.decisions:
        raise InvalidInput(f"grant: expected verdict {found.verdict.value} by {found.decisions}, found {body.verdict.value}")


def _consume(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    body: Consume = draft.body
    _open_run(connection, body.run)
    _check_sequence(connection, body)
    length = lists.layout(connection, body.run).length
    if body.last > length or body.rows + body.dropped != body.last - body.first:
        raise InvalidInput(
            f"consume: expected samples within [0, {length}) and rows + dropped of {body.last - body.first}, "
            f"found [{body.first}, {body.last}), {body.rows} and {body.dropped}"
        )
    if isinstance(body.grant, UnsetType):
        if body.state not in (ConsumeState.RETROSPECTIVE, ConsumeState.CLAIMED):
            raise PolicyDenied(f"consume without a grant: expected state retrospective or claimed, found {body.state.value}")
        return
    _expect_kind(body.grant, "grant")
    grant = connection.execute(select(t.grants).where(t.grants.c.ref == body.grant)).one()
    if grant.run != body.run:
        raise NotPermitted(f"{body.grant} was given to {grant.run}: expected a grant of {body.run}")
    if body.state is ConsumeState.DELIVERED:
        _check_in_force(grant, draft)
        _check_still_permitted(connection, draft, grant, lists)


def _check_still_permitted(connection: Connection, draft: Draft, grant: Any, lists: Lists) -> None:
    """A grant ends with the permission it rests on: a refusal stops a running pull at its next segment."""
    found = gate.evaluate_teachers(connection, grant.student, lists.teachers(connection, grant.run), draft.time)
    if found.verdict is not Verdict.PERMITTED:
        shut = "; ".join(reason.text for reason in found.reasons if reason.verdict is not Verdict.PERMITTED)
        raise PolicyDenied(f"{grant.ref} is no longer permitted: {shut}", hint="inbond check DATASET --student STUDENT")


def _check_in_force(grant: Any, draft: Draft) -> None:
    if draft.time[: len(grant.expires)] > grant.expires:
        raise PolicyDenied(
            f"{grant.ref} expired at {grant.expires}: expected a grant in force", hint="pull again for a new grant"
        )


def _check_sequence(connection: Connection, body: Consume) -> None:
    c = t.consumptions.c
    newest = connection.execute(select(c.ref, c.sequence).where(c.run == body.run).order_by(c.sequence.desc()).limit(1)).first()
    sequence, previous = (0, UNSET) if newest is None else (newest.sequence + 1, newest.ref)
    if body.sequence != sequence or body.previous != previous:
        raise Conflict(
            f"consume: expected segment {sequence} of {body.run} after {previous or 'none'}, "
            f"found segment {body.sequence} after {body.previous or 'none'}: another process may be pulling for this run"
        )


def _delivery(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    body: Delivery = draft.body
    _expect_kind(body.object, "dataset", "shard")
    _expect_known_kind(body.recipient, "party")
    if isinstance(body.grant, UnsetType):
        return
    _expect_kind(body.grant, "grant")
    grant = connection.execute(select(t.grants).where(t.grants.c.ref == body.grant)).one()
    if grant.mode != GrantMode.EXPORT.value:
        raise NotPermitted(f"{body.grant} is for a stream: expected a grant of mode export for a delivery")
    _open_run(connection, grant.run)
    _check_in_force(grant, draft)
    _check_still_permitted(connection, draft, grant, lists)
    allowed = {span.shard for span in lists.layout(connection, grant.run).spans}
    if beyond := {span.shard for span in delivered_spans(connection, body.object)} - allowed:
        raise NotPermitted(
            f"{body.grant} does not cover {min(beyond)} of {body.object}: expected what the plan of {grant.run} reads"
        )


def _release(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    body: Release = draft.body
    _expect_kind(body.student, "student")
    _check_owner(connection, body.student, owner)
    for item in body.runs:
        run = connection.execute(select(t.runs).where(t.runs.c.ref == item.run)).one_or_none()
        if run is None or run.student != body.student:
            raise InvalidInput(f"release: expected runs of {body.student}, found {item.run}")
    for merged in body.merged_from:
        _expect_kind(merged, "release", "student", "teacher")


def _decision(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    body: DecisionAsk | DecisionRule = draft.body
    if isinstance(body, DecisionAsk):
        return
    ask = body.ask
    rows = connection.execute(select(t.decisions).where(t.decisions.c.ref == ask, t.decisions.c.phase == "ask")).all()
    if not rows:
        raise InvalidInput(f"decision: expected a ruling on an ask, found {ask}")
    if {row.subject for row in rows} != set(body.subjects) or rows[0].question != body.question.value:
        raise InvalidInput(f"decision: expected the question and subjects of {ask}, found others")
    if set(rows[0].signers.split()) & {signer.keyid for signer in draft.signers}:
        raise NotPermitted("decision: expected a ruling by another key than the one that asked, found the same key")
    seen = draft.statement.header.seen
    if seen is None or int(seen.size) <= rows[0].seq:
        raise NotPermitted(
            f"decision: expected a ruling whose signer had seen the ask (entry {rows[0].seq}), found an older view"
        )
    if body.question is Question.AUTHORISATION:
        _check_competence(connection, body.subjects, owner)


def _check_competence(connection: Connection, subjects: tuple[str, ...], owner: str) -> None:
    """Whoever rules on an authorisation answers for every student it is about, or recorded every document it is about."""
    for kind in ("student", "terms"):
        about = [ref for ref in subjects if split_ref(ref)[0] == kind]
        query = select(t.things.c.owner).where(t.things.c.ref.in_(about)).distinct()
        if about and set(connection.execute(query).scalars()) == {owner}:
            return
    raise NotPermitted(
        f"decision: expected a ruling by the party of the student, or by the party that recorded the terms, found {owner}"
    )


_CHECKS: dict[str, Callable[[Connection, Draft, str, Lists], None]] = {
    "key": _key,
    "party": _anything,
    "source": _anything,
    "terms": _terms,
    "teacher": _teacher,
    "shard": _shard,
    "dataset": _dataset,
    "student": _student,
    "run": _run,
    "grant": _grant,
    "consume": _consume,
    "delivery": _delivery,
    "release": _release,
    "decision": _decision,
}
