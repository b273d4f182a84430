"""What a log should be, in as few lines as the specifications allow: a list of leaves, and RFC 6962 read word for word.

Nothing here is shared with the product: hashes, JSON and signature texts are made with the standard library.
"""

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from hashlib import sha256

Leaves = list[bytes]


def mth(leaves: Leaves) -> bytes:
    """MTH(D[n]) of RFC 6962 §2.1."""
    if len(leaves) < 2:
        return sha256(b"\0" + leaves[0] if leaves else b"").digest()
    k = split(len(leaves))
    return sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: Leaves) -> list[bytes]:
    """PATH(m, D[n]) of RFC 6962 §2.1.1, the leaf's sibling first."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    return [*path(m, leaves[:k]), mth(leaves[k:])] if m < k else [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: Leaves, whole: bool = True) -> list[bytes]:
    """SUBPROOF(m, D[n], b) of RFC 6962 §2.1.2; with b = true it is PROOF(m, D[n])."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split(len(leaves))
    return (
        [*subproof(m, leaves[:k], whole), mth(leaves[k:])] if m <= k else [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]
    )


def split(n: int) -> int:
    """The largest power of two smaller than `n`."""
    return 1 << ((n - 1).bit_length() - 1)


def key_type(vkey: str) -> int:
    """The signature type of a verifier key: `<name>+<key id>+<base64 of type and key>`."""
    return b64decode(vkey.split("+", 2)[2])[0]


@dataclass
class Model:
    """A log that cannot fail: entries in order, and which payload stands under a header id.

    `keys` are the verifier keys of the log in their order, with the entry that names each; `ends` the entries that end some.
    """

    origin: str
    leaves: Leaves = field(default_factory=list)
    known: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)

    def append(self, dsse: dict[str, object], time: str) -> int | None:
        """The seq that a statement gets, or has already; None where the log should refuse it."""
        payload = b64decode(str(dsse["payload"]))
        said = json.loads(payload)
        header = said["predicate"]["header"]
        if header["registry"] != self.origin:
            return None
        if header["id"] in self.known:
            same, seq = self.known[header["id"]]
            return seq if same == payload else None
        seq, kind = len(self.leaves), said["predicateType"].split(":")[2]
        prev = sha256(b"\0" + self.leaves[-1]).hexdigest() if self.leaves else "0" * 64
        entry = {"dsse": dsse, "kind": kind, "prev": prev, "seq": seq, "time": time, "v": 1}
        self.leaves.append(json.dumps(entry, sort_keys=True, separators=(",", ":")).encode())
        self.known[header["id"]] = (payload, seq)
        return seq

    def checkpoint(self, size: int | None = None) -> bytes:
        """The text of the checkpoint at `size`, the newest unless given, without signatures."""
        leaves = self.leaves[:size]
        return f"{self.origin}\n{len(leaves)}\n{b64encode(mth(leaves)).decode()}\n".encode()

    def signers(self, size: int, before: int) -> list[str]:
        """Who signs the checkpoint of `size` after that of size `before`, sorted.

        For each type of key: the newest that the checkpoint before covered, and all that came since, but none that ended.
        """
        due = []
        for type in {key_type(key) for key in self.keys}:
            named = [key for key, seq in self.keys.items() if seq < size and key_type(key) == type]
            due += [key for key in named if self.keys[key] < before][-1:] + [key for key in named if self.keys[key] >= before]
        return sorted(key for key in due if self.ends.get(key, size) >= size)
