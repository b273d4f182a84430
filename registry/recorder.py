"""Putting a statement on record: header, signature, entry."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET, UnsetType

from inbond.ledger import dsse
from inbond.ledger.keys import SigningKey
from inbond.registry.place import Place, Recorded
from inbond.schemas import statement
from inbond.schemas.declared import Declared, unknown
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InbondError, NotPermitted
from inbond.schemas.statements import AssertedBy, Basis, Evidence, Header, Occurred, Seen, Visibility


@dataclass(slots=True)
class Said:
    """A statement that is about to be signed by `keys`; the first key's party is who asserts it.

    `why` is the digest of an erasable object with the reason, `evidence` documents that bear it out.
    """

    kind: str
    body: Any
    keys: Sequence[SigningKey]
    basis: Basis = Basis.DECLARED
    occurred: Declared[Occurred] = field(default_factory=unknown)
    visibility: Visibility = Visibility.PARTIES
    amends: str | UnsetType = UNSET
    why: str | UnsetType = UNSET
    party: str | None = None
    evidence: Sequence[Evidence] = ()
    id: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def ref(self) -> str:
        """The reference of what the statement will make."""
        return f"{self.kind}:{self.id}"


class Recorder:
    """Signs statements for one registry and hands them to it."""

    def __init__(self, place: "Place") -> None:
        self._place = place

    def record(self, said: Said) -> Recorded:
        """Put one statement on record; raises what refuses it."""
        return self.record_all([said])[0]

    def record_all(self, said: Sequence[Said]) -> list[Recorded]:
        """Put statements on record in order, in one transaction where they fit; raises the first refusal.

        Statements before and after a refused one stand.
        """
        return self.put(self.sign_all(said)) if said else []

    def sign_all(self, said: Sequence[Said]) -> list[Envelope]:
        """The statements as they would be put on record, for more people to sign."""
        seen = self.seen()
        speaking = {item.keys[0].public.fingerprint: item.keys[0] for item in said if not item.party}
        parties = {fingerprint: self.party_of(key) for fingerprint, key in speaking.items()}
        return [self._signed(item, seen, parties) for item in said]

    def put(self, envelopes: Sequence[Envelope]) -> list[Recorded]:
        """Put signed statements on record in order; raises the first refusal. Those before and after it stand."""
        recorded = []
        for result in self._place.append(envelopes):
            if isinstance(result, InbondError):
                raise result
            recorded.append(result)
        return recorded

    def seen(self) -> Seen:
        """The newest head, as a header states it."""
        return self._place.head()

    def party_of(self, key: SigningKey) -> str:
        """The party that a key signs for."""
        state = self._place.key(key.public.fingerprint)
        if state is None:
            raise NotPermitted(f"key {key.name}: expected a key that this log knows, found {key.public.fingerprint[:16]}")
        return state.party

    def _signed(self, said: Said, seen: Seen, parties: Mapping[str, str]) -> Envelope:
        header = Header(
            registry=self._place.origin,
            id=said.id,
            seen=seen,
            occurred=said.occurred,
            basis=said.basis,
            asserted_by=AssertedBy(party=said.party or parties[said.keys[0].public.fingerprint]),
            evidence=tuple(said.evidence),
            visibility=said.visibility,
            amends=said.amends,
            why=said.why,
        )
        return dsse.sign(statement.make(said.kind, said.body, header), said.keys)
