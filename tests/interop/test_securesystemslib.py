"""securesystemslib, which in-toto and TUF stand on, verifies the DSSE envelopes inside our entries."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from inbond.ledger.keys import SigningKey
from tests.interop.shown import Shown

dsse = pytest.importorskip("securesystemslib.dsse", reason="securesystemslib is not there: pip install securesystemslib")
signer = pytest.importorskip("securesystemslib.signer")
exceptions = pytest.importorskip("securesystemslib.exceptions")


def key_of(key: SigningKey) -> Any:
    """A key under the id that our envelopes give it; securesystemslib would compute another, which DSSE leaves open."""
    public = Ed25519PublicKey.from_public_bytes(key.public.raw)
    return signer.SSlibKey.from_crypto(public, keyid=key.public.fingerprint)


def envelope_of(entry: bytes) -> Any:
    return dsse.Envelope.from_dict(json.loads(entry)["dsse"])


def test_every_envelope_of_a_log(shown: Shown) -> None:
    world = shown.world
    keys = {key.public.fingerprint: key_of(key) for key in [*world.admins, world.registry, world.producer]}
    for entry in shown.entries:
        envelope = envelope_of(entry)
        accepted = envelope.verify(list(keys.values()), threshold=len(envelope.signatures))
        assert set(accepted) == set(envelope.signatures)
    assert len(shown.entries) == 600


def test_what_it_writes_is_what_we_wrote(shown: Shown) -> None:
    for entry in shown.entries[:5]:
        assert envelope_of(entry).to_dict() == json.loads(entry)["dsse"]


@pytest.mark.parametrize("change", ["payload", "type", "signature", "key"])
def test_a_change_is_refused(change: str, shown: Shown) -> None:
    world = shown.world
    envelope = envelope_of(shown.entries[7])
    [(keyid, signature)] = envelope.signatures.items()
    if change == "payload":
        envelope.payload = envelope.payload.replace(b"/7", b"/8")
    elif change == "type":
        envelope.payload_type += "s"
    elif change == "signature":
        signature.signature = signature.signature[:-2] + ("00" if signature.signature[-2:] != "00" else "01")
    key = key_of(world.producer)
    if change == "key":
        key = signer.SSlibKey(keyid, key.keytype, key.scheme, key_of(world.registry).keyval)
    with pytest.raises(exceptions.VerificationError):
        envelope.verify([key], threshold=1)
