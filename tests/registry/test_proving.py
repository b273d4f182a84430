"""One row shown without the others, of log-probabilities too, and what an outsider says of it."""

from pathlib import Path

import pytest

from inbond.registry.proving import write_proof
from inbond.registry.shards import proofs
from inbond.schemas.errors import InvalidInput, VerificationError
from tests.registry.scored import ROWS, Scored
from tests.registry.test_delivering import outside
from tests.registry.world import World


@pytest.mark.parametrize("row", [2, 3])
def test_a_row_of_log_probabilities_is_proved_alone(shared_world: World, tmp_path: Path, row: int) -> None:
    """Row 3 has none, which can be shown too."""
    logits = Scored(shared_world, f"proved-{row}").logits()
    body = shared_world.body(logits)
    proved = shared_world.registry.prove_record(logits, row)
    assert write_proof(shared_world.registry, proved, tmp_path / "out") == len(list((tmp_path / "out" / "receipts").iterdir()))
    assert len(proved.data) < body.size / 4
    shown = proofs.check(proved.data, body.record_root, ROWS)
    assert isinstance(shown, proofs.Logits)
    assert (shown.n_pos == 0) == (row == 3)
    code, lines = outside(shared_world, tmp_path / "out", "--without-shards")
    assert code == 0, lines
    assert any(f"row {row} of {logits}" in line for line in lines)
    file = tmp_path / "out" / "records" / f"{row}.json"
    for at in range(0, len(proved.data), 61):
        changed = proved.data[:at] + bytes([proved.data[at] ^ 1]) + proved.data[at + 1 :]
        if not proved.data.index(b'"shard":"') <= at < proved.data.index(b',"v":1'):  # which shard, its statement says
            with pytest.raises((InvalidInput, VerificationError)):
                proofs.check(changed, body.record_root, ROWS)
        file.write_bytes(changed)
        assert outside(shared_world, tmp_path / "out", "--without-shards")[0] in (3, 6), at
    with pytest.raises(InvalidInput, match=f"expected a row within .0, {ROWS}., found {ROWS}"):
        shared_world.registry.prove_record(logits, ROWS)
