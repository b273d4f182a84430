"""Logs without a registry, for tests of witnesses: any leaves, any forks, signed checkpoints of every size, proofs."""

import re
from collections.abc import Sequence
from pathlib import Path

from inbond.ledger import checkpoints, merkle
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.cosigner import Cosigner
from inbond.ledger.keys import COSIGNATURE_V1, ML_DSA_44, SigningKey
from inbond.ledger.loglist import KnownLog
from inbond.ledger.merkle import leaf_hash
from inbond.ledger.witness import AddCheckpoint

ORIGIN = "log.example/one"
LOG_KEY = SigningKey.from_seed(ORIGIN, bytes([1] * 32))
COSIGNER = Cosigner("witness.example/w1", COSIGNATURE_V1, bytes([2] * 32))
POST_QUANTUM = Cosigner("witness.example/w1", ML_DSA_44, bytes([3] * 32))
KNOWN = [KnownLog(ORIGIN, (LOG_KEY.verifier,))]
NOW = 1_800_000_000


class PlainLog:
    """`count` leaves; those from `fork` on are other ones than in a log without a fork."""

    def __init__(self, count: int = 40, fork: int | None = None, key: SigningKey = LOG_KEY) -> None:
        self.key = key
        self.leaves = [leaf_hash(b"%d" % i if fork is None or i < fork else b"fork %d" % i) for i in range(count)]

    def root(self, size: int) -> bytes:
        return merkle.root_of(self.leaves[:size])

    def head(self, size: int) -> Checkpoint:
        return Checkpoint(self.key.name, size, self.root(size))

    def note(self, size: int, *keys: SigningKey) -> bytes:
        return checkpoints.sign(self.head(size), keys or [self.key])

    def proof(self, old: int, new: int) -> list[bytes]:
        return merkle.consistency_proof(old, new, self._node)

    def request(self, old: int, new: int, proof: Sequence[bytes] | None = None) -> AddCheckpoint:
        return AddCheckpoint.make(old, self.proof(old, new) if proof is None else proof, self.note(new))

    def body(self, old: int, new: int) -> bytes:
        return self.request(old, new).to_bytes()

    def _node(self, level: int, index: int) -> bytes:
        return merkle.root_of(self.leaves[index << level : (index + 1) << level])


def dialogue(path: Path) -> list[tuple[bytes, int, str]]:
    """The requests of a published dialogue: body, expected status, what the answer's body contains or (===) is."""
    pattern = r"POST \S+\n```\n(.*?)\n```\nHTTP (\d+)\n\[Asserts\]\nbody (?:contains|(==)) (\".*?\")\n"
    found = re.findall(pattern, path.read_text(), re.DOTALL)
    return [(body.encode() + b"\n", int(status), ("==" if same else "") + eval(text)) for body, status, same, text in found]
