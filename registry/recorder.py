"""Putting a statement on record: header, signature, entry."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET, UnsetType

from inbond.ledger import dsse
from inbond.ledger.keys import SigningKey
from inbond.ledger.log import Log
from inbond.schemas import statement
from inbond.schemas.declared import Declared, unknown
from inbond.schemas.errors import InbondError, NotPermitted
from inbond.schemas.statements import AssertedBy, Basis, Header, Occurred, Seen, Visibility


@dataclass(frozen=True, slots=True)
class Recorded:
    """A statement on record: the reference of what it made, and its place."""

    ref: str
    seq: int


@dataclass(slots=True)
class Said:
    """A statement that is about to be signed by `keys`; the first key's party is who asserts it."""

    kind: str
    body: Any
    keys: Sequence[SigningKey]
    basis: Basis = Basis.DECLARED
    occurred: Declared[Occurred] = field(default_factory=unknown)
    visibility: Visibility = Visibility.PARTIES
    amends: str | UnsetType = UNSET
    party: str | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def ref(self) -> str:
        """The reference of what the statement will make."""
        return f"{self.kind}:{self.id}"


class Recorder:
    """Signs statements for one log and appends them."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def record(self, said: Said) -> Recorded:
        """Put one statement on record; raises what refuses it."""
        return self.record_all([said])[0]

    def record_all(self, said: Sequence[Said]) -> list[Recorded]:
        """Put statements on record in order, in one transaction where they fit; raises the first refusal.

        Statements before and after a refused one stand.
        """
        seen = self.seen()
        envelopes = [self._signed(item, seen) for item in said]
        results = self.log.append(envelopes)
        for result in results:
            if isinstance(result, InbondError):
                raise result
        return [
            Recorded(item.ref, result.seq)
            for item, result in zip(said, results, strict=True)
            if not isinstance(result, InbondError)
        ]

    def seen(self) -> Seen:
        """The newest head, as a header states it."""
        with self.log.reading() as reader:
            return Seen(size=reader.size, root=f"sha256:{reader.root.hex()}")

    def party_of(self, key: SigningKey) -> str:
        """The party that a key signs for."""
        state = self.log.keyring.keys.get(key.public.fingerprint)
        if state is None:
            raise NotPermitted(f"key {key.name}: expected a key that this log knows, found {key.public.fingerprint[:16]}")
        return state.party

    def _signed(self, said: Said, seen: Seen) -> Any:
        header = Header(
            registry=self.log.origin,
            id=said.id,
            seen=seen,
            occurred=said.occurred,
            basis=said.basis,
            asserted_by=AssertedBy(party=said.party or self.party_of(said.keys[0])),
            evidence=(),
            visibility=said.visibility,
            amends=said.amends,
        )
        return dsse.sign(statement.make(said.kind, said.body, header), said.keys)


def now() -> str:
    """The time now, as statements write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:23] + "Z"
