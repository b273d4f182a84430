"""Keys that cosign: Ed25519 (0x04) and ML-DSA-44 (0x06), and the files that hold them.

A key file is one line like a signing key's, `PRIVATE+KEY+<name>+<key id>+<base64 of the type and the 32-byte seed>`. The type
stands in it, so that no log's key can be used to cosign by mistake, nor the other way round: a key has one use.
"""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inbond.ledger import cosignatures
from inbond.ledger.encoding import MAX_SIZE, from_base64, to_base64
from inbond.ledger.keys import (
    COSIGNATURE_V1,
    ML_DSA_44,
    SigningKey,
    VerifierKey,
    check_name,
    read_key_text,
    write_key_text,
)
from inbond.ledger.notes import NoteSignature
from inbond.schemas.errors import InvalidInput, NotPermitted, VerificationError

KINDS = {"ed25519": COSIGNATURE_V1, "ml-dsa-44": ML_DSA_44}

_PRIVATE = "PRIVATE+KEY+"


class Cosigner:
    """A named key that cosigns checkpoints. Its `repr` shows no secret; only `to_text` does."""

    def __init__(self, name: str, type: int, seed: bytes) -> None:
        check_name(name)
        if type not in KINDS.values() or len(seed) != 32:
            raise InvalidInput(
                f"cosigner {name}: expected type 04 or 06 and a seed of 32 bytes, found {type:02x} and {len(seed)}"
            )
        self.name, self.type, self._seed = name, type, seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed) if type == COSIGNATURE_V1 else cosignatures.ml_dsa_private(seed)
        self.verifier = VerifierKey(name, type, self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str, type: int = COSIGNATURE_V1) -> "Cosigner":
        """A new key from the system's randomness."""
        return cls(name, type, os.urandom(32))

    def cosign(self, text: bytes, time: int) -> NoteSignature:
        """The signature line for the checkpoint `text`: at `time` it was the largest that this cosigner has seen of its log."""
        if not 0 < time <= MAX_SIZE:
            raise InvalidInput(f"cosigner {self.name}: expected a time of 1 to 2^63-1, found {time}")
        is_ed25519 = self.type == COSIGNATURE_V1
        message = cosignatures.ed25519_message(time, text) if is_ed25519 else cosignatures.ml_dsa_message(self.name, time, text)
        signature = self._key.sign(message)
        return NoteSignature(self.name, self.verifier.key_id, time.to_bytes(8, "big") + signature)

    def to_text(self) -> str:
        """The key with its secret, in one line without a newline."""
        return f"{_PRIVATE}{self.name}+{self.verifier.key_id.hex()}+{to_base64(bytes([self.type]) + self._seed)}"

    @classmethod
    def from_text(cls, text: str) -> "Cosigner":
        """The inverse of `to_text`; VerificationError for any other text. No message repeats the text."""
        parts = text.removeprefix(_PRIVATE).split("+", 2)
        if not text.startswith(_PRIVATE) or len(parts) != 3:
            raise VerificationError("cosigner key: expected PRIVATE+KEY+<name>+<key id>+<base64>, found another form")
        try:
            secret = from_base64(parts[2], "cosigner key", length=33)
        except VerificationError:
            raise VerificationError("cosigner key: expected 33 bytes in base64, found others") from None
        if secret[0] not in KINDS.values():
            raise VerificationError(
                f"cosigner key {parts[0][:80]}: expected a key that cosigns (type 04 or 06), found one of type {secret[0]:02x}",
                hint="a log's key must not cosign; make a key: inbond witness key FILE --name NAME",
            )
        try:
            key = cls(parts[0], secret[0], secret[1:])
        except InvalidInput as error:
            raise VerificationError(f"cosigner key: {error.message}") from None
        if key.to_text() != text:
            raise VerificationError("cosigner key: expected the key id of its name and secret, found another one")
        return key

    def __repr__(self) -> str:
        return f"Cosigner({self.name}, {self.verifier.key_id.hex()})"


def parse_signer(text: str) -> SigningKey | Cosigner:
    """A key of any kind, from its one line; NotPermitted for a kind that cannot be used here, else VerificationError."""
    encoded = (text.split("+", 4) + [""] * 4)[4]
    if not encoded.startswith("B"):  # base64 of the type 04 or 06, not of 01
        return SigningKey.from_text(text)
    if encoded > "Bg" and not cosignatures.ml_dsa_available():
        raise NotPermitted(cosignatures.NO_ML_DSA)
    return Cosigner.from_text(text)


def read_signer(path: Path) -> SigningKey | Cosigner:
    """Read a key file of any kind; raises what `read_key` raises, and NotPermitted for a kind that cannot be used here."""
    text = read_key_text(path)
    try:
        return parse_signer(text)
    except (NotPermitted, VerificationError) as error:
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from None


def write_cosigner(path: Path, key: Cosigner) -> None:
    """Write a key file that only its owner can read, durably; raises Conflict if something is there already."""
    write_key_text(path, key.to_text())


def read_cosigner(path: Path) -> Cosigner:
    """Read a key file; raises NotFound, NotPermitted (others can read it) or VerificationError."""
    try:
        return Cosigner.from_text(read_key_text(path))
    except VerificationError as error:
        message = error.message if error.message.startswith(f"{path}: ") else f"{path}: {error.message}"
        raise VerificationError(message, hint=error.hint) from None
