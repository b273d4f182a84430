"""Keys that cosign, and the bytes that they sign."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.ledger import checkpoints, cosignatures, notes
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.cosigner import Cosigner, read_cosigner, write_cosigner
from inbond.ledger.encoding import MAX_SIZE
from inbond.ledger.keys import COSIGNATURE_V1, ED25519, ML_DSA_44, SigningKey, VerifierKey, write_key
from inbond.ledger.notes import Note
from inbond.schemas.errors import Conflict, InvalidInput, NotFound, NotPermitted, VerificationError
from tests.ledger.test_parsers import altered

SEED = bytes(range(32))
BOTH = [Cosigner("witness.example/w1", kind, SEED) for kind in (COSIGNATURE_V1, ML_DSA_44)]
HEAD = Checkpoint("example.com/behind-the-sofa", 20852163, bytes(range(32)))
TEXT = HEAD.text()


def test_the_bytes_of_the_specification() -> None:
    """The example of tlog-cosignature, and the struct of its second form, written out field by field."""
    assert cosignatures.ed25519_message(1679315147, TEXT) == b"cosignature/v1\ntime 1679315147\n" + TEXT
    expected = (
        b"subtree/v1\n\0" + b"\x12witness.example/w1" + bytes.fromhex("0000000064184acb")
        + b"\x1bexample.com/behind-the-sofa" + bytes(8) + bytes.fromhex("00000000013e2dc3") + bytes(range(32))
    )  # fmt: skip
    assert cosignatures.ml_dsa_message("witness.example/w1", 0x64184ACB, TEXT) == expected


def test_published_keys_have_their_ids() -> None:
    """Cosigners of sunlight's test data; one of type 06 of the same length as ours is in test_keys."""
    published = "witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN"
    assert VerifierKey.parse(published).type == COSIGNATURE_V1


@pytest.mark.parametrize("key", BOTH, ids=["ed25519", "ml-dsa-44"])
def test_a_cosignature_verifies_for_its_text_time_and_name_alone(key: Cosigner) -> None:
    signature = key.cosign(TEXT, 1_700_000_000)
    assert key.verifier.verify(TEXT, signature.blob)
    assert len(signature.blob) == 8 + {COSIGNATURE_V1: 64, ML_DSA_44: 2420}[key.type]
    others = [Checkpoint("example.com/other", HEAD.size, HEAD.root), Checkpoint(HEAD.origin, 1, HEAD.root)]
    others.append(Checkpoint(HEAD.origin, HEAD.size, bytes(32)))
    assert not any(key.verifier.verify(other.text(), signature.blob) for other in others)
    later = (1_700_000_001).to_bytes(8, "big") + signature.blob[8:]
    never = bytes([0xFF]) + signature.blob[1:]
    flipped = signature.blob[:-1] + bytes([signature.blob[-1] ^ 1])
    for blob in (later, never, flipped, signature.blob[:-1], signature.blob + b"\0", signature.blob[8:], b""):
        assert not key.verifier.verify(TEXT, blob)
    other = VerifierKey("witness.example/w2", key.type, key.verifier.public)
    assert other.verify(TEXT, signature.blob) == (key.type == COSIGNATURE_V1)  # why an Ed25519 cosigner has one name only


def test_a_post_quantum_cosignature_is_of_a_checkpoint_or_nothing() -> None:
    key = BOTH[1]
    for text in (
        b"x\n",
        TEXT + b"extension\n",
        TEXT[:-1],
        b"\xff" + TEXT,
        TEXT.replace(b"20852163", b"020852163"),
        b"\n" + TEXT[28:],
    ):
        assert not key.verifier.verify(text, bytes(2428))
        with pytest.raises(VerificationError):
            key.cosign(text, 1)


def test_both_on_one_note() -> None:
    log = SigningKey.from_seed(HEAD.origin, SEED)
    note = notes.parse(checkpoints.sign(HEAD, [log]))
    whole = Note(note.text, (*note.signatures, *(key.cosign(TEXT, 77) for key in BOTH))).to_bytes()
    _, signers = notes.open_note(whole, [log.verifier, *(key.verifier for key in BOTH)])
    assert [signer.type for signer in signers] == [ED25519, COSIGNATURE_V1, ML_DSA_44]
    assert max(len(line) for line in whole.splitlines()) < 3300


@pytest.mark.parametrize("time", [0, -1, MAX_SIZE + 1])
def test_a_time_that_says_nothing_is_not_signed(time: int) -> None:
    with pytest.raises(InvalidInput, match="expected a time"):
        BOTH[0].cosign(TEXT, time)


@pytest.mark.parametrize("key", BOTH, ids=["ed25519", "ml-dsa-44"])
def test_a_key_file_is_read_as_it_was_written(key: Cosigner, tmp_path: Path) -> None:
    path = tmp_path / "w.key"
    write_cosigner(path, key)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_cosigner(path).verifier == key.verifier
    assert key.to_text() not in repr(key)
    with pytest.raises(Conflict):
        write_cosigner(path, key)
    path.chmod(0o644)
    with pytest.raises(NotPermitted):
        read_cosigner(path)
    with pytest.raises(NotFound):
        read_cosigner(tmp_path / "none")


def test_keys_have_one_use(tmp_path: Path) -> None:
    """A log's key does not cosign, and a cosigner's key is no log's."""
    write_key(tmp_path / "log.key", SigningKey.from_seed("log.example", SEED))
    with pytest.raises(VerificationError, match="that cosigns") as refusal:
        read_cosigner(tmp_path / "log.key")
    assert "inbond witness key" in (refusal.value.hint or "")
    with pytest.raises(VerificationError):
        SigningKey.from_text(BOTH[0].to_text())


@settings(max_examples=300, deadline=None, database=None)
@given(st.sampled_from(BOTH).flatmap(lambda key: altered(key.to_text().encode())))
def test_only_the_very_text_is_a_key(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    try:
        key = Cosigner.from_text(text)
    except VerificationError:
        return
    assert key.to_text() == text


def test_a_library_without_ml_dsa_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    text = BOTH[1].to_text()
    monkeypatch.setattr(cosignatures, "IMPORTED", False)
    for make in (lambda: Cosigner.generate("w", ML_DSA_44), lambda: Cosigner.from_text(text)):
        with pytest.raises((InvalidInput, VerificationError), match="ML-DSA-44 cannot be used here"):
            make()
    with pytest.raises(VerificationError, match="ML-DSA-44 cannot be used here"):
        BOTH[1].verifier.verify(TEXT, bytes(2428))
    assert Cosigner.generate("w").cosign(TEXT, 1)


def test_other_kinds_and_seeds_are_no_cosigners() -> None:
    for kind, seed in [(ED25519, SEED), (COSIGNATURE_V1, SEED[1:]), (0, SEED)]:
        with pytest.raises(InvalidInput, match="expected type 04 or 06"):
            Cosigner("w", kind, seed)
