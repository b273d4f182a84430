"""Admission of what disclosures are made of: what the operator says of itself, rulings on sections, reports."""

from typing import Any

from msgspec import UnsetType
from sqlalchemy import Connection, select

from inbond.ledger.rules import Draft
from inbond.registry import tables as t
from inbond.registry.admission.expectations import check_owner, expect_kind, expect_known_kind
from inbond.registry.disclosure.router import sections_in
from inbond.registry.lists import Lists
from inbond.schemas.errors import Conflict, InvalidInput, NotPermitted
from inbond.schemas.statement import split_ref
from inbond.schemas.statements import DecisionAsk, DecisionRule, Operator, Report, Ruling

SECTIONED = ("shard", "dataset", "source")
"""What a ruling on a section may be about, beside the student and one model."""


def operator(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """A party says what it is as a provider: of itself, and once; later statements correct the first."""
    body: Operator = draft.body
    expect_kind(body.party, "party")
    expect_known_kind(body.eu_representative, "party")
    if body.party != owner:
        raise NotPermitted(f"operator statement: expected one of {owner}, the signer's party, about itself, found {body.party}")
    if isinstance(draft.statement.header.amends, UnsetType):
        c = t.things.c
        other = select(c.ref).where(c.kind == "operator", c.owner == owner, c.amends.is_(None)).limit(1)
        if (first := connection.execute(other).scalar()) is not None:
            raise Conflict(
                f"operator statement: {first} is on record for this party: expected a correction of it",
                hint="inbond operator set --facts FILE",
            )


def section(connection: Connection, body: DecisionAsk | DecisionRule, owner: str) -> None:
    """A question about a section names one student, what is to be routed, and at most one model; its ruling names sections."""
    kinds = [split_ref(ref)[0] for ref in body.subjects]
    fits = kinds.count("student") == 1 and kinds.count("teacher") <= 1 and any(kind in SECTIONED for kind in kinds)
    if not fits or not set(kinds) <= {"student", "teacher", *SECTIONED}:
        raise InvalidInput(
            f"decision on a section: expected one student, at least one {', '.join(SECTIONED)}, and at most one teacher, "
            f"found {', '.join(kinds)}"
        )
    if isinstance(body, DecisionAsk):
        return
    if body.ruling is not Ruling.SECTION:
        raise InvalidInput(f"decision on a section: expected the ruling section, found {body.ruling.value}")
    sections_in(body.scope)
    check_owner(connection, next(ref for ref in body.subjects if ref.startswith("student:")), owner)


def report(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """A report by compliance of the student's party: its model says the same, and it follows the one before it.

    The model is made from no less than what the report before it was made with, so that versions count up.
    """
    body: Report = draft.body
    expect_kind(body.approved_by, "party")
    expect_known_kind(body.recipient, "party")
    if body.approved_by != owner:
        raise NotPermitted(f"report: expected approval by {owner}, the signer's party, found {body.approved_by}")
    if not 0 < body.tree_size <= draft.seq:
        raise InvalidInput(f"report: expected a tree size from 1 to {draft.seq}, found {body.tree_size}")
    options, model = lists.options(body.options), lists.report(body.model)
    expect_kind(options.student, "student")
    check_owner(connection, options.student, owner)
    _check_same(body, options, model)
    lists.lines(body.gaps)
    c = t.releases.c
    releases = select(c.ref).where(c.student == options.student, c.seq < body.tree_size).order_by(c.seq)
    if (expected := tuple(connection.execute(releases).scalars())) != body.releases:
        raise InvalidInput(f"report: expected the releases of {options.student} at its size, {expected}, found {body.releases}")
    r = t.reports.c
    wanted = (r.student == options.student, r.template == body.template.id, r.profile == body.profile.value)
    rows = connection.execute(select(r.ref, r.seq).where(*wanted).order_by(r.seq)).all()
    if rows and body.tree_size <= rows[-1].seq:
        raise Conflict(
            f"report: {rows[-1].ref} is on record in entry {rows[-1].seq}: expected one made from a tree size of at least "
            f"{rows[-1].seq + 1}, found {body.tree_size}",
            hint="make the report again from the newest entries",
        )
    supersedes = None if isinstance(body.supersedes, UnsetType) else body.supersedes
    if supersedes != (rows[-1].ref if rows else None) or model.version != len(rows) + 1:
        raise InvalidInput(f"report: expected version {len(rows) + 1} after {rows[-1].ref if rows else 'none'}, found another")


def _check_same(body: Report, options: Any, model: Any) -> None:
    """The statement, its options and its model are about one thing."""
    stated = (body.template.id, body.template.version, body.template.digest, body.profile.value, body.tree_size)
    found = (model.template.id, model.template.version, model.template.digest, model.profile, model.tree_size)
    asked = (options.template, options.profile, options.student)
    if stated != found or asked != (body.template.id, body.profile.value, model.student.ref):
        raise InvalidInput(f"report: expected a model of {stated} about {options.student}, found {found}, {model.student.ref}")
    if int(body.gaps.count) != len(model.gaps):
        raise InvalidInput(f"report: expected the {len(model.gaps)} gaps of its model, found {body.gaps.count}")
