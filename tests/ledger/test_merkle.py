import json
from base64 import b64decode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.ledger.merkle import (
    EMPTY_ROOT,
    CompactRange,
    NodeReader,
    consistency_proof,
    inclusion_proof,
    inclusion_proofs,
    leaf_hash,
    root_at,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from inbond.schemas.errors import InvalidInput, VerificationError

# The reference tree of eight leaves that RFC 6962 implementations share, and its roots at every size.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

sizes = st.integers(1, 130)


def tree(size: int) -> list[bytes]:
    return [leaf_hash(b"leaf %d" % i) for i in range(size)]


def reader(leaves: Sequence[bytes]) -> NodeReader:
    def node(level: int, index: int) -> bytes:
        subtree = leaves[index << level : (index + 1) << level]
        assert len(subtree) == 1 << level, "a hash was asked for that this tree does not have"
        return root_of(subtree)

    return node


def definition(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + definition(leaves[:k]) + definition(leaves[k:])).digest()


@pytest.mark.parametrize("size", range(9))
def test_the_reference_tree_has_its_published_roots(size: int) -> None:
    leaves = [leaf_hash(data) for data in LEAVES[:size]]
    compact = CompactRange()
    compact.extend(leaves)
    expected = ROOTS[size]
    assert root_of(leaves).hex() == expected
    assert compact.root().hex() == expected
    assert root_at(size, reader(leaves)).hex() == expected


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 300))
def test_all_ways_to_the_root_agree(size: int) -> None:
    leaves = tree(size)
    compact = CompactRange()
    compact.extend(leaves[: size // 2])
    compact = CompactRange.from_bytes(compact.size, compact.to_bytes())
    compact.extend(leaves[size // 2 :])
    assert compact.size == size
    assert definition(leaves) == root_of(leaves) == compact.root() == root_at(size, reader(leaves))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_many_inclusion_proofs_at_once_are_those_of_each(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 70))
    wanted = data.draw(st.lists(st.integers(0, size - 1)))
    node = reader(tree(size))
    assert inclusion_proofs(wanted, size, node) == {index: tuple(inclusion_proof(index, size, node)) for index in wanted}
    with pytest.raises(InvalidInput, match="expected leaf indices below"):
        inclusion_proofs([*wanted, size], size, node)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_inclusion_proofs_verify_and_altered_ones_do_not(data: st.DataObject) -> None:
    size = data.draw(sizes)
    index = data.draw(st.integers(0, size - 1))
    leaves = tree(size)
    root = root_of(leaves)
    proof = inclusion_proof(index, size, reader(leaves))
    verify_inclusion(index, size, leaves[index], proof, root)
    wrong = _altered(data, [leaves[index], root, *proof])
    with pytest.raises(VerificationError):
        verify_inclusion(index, size, wrong[0], wrong[2:], wrong[1])
    if size > 1:
        other = data.draw(st.integers(0, size - 1).filter(lambda i: i != index))
        with pytest.raises(VerificationError):
            verify_inclusion(other, size, leaves[index], proof, root)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_consistency_proofs_verify_and_altered_ones_do_not(data: st.DataObject) -> None:
    n = data.draw(sizes)
    m = data.draw(st.integers(1, n))
    leaves = tree(n)
    roots = [root_of(leaves[:m]), root_of(leaves)]
    proof = consistency_proof(m, n, reader(leaves))
    verify_consistency(m, n, proof, *roots)
    wrong = _altered(data, [*roots, *proof])
    with pytest.raises(VerificationError):
        verify_consistency(m, n, wrong[2:], wrong[0], wrong[1])


def test_every_tree_begins_with_the_empty_one() -> None:
    leaves = tree(5)
    root = root_of(leaves)
    assert consistency_proof(0, 5, reader(leaves)) == []
    verify_consistency(0, 5, [], EMPTY_ROOT, root)
    verify_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    for m, n, proof, old, new in [
        (0, 5, [], root, root),
        (0, 5, [EMPTY_ROOT], EMPTY_ROOT, root),
        (0, 0, [], EMPTY_ROOT, root),
        (5, 0, [], root, EMPTY_ROOT),
        (-1, 5, [], EMPTY_ROOT, root),
    ]:
        with pytest.raises(VerificationError):
            verify_consistency(m, n, proof, old, new)


def test_proofs_that_no_tree_has_are_not_made() -> None:
    for index, size in [(0, 0), (5, 5), (-1, 5)]:
        with pytest.raises(InvalidInput, match="below the tree size"):
            inclusion_proof(index, size, reader(tree(5)))
    for m, n in [(6, 5), (-1, 5)]:
        with pytest.raises(InvalidInput, match="ascending order"):
            consistency_proof(m, n, reader(tree(5)))
    with pytest.raises(InvalidInput, match="at least 0"):
        root_at(-1, reader(tree(5)))


@pytest.mark.parametrize(("size", "data"), [(0, bytes(32)), (3, bytes(32)), (4, bytes(31)), (-1, b""), (7, bytes(128))])
def test_a_compact_range_needs_one_hash_for_each_bit_of_its_size(size: int, data: bytes) -> None:
    with pytest.raises(VerificationError, match="compact range"):
        CompactRange.from_bytes(size, data)


def test_inclusion_vectors(shared_vectors: Path) -> None:
    def verify(probe: dict[str, Any]) -> None:
        verify_inclusion(
            probe["leafIdx"],
            probe["treeSize"],
            b64decode(probe["leafHash"] or ""),
            [b64decode(text) for text in probe["proof"] or []],
            b64decode(probe["root"] or ""),
        )

    assert _run_probes(shared_vectors / "rfc6962-proofs" / "inclusion", verify) == (98, [])


def test_consistency_vectors(shared_vectors: Path) -> None:
    # Probes from size 0 want an error although every tree extends the empty one. None of them is an exception here:
    # each has a root that no empty tree has, a proof where none is due, or a root that is no hash.
    def verify(probe: dict[str, Any]) -> None:
        verify_consistency(
            probe["size1"],
            probe["size2"],
            [b64decode(text) for text in probe["proof"] or []],
            b64decode(probe["root1"] or ""),
            b64decode(probe["root2"] or ""),
        )

    assert _run_probes(shared_vectors / "rfc6962-proofs" / "consistency", verify) == (98, [])


def _run_probes(folder: Path, verify: Any) -> tuple[int, list[str]]:
    wrong = []
    files = sorted(folder.rglob("*.json"))
    for file in files:
        probe = json.loads(file.read_bytes())
        try:
            verify(probe)
            refused = False
        except VerificationError:
            refused = True
        if refused != probe["wantErr"]:
            wrong.append(str(file.relative_to(folder)))
    return len(files), wrong


def _altered(data: st.DataObject, hashes: list[bytes]) -> list[bytes]:
    """One bit flipped, or a hash dropped from the proof, repeated in it, or cut short; the first two are no proof."""
    hashes = list(hashes)
    at = data.draw(st.integers(0, len(hashes) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "drop", "repeat"]))
    if how == "flip":
        bit = data.draw(st.integers(0, 255))
        value = bytearray(hashes[at])
        value[bit // 8] ^= 1 << bit % 8
        hashes[at] = bytes(value)
    elif how == "cut":
        hashes[at] = hashes[at][:31]
    elif how == "drop" and at >= 2:
        del hashes[at]
    else:
        hashes.append(hashes[at])
    return hashes
