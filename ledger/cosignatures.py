"""Timestamped cosignatures (C2SP tlog-cosignature): the bytes that a cosigner signs, in both forms.

Ed25519 (0x04) signs two header lines and the whole text of the checkpoint; not the cosigner's name, so that a key has one
name. ML-DSA-44 (0x06) signs a TLS-encoded struct over name, time, origin, size and root. What follows the key id on a
signature line is the time, eight bytes big-endian, and the signature.

ML-DSA-44 needs a `cryptography` that has it, over an OpenSSL that has it. Where it is missing, `ml_dsa_available` is false:
such keys can be named, and nothing else.
"""

from functools import cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from inbond.ledger.encoding import MAX_SIZE, from_base64, from_decimal
from inbond.schemas.errors import InvalidInput, VerificationError

try:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
except ImportError:  # an older library
    IMPORTED = False
else:
    IMPORTED = True

ED25519_SIZE, ML_DSA_44_SIZE = 64, 2420  # bytes of a signature
NO_ML_DSA = "ML-DSA-44 cannot be used here: expected a cryptography library and an OpenSSL (3.5 or later) that have it"

_LABEL = b"subtree/v1\n\0"


def ed25519_message(time: int, text: bytes) -> bytes:
    """What a 0x04 cosignature at `time` (POSIX seconds) is over."""
    return b"cosignature/v1\ntime %d\n%b" % (time, text)


def ml_dsa_message(name: str, time: int, text: bytes) -> bytes:
    """What a 0x06 cosignature by `name` at `time` is over; VerificationError for a text that is no checkpoint."""
    try:
        lines = text.decode().split("\n")
    except UnicodeDecodeError:
        raise VerificationError("cosigned text: expected UTF-8, found other bytes") from None
    if len(lines) != 4 or lines[3]:  # extension lines are not in the struct, so they are not accepted
        raise VerificationError(f"cosigned text: expected the three lines of a checkpoint, found {text[:80]!r}")
    size, root = from_decimal(lines[1], "checkpoint size"), from_base64(lines[2], "checkpoint root", length=32)
    names = [bytes([len(each)]) + each for each in (name.encode(), lines[0].encode()) if 1 <= len(each) <= 255]
    if len(names) != 2:
        raise VerificationError("cosigned text: expected a cosigner and an origin of 1 to 255 bytes each")
    start = 0
    return b"".join(
        (_LABEL, names[0], time.to_bytes(8, "big"), names[1], start.to_bytes(8, "big"), size.to_bytes(8, "big"), root)
    )


def split(blob: bytes, size: int) -> tuple[int, bytes] | None:
    """The time and the signature of `size` bytes in what follows a key id; None for another length or a time beyond 2^63-1."""
    time = int.from_bytes(blob[:8], "big")
    return (time, blob[8:]) if len(blob) == 8 + size and time <= MAX_SIZE else None


@cache
def _works() -> bool:
    try:
        MLDSA44PrivateKey.from_seed_bytes(bytes(32))
    except UnsupportedAlgorithm:
        return False
    return True


def ml_dsa_available() -> bool:
    """Whether ML-DSA-44 keys can sign and verify here."""
    return IMPORTED and _works()


def ml_dsa_private(seed: bytes) -> "MLDSA44PrivateKey":
    """The key of a 32-byte seed, which gives another signature each time; InvalidInput where the library has no ML-DSA."""
    if not ml_dsa_available():
        raise InvalidInput(NO_ML_DSA, hint="use an Ed25519 key")
    return MLDSA44PrivateKey.from_seed_bytes(seed)


def ml_dsa_verify(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `signature` is good; VerificationError where the library has no ML-DSA."""
    if not ml_dsa_available():
        raise VerificationError(NO_ML_DSA)
    try:
        MLDSA44PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True
