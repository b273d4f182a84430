"""The header of every predicate: where, when, on whose word, and how sure."""

from enum import StrEnum

from msgspec import UNSET, UnsetType

from inbond.schemas.declared import Declared
from inbond.schemas.scalars import Closed, Count, Digest, HexId, Listed, MediaType, Origin, Ref, Time


class Basis(StrEnum):
    """How the asserting party came to know what it says."""

    OBSERVED = "observed"
    DECLARED = "declared"
    DERIVED = "derived"
    ALLEGED = "alleged"


class Visibility(StrEnum):
    """Who may be given the statement's bytes; its leaf hash is public in every case."""

    PUBLIC = "public"
    PARTIES = "parties"
    INTERNAL = "internal"


class Seen(Closed, frozen=True, kw_only=True):
    """A head of this registry's log that the signer knew."""

    size: Count
    root: Digest


class Occurred(Closed, frozen=True, kw_only=True, rename={"from_": "from"}):
    """When the fact happened, as against when it was logged."""

    from_: Time
    to: Time


class AssertedBy(Closed, frozen=True, kw_only=True):
    """Whose word the statement is."""

    party: Ref


class Evidence(Closed, frozen=True, kw_only=True):
    """A document that bears the statement out; `stored` says whether the object store holds it."""

    media: MediaType
    digest: Digest
    stored: bool


class Header(Closed, frozen=True, kw_only=True):
    """What every statement says about itself.

    `id` is random and names whatever the statement makes. `seen` is null only on genesis and on a key's first
    statement. `amends` names the statement that this one corrects, `why` an erasable object with the reason.
    """

    registry: Origin
    id: HexId
    seen: Seen | None
    occurred: Declared[Occurred]
    basis: Basis
    asserted_by: AssertedBy
    evidence: Listed[Evidence]
    visibility: Visibility
    amends: Ref | UnsetType = UNSET
    why: Digest | UnsetType = UNSET
