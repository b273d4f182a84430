"""Exports in formats of others: on record first, whole or not there, with lineage and receipts that hold."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inbond.registry.exporters import EXPORTERS
from inbond.schemas.declared import unknown
from inbond.schemas.errors import Conflict, InvalidInput, NotFound, PolicyDenied, VerificationError
from inbond.schemas.statements import DatasetCounts, PartLine
from tests.registry.scored import ROWS, Scored
from tests.registry.test_delivering import outside
from tests.registry.world import World


def test_lineage_names_what_the_data_are_made_of(world: World, tmp_path: Path) -> None:
    done = world.registry.export_dataset("chat", tmp_path / "out", format="messages", recipient="vendor")
    assert (done.files, done.records, done.shards, done.left_out) == (3, 30, 0, {})
    assert world.body(done.deliveries[0]).recipient.known == world.ref("vendor", "party")
    said = json.loads((tmp_path / "out" / "lineage.json").read_text())
    assert said["datasets"] == [world.ref("chat")]
    assert (said["tree_size"], said["genesis"]) == (world.size(), world.registry.home.genesis.hex())
    parts = world.parts("chat")
    assert [(file["shard"], file["rows"]) for file in said["files"]] == [(shard, [[a, b]]) for shard, a, b in parts]
    teacher, terms = world.ref("acme/base@1"), world.ref("acme-terms")
    for shard, _, _ in parts:
        assert said["shards"][shard]["models"] == [{"teacher": teacher, "role": "response"}]
        assert said["shards"][shard]["terms"] == {teacher: [terms]}
        assert said["shards"][shard]["file"] == world.body(shard).file
    wanted = {world.ref("chat"), teacher, terms, done.deliveries[0], *(shard for shard, _, _ in parts)}
    assert wanted <= said["on_record"].keys()
    for thing in said["on_record"].values():
        assert (tmp_path / "out" / thing["receipt"]).is_file()
    world.check()


def test_an_outsider_accepts_the_receipts(world: World, tmp_path: Path) -> None:
    world.registry.export_dataset("chat", tmp_path / "out", format="parquet")
    code, lines = outside(world, tmp_path / "out", "--without-shards")
    assert code == 0, lines
    assert sum("is not in the bundle" in line for line in lines) == 6  # three shards, and the version that has them
    code, lines = outside(world, tmp_path / "out")
    assert (code, any(line.startswith("missing shard:") for line in lines)) == (6, True)
    shard = world.parts("chat")[0][0]
    receipt = tmp_path / "out" / "receipts" / f"{world.registry.thing(shard).entry}.tlog-proof"
    parts = tmp_path / "out" / "objects" / world.body(world.ref("chat")).parts.digest.removeprefix("sha256:")
    for path, text in (
        (receipt, f"of {shard}, a part of it, the statement is not in the bundle"),
        (parts, "its object parts.digest"),
    ):
        kept = path.read_bytes()
        path.unlink()
        code, lines = outside(world, tmp_path / "out", "--without-shards")
        assert (code, any(line.startswith("missing dataset:") and text in line for line in lines)) == (6, True), lines
        path.write_bytes(kept)
    data = bytearray(receipt.read_bytes())
    data[len(data) // 2] ^= 1
    receipt.write_bytes(data)
    assert outside(world, tmp_path / "out", "--without-shards")[0] == 3


def test_a_run_gets_the_rows_of_its_split(world: World, tmp_path: Path) -> None:
    world.registry.derive("chat", "parted", split={"train": "0.5", "test": "0.5"})
    done = world.registry.deliver("parted", student="lab/pupil", run="formatted", folder=tmp_path / "out", format="messages")
    train = world.body(world.ref("parted")).counts.splits["train"]
    assert (done.records, sum(row["last"] - row["first"] for row in world.rows()["exposures"])) == (train, train)
    assert {path.name[:5] for path in (tmp_path / "out" / "data").iterdir()} == {"train"}
    with pytest.raises(PolicyDenied):
        world.registry.deliver("chat", student="lab/other", run="x", folder=tmp_path / "other", format="messages")
    assert not (tmp_path / "other").exists()


def test_rows_leave_with_the_log_probabilities_beside_them_and_no_others(world: World, tmp_path: Path) -> None:
    scored = Scored(world, "scored")
    logits, store = scored.logits(), world.registry.store
    lines = [
        PartLine(shard=scored.text, rows=((0, 8), (12, ROWS)), split="train", count=ROWS - 4, logits=(logits,)),
        PartLine(shard=scored.text, rows=((8, 12),), split="test", count=4, logits=(logits,)),
    ]
    counts = DatasetCounts(shards=1, rows=ROWS, tokens=unknown(), splits={"test": 4, "train": ROWS - 4})
    world.dataset("parted", [], parts=store.put_lines(lines), counts=counts)
    world.registry.recall(logits, rows=[(9, 10)], reason="measured wrongly", category="quality")
    world.registry.deliver("parted", student="lab/pupil", run="rows", folder=tmp_path / "rows", format="distillkit")
    assert world.registry.place.inputs(world.ref("rows")) == {scored.text: ROWS - 4, logits: ROWS - 4}
    world.registry.recall(logits, rows=[(12, 13)], reason="measured wrongly", category="quality")
    with pytest.raises(PolicyDenied, match="withdraws"):
        world.registry.deliver("parted", student="lab/pupil", run="no", folder=tmp_path / "no", format="messages")
    world.check()


def test_what_cannot_be_written_is_refused_before_anything_is_on_record(world: World, tmp_path: Path) -> None:
    size = world.size()
    for error, text, how in (
        (InvalidInput, "expected log-probabilities in the dataset, found none", {"format": "distillkit"}),
        (InvalidInput, "expected an option of its own", {"format": "messages", "format_options": {"wrong": "1"}}),
        (InvalidInput, "format bundle: expected no options", {"format_options": {"extra": "all"}}),
        (InvalidInput, "expected rows in split 'test', found none", {"format": "parquet", "split": "test"}),
        (NotFound, "expected a format", {"format": "csv"}),
    ):
        with pytest.raises(error, match=text):
            world.registry.export_dataset("chat", tmp_path / "out", **how)  # type: ignore[arg-type]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("keep")
    with pytest.raises(Conflict, match="expected a new or empty folder"):
        world.registry.export_dataset("chat", tmp_path / "mine", format="messages")
    assert (world.size(), (tmp_path / "out").exists()) == (size, False)


@pytest.mark.parametrize("format", [name for name in EXPORTERS if name != "distillkit"])
def test_altered_bytes_leave_no_folder(world: World, tmp_path: Path, format: str) -> None:
    path = world.registry.store.path(world.body(world.parts("chat")[2][0]).file.removeprefix("sha256:"))
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
    with pytest.raises(VerificationError, match="expected leaf hash") as refused:
        world.registry.export_dataset("chat", tmp_path / "out", format=format)
    assert "from a backup" in str(refused.value.hint)
    assert not list(tmp_path.glob("*out*"))
    for wrong in (bytes(data[:-1]), bytes(data) + b"x"):
        path.write_bytes(wrong)
        with pytest.raises(VerificationError, match=f"expected {len(data)} bytes, found {len(wrong)}") as refused:
            world.registry.export_dataset("chat", tmp_path / "out", format=format)
        assert "from a backup" in str(refused.value.hint)
    path.unlink()
    with pytest.raises(NotFound, match="is not in the store") as missing:
        world.registry.export_dataset("chat", tmp_path / "out", format=format)
    assert "inbond restore" in str(missing.value.hint)


def test_killed_in_the_middle_nothing_looks_done(world: World, tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom inbond.registry import Registry\n"
        "def tell(what, done, total):\n    if what == 'writing': print('half', flush=True); time.sleep(600)\n"
        "Registry.open(sys.argv[1]).export_dataset('chat', Path(sys.argv[2]), format='messages', progress=tell)\n"
    )
    arguments = [sys.executable, "-c", script, world.folder, tmp_path / "out"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=os.environ, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "out").exists()
    assert all(path.name.endswith(".inbond-new") for path in tmp_path.glob(".out*"))
    assert world.registry.export_dataset("chat", tmp_path / "out", format="messages").records == 30
