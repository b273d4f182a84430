"""DSSE envelopes: a payload, its type, and Ed25519 signatures over both.

What is signed is the pre-authentication encoding of type and payload bytes, so nobody has to re-encode a payload in
order to verify it. A `keyid` is the hex SHA-256 of the raw public key, never a hint.
"""

from collections.abc import Callable, Iterable

from inbond.ledger.encoding import from_base64, to_base64
from inbond.ledger.keys import PublicKey, SigningKey
from inbond.schemas import canonical
from inbond.schemas.entry import MAX_PAYLOAD, PAYLOAD_TYPE, Envelope, Signature
from inbond.schemas.errors import InvalidInput, NotPermitted, VerificationError


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed: `DSSEv1`, then the lengths and values of type and payload, joined by spaces."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, keys: Iterable[SigningKey], payload_type: str = PAYLOAD_TYPE) -> Envelope:
    """An envelope with one signature of each key, in their order.

    Raises InvalidInput for a payload over 48,000 bytes, no key, or the same key twice.
    """
    if len(payload) > MAX_PAYLOAD:
        raise InvalidInput(f"expected a payload of at most {MAX_PAYLOAD} bytes, found {len(payload)}")
    signed = pae(payload_type, payload)
    signatures = tuple(Signature(key.public.fingerprint, to_base64(key.sign(signed))) for key in keys)
    if not signatures or len({signature.keyid for signature in signatures}) != len(signatures):
        raise InvalidInput(f"expected one or more distinct keys to sign with, found {len(signatures)} signatures")
    return Envelope(to_base64(payload), payload_type, signatures)


def payload_of(envelope: Envelope) -> bytes:
    """The payload bytes, not verified.

    Raises VerificationError for more than 48,000 bytes or base64 that is not canonical.
    """
    return from_base64(envelope.payload, "envelope payload", limit=MAX_PAYLOAD)


def verify(
    envelope: Envelope,
    public_key_of: Callable[[str], PublicKey | None],
    payload_type: str = PAYLOAD_TYPE,
    *,
    payload: bytes | None = None,
) -> tuple[str, ...]:
    """Check every signature of an envelope; returns the key ids, in the order of the signatures.

    `public_key_of` gives the key that a key id names, or None; `payload` is what `payload_of` gave, where it was asked
    before. Raises NotPermitted if it knows no such key, and VerificationError if a key signed twice, is not the one that
    its id names, or a signature fails; also if the envelope holds something else than `payload_type`, for which the caller
    is about to take it. Safe to call from many threads, which run in parallel.
    """
    if envelope.payload_type != payload_type:
        raise VerificationError(f"envelope: expected payload type {payload_type}, found {envelope.payload_type[:80]!r}")
    if not envelope.signatures:
        raise VerificationError("envelope: expected at least one signature, found none")
    signed = pae(envelope.payload_type, payload_of(envelope) if payload is None else payload)
    keyids: list[str] = []
    for signature in envelope.signatures:
        keyid = signature.keyid
        if keyid in keyids:
            raise VerificationError(f"envelope: expected one signature of each key, found two by {keyid}")
        key = public_key_of(keyid)
        if key is None:
            raise NotPermitted(f"envelope: expected signatures by known keys, found one by {keyid[:80]}", keyid=keyid)
        if key.fingerprint != keyid:
            raise VerificationError(f"envelope: expected the key {keyid}, found that {key.fingerprint} stands for it")
        if not key.verify(from_base64(signature.sig, f"signature by {keyid}", length=64), signed):
            raise VerificationError(f"envelope: expected a valid signature by {keyid}, found one that does not verify")
        keyids.append(keyid)
    return tuple(keyids)


def envelope_bytes(envelope: Envelope) -> bytes:
    """The canonical bytes of an envelope."""
    return canonical.encode(envelope)
