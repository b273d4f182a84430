"""What a shard's file is: lineage, columns, sizes, records, and on whose word each of it stands."""

import json
from pathlib import Path

import pytest

from tests.api.cli.shell import TEACHER, ok
from tests.registry.conftest import make_world, template, world
from tests.registry.scored import Scored
from tests.registry.world import World

__all__ = ["make_world", "template", "world"]  # fixtures


@pytest.fixture
def shard(warehouse: Path) -> Path:
    """A copy of the file of the one shard there is."""
    [blocks] = (warehouse / "objects").glob("sha256/*/*.blocks")
    path = warehouse.parent / "shard.parquet"
    path.write_bytes(blocks.with_suffix("").read_bytes())
    return path


def test_a_shard_on_record_is_shown_with_its_lineage(shard: Path) -> None:
    shown = ok("inspect", shard).out
    for line in (
        f"response by  {TEACHER}, under tos@2024-01-31",
        "datasets     chat@1",
        "importer     messages 1",
        "lineage (recorded)",
        "what the file says of itself (claimed)",
        "records (proved: from the bytes that the statement names)",
        "inbond.origin  example.org/warehouse",
    ):
        assert line in shown, shown
    assert "What is 2 + 1?" in shown
    assert "It is 3." in shown
    found = ok("inspect", shard, "--json").json
    assert (found["is"], found["rows"], found["recorded"]["kind"]) == ("a text shard", 20, "text")
    assert found["recorded"]["models"] == [{"teacher": TEACHER, "role": "response", "terms": ["tos@2024-01-31"]}]
    columns = {each["name"]: each for each in found["columns"]}
    assert (columns["response"]["compression"], columns["response"]["type"], columns["salt"]["compression"]) == (
        "zstd", "string", "uncompressed",
    )  # fmt: skip
    assert columns["prompt.content"]["encodings"] == ["PLAIN", "RLE"]
    assert columns["salt"]["plain_bytes"] > 20 * 16
    assert sum(each["bytes"] for each in columns.values()) < shard.stat().st_size
    assert [each["response"] for each in found["shown"]] == ["It is 1.", "It is 2.", "It is 3."]


def test_a_shard_that_nobody_has_on_record_only_claims(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shard.parent)
    shown = ok("inspect", shard).out
    assert "a text shard, as far as its columns say" in shown
    assert "records (claimed)" in shown
    assert "recorded" not in shown
    assert "proved" not in shown


@pytest.mark.parametrize("share", [0.02, 0.2, 0.4, 0.6, 0.8, 0.98])
def test_a_damaged_shard_is_described(shard: Path, share: float) -> None:
    data = shard.read_bytes()
    at = int(len(data) * share)
    for name, changed in (("cut", data[:at]), ("flipped", data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])):
        shard.with_name(name).write_bytes(changed)
        found = ok("inspect", shard.with_name(name), "--json").json
        assert found["on_record"] == []
        assert "recorded" not in found
        if name == "cut":
            assert found["is"] == "a damaged Parquet file"
            assert found["damage"]


def test_a_footer_that_ends_its_parser_does_not_end_the_command(shard: Path) -> None:
    """A codec that Parquet does not have makes pyarrow abort: no exception, no process."""
    data = shard.read_bytes()
    damaged = data.replace(b"record_id\x15\x0c", b"record_id\x15\x1c")  # zstd, and a number that stands for none
    assert damaged != data
    shard.with_name("damaged").write_bytes(damaged)
    found = ok("inspect", shard.with_name("damaged"), "--json").json
    assert found["is"] == "a damaged Parquet file"
    assert "one that ends its parser" in found["damage"]


def test_an_export_names_the_shard_that_its_rows_are_of(shard: Path) -> None:
    ok("dataset", "export", "chat", "../out", "--format", "parquet")
    [file] = Path("../out/data").iterdir()
    found = ok("inspect", file, "--json").json
    assert found["is"] == "an export of rows of a shard, as far as it says itself"
    assert found["claimed"]["inbond.rows_of"] == ok("inspect", shard, "--json").json["on_record"][0]


def test_of_log_probabilities_positions_are_shown(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logits = Scored(world, "shown", whole=True).logits()
    file = tmp_path / "logits.parquet"
    file.write_bytes(world.registry.store.path(world.body(logits).file.removeprefix("sha256:")).read_bytes())
    found = ok("--registry", world.folder, "inspect", file, "--json").json
    assert (found["is"], found["recorded"]["signal"], found["recorded"]["text_shard"][:6]) == (
        "a logits shard",
        "scored",
        "shard:",
    )
    assert found["bytes_per_token"] == round(file.stat().st_size / found["positions"], 2)
    assert {"k", "ids", "head", "gaps", "tail", "chosen"} <= {each["name"] for each in found["columns"]}
    first = found["shown"][0]
    assert [(each["row"], each["position"]) for each in found["shown"]][:2] == [(0, 1), (0, 2)]
    assert [each["logprob"] for each in first["best"]] == sorted((each["logprob"] for each in first["best"]), reverse=True)
    shown = ok("--registry", world.folder, "inspect", file).out
    for line in ("codec              inbond-logits 1", "dtype              float32", "positions          sequence"):
        assert line in shown
    assert "inbond.codec  as the statement says" in shown
    assert max(map(len, shown.splitlines()[1:])) <= 100
    assert "truncated          not known" in shown
    assert "engine             not known" in shown
    assert f"{found['positions']} positions, {found['bytes_per_token']} bytes a token" in shown
    assert "records (proved: from the bytes that the statement names)" in shown
    monkeypatch.chdir(tmp_path)
    claimed = ok("inspect", file, "--json").json
    assert (claimed["shown"], "recorded" in claimed) == (found["shown"], False)  # the file itself says how it is written


def test_a_log_probability_near_zero_keeps_its_digits(world: World, tmp_path: Path) -> None:
    """As providers return it of a token that is all but certain; shown as zero it would be a certain one."""
    token = {"token": "M", "bytes": [77], "logprob": -1.71205e-05}
    entries = [token, {"token": "m", "bytes": [109], "logprob": -11.015642}]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "M"},
        "logprobs": {"content": [token | {"top_logprobs": entries}]},
    }
    (tmp_path / "sure.jsonl").write_text(json.dumps({"model": "gpt-4o", "choices": [choice]}))
    done = world.registry.import_files(
        "chat-completions", [tmp_path / "sure.jsonl"], teacher="acme/sure", dataset="sure", create=True
    )
    logits = done.shards[-1]
    file = tmp_path / "logits.parquet"
    file.write_bytes(world.registry.store.path(world.body(logits).file.removeprefix("sha256:")).read_bytes())
    [first] = ok("--registry", world.folder, "inspect", file, "--json").json["shown"]
    assert (first["best"][0]["logprob"], first["chosen"]) == (-1.71205e-05, -1.71205e-05)
    shown = ok("--registry", world.folder, "inspect", file).out
    assert "TEXT:NATS" in shown
    assert "'M':-1.71e-05  'm':-11" in shown
    assert "-0.0 " not in shown
    for key in ("inbond.codec             ", "inbond.engine_fingerprint"):
        assert f"{key}  as the statement says" in shown
    assert "{" not in shown
    world.registry.store.remove(world.body(logits).codec.tokenizer.removeprefix("sha256:"))  # the table of the texts
    shown = ok("--registry", world.folder, "inspect", file).out
    assert "ID:NATS" in shown
    assert "0:-1.71e-05  1:-11" in shown
