"""Putting things on record at a server, which is believed when it shows the very statement under a trusted head."""

from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from inbond.ledger import dsse, receipts
from inbond.ledger.rules import Draft
from inbond.registry.place import Recorded
from inbond.registry.places.paths import collection_of
from inbond.registry.places.transport import Transport
from inbond.registry.places.trust import Trust
from inbond.registry.signers import authorised, requested
from inbond.schemas import statement as statements
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InbondError, VerificationError
from inbond.schemas.statement import digest_of
from inbond.schemas.statements import Delivery, Extent, Grant, GrantMode, RunOpen, Verdict


@dataclass
class Posted:
    """What a server answers to a statement: what it made, at which entry, and the receipt with the entry's bytes."""

    ref: str
    seq: int
    receipt: str


@dataclass
class _Delivered:
    deliveries: list[Posted]


class Recording:
    """Sends to one server, and checks what it says that it did."""

    def __init__(self, transport: Transport, trust: Trust) -> None:
        self._transport, self._trust = transport, trust

    def append(self, envelope: Envelope) -> Recorded | InbondError:
        """Have a statement put on record; returns the error where the server refuses it.

        Raises VerificationError for an answer that does not show it on record, Inconclusive where none came.
        """
        said = statements.read(dsse.payload_of(envelope))
        answer = self._transport.post(collection_of(said.kind), dsse.envelope_bytes(envelope), Posted)
        if isinstance(answer, InbondError):
            return answer
        is_new, posted = answer
        found = self._proved(posted, said.ref)
        entered = found.envelope
        if (entered.payload, entered.payload_type) != (envelope.payload, envelope.payload_type):
            raise VerificationError(f"{said.ref}: expected an entry of the statement that was sent, found another statement")
        if is_new and entered.signatures != envelope.signatures:
            raise VerificationError(f"{said.ref}: expected an entry with the signatures that were sent, found others")
        return Recorded(found.ref, found.seq, duplicate=not is_new)

    def grant(self, request: Envelope) -> Recorded:
        """Have a request granted; the grant must repeat it, fit the run's own statement, and permit."""
        wanted = requested(request)
        answer = self._transport.post("/v1/grants", dsse.envelope_bytes(request), Posted)
        if isinstance(answer, InbondError):
            raise answer
        is_new, posted = answer
        found = self._proved(posted, None)
        body = self._body(found, Grant)
        run = self._trust.made(wanted.run)
        opened = self._body(run, RunOpen)
        if body.request.payload != request.payload or (is_new and body.request != request):
            raise VerificationError(f"{found.ref}: expected a grant of the request that was sent, found one of another")
        granted = (body.run, body.student, body.plan, body.principal, body.parts, body.columns, body.mode)
        expected = (
            run.ref, opened.student, digest_of(opened.plan), authorised(run).party, wanted.parts, wanted.columns, wanted.mode,
        )  # fmt: skip
        if body.verdict not in (Verdict.PERMITTED, Verdict.PERMITTED_WITH_OBLIGATIONS):
            raise VerificationError(f"{found.ref}: expected a grant that permits, found the verdict {body.verdict.value}")
        if granted != expected:
            raise VerificationError(f"{found.ref}: expected what the request and its run say, {expected}, found {granted}")
        return Recorded(found.ref, found.seq, duplicate=not is_new)

    def deliver(
        self, grant: str | None, object: str | None, recipient: str | None, extent: Extent | None = None
    ) -> list[Recorded]:
        """Have deliveries recorded: of every dataset of the plan behind a grant for files, or of one object."""
        asked = {"grant": grant} if grant is not None else {"object": object, "recipient": recipient}
        if extent is not None:
            asked["extent"] = extent.value
        answer = self._transport.post("/v1/deliveries", msgspec.json.encode(asked), _Delivered, once=grant is None)
        if isinstance(answer, InbondError):
            raise answer
        is_new, posted = answer
        found = [self._proved(each, None) for each in posted.deliveries]
        expected = self._sources(grant) if grant is not None else [object]
        wanted = extent or UNSET if grant is None else self._extent(grant)
        delivered = []
        for draft in found:
            body = self._body(draft, Delivery)
            under = None if isinstance(body.grant, UnsetType) else body.grant
            if under != grant or body.extent != wanted or (grant is None and body.recipient.value_or("") != (recipient or "")):
                raise VerificationError(f"{draft.ref}: expected a delivery as was asked for, {asked}, found another")
            delivered.append(body.object)
        if sorted(delivered) != sorted(map(str, expected)):
            raise VerificationError(f"expected deliveries of {expected}, found them of {delivered}")
        return [Recorded(draft.ref, draft.seq, duplicate=not is_new) for draft in found]

    def _extent(self, grant: str) -> Extent | UnsetType:
        """What of the shards a delivery under a grant gives."""
        return Extent.ROWS if self._body(self._trust.made(grant), Grant).mode is GrantMode.ROWS else UNSET

    def _sources(self, grant: str) -> list[str]:
        """The datasets that the run of a grant reads."""
        granted = self._body(self._trust.made(grant), Grant)
        opened = self._body(self._trust.made(granted.run), RunOpen)
        return list(dict.fromkeys(source.dataset for source in opened.plan.sources))

    def _proved(self, posted: Posted, ref: str | None) -> Draft:
        """The entry that an answer shows; it must be the one that the answer names, and `ref` where one is given."""
        found = self._trust.recorded(receipts.parse(posted.receipt.encode()))
        if (posted.ref, posted.seq) != (ref or found.ref, found.seq) or found.ref != posted.ref:
            raise VerificationError(
                f"the server's answer: expected {ref or found.ref} at entry {found.seq}, as its receipt says, found {posted.ref} "
                f"at {posted.seq}"
            )
        self._trust.remember(found)
        return found

    def _body(self, draft: Draft, type: type[Any]) -> Any:
        if not isinstance(draft.body, type):
            raise VerificationError(f"{draft.ref}: expected a {type.__name__}, found another {draft.kind} statement")
        return draft.body
