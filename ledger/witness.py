"""What a witness answers to `add-checkpoint` (C2SP tlog-witness), as a pure decision.

`parse` reads a request, `authenticate` asks whether the log has signed it, `check` whether it follows from what the witness
cosigned last. Each refusal is one of our errors, whose `status` is the answer's:

    400 InvalidInput        no request; an old size beyond the checkpoint's
    404 NotFound            a log that this witness does not know
    403 NotPermitted        no signature by a key of the log, or one that fails
    409 Conflict            another old size than the one cosigned last, which stands in the error's member `size`
    422 VerificationError   a proof that is none, another root for the same size, a wrong root of the empty tree

`check` decides nothing alone: whoever calls it must hold the state from its reading to its replacement (witness_state.py).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inbond.ledger import checkpoints, merkle, notes
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.encoding import from_base64, from_decimal, to_base64
from inbond.ledger.keys import VerifierKey
from inbond.ledger.loglist import KnownLog
from inbond.ledger.notes import Note, NoteSignature
from inbond.schemas.errors import Conflict, InvalidInput, NotFound, NotPermitted, VerificationError

MAX_PROOF = 63  # lines
MAX_REQUEST = 1 << 18  # bytes: sixteen signatures of the greatest length, a proof, and room

_OLD = b"old "
_SIGNATURES = re.compile("(?:— [!-*,-~]+ [!-~]+\n){1,16}".encode())


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request: the size that the witness should have cosigned last, the proof from there, the signed checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    note: Note
    checkpoint: Checkpoint

    @classmethod
    def make(cls, old: int, proof: Sequence[bytes], note: bytes) -> "AddCheckpoint":
        """The request for a signed checkpoint; InvalidInput for one that no witness would read."""
        lines = [f"old {old}", *map(to_base64, proof)]
        return parse("\n".join(lines).encode() + b"\n\n" + note)

    def to_bytes(self) -> bytes:
        """The request's body."""
        lines = [f"old {self.old}", *map(to_base64, self.proof)]
        return "\n".join(lines).encode() + b"\n\n" + self.note.to_bytes()


@dataclass(frozen=True, slots=True)
class Latest:
    """What a witness cosigned last for a log: POSIX time, and the note with the log's and its own signatures."""

    origin: str
    size: int
    root: bytes
    time: int
    note: bytes


def parse(body: bytes) -> AddCheckpoint:
    """Read a request; nothing in it is verified yet.

    Raises InvalidInput unless `body` is exactly what `AddCheckpoint.to_bytes` writes; and NotPermitted where nothing but the
    base64 of a signature is wrong, as such a signature is one that fails.
    """
    if len(body) > MAX_REQUEST:
        raise InvalidInput(f"add-checkpoint: expected at most {MAX_REQUEST} bytes, found {len(body)}")
    head, blank, rest = body.partition(b"\n\n")
    if not blank or not head.startswith(_OLD):
        raise InvalidInput(f"add-checkpoint: expected 'old <size>', proof lines and a blank line, found {head[:40]!r}")
    first, *lines = head.decode("latin-1").split("\n")  # every line must turn out to be ASCII below
    if len(lines) > MAX_PROOF:
        raise InvalidInput(f"add-checkpoint: expected at most {MAX_PROOF} proof lines, found {len(lines)}")
    try:
        old = from_decimal(first.removeprefix("old "), "old size")
        proof = tuple(from_base64(line, "consistency proof", length=merkle.HASH_SIZE) for line in lines)
        checkpoint = checkpoints.split(rest[: rest.rfind(b"\n\n") + 1])
        return AddCheckpoint(old, proof, _note(rest), checkpoint)
    except VerificationError as error:
        raise InvalidInput(f"add-checkpoint: {error.message}") from None


def _note(data: bytes) -> Note:
    try:
        return notes.parse(data)
    except VerificationError as error:
        if _SIGNATURES.fullmatch(data, data.rfind(b"\n\n") + 2):
            raise NotPermitted(f"invalid signature: {error.message}") from None
        raise


def authenticate(request: AddCheckpoint, logs: Mapping[str, KnownLog]) -> tuple[NoteSignature, ...]:
    """The log's own signatures on the checkpoint, all verified; raises NotFound or NotPermitted."""
    origin = request.checkpoint.origin
    log = logs.get(origin)
    if log is None:
        raise NotFound(f"unknown log: expected one that this witness knows, found {origin[:120]!r}")
    try:
        _, signers = notes.open_note(request.note.to_bytes(), log.keys)
    except VerificationError as error:
        raise NotPermitted(f"invalid signature: {error.message}") from None
    ids = {(key.name, key.key_id) for key in signers}
    return tuple(each for each in request.note.signatures if (each.name, each.key_id) in ids)


def check(request: AddCheckpoint, latest: Latest | None) -> None:
    """Raise unless the checkpoint, whose log has signed it, follows from the one that was cosigned last."""
    new = request.checkpoint
    size, root = (latest.size, latest.root) if latest else (0, merkle.EMPTY_ROOT)
    if request.old > new.size:
        raise InvalidInput(f"add-checkpoint: expected an old size of at most {new.size}, the checkpoint's, found {request.old}")
    if request.old != size:
        raise Conflict(f"add-checkpoint: expected old size {size}, which was cosigned last, found {request.old}", size=size)
    try:  # which also knows the one root of size 0
        merkle.verify_consistency(size, new.size, request.proof, root, new.root)
    except VerificationError as error:
        raise VerificationError(f"consistency proof: {error.message}") from None


def contradicts(checkpoint: Checkpoint, latest: Latest | None) -> bool:
    """Whether a checkpoint that its log has signed proves, with the one cosigned last, that the log has two histories."""
    return latest is not None and checkpoint.size == latest.size and checkpoint.root != latest.root


def check_keys(logs: Sequence[KnownLog], own: Sequence[VerifierKey]) -> None:
    """Raise InvalidInput for logs or keys that a witness must not be started with."""
    if not logs:
        raise InvalidInput("witness: expected at least one log that it knows, found none")
    if not own:
        raise InvalidInput("witness: expected at least one key to cosign with, found none")
    mine = [key.public for key in own]
    if len(set(mine)) != len(mine):
        raise InvalidInput("witness: expected keys of its own that differ, found one twice")
    for log in logs:
        if log.origin in {key.name for key in own}:  # an ML-DSA-44 key file does not say which of the two it is for
            raise InvalidInput(f"witness: expected keys with a name of their own, found one of the log {log.origin}")
        if len({(key.name, key.key_id) for key in log.keys}) != len(log.keys):
            raise InvalidInput(f"log {log.origin}: expected keys of different names or ids, found two alike")
        unusable = [key.name for key in log.keys if not key.supported]
        if unusable:
            raise InvalidInput(f"log {log.origin}: expected keys that can be used here, found an ML-DSA-44 key, {unusable[0]}")
        if any(key.public in mine for key in log.keys):
            raise InvalidInput(f"log {log.origin}: expected a key that is not the witness's own, found the same one")
