"""Data that leave by command: formats of others, what is said of them, and proofs of single records."""

import json
from pathlib import Path

import pytest

from inbond.ledger import verify
from tests.api.cli.shell import ok, run

AS = ("--student", "acme/mini", "--run")


@pytest.mark.usefixtures("warehouse")
def test_a_dataset_leaves_in_a_format_of_others() -> None:
    done = ok("dataset", "export", "chat", "../out", "--format", "messages", "--option", "extra=none", "--json").json
    assert (done["records"], done["files"], done["left_out"], len(done["deliveries"])) == (20, 1, {}, 1)
    [file] = Path("../out/data").iterdir()
    assert json.loads(file.read_text().splitlines()[3])["messages"][-1]["content"] == "It is 4."
    checked = ok("verify", "../out").out.splitlines()
    assert checked[-1] == "proved"
    assert f"noted   {file}: as lineage.json says, which nobody signed" in checked
    assert any(line.startswith("proved  ../out/lineage.json: the ") for line in checked)
    assert "20 records in 1 file" in ok("pull", "chat", *AS, "second", "--to", "../pulled", "--format", "parquet").out


@pytest.mark.usefixtures("warehouse")
def test_formats_and_their_options_are_listed() -> None:
    listed = ok("dataset", "export", "--list").out
    assert "--option no_prompt=…  records whose prompt is not known (skip or keep; skip unless given)" in listed
    names = [each["name"] for each in ok("dataset", "export", "--list", "--json").json["formats"]]
    assert names == ["bundle", "messages", "parquet", "distillkit"]
    assert "inbond dataset export --list" in run("dataset", "export", "chat", "../x", "--format", "csv").err
    for wrong in (
        ("dataset", "export", "chat"),
        ("dataset", "export", "chat", "../x", "--split", "train"),
        ("dataset", "export", "chat", "../x", "--format", "messages", "--option", "extra"),
        ("pull", "chat", *AS, "third", "--format", "messages"),
    ):
        assert run(*wrong).code == 2
    assert not Path("../x").exists()


@pytest.mark.usefixtures("warehouse")
def test_a_changed_export_is_told() -> None:
    ok("dataset", "export", "chat", "../out", "--format", "messages")
    [file] = Path("../out/data").iterdir()
    kept, lineage = file.read_bytes(), Path("../out/lineage.json").read_text()
    file.write_bytes(kept.replace(b"It is 4.", b"It is 5."))
    done = run("verify", "../out")
    assert (done.code, done.out.splitlines()[-1]) == (3, "differs")
    assert f"FAILED  {file}: expected bytes with the SHA-256" in done.out
    file.unlink()
    assert run("verify", "../out").code == 3
    file.write_bytes(kept)
    Path("../beside.jsonl").write_bytes(kept)
    said = json.loads(lineage)
    ref = said["datasets"][0]
    for changed in (
        lineage.replace(ref, f"{ref[:-1]}{'0' if ref[-1] != '0' else '1'}"),  # another thing than its receipt proves
        lineage.replace(f'"path":"data/{file.name}', '"path":"../beside.jsonl'),  # of another folder, with the same bytes
        "{}",
    ):
        Path("../out/lineage.json").write_text(changed)
        assert run("verify", "../out").code == 3, changed[:200]
    Path("../out/lineage.json").write_text(lineage)
    assert ok("verify", "../out", "--json").json["verdict"] == "proved"


@pytest.mark.usefixtures("warehouse")
def test_one_record_is_shown_to_an_outsider_without_the_others() -> None:
    shard = ok("dataset", "show", "chat", "--json").json["parts"][0]["shard"]
    assert ok("prove-record", shard, "3", "--to", "../shown", "--json").json["receipts"] == len(
        list(Path("../shown/receipts").iterdir())
    )
    record = Path("../shown/records/3.json")
    everything = b"".join(path.read_bytes() for path in Path("../shown").rglob("*") if path.is_file())
    assert b"It is 4." in everything
    assert not any(f"It is {at + 1}.".encode() in everything for at in range(20) if at != 3)
    assert ok("verify", "../shown").out.splitlines()[-1] == "proved"
    genesis = ok("log", "head", "--json").json["genesis"]
    outside = ["--policy", "policy.txt", "--genesis", genesis, "--without-shards", "--json"]
    receipts = [str(path) for path in Path("../shown/receipts").iterdir()]
    assert verify.main([*outside, *receipts, str(record)]) == 0
    assert verify.main([argument for argument in [*outside, "../shown"] if argument != "--without-shards"]) == 6
    data = record.read_bytes()
    for at in range(0, len(data), 97):
        record.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert verify.main([*outside, "../shown"]) in (3, 6), at  # 6: it names a shard that no receipt is about
    assert run("prove-record", shard, "3").code == 2
    assert run("prove-record", shard, "20", "--out", "../x").code == 2
    assert run("prove-record", shard, "3", "--to", "../shown").code == 8
