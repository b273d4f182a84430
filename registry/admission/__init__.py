"""May this statement stand here? Existence, ownership, objects and policy, kind by kind.

Roles and signatures are settled before (signers.py). Everything here is a question about the entries so far and about
objects named by digest, so an audit gets the same answers. Objects belong to the party that made them: a statement about
somebody else's is refused.
"""

from collections.abc import Callable

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, bindparam, select

from inbond.ledger.pending import pending
from inbond.ledger.prepared import Prepared
from inbond.ledger.rules import Draft
from inbond.registry import tables as t
from inbond.registry.admission import data, disclosure, rulings, use, withdrawal
from inbond.registry.admission import terms as readings
from inbond.registry.admission.expectations import check_owner, expect_kind, expect_same
from inbond.registry.current import FIXED, first_of, newest_of
from inbond.registry.lists import Lists
from inbond.registry.mentions import named_objects, references
from inbond.registry.signers import authorised
from inbond.schemas.errors import Conflict, InvalidInput, NotPermitted
from inbond.schemas.statement import split_ref
from inbond.schemas.statements import Basis


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
    for digest in named_objects(draft.body, draft.statement.header):
        lists.expect(digest, draft.kind)
    _CHECKS[draft.kind](connection, draft, owner, lists)


def asks_nothing(draft: Draft) -> bool:
    """Whether neither admission nor projection of `draft` reads rows, but for what it refers to, which is noted."""
    return _CHECKS.get(draft.kind) is _anything and draft.statement.header.amends is UNSET


def _check_references(connection: Connection, draft: Draft) -> None:
    """What is referred to exists, and by the statement that made it: a correction is no thing of its own (current.py)."""
    wanted = references((draft.body, draft.statement.header))
    if not wanted:
        return
    known = pending(connection).notes  # of these, whether they are corrections, and of which
    for each in wanted - known.keys():
        known.update(_AMENDS.rows(connection, each))
    if missing := wanted - known.keys():
        raise InvalidInput(f"{draft.kind} statement: expected things that exist, found {', '.join(sorted(missing))}")
    for ref in wanted:
        amends = known[ref]
        if amends is not None and ref != draft.statement.header.amends and split_ref(ref)[0] in FIXED:
            [first] = first_of(connection, [ref]).values()
            raise InvalidInput(f"{draft.kind} statement: expected {first}, which made the thing, found its correction {ref}")


_AMENDS = Prepared(select(t.things.c.ref, t.things.c.amends).where(t.things.c.ref == bindparam("wanted")), ["wanted"])


def _check_word(draft: Draft, owner: str) -> None:
    """Nobody puts observed words into another's mouth."""
    header = draft.statement.header
    expect_kind(header.asserted_by.party, "party")
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
    check_owner(connection, amends, owner)
    newest = newest_of(connection, [amends])[amends]
    if newest != amends:
        raise Conflict(
            f"{draft.kind} statement: expected to amend {newest}, the newest statement about this {draft.kind}, found {amends}",
            hint="repeat the command: what was declared in between stays",
        )
    expect_same(connection, draft, *FIXED.get(draft.kind, ()))


def _anything(connection: Connection, draft: Draft, owner: str, lists: Lists) -> None:
    """Nothing beyond what holds for every kind."""


_CHECKS: dict[str, Callable[[Connection, Draft, str, Lists], None]] = {
    "key": data.key,
    "party": _anything,
    "source": _anything,
    "terms": data.terms,
    "terms_fact": readings.terms_fact,
    "acceptance": readings.acceptance,
    "teacher": data.teacher,
    "shard": data.shard,
    "dataset": data.dataset,
    "student": data.student,
    "run": use.run,
    "grant": use.grant,
    "consume": use.consume,
    "delivery": use.delivery,
    "release": use.release,
    "decision": rulings.decision,
    "recall": withdrawal.recall,
    "operator": disclosure.operator,
    "report": disclosure.report,
}
