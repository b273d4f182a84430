"""Checkpoints (C2SP tlog-checkpoint): the signed head of a log, as a note of three lines.

We write no extension lines and accept none: no auditor could check what they say, and an ML-DSA cosignature would not
cover them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from inbond.ledger import notes
from inbond.ledger.cosigner import Cosigner
from inbond.ledger.encoding import MAX_SIZE, from_base64, from_decimal, to_base64
from inbond.ledger.keys import SigningKey, VerifierKey
from inbond.ledger.merkle import EMPTY_ROOT, HASH_SIZE
from inbond.ledger.notes import Note, NoteSignature
from inbond.schemas.errors import InvalidInput, VerificationError

LogSigner = SigningKey | Cosigner
"""A key that signs a log's checkpoints: Ed25519, or ML-DSA-44 in the form of a cosignature."""

MAX_ORIGIN = 255  # bytes; the ML-DSA cosignature holds an origin's length in one byte


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a log: `root` is the 32-byte RFC 6962 root of its first `size` entries."""

    origin: str
    size: int
    root: bytes

    def text(self) -> bytes:
        """The note text; InvalidInput for an origin, size or root that no checkpoint can hold."""
        _check(self)
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n".encode()


def parse(text: bytes) -> Checkpoint:
    """The checkpoint in a note text, which should have been verified before.

    Raises VerificationError unless the text is exactly what `Checkpoint.text` writes.
    """
    checkpoint = split(text)
    try:
        _check(checkpoint)
    except InvalidInput as error:
        raise VerificationError(error.message) from None
    return checkpoint


def split(text: bytes) -> Checkpoint:
    """The three lines of a note text, as `parse` reads them, except that size 0 may stand with any root.

    A witness answers that mistake otherwise than a text that is no checkpoint.
    """
    try:
        lines = text.decode().split("\n")
    except UnicodeDecodeError:
        raise VerificationError("checkpoint: expected UTF-8, found other bytes") from None
    if len(lines) != 4 or lines[3]:
        raise VerificationError(f"checkpoint: expected the lines origin, size and root and no others, found {text[:120]!r}")
    try:
        check_origin(lines[0])
    except InvalidInput as error:
        raise VerificationError(error.message) from None
    root = from_base64(lines[2], "checkpoint root", length=HASH_SIZE)
    return Checkpoint(lines[0], from_decimal(lines[1], "checkpoint size"), root)


def sign(checkpoint: Checkpoint, keys: Iterable[LogSigner], time: int = 0) -> bytes:
    """The signed note of a checkpoint, with a line of each key in their order.

    An ML-DSA-44 signature says that the checkpoint was the log's largest at `time` (POSIX seconds, above 0). Raises InvalidInput
    for another time, and for no key.
    """
    text = checkpoint.text()
    data = Note(text, tuple(_signature(key, text, time) for key in keys)).to_bytes()
    try:
        notes.parse(data)
    except VerificationError as error:
        raise InvalidInput(error.message) from None
    return data


def open_checkpoint(data: bytes, verifiers: Iterable[VerifierKey], origin: str) -> Checkpoint:
    """Verify a signed checkpoint, then parse it.

    Raises VerificationError if none of `verifiers` signed it, a signature of one of them fails, or it is the head of a
    log with another origin.
    """
    note, _ = notes.open_note(data, verifiers)
    checkpoint = parse(note.text)
    if checkpoint.origin != origin:
        raise VerificationError(f"checkpoint: expected origin {origin!r}, found {checkpoint.origin!r}")
    return checkpoint


def check_origin(origin: str) -> None:
    """Raise InvalidInput unless `origin` can be the first line of a checkpoint."""
    if any(c < " " or "\ud800" <= c <= "\udfff" for c in origin) or not 1 <= len(origin.encode()) <= MAX_ORIGIN:
        raise InvalidInput(
            f"expected an origin of 1 to {MAX_ORIGIN} bytes in one line without control characters, found {origin[:80]!r}"
        )


def _signature(key: LogSigner, text: bytes, time: int) -> NoteSignature:
    if isinstance(key, Cosigner):
        return key.cosign(text, time)
    return NoteSignature(key.name, key.verifier.key_id, key.sign(text))


def _check(checkpoint: Checkpoint) -> None:
    check_origin(checkpoint.origin)
    if not 0 <= checkpoint.size <= MAX_SIZE:
        raise InvalidInput(f"checkpoint size: expected 0 to 2^63-1, found {checkpoint.size}")
    if len(checkpoint.root) != HASH_SIZE:
        raise InvalidInput(f"checkpoint root: expected {HASH_SIZE} bytes, found {len(checkpoint.root)}")
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise InvalidInput(f"checkpoint of size 0: expected root {EMPTY_ROOT.hex()}, found {checkpoint.root.hex()}")
