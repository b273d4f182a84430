"""Deliveries: on record before bytes leave, whole in their folder, and checked there by `inbond-verify` alone."""

import contextlib
import io
from pathlib import Path

import pytest

from inbond.ledger import verify
from inbond.registry.delivering import Delivered, export_everything
from inbond.schemas.errors import Conflict, NotFound, PolicyDenied, VerificationError
from tests.registry.world import World, messages


def outside(world: World, *paths: Path | str) -> tuple[int, list[str]]:
    """What `inbond-verify` says with the policy and genesis: exit code and lines."""
    arguments = ["--policy", str(world.folder / "policy.txt"), "--genesis", world.registry.home.genesis.hex()]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        code = verify.main([*arguments, *map(str, paths)])
    return code, out.getvalue().splitlines()


def accepted(world: World, delivered: Delivered) -> None:
    code, lines = outside(world, delivered.folder)
    assert code == 0, [line for line in lines if not line.startswith("proved")]


def test_a_delivery_to_a_run_exposes_it_to_whole_shards(world: World, tmp_path: Path) -> None:
    a, b, _ = (part[0] for part in world.parts("chat"))
    world.dataset("some", [(b, 3, 5), (a, 11, 12)])
    delivered = world.registry.deliver("some", student="lab/pupil", run="copies", folder=tmp_path / "out")
    assert (delivered.shards, len(delivered.deliveries)) == (2, 1)
    assert {(row["shard"], row["first"], row["last"]) for row in world.rows()["exposures"]} == {(a, 0, 12), (b, 0, 12)}
    [hop] = world.registry.lineage("lab/pupil").hops
    assert (hop.rows, hop.runs) == (24, (world.ref("copies"),))
    accepted(world, delivered)
    world.check()


def test_several_datasets_are_several_deliveries(world: World, tmp_path: Path) -> None:
    delivered = world.registry.deliver("chat", "code", student="lab/pupil", run="copies", folder=tmp_path / "out")
    assert [world.body(ref).object for ref in delivered.deliveries] == [world.ref("chat"), world.ref("code")]
    assert len(list((tmp_path / "out" / "shards").iterdir())) == delivered.shards == 4
    assert len(list((tmp_path / "out" / "receipts").iterdir())) == delivered.receipts
    accepted(world, delivered)


def test_a_delivery_to_a_run_needs_the_gate(world: World, tmp_path: Path) -> None:
    size = world.size()
    with pytest.raises(PolicyDenied):
        world.registry.deliver("chat", student="lab/other", run="copies", folder=tmp_path / "out")
    assert world.size() == size
    assert not (tmp_path / "out").exists()


def test_an_export_names_its_recipient_and_exposes_nobody(world: World, tmp_path: Path) -> None:
    delivered = world.registry.export_dataset("chat", tmp_path / "out", recipient="vendor")
    body = world.body(delivered.deliveries[0])
    assert (body.object, body.recipient.known) == (world.ref("chat"), world.ref("vendor", "party"))
    assert world.rows()["exposures"] == []
    assert delivered.shards == 3
    accepted(world, delivered)
    world.check()


def test_a_version_brings_no_shards_of_the_one_before(world: World, tmp_path: Path) -> None:
    c = world.parts("chat")[2][0]
    world.dataset("chat", [(c, 0, 6)], version="2", previous=world.ref("chat@1"))
    delivered = world.registry.export_dataset("chat@2", tmp_path / "out")
    assert delivered.shards == 1
    files = {path.stem for path in (tmp_path / "out" / "shards").iterdir()}
    assert files == {world.body(c).file.removeprefix("sha256:")}
    accepted(world, delivered)


def test_everything_leaves_with_deliveries_of_all_that_leaves(lived: World, tmp_path: Path) -> None:
    bad = messages(tmp_path / "bad.jsonl", "bad", 6)
    bad.write_bytes(bad.read_bytes() + b"not json\n")
    with pytest.raises(Exception, match="line 7"):
        lived.registry.import_files("messages", [bad], teacher="acme/base@1", dataset="bad", max_rows=2)
    orphans = {row["ref"] for row in lived.rows()["shards"]} - {row["shard"] for row in lived.rows()["dataset_parts"]}
    assert orphans
    delivered = export_everything(lived.registry, tmp_path / "all")
    objects = {lived.body(ref).object for ref in delivered.deliveries}
    assert objects == orphans | {lived.ref(name, "dataset") for name in ("chat", "code", "beta", "second")}
    assert delivered.receipts == lived.size()
    accepted(lived, delivered)
    files = sorted(
        path for path in (tmp_path / "all").rglob("*") if path.is_file() and path.stat().st_size and "receipts" not in path.parts
    )
    for path in files[:: max(1, len(files) // 6)]:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        code, lines = outside(lived, tmp_path / "all")
        assert code == 3, (path, lines[-3:])
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    accepted(lived, delivered)


def test_a_folder_that_is_not_empty_is_left_alone(world: World, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("keep")
    size = world.size()
    for write in (
        lambda: world.registry.export_dataset("chat", tmp_path / "out"),
        lambda: world.registry.deliver("chat", student="lab/pupil", run="x", folder=tmp_path / "out"),
        lambda: export_everything(world.registry, tmp_path / "out" / "mine"),
    ):
        with pytest.raises(Conflict, match="expected a new or empty folder"):
            write()
    assert world.size() == size


def test_altered_bytes_do_not_leave(world: World, tmp_path: Path) -> None:
    path = world.registry.store.path(world.body(world.parts("chat")[0][0]).file.removeprefix("sha256:"))
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    with pytest.raises(VerificationError, match="expected bytes of this SHA-256"):
        world.registry.export_dataset("chat", tmp_path / "out")
    written = {file.name for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert f"{path.name}.parquet" not in written
    assert not any(name.endswith(".partial") for name in written)


def test_a_missing_object_is_named(world: World, tmp_path: Path) -> None:
    path = world.registry.store.path(world.body(world.parts("chat")[0][0]).file.removeprefix("sha256:"))
    path.unlink()
    with pytest.raises(NotFound, match=path.name):
        world.registry.export_dataset("chat", tmp_path / "out")


def test_withdrawn_bytes_stay_behind_and_an_outsider_is_told_why(world: World, tmp_path: Path) -> None:
    gone = world.parts("chat")[1][0]
    recalled = world.registry.recall(gone, reason="not ours to give", category="quality")
    delivered = export_everything(world.registry, tmp_path / "out")
    assert not (tmp_path / "out" / "shards" / f"{world.body(gone).file.removeprefix('sha256:')}.parquet").exists()
    assert delivered.shards == len(world.rows()["shards"]) - 1
    assert {world.body(ref).object for ref in delivered.deliveries}.isdisjoint({gone, world.ref("chat")})
    code, lines = outside(world, delivered.folder)
    assert code == 0, lines
    assert any(gone in line and f"entry {recalled.recorded.seq} withdraws it" in line for line in lines)
    world.registry.lift_recall(recalled.recorded.ref, reason="it was ours")
    again = export_everything(world.registry, tmp_path / "again")
    assert again.shards == delivered.shards + 1
    accepted(world, again)


def test_a_shard_that_nobody_withdrew_is_missing(world: World, tmp_path: Path) -> None:
    recalled = world.registry.recall(world.parts("chat")[1][0], reason="not ours to give", category="quality")
    delivered = export_everything(world.registry, tmp_path / "out")
    kept = world.body(world.parts("chat")[0][0]).file.removeprefix("sha256:")
    (tmp_path / "out" / "shards" / f"{kept}.parquet").unlink()
    assert outside(world, delivered.folder)[0] == 6
    world.registry.lift_recall(recalled.recorded.ref, reason="it was ours")
    lifted = export_everything(world.registry, tmp_path / "lifted")
    (tmp_path / "lifted" / "shards" / f"{world.body(world.parts('chat')[1][0]).file.removeprefix('sha256:')}.parquet").unlink()
    assert outside(world, lifted.folder)[0] == 6  # the recall was corrected: it excuses nothing any more
