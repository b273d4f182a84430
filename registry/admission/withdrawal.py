"""Admission of recalls: whose word takes rows back, and which rows there are."""

from datetime import datetime, timedelta

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, select

from inbond.ledger.rules import Draft
from inbond.registry import tables as t
from inbond.registry.admission.expectations import expect_kind
from inbond.registry.lists import Lists
from inbond.schemas.errors import InvalidInput, NotPermitted
from inbond.schemas.scalars import Role
from inbond.schemas.statement import split_ref
from inbond.schemas.statements import Recall, TargetLine

_CLOCKS_APART = timedelta(hours=1)


def recall(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """Shards, rows of them, or dataset versions, withdrawn by the party that made them all, or by the operator's compliance.

    A recall is corrected by compliance of the party that made it; one that corrects may name nothing, which lifts it.
    """
    body: Recall = draft.body
    targets = lists.targets(body.targets)
    corrects = draft.statement.header.amends is not UNSET
    if not targets and not corrects:
        raise InvalidInput("recall: expected at least one target, found none")
    if corrects and not _signs_as(draft, Role.COMPLIANCE, owner):
        raise NotPermitted(f"recall: expected a correction by compliance of {owner}, found a key without that role")
    _check_known(body.known, draft.time)
    rows = _existing(connection, targets)
    for target in targets:
        _check_rows(target, rows.get(target.object, 0))
    _check_owners(connection, draft, owner, [target.object for target in targets])
    if not isinstance(body.replacement, UnsetType):
        expect_kind(body.replacement, "shard", "dataset")
        if body.replacement in {target.object for target in targets}:
            raise InvalidInput(f"recall: expected a replacement that is not withdrawn itself, found {body.replacement}")


def _signs_as(draft: Draft, role: Role, party: str) -> bool:
    return any(role in signer.roles and signer.party == party for signer in draft.signers)


def _check_known(known: str, time: str) -> None:
    """What is known lies in the past, as far as two clocks agree."""
    latest = (datetime.fromisoformat(time) + _CLOCKS_APART).isoformat(timespec="milliseconds")
    if known[:23] > latest[: len(known[:23])]:
        raise InvalidInput(f"recall: expected a reason known by {time}, found one known from {known} on")


def _existing(connection: Connection, targets: tuple[TargetLine, ...]) -> dict[str, int]:
    """The rows of every target; raises InvalidInput for what is not a shard or dataset version on record."""
    found: dict[str, int] = {}
    for kind, table in (("shard", t.shards), ("dataset", t.datasets)):
        named = sorted({target.object for target in targets if split_ref(target.object)[0] == kind})
        for start in range(0, len(named), 500):
            query = select(table.c.ref, table.c.rows).where(table.c.ref.in_(named[start : start + 500]))
            found.update({row.ref: row.rows for row in connection.execute(query)})
    if missing := {target.object for target in targets} - found.keys():
        raise InvalidInput(f"recall: expected shards and dataset versions on record, found {', '.join(sorted(missing)[:3])}")
    return found


def _check_rows(target: TargetLine, rows: int) -> None:
    if isinstance(target.rows, UnsetType):
        return
    if not target.object.startswith("shard:"):
        raise InvalidInput(f"recall: expected rows of a shard, found rows of {target.object}, a dataset version")
    if target.rows[-1][1] > rows:
        raise InvalidInput(f"recall: expected rows within [0, {rows}) of {target.object}, found {target.rows[-1]}")


def _check_owners(connection: Connection, draft: Draft, owner: str, targets: list[str]) -> None:
    """The signer's party made every target, and every shard of a dataset version; the operator's compliance may take any."""
    operator = connection.execute(select(t.things.c.owner).where(t.things.c.seq == 0).limit(1)).scalar_one()
    if _signs_as(draft, Role.COMPLIANCE, operator):
        return
    c, p = t.things.c, t.dataset_parts.c
    for start in range(0, len(targets), 500):
        some = targets[start : start + 500]
        shards = select(p.shard).where(p.dataset.in_(some))
        query = select(c.ref, c.owner).where((c.ref.in_(some)) | (c.ref.in_(shards)), c.owner != owner).limit(1)
        if (other := connection.execute(query).one_or_none()) is not None:
            raise NotPermitted(
                f"recall: {other.ref} belongs to {other.owner}: expected a signature of that party, or of the operator's "
                f"compliance, found one of {owner}"
            )
