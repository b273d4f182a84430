"""Receipts (C2SP tlog-proof): what shows, offline, that an entry stands in a log.

A receipt is self-contained but for trust: which logs and witnesses count is the reader's policy, and the leaf hash is
computed from the bytes that the reader holds. `extra` may carry the entry itself; nothing vouches for it until its leaf
hash has been verified.
"""

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from inbond.ledger import notes
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.encoding import MAX_SIZE, from_base64, from_decimal, to_base64
from inbond.ledger.merkle import HASH_SIZE, verify_inclusion
from inbond.ledger.policy import TrustPolicy
from inbond.schemas.entry import MAX_ENTRY
from inbond.schemas.errors import InvalidInput, VerificationError

MAX_PROOF = 63  # hashes; no tree of up to 2^63-1 leaves is higher
MAX_RECEIPT = notes.MAX_NOTE + (1 << 17)

_HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class Receipt:
    """Entry `index`, its audit path (leaf's sibling first), the signed checkpoint verbatim, unauthenticated bytes."""

    index: int
    proof: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def to_bytes(self) -> bytes:
        """The `.tlog-proof` file; InvalidInput for values that none can hold (an `extra` without bytes is None)."""
        lines = [_HEADER]
        if self.extra is not None:
            lines.append(f"extra {to_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines += [to_base64(value) for value in self.proof]
        data = "\n".join(lines).encode() + b"\n\n" + self.checkpoint
        try:
            parse(data)
        except VerificationError as error:
            raise InvalidInput(error.message) from None
        return data


def write_all(proofs: Mapping[int, Sequence[bytes]], checkpoint: bytes, entries: Mapping[int, bytes]) -> dict[int, bytes]:
    """The receipts of many entries under one checkpoint, each with its entry, as `Receipt.to_bytes` writes them.

    What they have in common is looked at and written once. Raises InvalidInput for values that no receipt can hold.
    """
    try:
        _check_note(checkpoint)
    except VerificationError as error:
        raise InvalidInput(error.message) from None
    end = b"\n" + checkpoint
    lines: dict[bytes, bytes] = {}
    written: dict[int, bytes] = {}
    for index, proof in proofs.items():
        entry = entries[index]
        if not 0 < len(entry) <= MAX_ENTRY or not 0 <= index <= MAX_SIZE or len(proof) > MAX_PROOF:
            raise InvalidInput(
                f"receipt of entry {index}: expected 1 to {MAX_ENTRY} bytes and at most {MAX_PROOF} hashes, "
                f"found {len(entry)} bytes and {len(proof)} hashes"
            )
        for value in proof:
            if value not in lines:
                lines[value] = _hash_line(value)
        path = b"".join([lines[value] for value in proof])
        written[index] = b"%b\nextra %bindex %d\n%b%b" % (_HEADER.encode(), b2a_base64(entry), index, path, end)
    return written


def _hash_line(value: bytes) -> bytes:
    if len(value) != HASH_SIZE:
        raise InvalidInput(f"receipt proof: expected {HASH_SIZE} bytes, found {len(value)}")
    return b2a_base64(value)


def parse(data: bytes) -> Receipt:
    """Read a receipt; nothing is verified yet.

    Raises VerificationError unless `data` is exactly what `Receipt.to_bytes` writes.
    """
    if len(data) > MAX_RECEIPT:
        raise VerificationError(f"receipt: expected at most {MAX_RECEIPT} bytes, found {len(data)}")
    head, blank, checkpoint = data.partition(b"\n\n")
    lines = head.decode("latin-1").split("\n")  # every line must turn out to be ASCII below
    if not blank or lines[0] != _HEADER:
        raise VerificationError(f"receipt: expected the line {_HEADER} and a blank line, found {data[:40]!r}")
    lines.pop(0)
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = from_base64(lines.pop(0).removeprefix("extra "), "receipt extra", limit=MAX_ENTRY)
        if not extra:
            raise VerificationError("receipt extra: expected bytes or no such line, found an empty one")
    if not lines or not lines[0].startswith("index "):
        raise VerificationError(f"receipt: expected the line 'index <number>', found {''.join(lines[:1])[:40]!r}")
    index = from_decimal(lines.pop(0).removeprefix("index "), "receipt index")
    if len(lines) > MAX_PROOF:
        raise VerificationError(f"receipt: expected at most {MAX_PROOF} proof lines, found {len(lines)}")
    proof = tuple(from_base64(line, "receipt proof", length=HASH_SIZE) for line in lines)
    _check_note(checkpoint)
    return Receipt(index, proof, checkpoint, extra)


@lru_cache(maxsize=4)  # the receipts of a batch have one checkpoint
def _check_note(checkpoint: bytes) -> None:
    notes.parse(checkpoint)


def verify(receipt: Receipt, leaf_hash: bytes, policy: TrustPolicy) -> Checkpoint:
    """Check that the entry with `leaf_hash` stands at the receipt's index in a log that `policy` trusts.

    Returns the checkpoint, whose origin and size say which log and which state of it. Raises VerificationError if the
    policy does not accept the checkpoint or the proof does not lead from the leaf to its root.
    """
    checkpoint = policy.open_checkpoint(receipt.checkpoint)
    verify_inclusion(receipt.index, checkpoint.size, leaf_hash, receipt.proof, checkpoint.root)
    return checkpoint
