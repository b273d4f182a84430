import os
import stat
from pathlib import Path

import pytest

from inbond.ledger import cosignatures
from inbond.ledger.keys import (
    COSIGNATURE_V1,
    ED25519,
    ML_DSA_44,
    PublicKey,
    SigningKey,
    VerifierKey,
    note_key_id,
    read_key,
    write_key,
)
from inbond.schemas.errors import Conflict, InbondError, InvalidInput, NotFound, NotPermitted, StoreError, VerificationError

# Published keys: Go's sumdb/note tests, the C2SP specifications, the Go checksum database.
NEUMANN_SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED = [
    NEUMANN,
    "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop",
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
    "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
    "witness.example.org+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Zozkoy7clp+P7XB28qUN",
]


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.from_text(NEUMANN_SECRET)


@pytest.fixture
def key_file(tmp_path: Path, key: SigningKey) -> Path:
    path = tmp_path / "log.key"
    write_key(path, key)
    return path


@pytest.mark.parametrize("text", PUBLISHED)
def test_published_verifier_keys_are_read_as_they_are_written(text: str) -> None:
    key = VerifierKey.parse(text)
    assert key.format() == text
    assert key.type == (COSIGNATURE_V1 if key.name.startswith("witness") else ED25519)


def test_a_published_signing_key_gives_its_verifier_key(key: SigningKey) -> None:
    assert key.to_text() == NEUMANN_SECRET
    assert key.verifier.format() == NEUMANN
    assert key.verifier.key_id.hex() == "c74f20a3"
    assert PublicKey.from_base64(key.public.base64) == key.public
    assert key.public.verify(key.sign(b"data"), b"data")
    assert not key.public.verify(key.sign(b"data"), b"date")
    assert not key.public.verify(b"", b"data")


@pytest.mark.parametrize("text", [NEUMANN, NEUMANN_SECRET])
def test_every_changed_character_of_a_key_text_is_noticed(text: str) -> None:
    parse = SigningKey.from_text if text.startswith("PRIVATE") else VerifierKey.parse
    for at in range(len(text)):
        flipped = {chr(ord(text[at]) ^ 1 << bit) for bit in range(7)}
        for other in (flipped | {"", " ", "+", text[at] * 2, "é", "\ud800"}) - {text[at]}:
            with pytest.raises(VerificationError):
                parse(text[:at] + other + text[at + 1 :])


@pytest.mark.parametrize(
    "text", ["", "+", "++", "+++", "a+b", "a+00000000+", "a+00000000+AQ==", NEUMANN + "\n", NEUMANN + "A" * 5000]
)
def test_other_texts_are_no_verifier_keys(text: str) -> None:
    with pytest.raises(VerificationError):
        VerifierKey.parse(text)


@pytest.mark.parametrize("type", [0x00, 0x02, 0x05, 0xFF])
def test_signature_types_that_we_do_not_know_are_refused(type: int) -> None:
    with pytest.raises(VerificationError, match=f"found {type:02x}"):
        VerifierKey("log", type, bytes([9] * 32))


def test_an_ml_dsa_key_is_read_and_where_the_library_lacks_it_verifies_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    key = VerifierKey("example.com/log", ML_DSA_44, bytes(range(256)) * 5 + bytes(32))
    assert VerifierKey.parse(key.format()) == key
    assert key.key_id == note_key_id("example.com/log", 6, key.public)
    monkeypatch.setattr(cosignatures, "IMPORTED", False)
    assert not key.supported
    with pytest.raises(VerificationError, match="ML-DSA-44 cannot be used here"):
        key.verify(b"text\n", bytes(2428))
    with pytest.raises(VerificationError, match="expected 1312 bytes"):
        VerifierKey("example.com/log", ML_DSA_44, bytes(32))


def test_a_cosignature_binds_its_timestamp_and_the_text(key: SigningKey) -> None:
    verifier = VerifierKey("witness", COSIGNATURE_V1, key.public.raw)
    text = b"example.com/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    signature = key.sign(b"cosignature/v1\ntime 1700000000\n" + text)
    stamp = (1_700_000_000).to_bytes(8, "big")
    assert verifier.verify(text, stamp + signature)
    assert not verifier.verify(text, (1_700_000_001).to_bytes(8, "big") + signature)
    assert not verifier.verify(text + b"\n", stamp + signature)
    assert not verifier.verify(text, signature)
    late = key.sign(b"cosignature/v1\ntime %d\n" % 2**63 + text)
    assert not verifier.verify(text, (2**63).to_bytes(8, "big") + late)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2003b", "a\x00b", "a\x1fb", "a\ud800", "é" * 128])
def test_names_that_a_note_cannot_hold_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="key name"):
        SigningKey.generate(name)
    with pytest.raises(VerificationError, match="key name"):
        VerifierKey(name, ED25519, SigningKey.generate("a").public.raw)


def test_keys_that_sign_anything_for_anybody_are_refused() -> None:
    order_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
    other_8 = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
    zero, one, minus_one = "00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f"
    not_reduced = ["ed" + "ff" * 30 + "7f", "ee" + "ff" * 30 + "7f", "ff" * 32]
    for text in [order_8, other_8, zero, one, minus_one, *not_reduced]:
        raw = bytes.fromhex(text)
        for point in (raw, raw[:31] + bytes([raw[31] ^ 0x80])):
            with pytest.raises(VerificationError, match="public key"):
                PublicKey(point)
    for length in (0, 31, 33):
        with pytest.raises(VerificationError, match="32 bytes"):
            PublicKey(bytes([9] * length))


def test_bytes_that_are_no_point_verify_nothing() -> None:
    assert not PublicKey(bytes([2] + [0] * 31)).verify(bytes(64), b"data")


def test_a_key_file_is_private_and_comes_back(tmp_path: Path, key: SigningKey) -> None:
    path = tmp_path / "new.key"
    mask = os.umask(0o777)
    try:
        write_key(path, key)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == NEUMANN_SECRET.encode() + b"\n"
    assert read_key(path).public == key.public


def test_every_changed_byte_of_a_key_file_is_noticed(key_file: Path) -> None:
    data = key_file.read_bytes()
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        key_file.write_bytes(changed)
        with pytest.raises(VerificationError, match=r"log\.key: signing key"):
            read_key(key_file)


@pytest.mark.parametrize("change", [b"", b"\n", b"\r\n", b" ", b"\0" * 5000])
def test_a_key_file_ends_in_exactly_one_newline(key_file: Path, change: bytes) -> None:
    data = key_file.read_bytes()
    key_file.write_bytes(data + change if change.strip() or change == b"\n" else data[:-1] + change)
    with pytest.raises(VerificationError, match=r"log\.key: signing key"):
        read_key(key_file)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o700, 0o602])
def test_a_key_file_that_others_can_read_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    with pytest.raises(NotPermitted, match=f"found mode {mode:04o}") as refusal:
        read_key(key_file)
    assert refusal.value.hint == f"chmod 600 {key_file}"


def test_a_key_file_is_never_overwritten(key_file: Path) -> None:
    before = key_file.read_bytes()
    with pytest.raises(Conflict, match="never overwritten"):
        write_key(key_file, SigningKey.generate("other"))
    assert key_file.read_bytes() == before


def test_missing_files_and_folders_are_named(tmp_path: Path, key: SigningKey) -> None:
    with pytest.raises(NotFound, match=r"no\.key"):
        read_key(tmp_path / "no.key")
    with pytest.raises(StoreError, match="nowhere"):
        write_key(tmp_path / "nowhere" / "a.key", key)
    with pytest.raises(StoreError, match="could not be read"):
        read_key(tmp_path)


def test_no_message_and_no_repr_shows_a_secret(key: SigningKey) -> None:
    secret = NEUMANN_SECRET.rsplit("+", 1)[0][-8:]  # part of the secret: it has a plus sign in it
    assert secret not in repr(key)
    for text in (NEUMANN_SECRET + "A", NEUMANN_SECRET[:-1], NEUMANN_SECRET.replace("c74f20a3", "c74f20a4")):
        with pytest.raises(InbondError) as refusal:
            SigningKey.from_text(text)
        assert secret not in str(refusal.value)
        assert refusal.value.__cause__ is None
