"""Signed notes (C2SP signed-note): a text and, after its last blank line, one line for each signature.

`parse` and `Note.to_bytes` are inverse to each other: only notes that re-encode to the same bytes are accepted. The
text of a note means nothing before `open_note` has verified a signature on it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from inbond.ledger.encoding import from_base64, to_base64
from inbond.ledger.keys import SigningKey, VerifierKey, is_name
from inbond.schemas.errors import InvalidInput, VerificationError

MAX_NOTE = 1 << 20
MAX_SIGNATURES = 100
MAX_SIGNATURE = 8192  # bytes; an ML-DSA-44 cosignature has 2,432

_DASH = "— "
_CONTROLS = bytes(set(range(0x20)) - {0x0A})


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: whose it says it is, and what follows the key id."""

    name: str
    key_id: bytes
    blob: bytes

    def line(self) -> str:
        """The line without its newline."""
        return f"{_DASH}{self.name} {to_base64(self.key_id + self.blob)}"


@dataclass(frozen=True, slots=True)
class Note:
    """A text, which ends in a newline, and its signatures in their order."""

    text: bytes
    signatures: tuple[NoteSignature, ...]

    def to_bytes(self) -> bytes:
        """The note as it is stored and sent."""
        lines = "".join(signature.line() + "\n" for signature in self.signatures)
        return self.text + b"\n" + lines.encode()


def sign(text: bytes, keys: Iterable[SigningKey]) -> bytes:
    """The note with one Ed25519 (0x01) signature of each key.

    Raises InvalidInput for a text that no note can hold, and for no key.
    """
    signatures = tuple(NoteSignature(key.name, key.verifier.key_id, key.sign(text)) for key in keys)
    data = Note(text, signatures).to_bytes()
    try:
        parse(data)
    except VerificationError as error:
        raise InvalidInput(error.message) from None
    return data


def parse(data: bytes) -> Note:
    """Split a note without verifying anything.

    Raises VerificationError for bytes that are not a note, naming the line.
    """
    if len(data) > MAX_NOTE:
        raise VerificationError(f"note: expected at most {MAX_NOTE} bytes, found {len(data)}")
    if len(data.translate(None, _CONTROLS)) != len(data):
        raise VerificationError("note: expected no control characters but newlines, found some")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise VerificationError(f"note: expected UTF-8, found another byte at {error.start}") from None
    split = data.rfind(b"\n\n")
    block = data[split + 2 :]
    if split < 0 or not block.endswith(b"\n"):
        raise VerificationError("note: expected a text, a blank line and signature lines, found another form")
    lines = block[:-1].decode().split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise VerificationError(f"note: expected at most {MAX_SIGNATURES} signatures, found {len(lines)}")
    return Note(data[: split + 1], tuple(_signature(line) for line in lines))


def open_note(data: bytes, verifiers: Iterable[VerifierKey]) -> tuple[Note, tuple[VerifierKey, ...]]:
    """Parse a note and verify every signature on it that one of `verifiers` should have made.

    Signatures of other keys are ignored. Returns the note and the verifiers that did sign it, each once, in the order
    of their first lines. Raises VerificationError if one of their signatures fails (one good line does not excuse a bad
    repetition of it), or if there is none.
    """
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for verifier in verifiers:
        other = known.setdefault((verifier.name, verifier.key_id), verifier)
        if other != verifier:
            raise VerificationError(f"two different verifier keys have the name {verifier.name} and the same key id")
    note = parse(data)
    verified: dict[VerifierKey, None] = {}
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if not key.verify(note.text, signature.blob):
            raise VerificationError(f"note: expected a valid signature by {key.name}, found one that does not verify")
        verified[key] = None
    if not verified:
        wanted = ", ".join(sorted({f"{name}+{key_id.hex()}" for name, key_id in known})) or "nobody"
        found = ", ".join(f"{signature.name}+{signature.key_id.hex()}" for signature in note.signatures)
        raise VerificationError(f"note: expected a signature by {wanted}, found {found}")
    return note, tuple(verified)


def _signature(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not is_name(name):
        raise VerificationError(f"note: expected a signature line '— <key name> <base64>', found {line[:80]!r}")
    data = from_base64(encoded, f"note signature by {name}", limit=MAX_SIGNATURE)
    if len(data) < 5:
        raise VerificationError(f"note signature by {name}: expected a key id and a signature, found {len(data)} bytes")
    return NoteSignature(name, data[:4], data[4:])
