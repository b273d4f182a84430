"""Admission of what is done with it: runs, grants, segments, deliveries, releases."""

from typing import Any

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, select

from inbond.ledger import dsse
from inbond.ledger.keys import PublicKey
from inbond.ledger.rules import Draft
from inbond.registry import gate
from inbond.registry import tables as t
from inbond.registry.admission.expectations import check_owner, expect_kind, expect_known_kind
from inbond.registry.current import newest
from inbond.registry.lists import Lists, delivered_spans, layout_of
from inbond.registry.signers import requested
from inbond.registry.terms import asking
from inbond.registry.terms.gathering import shards_of
from inbond.registry.training.layout import ORDER
from inbond.registry.withdrawn import withdrawn, withdrawn_since
from inbond.schemas.errors import Conflict, InvalidInput, NotPermitted, PolicyDenied
from inbond.schemas.statements import (
    REQUEST_TYPE,
    Consume,
    ConsumeState,
    Delivery,
    Extent,
    Grant,
    GrantMode,
    Release,
    RunClose,
    RunOpen,
)


def run(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """A run opens for a student of its party with a plan that can be read, or closes once."""
    body: RunOpen | RunClose = draft.body
    expect_kind(body.student, "student")
    check_owner(connection, body.student, owner)
    if isinstance(body, RunClose) and not isinstance(draft.statement.header.amends, UnsetType):
        before = newest(connection, draft.statement.header.amends)[1]
        if not isinstance(before, RunClose) or (before.run, before.outcome) != (body.run, body.outcome):
            raise InvalidInput(f"run: expected to correct how {body.run} was closed, found {draft.statement.header.amends}")
        return
    if isinstance(body, RunClose):
        run = _open_run(connection, body.run)
        if run.student != body.student:
            raise InvalidInput(f"{body.run}: expected student {run.student}, found {body.student}")
        return
    if body.plan.order != ORDER:
        raise InvalidInput(f"run plan: expected order {ORDER}, found {body.plan.order}")
    for source in body.plan.sources:
        expect_kind(source.dataset, "dataset")
        if source.weight != "1":
            raise InvalidInput(f"run plan: order {ORDER} reads each source once: expected weight 1, found {source.weight}")
    if not layout_of(connection, body.plan.sources).length:
        raise InvalidInput("run plan: expected at least one row in the splits it names, found none")
    taken = select(t.runs.c.ref).where(t.runs.c.student == body.student, t.runs.c.name == body.name)
    if (other := connection.execute(taken).scalar_one_or_none()) is not None:
        raise Conflict(f"a run called {body.name} of this student is on record as {other}: expected another name")


def _open_run(connection: Connection, ref: str) -> Any:
    expect_kind(ref, "run")
    run = connection.execute(select(t.runs).where(t.runs.c.ref == ref)).one_or_none()
    if run is None:
        raise InvalidInput(f"expected the statement that opened a run, found {ref}")
    if run.closed is not None:
        raise Conflict(f"{ref} was closed by entry {run.closed}: expected an open run")
    return run


def grant(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """A grant repeats its request and the run's plan, and the gate is open."""
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
    if body.evaluated.rules not in gate.KNOWN_RULES:
        raise InvalidInput(f"grant: expected rules {gate.RULES_DIGEST}, found {body.evaluated.rules}")
    found, owed = asking.evaluate(connection, body.student, lists.handed_out(connection, body.run, body.mode), draft.time)
    if found.verdict not in asking.OPEN:
        raise PolicyDenied(_shut(found))
    if body.verdict is not found.verdict or body.decisions != found.decisions:
        raise InvalidInput(f"grant: expected verdict {found.verdict.value} by {found.decisions}, found {body.verdict.value}")
    if lists.lines(body.obligations) != asking.lines(owed):
        raise InvalidInput(f"grant: expected the {len(owed)} obligations that the permission comes with, found others")


def consume(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """A segment follows the one before, lies in the plan, and has a grant in force that is still permitted."""
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
    expect_kind(body.grant, "grant")
    grant = connection.execute(select(t.grants).where(t.grants.c.ref == body.grant)).one()
    if grant.run != body.run:
        raise NotPermitted(f"{body.grant} was given to {grant.run}: expected a grant of {body.run}")
    if body.state is ConsumeState.DELIVERED:
        _check_in_force(grant, draft)
        _check_still_permitted(connection, draft, grant, lists)


def _check_still_permitted(connection: Connection, draft: Draft, grant: Any, lists: Lists) -> None:
    """A grant ends with the permission it rests on: a refusal or a recall stops a running pull at its next segment."""
    parts = lists.handed_out(connection, grant.run, GrantMode(grant.mode))
    about = f"{grant.run} {grant.mode}"
    found = lists.standing.ask(connection, about, grant.student, lambda: gate.shards_of(parts), draft.time)
    if found.verdict not in asking.OPEN:
        raise PolicyDenied(f"{grant.ref} is no longer permitted: {_shut(found)}", hint="inbond check DATASET --student STUDENT")
    gate.expect_not_withdrawn(withdrawn_since(connection, grant, parts, draft.time), f"{grant.ref} is no longer permitted")


def _shut(ruled: gate.Ruled) -> str:
    """What shuts the gate, each with the rule that does."""
    return "; ".join(f"{reason.text} ({reason.rule})" for reason in ruled.reasons if reason.verdict not in asking.OPEN)


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


def delivery(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """Bytes leave under a grant for export that covers them, or under none."""
    body: Delivery = draft.body
    expect_kind(body.object, "dataset", *(() if body.extent is Extent.ROWS else ("shard",)))
    expect_known_kind(body.recipient, "party")
    if not isinstance(body.grant, UnsetType):
        expect_kind(body.grant, "grant")
    spans = delivered_spans(connection, body)
    gate.expect_not_withdrawn(withdrawn(connection, spans, draft.time), f"{body.object} may not be delivered")
    if isinstance(body.grant, UnsetType):
        return
    grant = connection.execute(select(t.grants).where(t.grants.c.ref == body.grant)).one()
    wanted = GrantMode.ROWS if body.extent is Extent.ROWS else GrantMode.EXPORT
    if grant.mode != wanted.value:
        raise NotPermitted(f"{body.grant} is of mode {grant.mode}: expected one of mode {wanted.value} for this delivery")
    _open_run(connection, grant.run)
    _check_in_force(grant, draft)
    _check_still_permitted(connection, draft, grant, lists)
    if wanted is GrantMode.ROWS:
        if not spans:
            raise NotPermitted(f"{body.grant} does not cover {body.object}: expected what the plan of {grant.run} reads")
        return
    allowed = {span.shard for span in lists.layout(connection, grant.run).spans}
    if beyond := {span.shard for span in spans} - allowed:
        raise NotPermitted(
            f"{body.grant} does not cover {min(beyond)} of {body.object}: expected what the plan of {grant.run} reads"
        )


def release(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """A release names runs of its student; verdict and obligations that it carries are the gate's, in nobody's way here."""
    body: Release = draft.body
    expect_kind(body.student, "student")
    check_owner(connection, body.student, owner)
    for item in body.runs:
        run = connection.execute(select(t.runs).where(t.runs.c.ref == item.run)).one_or_none()
        if run is None or run.student != body.student:
            raise InvalidInput(f"release: expected runs of {body.student}, found {item.run}")
    for merged in body.merged_from:
        expect_kind(merged, "release", "student", "teacher")
    policy = body.policy.known
    if isinstance(policy, UnsetType) or not isinstance(draft.statement.header.amends, UnsetType):
        return
    shards = shards_of(connection, body.student)
    found, owed = asking.evaluate(connection, body.student, shards, draft.time, actual=body.actual)
    if policy.evaluated.rules not in gate.KNOWN_RULES or (policy.verdict, policy.decisions) != (found.verdict, found.decisions):
        raise InvalidInput(
            f"release: expected verdict {found.verdict.value} by {found.decisions} under rules {gate.RULES_DIGEST}, "
            f"found {policy.verdict.value} by {policy.decisions} under {policy.evaluated.rules}"
        )
    facts = list(dict.fromkeys(each.fact for each in owed))
    if (said := [line["obligation"] for line in lists.lines(body.obligations)]) != facts:
        raise InvalidInput(f"release: expected the obligations that come with its verdict, of {facts}, found them of {said}")
