import msgspec
import pytest

from inbond.ledger.dsse import envelope_bytes, pae, payload_of, sign, verify
from inbond.ledger.keys import PublicKey, SigningKey
from inbond.schemas import canonical
from inbond.schemas.entry import MAX_PAYLOAD, Envelope, Signature
from inbond.schemas.errors import InvalidInput, NotPermitted, VerificationError

ALICE = SigningKey.from_seed("alice", bytes([1] * 32))
BOB = SigningKey.from_seed("bob", bytes([2] * 32))
KEYS = {key.public.fingerprint: key.public for key in (ALICE, BOB)}
REQUEST = "application/vnd.inbond.request+json"


def with_signature(envelope: Envelope, **changes: str) -> Envelope:
    first, *others = envelope.signatures
    return msgspec.structs.replace(envelope, signatures=(msgspec.structs.replace(first, **changes), *others))


def test_the_published_encoding() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (b"DSSEv1 29 http://example.com/HelloWorld 11 hello world")
    assert pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


def test_every_signature_is_checked_and_named() -> None:
    envelope = sign(b'{"a":1}', [BOB, ALICE])
    assert verify(envelope, KEYS.get) == (BOB.public.fingerprint, ALICE.public.fingerprint)
    assert payload_of(envelope) == b'{"a":1}'
    assert canonical.decode(envelope_bytes(envelope), Envelope) == envelope


def test_a_signature_by_an_unknown_key_is_refused() -> None:
    envelope = sign(b"{}", [ALICE, BOB])
    with pytest.raises(NotPermitted, match="known keys") as refusal:
        verify(envelope, {ALICE.public.fingerprint: ALICE.public}.get)
    assert refusal.value.members == {"keyid": BOB.public.fingerprint}


def test_a_wrong_key_under_a_known_id_is_refused() -> None:
    with pytest.raises(VerificationError, match="stands for it"):
        verify(sign(b"{}", [ALICE]), lambda keyid: BOB.public)


def test_the_same_key_twice_is_refused() -> None:
    envelope = sign(b"{}", [ALICE])
    doubled = msgspec.structs.replace(envelope, signatures=envelope.signatures * 2)
    with pytest.raises(VerificationError, match="found two by"):
        verify(doubled, KEYS.get)
    for keys in ([], [ALICE, ALICE]):
        with pytest.raises(InvalidInput, match="distinct keys"):
            sign(b"{}", keys)
    with pytest.raises(VerificationError, match="at least one"):
        verify(msgspec.structs.replace(envelope, signatures=()), KEYS.get)


def test_a_payload_of_another_type_is_not_taken_for_a_statement() -> None:
    request = sign(b"{}", [ALICE], REQUEST)
    with pytest.raises(VerificationError, match=r"expected payload type application/vnd\.in-toto"):
        verify(request, KEYS.get)
    assert verify(request, KEYS.get, REQUEST)
    renamed = msgspec.structs.replace(request, payload_type="application/vnd.in-toto+json")
    with pytest.raises(VerificationError, match="does not verify"):
        verify(renamed, KEYS.get)


def test_any_changed_payload_or_signature_is_refused() -> None:
    envelope = sign(b'{"a":1}', [ALICE])
    other = sign(b'{"a":2}', [ALICE])
    with pytest.raises(VerificationError, match="does not verify"):
        verify(msgspec.structs.replace(envelope, payload=other.payload), KEYS.get)
    with pytest.raises(VerificationError, match="does not verify"):
        verify(with_signature(envelope, sig=other.signatures[0].sig), KEYS.get)
    for sig in ("", "AAAA", envelope.signatures[0].sig[:-2], envelope.signatures[0].sig.replace("=", "")):
        with pytest.raises(VerificationError, match="signature by"):
            verify(with_signature(envelope, sig=sig), KEYS.get)


def test_an_unreduced_signature_is_refused() -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    signature = ALICE.sign(b"data")
    s = int.from_bytes(signature[32:], "little") + order
    assert not ALICE.public.verify(signature[:32] + s.to_bytes(32, "little"), b"data")


@pytest.mark.parametrize("payload", ["e30", "e31=", "e30=\n", "e30-", " e30="])
def test_a_payload_in_another_base64_is_refused(payload: str) -> None:
    envelope = msgspec.structs.replace(sign(b"{}", [ALICE]), payload=payload)
    with pytest.raises(VerificationError, match="envelope payload"):
        payload_of(envelope)
    with pytest.raises(VerificationError, match="envelope payload"):
        verify(envelope, KEYS.get)


def test_payloads_are_bounded() -> None:
    assert payload_of(sign(bytes(MAX_PAYLOAD), [ALICE])) == bytes(MAX_PAYLOAD)
    with pytest.raises(InvalidInput, match="at most 48000 bytes"):
        sign(bytes(MAX_PAYLOAD + 1), [ALICE])
    large = Envelope("AAAA" * MAX_PAYLOAD, "t", (Signature("0" * 64, ""),))
    with pytest.raises(VerificationError, match="at most 48000 bytes"):
        payload_of(large)


def test_a_key_of_small_order_cannot_be_named() -> None:
    with pytest.raises(VerificationError):
        PublicKey.from_base64("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
