"""A log's copy outside its database, where it says something else than its entries do."""

from pathlib import Path

import pytest

from inbond.ledger import backup, checkpoints
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.log import Log
from inbond.schemas.errors import VerificationError
from tests.ledger.world import World


def test_a_signed_root_that_does_not_follow_from_the_entries_is_not_restored(world: World, tmp_path: Path) -> None:
    world.log.append(world.parties(5))
    with world.log.reading() as reader:
        backup.back_up(reader, tmp_path / "copy")
        right, size = reader.note, reader.size
    (tmp_path / "there").mkdir()
    note = checkpoints.sign(Checkpoint(world.log.origin, size, bytes(32)), [world.log_key])
    (tmp_path / "copy" / "checkpoint").write_bytes(note)
    with pytest.raises(VerificationError, match=rf"expected {size} entries with root 0{{64}}, .* found {size} with root"):
        backup.restore(tmp_path / "copy", tmp_path / "there", world.rules)
    assert not (tmp_path / "there" / "ledger.db").exists()
    (tmp_path / "copy" / "checkpoint").write_bytes(right)
    assert backup.restore(tmp_path / "copy", tmp_path / "there", world.rules) == size
    restored = Log(tmp_path / "there", world.rules, world.log_key)
    with restored.reading() as reader:
        assert [data for _, data in reader.entries()] == world.entries()
    restored.close()
