"""Receipts brought up to a newer checkpoint, or to more cosignatures of their own.

A receipt that was given when its entry was put on record stands under a head that no witness had seen. The one that replaces it
is under a head that continues that one: both are the log's word about one history, or the old receipt stays as it is.
"""

from dataclasses import replace

from inbond.ledger import merkle, receipts
from inbond.ledger.policy import TrustPolicy
from inbond.ledger.receipts import Receipt
from inbond.registry.place import Place
from inbond.registry.places.heads import signed_only
from inbond.schemas.errors import VerificationError


def refresh(place: Place, old: Receipt, size: int | None = None) -> Receipt:
    """The receipt of the same entry under the head of `size`, or the one that the registry shows now.

    Never under an older head than before, and with the entry's bytes where they were in it. Raises VerificationError where
    the two heads are not of one history, or either receipt does not verify.
    """
    signed = signed_only(TrustPolicy.parse(place.policy_text))
    before = signed.open_checkpoint(old.checkpoint)
    new = place.receipt(old.index, size)
    if signed.open_checkpoint(new.checkpoint).size < before.size:
        new = place.receipt(old.index, before.size)
    after = signed.open_checkpoint(new.checkpoint)
    what = f"receipt of entry {old.index}"
    if (before.origin, old.index) != (after.origin, new.index):
        raise VerificationError(f"{what}: expected one of {after.origin}, found one of {before.origin}, entry {new.index}")
    entry = old.extra or new.extra
    if entry is not None:
        for each in (old, new):
            receipts.verify(each, merkle.leaf_hash(entry), signed)
    try:
        proof = [] if before.size == after.size else place.consistency(before.size, after.size)
        merkle.verify_consistency(before.size, after.size, proof, before.root, after.root)
    except VerificationError as error:
        raise VerificationError(
            f"{what}: expected a head that continues its own, of size {before.size}, found one of size {after.size} that does "
            f"not: {error.message}",
            hint="keep the old receipt: with the newer checkpoint it proves that the log has two histories",
        ) from None
    return replace(new, extra=old.extra)
