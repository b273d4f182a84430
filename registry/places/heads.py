"""The heads of a log that this machine has verified: each signed as the policy wants, each consistent with those before.

The newest lies in the user's state folder, by the genesis leaf hash, so that a history is followed from one process and
one day to the next: `seen`, beside the file that the log itself uses where it lies on this machine too. A log that was
rolled back, or shows this machine another history than before, is refused, and both signed heads are kept as evidence:
together they prove what its operator did.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Lock

from inbond.ledger import merkle
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.database import locked
from inbond.ledger.encoding import to_base64
from inbond.ledger.files import make_folders, write_durably
from inbond.ledger.highwater import state_folder
from inbond.ledger.policy import TrustPolicy
from inbond.schemas.errors import StoreError, VerificationError

SEEN = "seen"
_KNOWN = 4096  # heads of which a process remembers that it compared them

Ask = Callable[[], bytes]
"""Gives the log's newest signed head."""

Consistency = Callable[[int, int], Sequence[bytes]]
"""Gives the proof that the tree of one size begins with that of another."""


class Heads:
    """What is believed of one log's history. Safe in many threads; several processes may share the folder."""

    def __init__(
        self, address: str, genesis: bytes, origin: str, policy: TrustPolicy, ask: Ask, consistency: Consistency
    ) -> None:
        self.folder = state_folder() / genesis.hex()
        self._address, self._genesis, self._origin, self._policy = address, genesis, origin, policy
        self._ask, self._consistency = ask, consistency
        self._known: dict[tuple[int, bytes], None] = {}
        self._opened: tuple[bytes, Checkpoint] | None = None
        self._lock = Lock()

    def newest(self) -> Checkpoint:
        """Ask for the newest head, and follow the log to it.

        Raises VerificationError for a head that is older than one seen before, or that is of another history.
        """
        before = self.read()
        note = self._ask()
        head = self.open(note)
        if before is not None and head.size < self.open(before).size:
            size = self.open(before).size
            raise self._refused(
                f"expected a head of at least size {size}, which it had before, found size {head.size}: it was rolled back",
                before,
                note,
            )
        return self.accept(note)

    def accept(self, note: bytes) -> Checkpoint:
        """The head in a note that came with something else, which may be older than the newest, but not of another history."""
        head = self.open(note)
        if (head.size, head.root) in self._known:
            return head
        while True:
            seen = self.read()
            if seen is not None:
                self._compare(seen, note)
            with self._held():
                if self.read() != seen:
                    continue  # another process was faster: what it has seen is compared too
                if seen is None or self.open(seen).size < head.size:
                    self._write(note)
                break
        with self._lock:
            self._known[head.size, head.root] = None
            while len(self._known) > _KNOWN:
                self._known.pop(next(iter(self._known)))
        return head

    def open(self, note: bytes) -> Checkpoint:
        """The head in a note; VerificationError unless the policy accepts it and it is one of this log."""
        opened = self._opened
        if opened is not None and opened[0] == note:
            return opened[1]
        head = self._policy.open_checkpoint(note)
        if head.origin != self._origin:
            raise VerificationError(f"{self._address}: expected a head of the log {self._origin}, found one of {head.origin}")
        self._opened = note, head
        return head

    def read(self) -> bytes | None:
        """The newest head that was seen, as it was signed, None where there was none; what is there is verified again."""
        path = self.folder / SEEN
        try:
            note = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(
                f"{path}: the newest head that was seen cannot be read: {error.strerror}",
                hint="INBOND_STATE names another folder",
            ) from error
        try:
            self.open(note)
        except VerificationError as error:
            raise VerificationError(
                f"{path}: expected a head of {self._origin} that the policy accepts, found: {error.message}",
                hint="compare it with your witnesses' or auditors' newest head before you remove it",
            ) from None
        return note

    def _compare(self, one: bytes, other: bytes) -> None:
        """Raise unless one of the two heads continues the other."""
        first, second = sorted((one, other), key=lambda note: self.open(note).size)
        old, new = self.open(first), self.open(second)
        proof: Sequence[bytes] = ()
        try:
            if old.size != new.size:
                proof = self._consistency(old.size, new.size)
            merkle.verify_consistency(old.size, new.size, proof, old.root, new.root)
        except VerificationError as error:
            raise self._refused(
                f"expected one history, found heads of sizes {old.size} and {new.size} of which neither continues the other: "
                f"{error.message}",
                first,
                second,
                proof,
            ) from None

    def _refused(self, message: str, one: bytes, other: bytes, proof: Sequence[bytes] = ()) -> VerificationError:
        """Keep two signed heads as evidence; returns the error that names the file."""
        parts = [f"inbond: {self._address}: {message}\n".encode(), b"-- seen before --\n", one, b"-- found --\n", other]
        if proof:
            parts += [b"-- proof that came with it --\n", *(f"{to_base64(value)}\n".encode() for value in proof)]
        data = b"".join(parts)
        path = self.folder / f"evidence-{hashlib.sha256(data).hexdigest()[:16]}.txt"
        try:
            make_folders(self.folder, 0o700)
            write_durably(path, data, 0o600)
            kept = f"both signed heads are kept in {path}"
        except OSError as error:
            kept = f"both signed heads could not be kept in {path}: {error.strerror}"
        return VerificationError(
            f"{self._address}: {message}; {kept}",
            hint="show them to the registry's auditors and witnesses: together they prove that it has changed its history",
            evidence=str(path),
        )

    def _write(self, note: bytes) -> None:
        try:
            write_durably(self.folder / SEEN, note, 0o600)
        except OSError as error:
            raise StoreError(
                f"{self.folder / SEEN}: the newest head that was seen could not be written: {error.strerror}",
                hint="free space or mend permissions; INBOND_STATE names another folder",
            ) from error

    def _held(self) -> AbstractContextManager[None]:
        try:
            make_folders(self.folder, 0o700)
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be made: {error.strerror}", hint="INBOND_STATE names another") from error
        return locked(self.folder / f"{SEEN}.lock")


def others_of(origin: str, genesis: bytes, policy: TrustPolicy) -> list[Path]:
    """Heads that this machine has seen of logs of the same name and key that began otherwise: one of them is a fork."""
    found = []
    for path in sorted(state_folder().glob(f"*/{SEEN}")):
        if path.parent.name == genesis.hex():
            continue
        try:
            if policy.open_checkpoint(path.read_bytes()).origin == origin:
                found.append(path)
        except (VerificationError, OSError):
            continue  # a log under another policy
    return found
