"""sigstore's verifier of Rekor accepts our inclusion proofs and reads our checkpoints.

Its Merkle tree lies in private modules: an upgrade may move them, and then these tests are skipped with that reason.
"""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from inbond.ledger.receipts import Receipt
from tests.interop.shown import Shown

REASON = "sigstore is not there, or has no such module: pip install sigstore"
merkle = pytest.importorskip("sigstore._internal.merkle", reason=REASON)
checkpoint = pytest.importorskip("sigstore._internal.rekor.checkpoint", reason=REASON)
errors = pytest.importorskip("sigstore.errors", reason=REASON)


def verify(receipt: Receipt, size: int, root: bytes, entry: bytes) -> None:
    proof = SimpleNamespace(log_index=receipt.index, tree_size=size, hashes=list(receipt.proof), root_hash=root)
    shaped: Any = SimpleNamespace(_inner=SimpleNamespace(inclusion_proof=proof, canonicalized_body=entry))
    merkle.verify_merkle_inclusion(shaped)


def test_inclusion_proofs(shown: Shown) -> None:
    for size, receipt in shown.receipts():
        verify(receipt, size, shown.roots[size], shown.entries[receipt.index])


def test_a_changed_proof_is_refused(shown: Shown) -> None:
    for size, receipt in shown.receipts():
        root, entry = shown.roots[size], shown.entries[receipt.index]
        longer = replace(receipt, proof=(*receipt.proof, bytes(32)))
        for asked in ((receipt, size, root, entry + b" "), (receipt, size, bytes(32), entry), (longer, size, root, entry)):
            with pytest.raises(errors.VerificationError):
                verify(*asked)


def test_checkpoints(shown: Shown) -> None:
    for size, folder in shown.folders.items():
        signed = checkpoint.SignedCheckpoint.from_text((folder / "checkpoint").read_text())
        assert (signed.checkpoint.origin, signed.checkpoint.log_size) == ("example.org/log", size)
        assert signed.checkpoint.log_hash == shown.roots[size].hex()
        assert signed.checkpoint.other_content == []
        assert shown.world.log_key.verifier.key_id in {each.sig_hash for each in signed.signed_note.signatures}
