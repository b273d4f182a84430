"""The Merkle tree of RFC 6962 over SHA-256: hashes, roots, proofs, and their verification.

Three ways lead to a root and are kept apart on purpose: `root_of` follows the definition over all leaf hashes,
`root_at` reads hashes of perfect subtrees (in practice out of tiles), `CompactRange` carries O(log n) hashes from one
append to the next. The log compares the last two before it signs.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from inbond.schemas.errors import InvalidInput, VerificationError

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()

NodeReader = Callable[[int, int], bytes]
"""(level, index) → hash of the perfect subtree of leaves [index·2^level, (index+1)·2^level)."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf with the content `data`."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over all leaf hashes, by the definition; `EMPTY_ROOT` for none."""
    if not leaf_hashes:
        return EMPTY_ROOT
    # Pairing neighbours and carrying an odd last hash up unchanged gives the definition's tree: its left subtree is
    # always the largest power of two, so only the right edge is ever unpaired.
    level = list(leaf_hashes)
    while len(level) > 1:
        odd = level[len(level) & ~1 :]
        # `node_hash`, but without a call for each: a reader of a shard waits for the root over its blocks.
        level = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)] + odd
    return level[0]


class CompactRange:
    """The hashes of the perfect subtrees that make up a tree, largest (leftmost) first: one for each bit of `size`."""

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self._hashes = list(hashes)
        if size < 0 or len(self._hashes) != size.bit_count() or any(len(h) != HASH_SIZE for h in self._hashes):
            raise VerificationError(
                f"compact range of size {size}: expected {max(size, 0).bit_count()} hashes of {HASH_SIZE} bytes, "
                f"found {len(self._hashes)} hashes, {sum(map(len, self._hashes))} bytes"
            )

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The subtree hashes, left to right."""
        return tuple(self._hashes)

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf."""
        hashes, size = self._hashes, self.size
        while size & 1:
            leaf_hash = node_hash(hashes.pop(), leaf_hash)
            size >>= 1
        hashes.append(leaf_hash)
        self.size += 1

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Add leaves in order."""
        for leaf in leaf_hashes:
            self.append(leaf)

    def root(self) -> bytes:
        """The root of the tree of `size` leaves."""
        return _join(self._hashes)

    def to_bytes(self) -> bytes:
        """The hashes one after the other; the size is kept beside them."""
        return b"".join(self._hashes)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> "CompactRange":
        """The inverse of `to_bytes`; VerificationError if `data` has not one hash for each bit of `size`."""
        if size < 0 or len(data) != size.bit_count() * HASH_SIZE:
            expected = max(size, 0).bit_count() * HASH_SIZE
            raise VerificationError(f"compact range of size {size}: expected {expected} bytes, found {len(data)}")
        return cls(size, (data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)))


def root_at(size: int, node: NodeReader) -> bytes:
    """The root of the first `size` leaves, from subtree hashes."""
    if size < 0:
        raise InvalidInput(f"expected a tree size of at least 0, found {size}")
    return _range_root(0, size, node)


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves, leaf's sibling first (RFC 6962 §2.1.1)."""
    if not 0 <= index < size:
        raise InvalidInput(f"expected a leaf index below the tree size {size}, found {index}")
    proof = []
    first, last = 0, size
    while last - first > 1:
        middle = first + _split(last - first)
        if index < middle:
            proof.append(_range_root(middle, last, node))
            last = middle
        else:
            proof.append(_range_root(first, middle, node))
            first = middle
    proof.reverse()
    return proof


def inclusion_proofs(indices: Iterable[int], size: int, node: NodeReader) -> dict[int, tuple[bytes, ...]]:
    """`inclusion_proof` of many leaves, by index: what their paths have in common is read and computed once."""
    wanted = sorted(set(indices))
    if wanted and not 0 <= wanted[0] <= wanted[-1] < size:
        raise InvalidInput(f"expected leaf indices below the tree size {size}, found {wanted[0]} to {wanted[-1]}")
    found: dict[int, tuple[bytes, ...]] = {}

    def descend(first: int, last: int, some: list[int], above: tuple[bytes, ...]) -> None:
        if last - first == 1:
            found[first] = above
            return
        middle = first + _split(last - first)
        at = bisect_left(some, middle)
        if at:
            descend(first, middle, some[:at], (_range_root(middle, last, node), *above))
        if at < len(some):
            descend(middle, last, some[at:], (_range_root(first, middle, node), *above))

    if wanted:
        descend(0, size, wanted, ())
    return found


def consistency_proof(m: int, n: int, node: NodeReader) -> list[bytes]:
    """The proof that the tree of `m` leaves is a prefix of that of `n` (RFC 6962 §2.1.2).

    Empty when the sizes are equal, and from size 0, where there is nothing to prove.
    """
    if not 0 <= m <= n:
        raise InvalidInput(f"expected sizes in ascending order from 0, found {m} and {n}")
    if m in (0, n):
        return []
    proof = []
    first, last = 0, n
    while m != last:
        middle = first + _split(last - first)
        if m <= middle:
            proof.append(_range_root(middle, last, node))
            last = middle
        else:
            proof.append(_range_root(first, middle, node))
            first = middle
    if first != 0:  # from 0 the verifier holds this subtree already: it is the old root
        proof.append(_range_root(first, last, node))
    proof.reverse()
    return proof


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf hash `leaf` is number `index` in the tree of `size` leaves with `root`.

    Raises VerificationError if it is not, or if `proof` has not exactly the hashes that these numbers need.
    """
    what = f"inclusion of leaf {index} in the tree of size {size}"
    if not 0 <= index < size:
        raise VerificationError(f"{what}: expected an index below the size")
    inner = (index ^ (size - 1)).bit_length()
    border = (index >> inner).bit_count()
    _check_hashes(what, inner + border, proof, leaf, root)
    computed = leaf
    for level, sibling in enumerate(proof[:inner]):
        computed = node_hash(sibling, computed) if index >> level & 1 else node_hash(computed, sibling)
    for sibling in proof[inner:]:
        computed = node_hash(sibling, computed)
    _check_root(what, root, computed)


def verify_consistency(m: int, n: int, proof: Sequence[bytes], root_m: bytes, root_n: bytes) -> None:
    """Check that the tree of `n` leaves with `root_n` begins with the tree of `m` leaves with `root_m`.

    Raises VerificationError if it does not, or if `proof` has not exactly the hashes that the sizes need. Every tree
    begins with the empty one: from size 0 the proof must be empty and `root_m` the empty root, and nothing is thereby
    said about `root_n`. A caller for whom that is too little compares sizes itself.
    """
    what = f"consistency of the trees of sizes {m} and {n}"
    if not 0 <= m <= n:
        raise VerificationError(f"{what}: expected sizes in ascending order from 0")
    if m in (0, n):
        _check_hashes(what, 0, proof)
        if m == n:
            _check_root(what, root_m, root_n)
        else:
            _check_hashes(what, 0, proof, root_n)
        if m == 0:
            _check_root(f"{what}: the empty tree", EMPTY_ROOT, root_m)
        return
    trailing = (m & -m).bit_length() - 1
    inner = ((m - 1) ^ (n - 1)).bit_length() - trailing
    border = ((m - 1) >> (inner + trailing)).bit_count()
    seeded = m == 1 << trailing  # the old tree is one perfect subtree, so its root starts both ways up
    _check_hashes(what, inner + border + (not seeded), proof, root_m, root_n)
    seed, path = (root_m, proof) if seeded else (proof[0], proof[1:])
    mask = (m - 1) >> trailing
    old = new = seed
    for level, sibling in enumerate(path[:inner]):
        if mask >> level & 1:
            old = node_hash(sibling, old)
            new = node_hash(sibling, new)
        else:
            new = node_hash(new, sibling)
    for sibling in path[inner:]:
        old = node_hash(sibling, old)
        new = node_hash(sibling, new)
    _check_root(f"{what}, old root", root_m, old)
    _check_root(f"{what}, new root", root_n, new)


def _split(width: int) -> int:
    """The largest power of two below `width` (at least 2)."""
    return 1 << (width - 1).bit_length() - 1


def _range_root(first: int, last: int, node: NodeReader) -> bytes:
    """The root over leaves [first, last), where `first` is a multiple of a power of two not below the width."""
    parts = []
    while first < last:
        level = (last - first).bit_length() - 1
        parts.append(node(level, first >> level))
        first += 1 << level
    return _join(parts)


def _join(parts: Sequence[bytes]) -> bytes:
    """The root over perfect subtrees of falling size."""
    if not parts:
        return EMPTY_ROOT
    root = parts[-1]
    for part in parts[-2::-1]:
        root = node_hash(part, root)
    return root


def _check_hashes(what: str, expected: int, proof: Sequence[bytes], *others: bytes) -> None:
    if len(proof) != expected:
        raise VerificationError(f"{what}: expected a proof of {expected} hashes, found {len(proof)}")
    for value in (*proof, *others):
        if len(value) != HASH_SIZE:
            raise VerificationError(f"{what}: expected hashes of {HASH_SIZE} bytes, found one of {len(value)}")


def _check_root(what: str, expected: bytes, found: bytes) -> None:
    if expected != found:
        raise VerificationError(f"{what}: expected root {expected.hex()}, found {found.hex()}")
