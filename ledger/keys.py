"""Ed25519 keys and the texts that hold them: verifier keys (C2SP signed-note) and key files in the Go signer form.

A key file is one line, `PRIVATE+KEY+<name>+<key id>+<base64 of 01 and the 32-byte seed>`. The key id is a hash over
name and public key, so a changed byte anywhere in the line is noticed when the file is read.
"""

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from inbond.ledger import cosignatures
from inbond.ledger.encoding import from_base64, to_base64
from inbond.ledger.files import sync_folder
from inbond.schemas.errors import Conflict, InvalidInput, NotFound, NotPermitted, StoreError, VerificationError

ED25519 = 0x01
COSIGNATURE_V1 = 0x04
ML_DSA_44 = 0x06

MAX_NAME = 255  # bytes; the ML-DSA cosignature holds a name's length in one byte

_PUBLIC_SIZES = {ED25519: 32, COSIGNATURE_V1: 32, ML_DSA_44: 1312}
_PRIVATE = "PRIVATE+KEY+"
_KEY_ID = re.compile("[0-9a-f]{8}")
_MAX_KEY_FILE = 4096

# Points of small order sign anything for anybody: an all-zero signature verifies under them. RFC 8032 does not exclude
# them and OpenSSL accepts them, so they are refused here, by y-coordinate, before a signature can be denied later.
_FIELD = 2**255 - 19
_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER = frozenset({0, 1, _FIELD - 1, _ORDER_8, _FIELD - _ORDER_8})


class PublicKey:
    """A raw 32-byte Ed25519 public key.

    Raises VerificationError for another length, an encoding that is not canonical, or a point of small order.
    """

    def __init__(self, raw: bytes) -> None:
        y = int.from_bytes(raw, "little") & (1 << 255) - 1
        if len(raw) != 32 or y >= _FIELD or y in _SMALL_ORDER:
            raise VerificationError(f"expected an Ed25519 public key of 32 bytes, found {raw[:40].hex()}")
        self.raw = raw

    @classmethod
    def from_base64(cls, text: str) -> "PublicKey":
        """The key whose raw bytes `text` holds as padded standard base64."""
        return cls(from_base64(text, "public key", length=32))

    @property
    def base64(self) -> str:
        """The raw key as padded standard base64, as statements hold it."""
        return to_base64(self.raw)

    @cached_property
    def fingerprint(self) -> str:
        """The hex SHA-256 of the raw key: the `keyid` of its DSSE signatures."""
        return sha256(self.raw).hexdigest()

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether `signature` is this key's over `data`. Safe to call from many threads; they run in parallel."""
        try:
            self._key.verify(signature, data)
        except (InvalidSignature, ValueError):  # ValueError: 32 bytes that are no point of the curve
            return False
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"PublicKey({self.fingerprint[:16]})"

    @cached_property
    def _key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.raw)


class SigningKey:
    """A named Ed25519 signing key. Its `repr` shows no secret; only `to_text` does."""

    def __init__(self, name: str, seed: bytes) -> None:
        check_name(name)
        if len(seed) != 32:
            raise InvalidInput(f"expected a seed of 32 bytes, found {len(seed)}")
        self.name = name
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> "SigningKey":
        """A new key from the system's randomness."""
        return cls.from_seed(name, os.urandom(32))

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> "SigningKey":
        """The key that a 32-byte seed stands for."""
        return cls(name, seed)

    @property
    def verifier(self) -> "VerifierKey":
        """The verifier key for notes that this key signs (type 0x01)."""
        return VerifierKey(self.name, ED25519, self.public.raw)

    def sign(self, data: bytes) -> bytes:
        """The 64-byte signature over `data`; the same data always gives the same one."""
        return self._key.sign(data)

    def to_text(self) -> str:
        """The key with its secret, in the Go note signer form, without a newline."""
        secret = to_base64(bytes([ED25519]) + self._key.private_bytes_raw())
        return f"{_PRIVATE}{self.name}+{self.verifier.key_id.hex()}+{secret}"

    @classmethod
    def from_text(cls, text: str) -> "SigningKey":
        """The inverse of `to_text`; VerificationError for any other text. No message repeats the text."""
        parts = text.removeprefix(_PRIVATE).split("+", 2)
        if not text.startswith(_PRIVATE) or len(parts) != 3 or len(text) > _MAX_KEY_FILE:
            raise VerificationError("signing key: expected PRIVATE+KEY+<name>+<key id>+<base64>, found another form")
        try:
            secret = from_base64(parts[2], "signing key", length=33)
            key = cls.from_seed(parts[0], secret[1:])
        except (InvalidInput, VerificationError):
            raise VerificationError("signing key: expected a name and 33 bytes in base64, found neither") from None
        if secret[0] != ED25519 or key.to_text() != text:
            raise VerificationError("signing key: expected the key id of its name and secret, found another one")
        return key

    def __repr__(self) -> str:
        return f"SigningKey({self.name}, {self.public.fingerprint[:16]})"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A verifier key for notes: a name, a signature type and the raw public key (C2SP signed-note, "vkey").

    Types are 0x01 (Ed25519), 0x04 (Ed25519 cosignature/v1) and 0x06 (ML-DSA-44 cosignature, which verifies where the
    `cryptography` library has it). Raises VerificationError for another type, name or length.
    """

    name: str
    type: int
    public: bytes

    def __post_init__(self) -> None:
        expected = _PUBLIC_SIZES.get(self.type)
        if expected is None:
            raise VerificationError(f"verifier key {self.name}: expected type 01, 04 or 06, found {self.type:02x}")
        if len(self.public) != expected:
            raise VerificationError(f"verifier key {self.name}: expected {expected} bytes of key, found {len(self.public)}")
        if not is_name(self.name):
            raise VerificationError(f"verifier key: expected a key name, found {self.name[:80]!r}")
        if self.type != ML_DSA_44:
            PublicKey(self.public)

    @property
    def key_id(self) -> bytes:
        """The four bytes that say, with the name, whose a note signature is."""
        return note_key_id(self.name, self.type, self.public)

    @property
    def supported(self) -> bool:
        """Whether `verify` can check this type of signature here."""
        return self.type != ML_DSA_44 or cosignatures.ml_dsa_available()

    def verify(self, text: bytes, blob: bytes) -> bool:
        """Whether `blob` (what follows the key id on a signature line) is this key's signature on a note text.

        Raises VerificationError for an ML-DSA-44 key where the library has no ML-DSA.
        """
        if self.type == ED25519:
            return PublicKey(self.public).verify(blob, text)
        if self.type == COSIGNATURE_V1:
            found = cosignatures.split(blob, cosignatures.ED25519_SIZE)
            return found is not None and PublicKey(self.public).verify(found[1], cosignatures.ed25519_message(found[0], text))
        if not self.supported:
            raise VerificationError(f"verifier key {self.name}: {cosignatures.NO_ML_DSA}")
        found = cosignatures.split(blob, cosignatures.ML_DSA_44_SIZE)
        try:
            return found is not None and cosignatures.ml_dsa_verify(
                self.public, found[1], cosignatures.ml_dsa_message(self.name, found[0], text)
            )
        except VerificationError:  # a text that is no checkpoint
            return False

    def format(self) -> str:
        """The vkey text: name, key id and base64 of type and key, joined by plus signs."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(bytes([self.type]) + self.public)}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """The inverse of `format`; VerificationError for any other text, a wrong key id included."""
        parts = text.split("+", 2) if len(text) <= _MAX_KEY_FILE else []
        if len(parts) != 3 or _KEY_ID.fullmatch(parts[1]) is None:
            raise VerificationError(
                f"verifier key: expected <name>+<8 hex digits>+<base64> of at most {_MAX_KEY_FILE} characters, "
                f"found {text[:80]!r}"
            )
        data = from_base64(parts[2], f"verifier key {parts[0][:80]}")
        key = cls(parts[0], data[0] if data else 0, data[1:])
        if key.key_id.hex() != parts[1]:
            raise VerificationError(f"verifier key {key.name}: expected key id {key.key_id.hex()}, found {parts[1]}")
        return key


def note_key_id(name: str, type: int, public: bytes) -> bytes:
    """The key id of a note signature: the first four bytes of SHA-256(name ‖ 0A ‖ type ‖ public key)."""
    return sha256(name.encode() + b"\n" + bytes([type]) + public).digest()[:4]


def is_name(name: str) -> bool:
    """Whether `name` can name a key in notes: no spaces, control characters or plus signs, 1 to 255 bytes of UTF-8."""
    if any(c.isspace() or c < " " or c == "+" or "\ud800" <= c <= "\udfff" for c in name):
        return False
    return 1 <= len(name.encode()) <= MAX_NAME


def check_name(name: str) -> None:
    """Raise InvalidInput unless `name` can name a key."""
    if not is_name(name):
        raise InvalidInput(
            f"expected a key name of 1 to {MAX_NAME} bytes without spaces, control characters and plus signs, found {name[:80]!r}"
        )


def write_key(path: Path, key: SigningKey) -> None:
    """Write a key file that only its owner can read, durably.

    Raises Conflict if something is there already (a key is never overwritten) and StoreError if it cannot be written.
    """
    write_key_text(path, key.to_text())


def write_key_text(path: Path, text: str) -> None:
    """Write a key of any kind as `write_key` does: `text` is its one line, without the newline."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Conflict(f"{path}: expected no file there yet, found one; a key file is never overwritten") from None
    except OSError as error:
        raise StoreError(f"{path}: the key file could not be created: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise StoreError(f"{path}: the key file could not be written: {error.strerror}") from error


def read_key(path: Path) -> SigningKey:
    """Read a key file.

    Raises NotFound if there is none, NotPermitted if others than its owner could have read it, and VerificationError if
    it is not, byte for byte, what `write_key` writes.
    """
    text = read_key_text(path)
    try:
        return SigningKey.from_text(text)
    except VerificationError as error:
        raise VerificationError(f"{path}: {error.message}") from None


def read_key_text(path: Path) -> str:
    """The one line of a key file of any kind, without its newline; raises what `read_key` raises."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(_MAX_KEY_FILE + 2)
    except FileNotFoundError:
        raise NotFound(f"{path}: expected a key file, found nothing") from None
    except OSError as error:
        raise StoreError(f"{path}: the key file could not be read: {error.strerror}") from error
    mode = stat.S_IMODE(status.st_mode)
    if mode not in (0o600, 0o400):
        raise NotPermitted(
            f"{path}: expected a key file that only its owner can read (0600), found mode {mode:04o}",
            hint=f"chmod 600 {path}",
        )
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise VerificationError(f"{path}: signing key: expected UTF-8, found other bytes") from None
    if not text.endswith("\n"):
        raise VerificationError(f"{path}: signing key: expected one line that ends with a newline, found another end")
    return text[:-1]
