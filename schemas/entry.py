"""The bytes that the ledger commits to: a DSSE envelope at its place in the chain.

Entry bytes are canonical JSON with the keys dsse, kind, prev, seq, time, v. The leaf of the tree is the RFC 6962 hash of
these bytes, and `prev` is the leaf hash of the entry before, so chain and tree commit to the same bytes.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from inbond.schemas.scalars import Count, Hex32, Moment

MAX_ENTRY = 65_535  # a tlog-tiles entry bundle has 16-bit lengths
MAX_PAYLOAD = 48_000  # leaves room for base64 and signatures within MAX_ENTRY
PAYLOAD_TYPE = "application/vnd.in-toto+json"
GENESIS_PREV = "0" * 64


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One DSSE signature: `keyid` is the hex SHA-256 of the raw public key, `sig` padded standard base64."""

    keyid: Hex32
    sig: Annotated[str, Meta(max_length=8192)]


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, rename={"payload_type": "payloadType"}):
    """A DSSE envelope; `payload` is padded standard base64 of the signed bytes."""

    payload: str
    payload_type: str
    signatures: Annotated[tuple[Signature, ...], Meta(min_length=1, max_length=16)]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One entry: the envelope, its predicate kind, the leaf hash before it, its index, the operator's clock."""

    dsse: Envelope
    kind: Annotated[str, Meta(pattern=r"^[a-z_]{1,32}(?![\s\S])")]
    prev: Hex32
    seq: Count
    time: Moment
    v: Annotated[int, Meta(ge=1, le=1)]
