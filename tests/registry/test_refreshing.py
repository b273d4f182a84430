"""Receipts that are brought up to newer heads, of one history only."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from inbond.ledger import checkpoints, merkle, notes, receipts
from inbond.ledger.publishing import PublishedHeads
from inbond.ledger.receipts import Receipt
from inbond.ledger.witnessed import Witnessed
from inbond.registry.place import Place
from inbond.registry.refreshing import refresh
from inbond.schemas.errors import VerificationError
from tests.ledger.world import World


@dataclass
class Shown:
    """As much of a place as a refresh asks."""

    world: World

    @property
    def policy_text(self) -> str:
        return self.world.policy.format()

    def receipt(self, seq: int, size: int | None = None) -> Receipt:
        with self.world.log.reading() as reader:
            return PublishedHeads(Witnessed(self.world.folder), self.world.policy).receipt(reader, seq, size)

    def consistency(self, old: int, new: int) -> Sequence[bytes]:
        with self.world.log.reading() as reader:
            return reader.consistency(old, new)

    def refreshed(self, old: Receipt, size: int | None = None) -> Receipt:
        return refresh(cast(Place, self), old, size)


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shown:
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    return Shown(World(tmp_path / "log"))


def size_of(receipt: Receipt) -> int:
    return checkpoints.parse(notes.parse(receipt.checkpoint).text).size


def test_a_receipt_goes_on_to_the_newest_head_and_never_back(shown: Shown) -> None:
    old = shown.receipt(1)
    assert shown.refreshed(old) == old
    shown.world.log.append(shown.world.parties(5))
    new = shown.refreshed(old)
    assert (size_of(old), size_of(new), new.extra) == (2, 7, old.extra)
    assert shown.refreshed(new, 2) == new, "no older head in its place"
    bare = replace(old, extra=None)
    assert shown.refreshed(bare).extra is None, "what was public stays so"
    receipts.verify(shown.refreshed(bare), merkle.leaf_hash(old.extra or b""), shown.world.policy)


@pytest.mark.parametrize("grown", [1, 4])
def test_another_history_takes_no_receipts_place(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grown: int
) -> None:
    shutil.copytree(shown.world.folder, tmp_path / "fork")
    other = World(tmp_path / "fork", create=False)
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "other"))
    other.log = other.open()
    shown.world.log.append(shown.world.parties(1))
    other.log.append(other.parties(grown))
    old = shown.receipt(1)  # an entry that both have, under a head that one has
    for receipt in (old, replace(old, extra=None)):
        with pytest.raises(VerificationError, match="expected a head that continues its own, of size 3") as caught:
            Shown(other).refreshed(receipt)
        assert "keep the old receipt" in str(caught.value.hint)


@pytest.mark.parametrize("change", [{"proof": (bytes(32),)}, {"extra": b"other bytes"}, {"index": 0}])
def test_what_does_not_verify_is_not_refreshed(shown: Shown, change: dict[str, Any]) -> None:
    old = replace(shown.receipt(1), **change)
    shown.world.log.append(shown.world.parties(1))
    with pytest.raises(VerificationError):
        shown.refreshed(old)
