"""Signed heads under an audit's eye: every signature line on them, and the root of every size that somebody names.

A task holds a stretch of the tree, so that the roots of many sizes cost little more than a hash for each bit of a size,
and checkpoints are verified side by side in worker processes. Which log key had to sign depends on the entries: that is
`logkeys.LogKeys`, asked in order by whoever folds them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from inbond.ledger import checkpoints, notes
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.keys import VerifierKey
from inbond.ledger.merkle import CompactRange
from inbond.schemas.errors import InbondError, VerificationError


class Heads(msgspec.Struct, frozen=True, tag=True):
    """What to find out about sizes in (`size`, `size` + leaves]: roots, and whether checkpoints are signed and say them.

    `range` is the compact range at `size`, `leaves` the hashes from there on; `keys` are the vkeys that may have signed.
    """

    size: int
    range: list[bytes]
    leaves: bytes
    sizes: list[int]
    notes: list[tuple[int, bytes]]
    keys: list[str]
    origin: str


class HeadsFound(msgspec.Struct):
    """Roots by size, what is wrong with the first checkpoint that is wrong, and for each before it who signed it.

    `signed` holds indices into the task's keys, also of those whose signatures this installation cannot verify: their vkeys
    are in `unsupported`.
    """

    roots: dict[int, bytes]
    problem: str | None
    signed: list[list[int]]
    unsupported: list[str]


@dataclass(frozen=True)
class Opened:
    """A checkpoint all of whose signature lines were accounted for."""

    checkpoint: Checkpoint
    signed: tuple[VerifierKey, ...]
    unsupported: tuple[VerifierKey, ...]


def open_strictly(data: bytes, keys: Iterable[VerifierKey], origin: str) -> Opened:
    """The checkpoint in a note every line of which verifies under one of `keys`.

    Lines of keys whose type this installation cannot use are listed instead. Raises VerificationError for a line by
    anybody else, as nobody would notice what it says, for one that does not verify, and where none does.
    """
    known: dict[tuple[str, bytes], list[VerifierKey]] = {}
    for key in keys:
        known.setdefault((key.name, key.key_id), []).append(key)
    note = notes.parse(data)
    signed: dict[VerifierKey, None] = {}
    unsupported: dict[VerifierKey, None] = {}
    for line in note.signatures:
        candidates = known.get((line.name, line.key_id), [])
        if not candidates:
            raise VerificationError(
                f"expected signatures by keys of this log or of the policy only, found one by {line.name}+{line.key_id.hex()}"
            )
        if not all(key.supported for key in candidates):
            unsupported.update(dict.fromkeys(candidates))
            continue
        good = [key for key in candidates if key.verify(note.text, line.blob)]
        if not good:
            raise VerificationError(f"expected a valid signature by {line.name}, found one that does not verify")
        signed.update(dict.fromkeys(good))
    checkpoint = checkpoints.parse(note.text)
    if checkpoint.origin != origin:
        raise VerificationError(f"checkpoint: expected origin {origin!r}, found {checkpoint.origin!r}")
    return Opened(checkpoint, tuple(signed), tuple(unsupported))


def find_heads(task: Heads) -> HeadsFound:
    """Do what `Heads` asks."""
    found = HeadsFound({}, None, [], [])
    tree = CompactRange(task.size, task.range)
    leaves = task.leaves
    for size in sorted({*task.sizes, *(size for size, _ in task.notes)}):
        while tree.size < size:
            at = 32 * (tree.size - task.size)
            tree.append(leaves[at : at + 32])
        found.roots[size] = tree.root()
    keys = [VerifierKey.parse(text) for text in task.keys]
    for size, note in task.notes:
        try:
            opened = open_strictly(note, keys, task.origin)
            _check_head(opened.checkpoint, size, found.roots[size])
        except InbondError as error:
            found.problem = f"checkpoint {size}: {error.message}"
            break
        found.signed.append([keys.index(key) for key in (*opened.signed, *opened.unsupported)])
        found.unsupported += [key.format() for key in opened.unsupported if key.format() not in found.unsupported]
    return found


def _check_head(checkpoint: Checkpoint, size: int, root: bytes) -> None:
    if checkpoint.size != size:
        raise VerificationError(f"expected that size, found {checkpoint.size}")
    if checkpoint.root != root:
        raise VerificationError(f"expected root {root.hex()} from the entries, found {checkpoint.root.hex()}")
