"""What the registry signs itself, where its log and keys lie: grants that the gate permits, and deliveries.

A grant answers a request that the run's own key signed; the same request again gets the same grant, and a delivery under a
grant is on record once. So whoever does not hear an answer may ask again.
"""

import hashlib
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from msgspec import UNSET
from sqlalchemy import Connection, select

from inbond.ledger import dsse
from inbond.ledger.keys import PublicKey
from inbond.ledger.reader import LedgerReader
from inbond.registry import gate, names
from inbond.registry import tables as t
from inbond.registry.keychain import Keychain
from inbond.registry.lists import handed_out, layout_of, sources_of
from inbond.registry.objects import ObjectStore
from inbond.registry.place import Place, Recorded
from inbond.registry.recorder import Recorder, Said
from inbond.registry.refusing import mentioned, refusal
from inbond.registry.signers import requested
from inbond.registry.terms import asking
from inbond.registry.times import now
from inbond.registry.training.layout import part_lines
from inbond.schemas import canonical
from inbond.schemas.declared import Reason, known, unknown
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import Conflict, InvalidInput, NotFound, NotPermitted
from inbond.schemas.scalars import Role
from inbond.schemas.statements import (
    REQUEST_TYPE,
    Basis,
    Channel,
    Delivery,
    Evaluated,
    Extent,
    Grant,
    GrantMode,
    GrantRequest,
)

GRANT_DAYS = 7
REPORT_DAYS = 30


class Signing(Place, Protocol):
    """A place where the registry's key, its objects and its catalogue are at hand."""

    keys: Keychain
    store: ObjectStore

    def reading(self) -> AbstractContextManager[LedgerReader]:
        """One snapshot of log and catalogue."""


def grant(place: Signing, envelope: Envelope) -> Recorded:
    """Put the grant that the request in `envelope` asks for on record; the same request again returns the first grant.

    Raises PolicyDenied if the gate is shut, NotPermitted or VerificationError unless the run's key signed the request,
    InvalidInput for one that does not fit the run's plan, and Conflict for a run that is closed.
    """
    request = requested(envelope)
    if request.registry != place.origin:
        raise InvalidInput(f"grant request: expected one to {place.origin}, found one to {request.registry}")
    with place.reading() as reader:
        run = reader.connection.execute(select(t.runs).where(t.runs.c.ref == request.run)).one_or_none()
        if run is None:
            raise NotFound(f"grant request: expected a run that is on record, found {request.run}")
        public = PublicKey.from_base64(run.public_key)
        dsse.verify(envelope, lambda keyid: public if keyid == run.keyid else None, REQUEST_TYPE)
        if (found := _granted(reader.connection, request, envelope)) is not None:
            return found
        if run.closed is not None:
            raise Conflict(f"{run.ref} was closed by entry {run.closed}: expected an open run")
        at, size = now(), reader.size
        sources = sources_of(reader.connection, run.ref)
        layout = layout_of(reader.connection, sources)
        given = handed_out(reader.connection, request.mode, sources, layout.spans)
        ruled, owed = asking.evaluate(reader.connection, run.student, given, at)
        if ruled.verdict not in asking.OPEN:
            raise refusal(ruled, run.student, names.names_of(reader.connection, mentioned(ruled, run.student)))
    parts = place.store.put_lines(part_lines(layout))
    if parts != request.parts:
        raise InvalidInput(
            f"grant request: expected the parts of the plan of {run.ref}, {parts.digest}, found {request.parts.digest}"
        )
    moment = datetime.now(UTC)
    body = Grant(
        request=envelope,
        student=run.student,
        run=run.ref,
        plan=run.plan,
        parts=parts,
        columns=request.columns,
        mode=request.mode,
        principal=run.owner,
        evaluated=Evaluated(facts_size=size, rules=gate.RULES_DIGEST, at=at),
        verdict=ruled.verdict,
        reasons=place.store.put_lines([reason.line() for reason in ruled.reasons]),
        obligations=place.store.put_lines(asking.lines(owed)),
        decisions=ruled.decisions,
        expires=_later(moment, GRANT_DAYS),
        report_by=_later(moment, REPORT_DAYS),
    )
    said = Said("grant", body, [place.keys.role(Role.REGISTRY)], basis=Basis.OBSERVED, id=request.id)
    try:
        return Recorder(place).record(said)
    except Conflict:  # the same request came twice at once
        with place.reading() as reader:
            found = _granted(reader.connection, request, envelope)
        if found is None:
            raise
        return found


def _granted(connection: Connection, request: GrantRequest, envelope: Envelope) -> Recorded | None:
    """The grant of this very request, None where there is none. Raises Conflict where its id served another."""
    query = select(t.grants.c.ref, t.grants.c.seq, t.things.c.body).join(t.things, t.things.c.ref == t.grants.c.ref)
    row = connection.execute(query.where(t.grants.c.request == request.id)).one_or_none()
    if row is None:
        return None
    if canonical.decode(bytes(row.body), Grant, what=row.ref).request.payload != envelope.payload:
        raise Conflict(f"request {request.id} has been granted before, as {row.ref}: a request serves once")
    return Recorded(row.ref, row.seq, duplicate=True)


def deliver_to_run(place: Signing, grant: str) -> list[Recorded]:
    """Put on record that every dataset of the plan behind an export grant is delivered to its run, once each.

    Raises NotFound, NotPermitted for a grant of another mode, and what admission refuses.
    """
    with place.reading() as reader:
        row = reader.connection.execute(select(t.grants).where(t.grants.c.ref == grant)).one_or_none()
        if row is None:
            raise NotFound(f"{grant} is not on record: expected a grant")
        if row.mode == GrantMode.STREAM.value:
            raise NotPermitted(f"{grant} is for a stream: expected a grant of mode export or rows for a delivery")
        extent = Extent.ROWS if row.mode == GrantMode.ROWS.value else None
        sources = sources_of(reader.connection, row.run)
        owner = names.owner_of(reader.connection, row.run)
        before = _delivered(reader.connection, grant)
    wanted = list(dict.fromkeys(source.dataset for source in sources))
    missing = [ref for ref in wanted if ref not in before]
    said = [_said(place, ref, owner, Channel.DOWNLOAD, grant, extent) for ref in missing]
    try:
        recorded = dict(zip(missing, Recorder(place).record_all(said), strict=True))
    except Conflict:  # asked twice at once: the same ids
        recorded = {}
        with place.reading() as reader:
            before = _delivered(reader.connection, grant)
        if not before.keys() >= set(missing):
            raise
    return [before.get(ref) or recorded[ref] for ref in wanted]


def deliver_object(place: Signing, ref: str, recipient: str | None, extent: Extent | None = None) -> Recorded:
    """Put on record that a dataset version or a shard is delivered to `recipient`, whoever that is where None.

    Whole shards, unless `extent` says that the rows of the version leave alone.
    """
    return Recorder(place).record(_said(place, ref, recipient, Channel.EXPORT, None, extent))


def _delivered(connection: Connection, grant: str) -> dict[str, Recorded]:
    """The first delivery of each object under a grant."""
    d = t.deliveries.c
    found: dict[str, Recorded] = {}
    for row in connection.execute(select(d.ref, d.seq, d.object).where(d.grant == grant).order_by(d.seq)):
        found.setdefault(row.object, Recorded(row.ref, row.seq, duplicate=True))
    return found


def _said(
    place: Signing, ref: str, recipient: str | None, channel: Channel, grant: str | None, extent: Extent | None = None
) -> Said:
    body = Delivery(
        policy=unknown(Reason.NOT_YET),
        object=ref,
        recipient=known(recipient) if recipient else unknown(),
        channel=channel,
        purpose=unknown(),
        grant=grant or UNSET,
        extent=extent or UNSET,
    )
    # Under a grant the id follows from what is said, so that two who say it at once say it once; a grant's id is random.
    own: dict[str, Any] = {"id": hashlib.sha256(f"inbond-delivery-v1\n{grant}\n{ref}".encode()).hexdigest()[:32]} if grant else {}
    return Said("delivery", body, [place.keys.role(Role.REGISTRY)], basis=Basis.OBSERVED, **own)


def _later(moment: datetime, days: int) -> str:
    return (moment + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:23] + "Z"
