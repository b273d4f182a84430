"""The ledger's own statements: genesis and key."""

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from inbond.schemas.declared import Declared
from inbond.schemas.scalars import Base64, Closed, Count, Hex32, Label, Origin, Ref, Role, Some, Time, Vkey


class Custody(StrEnum):
    """Where a private key lies."""

    FILE = "file"
    KMS = "kms"
    HSM = "hsm"
    UNKNOWN = "unknown"


class RevocationReason(StrEnum):
    """Why a key ends before its time."""

    COMPROMISED = "compromised"
    LOST = "lost"
    SUPERSEDED = "superseded"
    RETIRED = "retired"
    OTHER = "other"


class FirstParty(Closed, frozen=True, kw_only=True):
    """The operator as genesis names it; `party:<id of genesis>` refers to it."""

    name: Label
    legal_name: Declared[Label]


class Genesis(Closed, frozen=True, kw_only=True):
    """Entry 0: who administers the registry, and the keys that speak for its log and for itself.

    Signed by every key in `admins` (base64 raw public keys); later key statements need `threshold` of them.
    """

    origin: Origin
    admins: Some[Base64]
    threshold: Annotated[int, Meta(ge=1, le=64)]
    log_keys: Some[Vkey]
    registry_key: Base64
    operator: FirstParty

    def __post_init__(self) -> None:
        if self.threshold > len(self.admins):
            raise ValueError(f"expected a threshold of at most {len(self.admins)}, the number of admins, found {self.threshold}")
        if len(set(self.admins)) != len(self.admins):
            raise ValueError("expected different admin keys, found one twice")


class Revocation(Closed, frozen=True, kw_only=True):
    """The end of a key; what it signed from `suspect_from_seq` on, where given, is in doubt."""

    reason: RevocationReason
    suspect_from_seq: Count | UnsetType = UNSET


class Key(Closed, frozen=True, kw_only=True):
    """A key's roles from this entry on, or with `revocation` its end.

    Either `public_key` (raw, base64) or, for a log key, `vkey`; `fingerprint` is the SHA-256 of the raw public key.
    """

    public_key: Base64 | UnsetType = UNSET
    vkey: Vkey | UnsetType = UNSET
    fingerprint: Hex32
    party: Ref
    roles: Some[Role]
    custody: Custody
    not_after: Time | UnsetType = UNSET
    revocation: Revocation | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.public_key is UNSET) is (self.vkey is UNSET):
            found = "neither" if self.vkey is UNSET else "both"
            raise ValueError(f"expected exactly one of public_key, vkey, found {found}")
