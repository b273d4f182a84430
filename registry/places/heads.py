"""The heads of a log that this machine has verified: each signed by the log, each consistent with those before.

The newest lies in the user's state folder, by the genesis leaf hash, so that a history is followed from one process and
one day to the next: `seen`, beside the file that the log itself uses where it lies on this machine too. A log that was
rolled back, or shows this machine another history than before, is refused, and both signed heads are kept as evidence:
together they prove what its operator did.

Where the policy wants witnesses, a head that its log has signed is followed as any other, but nothing is *read* by it alone: what
an entry says counts once a head that has the quorum covers it. The newest such head lies beside `seen`, as `witnessed`. A head
that was signed a moment ago has no cosignatures yet, so whoever reads waits for them a while, and is then told that they lack.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from inbond.ledger import merkle
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.database import locked
from inbond.ledger.encoding import to_base64
from inbond.ledger.files import make_folders, write_durably
from inbond.ledger.highwater import state_folder
from inbond.ledger.logkeys import LogKeys
from inbond.ledger.policy import NO_QUORUM, TrustPolicy
from inbond.schemas.errors import Inconclusive, StoreError, VerificationError

SEEN = "seen"
WITNESSED = "witnessed"
PATIENCE = 25.0
"""Seconds for which witnesses are waited for: they are asked every ten seconds."""

_KNOWN = 4096  # heads of which a process remembers that it compared them
_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Asking:
    """What a log is asked: the head that it shows, the head of one size, the proof that one size begins with another."""

    newest: Callable[[], bytes]
    at: Callable[[int], bytes]
    consistency: Callable[[int, int], Sequence[bytes]]


class Heads:
    """What is believed of one log's history. Safe in many threads; several processes may share the folder."""

    def __init__(self, address: str, genesis: bytes, origin: str, policy: TrustPolicy, asking: Asking) -> None:
        self.folder = state_folder() / genesis.hex()
        self.wants_witnesses = policy.quorum != NO_QUORUM
        self._address, self._genesis, self._origin, self._policy = address, genesis, origin, policy
        self._signed, self._asking = signed_only(policy), asking
        self._known: dict[tuple[int, bytes], None] = {}
        self._opened: tuple[bytes, Checkpoint] | None = None
        self._keys = LogKeys()
        self._lock = Lock()
        self._relied = 0  # the size of the log that answers were about
        self._covered = 0  # the size of the newest head with the quorum, as far as this object knows

    def learn(self, keys: LogKeys) -> None:
        """The log's keys as far as its entries are known: what a replaced key signs alone is refused from now on."""
        self._keys, self._opened = keys, None

    def newest(self) -> Checkpoint:
        """Ask for the newest head, and follow the log to it; returns the newest that the policy accepts.

        Raises VerificationError for a log that is older than what it showed before, or that is of another history, and
        Inconclusive where there is no head with the quorum of witnesses yet.
        """
        self._follow()
        found = self._newest_witnessed() if self.wants_witnesses else self.read()
        if found is None:
            raise self._lacking(1)
        return self.open(found)

    def reach(self, size: int) -> None:
        """Follow the log to at least `size`, which an answer was about. Raises VerificationError where it is not that large."""
        self._relied = max(self._relied, size)
        if self._size_seen() < size:
            self._follow()
        if self._size_seen() < size and self.accept(self._asking.at(size)).size < size:
            raise VerificationError(f"{self._address}: expected a head of size {size}, which an answer was about, found none")

    def accept(self, note: bytes) -> Checkpoint:
        """The head in a note that came with something else, which may be older than the newest, but not of another history."""
        head = self.open(note)
        if (head.size, head.root) not in self._known:
            while True:
                seen = self.read()
                if seen is not None:
                    self._compare(seen, note)
                with self._held():
                    if self.read() != seen:
                        continue  # another process was faster: what it has seen is compared too
                    if seen is None or self.open(seen).size < head.size:
                        self._write(SEEN, note)
                    break
            with self._lock:
                self._known[head.size, head.root] = None
                while len(self._known) > _KNOWN:
                    self._known.pop(next(iter(self._known)))
        if self.wants_witnesses and head.size > self._covered and self._is_witnessed(note):
            self._keep_witnessed(note, head)
        return head

    def rely(self, size: int) -> None:
        """Take note that something is believed of a log of `size`, whoever has cosigned that: `remark` tells."""
        self._relied = max(self._relied, size)

    def expect_witnessed(self, size: int) -> None:
        """Raise Inconclusive unless the policy accepts a head of at least `size`; witnesses are waited for a while."""
        if not self.wants_witnesses:
            return
        end = time.monotonic() + PATIENCE
        while self._covered < size and self._size_witnessed() < size:
            self._follow()
            if self._size_witnessed() >= size:
                return
            if time.monotonic() >= end:
                raise self._lacking(size)
            time.sleep(_PAUSE)

    def remark(self) -> str | None:
        """What must be said of the answers that were given: that witnesses have not cosigned all that they are about."""
        if not self.wants_witnesses or self._size_witnessed() >= self._relied:
            return None
        there, last = self._size_witnessed(), self._relied - 1
        rest = f"entry {there}" if there == last else f"entries {there} to {last}"
        met = f"up to size {there}" if there else "nowhere yet"
        return (
            f"not yet witnessed: this rests on the log's signature alone for {rest}; the quorum {self._policy.quorum!r} of the "
            f"policy is met {met}"
        )

    def open(self, note: bytes) -> Checkpoint:
        """The head in a note; VerificationError unless this log signed it. Whether witnesses did is another question."""
        opened = self._opened
        if opened is not None and opened[0] == note:
            return opened[1]
        head = self._signed.open_checkpoint(note)
        self._keys.refuse_replaced(note)
        if head.origin != self._origin:
            raise VerificationError(f"{self._address}: expected a head of the log {self._origin}, found one of {head.origin}")
        self._opened = note, head
        return head

    def read(self) -> bytes | None:
        """The newest head that was seen, as it was signed, None where there was none; what is there is verified again."""
        return self._read(SEEN)

    def _follow(self) -> None:
        """Ask for the newest head; an older one than was seen is refused, unless the log shows that it still holds the newer."""
        before = self.read()
        note = self._asking.newest()
        head = self.open(note)
        if before is not None and head.size < (size := self.open(before).size):
            try:
                proof = self._asking.consistency(head.size, size)
                merkle.verify_consistency(head.size, size, proof, head.root, self.open(before).root)
            except VerificationError:
                raise self._refused(
                    f"expected a head of at least size {size}, which it had before, found size {head.size}: it was rolled back",
                    before,
                    note,
                ) from None
        self.accept(note)

    def _size_seen(self) -> int:
        seen = self.read()
        return 0 if seen is None else self.open(seen).size

    def _size_witnessed(self) -> int:
        found = self._newest_witnessed()
        self._covered = max(self._covered, 0 if found is None else self.open(found).size)
        return self._covered

    def _newest_witnessed(self) -> bytes | None:
        """The newest head with the quorum that was seen; None where there was none, or this policy wants other witnesses."""
        found = self._read(WITNESSED)
        return found if found is not None and self._is_witnessed(found) else None

    def _is_witnessed(self, note: bytes) -> bool:
        """Whether a note that the log has signed has the policy's quorum too."""
        try:
            self._policy.open_checkpoint(note)
        except VerificationError:
            return False
        return True

    def _keep_witnessed(self, note: bytes, head: Checkpoint) -> None:
        with self._held():
            if self._size_witnessed() < head.size:
                self._write(WITNESSED, note)

    def _lacking(self, size: int) -> Inconclusive:
        there = self._size_witnessed()
        try:
            self._policy.open_checkpoint(self._asking.newest())
            found = f"them up to size {there}"
        except VerificationError as error:
            found = error.message
        return Inconclusive(
            f"{self._address}: expected cosignatures that meet the policy's quorum {self._policy.quorum!r} on a head of at least "
            f"size {size}, found: {found}",
            hint="witnesses are asked every ten seconds: try again; if it stays so, ask the registry's operator "
            "(inbond witness status), or one of the witnesses is gone",
        )

    def _read(self, name: str) -> bytes | None:
        path = self.folder / name
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
                proof = self._asking.consistency(old.size, new.size)
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

    def _write(self, name: str, note: bytes) -> None:
        try:
            write_durably(self.folder / name, note, 0o600)
        except OSError as error:
            raise StoreError(
                f"{self.folder / name}: the newest head that was seen could not be written: {error.strerror}",
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
    signed = signed_only(policy)
    for path in sorted(state_folder().glob(f"*/{SEEN}")):
        if path.parent.name == genesis.hex():
            continue
        try:
            if signed.open_checkpoint(path.read_bytes()).origin == origin:
                found.append(path)
        except (VerificationError, OSError):
            continue  # a log under another policy
    return found


def signed_only(policy: TrustPolicy) -> TrustPolicy:
    """Trust in the same logs, whoever has cosigned."""
    return TrustPolicy(logs=policy.logs)
