"""sigstore's verifier of Rekor accepts our inclusion proofs and reads our checkpoints.

Its Merkle tree lies in private modules: an upgrade may move them, and then these tests are skipped with that reason.
"""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from inbond.ledger.receipts import Receipt
from tests.interop.shown import Shown

merkle = pytest.importorskip(
    "sigstore._internal.merkle", reason="sigstore is not there, or without this module: pip install sigstore"
)
checkpoint = pytest.importorskip("sigstore._internal.rekor.checkpoint", reason="sigstore is not there, or without this module")
errors = pytest.importorskip("sigstore.errors")


def verify(receipt: Receipt, size: int, root: bytes, entry: bytes) -> None:
    proof = SimpleNamespace(log_index=receipt.index, tree_size=size, hashes=list(receipt.proof), root_hash=root)
    shaped: Any = SimpleNamespace(_inner=SimpleNamespace(inclusion_proof=proof, canonicalized_body=entry))
    merkle.verify_merkle_inclusion(shaped)


def test_inclusion_proofs(shown: Shown) -> None:
    count = 0
    for size, receipt in shown.receipts():
        entry = shown.entries[receipt.index]
        verify(receipt, size, shown.roots[size], entry)
        for other in (
            (receipt, shown.roots[size], entry + b" "),
            (receipt, bytes(32), entry),
            (replace(receipt, proof=(*receipt.proof, bytes(32))), shown.roots[size], entry),
            (replace(receipt, proof=tuple(reversed(receipt.proof))), shown.roots[size], entry),
        ):
            if other[0] != receipt or other[1:] != (shown.roots[size], entry):
                with pytest.raises(errors.VerificationError):
                    verify(other[0], size, *other[1:])
        count += 1
    assert count > 60


def test_checkpoints(shown: Shown) -> None:
    for size, folder in shown.folders.items():
        signed = checkpoint.SignedCheckpoint.from_text((folder / "checkpoint").read_text())
        assert (signed.checkpoint.origin, signed.checkpoint.log_size) == ("example.org/log", size)
        assert signed.checkpoint.log_hash == shown.roots[size].hex()
        assert signed.checkpoint.other_content == []
        assert shown.world.log_key.verifier.key_id in {each.sig_hash for each in signed.signed_note.signatures}
