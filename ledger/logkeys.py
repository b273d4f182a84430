"""The keys that sign a log's checkpoints: which of them had to sign at which size, and those at hand.

Genesis names the first keys, `key` statements their successors and their ends. Of each type a log has one key in force:
Ed25519 (0x01) always, ML-DSA-44 (0x06; C2SP tlog-cosignature) from where it was named until it is revoked. What follows:

* A checkpoint carries the signature of the newest key of each type that its entries name. Its size selects them, so receipts
  from before a rotation keep verifying, and after it the old key alone is refused.
* The first checkpoint that covers a successor carries the signature of the key before it too, unless an entry that the
  checkpoint covers revokes that one: it was lost, or somebody else has it.
* Nobody signs checkpoints that do not cover the entry which names them.

Where genesis names several keys of one type, any of them will do.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from msgspec import UNSET, UnsetType

from inbond.ledger import checkpoints, notes
from inbond.ledger.checkpoints import Checkpoint, LogSigner
from inbond.ledger.cosignatures import NO_ML_DSA
from inbond.ledger.keys import ED25519, ML_DSA_44, VerifierKey
from inbond.schemas.errors import NotPermitted, VerificationError
from inbond.schemas.statement import Statement
from inbond.schemas.statements import Key

TYPES = {ED25519: "Ed25519", ML_DSA_44: "ML-DSA-44"}
"""The types that a log's keys may have, Ed25519 before what not every reader can verify."""


@dataclass(slots=True)
class LogKeys:
    """All keys that a log has had. `since` is the entry that names a key, `until` the one that revokes it.

    What a revoked key signed beyond size `suspect` may have been signed by somebody else.
    """

    since: dict[VerifierKey, int] = field(default_factory=dict)
    until: dict[VerifierKey, int] = field(default_factory=dict)
    suspect: dict[VerifierKey, int] = field(default_factory=dict)

    def copy(self) -> "LogKeys":
        """The same keys, in dictionaries of their own."""
        return LogKeys(dict(self.since), dict(self.until), dict(self.suspect))

    def at(self, size: int) -> "LogKeys":
        """The keys as the first `size` entries name them."""
        since, until = ({key: seq for key, seq in of.items() if seq < size} for of in (self.since, self.until))
        return LogKeys(since, until, {key: self.suspect[key] for key in until if key in self.suspect})

    def enrol(self, key: VerifierKey, seq: int) -> None:
        """Entry `seq` makes `key` a log key."""
        self.since.setdefault(key, seq)

    def revoke(self, fingerprint: str, seq: int, suspect: int | None = None) -> None:
        """Entry `seq` revokes the key with a fingerprint, if it is one of these; a second revocation can only widen doubt."""
        for key in self.since:
            if fingerprint_of(key) == fingerprint:
                self.until.setdefault(key, seq)
                if suspect is not None:
                    self.suspect[key] = min(suspect, self.suspect.get(key, suspect))

    def current(self, type: int, size: int | None = None) -> tuple[VerifierKey, ...]:
        """The keys of a type that sign the checkpoint of `size` (the next one, unless given); empty where there is none."""
        named = {key: seq for key, seq in self.since.items() if key.type == type and (size is None or seq < size)}
        newest = max(named.values(), default=0)
        return tuple(key for key, seq in named.items() if seq == newest and not self._ended(key, size))

    def due(self, size: int, before: int) -> list[tuple[VerifierKey, ...]]:
        """Who has to sign the checkpoint of `size` that follows the one of size `before`: of each group at least one key.

        Raises VerificationError where no Ed25519 key is in force.
        """
        if not self.current(ED25519, size):
            raise VerificationError(f"checkpoint {size}: expected a log key before it, found none in force")
        groups = []
        for type in TYPES:
            seqs = sorted({seq for key, seq in self.since.items() if key.type == type and seq < size})
            last = max((seq for seq in seqs if seq < before), default=-1)  # in force at the checkpoint before
            for seq in (each for each in seqs if each >= last):
                group = tuple(key for key, at in self.since.items() if key.type == type and at == seq)
                if not all(self._ended(key, size) for key in group):
                    groups.append(group)
        return groups

    def check(self, size: int, signed: Sequence[VerifierKey], before: int) -> None:
        """Raise VerificationError unless those who had to sign the checkpoint of `size` did, and nobody before its entry.

        `before` is the size of the checkpoint before it; one less than `size` where that is not known.
        """
        early = [key for key in signed if self.since.get(key, 0) >= size > 0]
        if early:
            raise VerificationError(
                f"checkpoint {size}: expected signatures by log keys that it covers, found one by {_names(early)}, which entry "
                f"{self.since[early[0]]} enrols"
            )
        for group in self.due(size, before):
            if not any(key in signed and not self._ended(key, size) for key in group):
                raise VerificationError(
                    f"checkpoint {size}: expected a signature by {_names(group)}, the log key of entry {self.since[group[0]]}, "
                    f"found {_names(signed) or 'none'}"
                )

    def open(self, note: bytes, origin: str) -> Checkpoint:
        """The checkpoint in a note that those log keys signed which its size selects.

        An ML-DSA-44 signature that cannot be verified here has to be there all the same. Raises VerificationError for another
        log's, where a log key's signature fails, or one is missing.
        """
        parsed, signed = notes.open_note(note, [key for key in self.since if key.supported])
        checkpoint = checkpoints.parse(parsed.text)
        if checkpoint.origin != origin:
            raise VerificationError(f"checkpoint: expected origin {origin!r}, found {checkpoint.origin!r}")
        lines = {(line.name, line.key_id) for line in parsed.signatures}
        unread = [key for key in self.since if not key.supported and (key.name, key.key_id) in lines]
        self.check(checkpoint.size, (*signed, *unread), checkpoint.size - 1)
        return checkpoint

    def refuse_replaced(self, note: bytes) -> None:
        """Raise VerificationError where an Ed25519 key signed a checkpoint that another had replaced by then.

        For readers who may not know of all keys yet: a signature under the log's name by a key that is not among these may be its
        newest. The note is one that was verified in some way.
        """
        parsed = notes.parse(note)
        checkpoint = checkpoints.parse(parsed.text)
        current = self.current(ED25519, checkpoint.size)
        known, newest = ({(key.name, key.key_id): key for key in some} for some in (self.since, current))
        own = [line for line in parsed.signatures if line.name == checkpoint.origin]
        if not newest or any((line.name, line.key_id) not in known for line in own):
            return
        by_newest = [line for line in own if (line.name, line.key_id) in newest]
        if not any(newest[line.name, line.key_id].verify(parsed.text, line.blob) for line in by_newest):
            raise VerificationError(
                f"checkpoint {checkpoint.size} of {checkpoint.origin}: expected a signature by {_names(current)}, the log key of "
                f"entry {self.since[current[0]]}, found one by a key that it has replaced"
            )

    def _ended(self, key: VerifierKey, size: int | None) -> bool:
        end = self.until.get(key)
        return end is not None and (size is None or end < size)


class LogSigners:
    """The log keys at hand, among them perhaps some that were replaced, or that no entry names yet."""

    def __init__(self, keys: LogSigner | Sequence[LogSigner] | None = None) -> None:
        several = keys if isinstance(keys, Sequence) else [] if keys is None else [keys]
        self._keys = {key.verifier: key for key in several}

    def __iter__(self) -> Iterator[VerifierKey]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def hold(self, key: LogSigner) -> None:
        """Take one more key."""
        self._keys[key.verifier] = key

    def due(self, keys: LogKeys, size: int, before: int) -> list[LogSigner]:
        """Those who have to sign the checkpoint of `size` after the one of size `before`; NotPermitted where one is missing."""
        signers: list[LogSigner] = []
        for group in keys.due(size, before):
            there = [self._keys[key] for key in group if key in self._keys]
            if not there:
                raise _not_held(group[0], keys.since[group[0]], list(self._keys))
            signers += there
        return signers

    def refusal(self, statement: Statement) -> NotPermitted | None:
        """Why a statement cannot be taken here: it names a log key that is not at hand, so nothing could be signed after it."""
        body = statement.body
        if not isinstance(body, Key) or isinstance(body.vkey, UnsetType) or body.revocation is not UNSET:
            return None
        try:
            key = VerifierKey.parse(body.vkey)
        except VerificationError:
            return None  # admission says what is wrong with it, as with another log's
        if key in self._keys or key.name not in {held.name for held in self._keys}:
            return None
        return NotPermitted(
            f"key statement: expected a new log key that whoever writes the log has at hand, found {body.vkey[:120]}",
            hint="make it where the log is written: inbond key rotate log",
        )


def fingerprint_of(key: VerifierKey) -> str:
    """The hex SHA-256 of the raw public key, as statements name keys of any type."""
    return sha256(key.public).hexdigest()


def _not_held(key: VerifierKey, since: int, held: Sequence[VerifierKey]) -> NotPermitted:
    if not key.supported:
        return NotPermitted(
            f"{key.name}: the log signs its checkpoints with {TYPES[key.type]} too. {NO_ML_DSA}",
            hint="install them, or let an admin end that key: inbond key revoke FINGERPRINT --reason retired",
        )
    return NotPermitted(
        f"{key.name}: expected the log key {_names([key])} ({TYPES[key.type]}), which entry {since} names, found "
        f"{_names(held) or 'none'}: nothing can be signed",
        hint="it may have been rotated just now: open the registry again (restart the server), with its file in keys/\n"
        f"if it is lost: inbond key rotate log --kind {TYPES[key.type].lower()} --revoke lost",
    )


def _names(keys: Iterable[VerifierKey]) -> str:
    return ", ".join(f"{key.name}+{key.key_id.hex()}" for key in keys)
