"""Pulls by command: records, runs that go on, deliveries."""

import json
from pathlib import Path

import pytest

from tests.api.cli.shell import ok, run

AS = ("--student", "acme/mini", "--run")


@pytest.mark.usefixtures("warehouse")
def test_records_come_as_json_lines_on_stdout_and_nothing_else() -> None:
    done = ok("pull", "chat", *AS, "second")
    records = [json.loads(line) for line in done.out.splitlines()]
    assert [record["response"] for record in records] == [f"It is {at + 1}." for at in range(20)]
    assert records[0]["prompt"] == [{"role": "user", "content": "What is 0 + 1?"}]
    assert "20 records of run second: granted and recorded in 1 segment, ledger size" in done.err
    assert "inbond run close second" in done.err


@pytest.mark.usefixtures("warehouse")
def test_a_run_reads_each_epoch_once() -> None:
    ok("pull", "chat", *AS, "second")
    again = ok("pull", "chat", *AS, "second")
    assert again.out == ""
    assert "run second has read its 1 epoch already, 20 samples: --epochs N reads on" in again.err
    more = ok("pull", "chat", *AS, "second", "--epochs", "3", "--out", "../more.jsonl", "--json").json
    assert (more["records"], len(Path("../more.jsonl").read_text().splitlines())) == (40, 40)
    [found] = [item for item in ok("run", "list", "--json").json["runs"] if item["name"] == "second"]
    assert (found["samples"], found["outcome"]) == (60, None)
    ok("run", "close", "second", "--outcome", "kept")
    assert run("pull", "chat", *AS, "second").code == 8


@pytest.mark.usefixtures("warehouse")
def test_whole_shards_can_be_delivered() -> None:
    done = ok("pull", "chat", *AS, "second", "--to", "../delivered", "--json").json
    assert (done["shards"], len(done["deliveries"])) == (1, 1)
    assert ok("verify", "../delivered").out.splitlines()[-1] == "proved"
    assert run("pull", "chat", *AS, "third", "--to", "../delivered").code == 8
    assert run("pull", "chat", *AS, "third", "--to", "../x", "--out", "../y").code == 2


@pytest.mark.usefixtures("warehouse")
def test_a_split_that_is_not_there_is_told() -> None:
    done = run("pull", "chat", *AS, "second", "--split", "test")
    assert done.code == 2
    assert "found splits train" in done.err
