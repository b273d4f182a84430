"""What comes afterwards on the command line: withdrawal, and facts that are declared later."""

from pathlib import Path

import pytest

from inbond.api.cli.withdrawing import ACTIONS, CATEGORIES
from inbond.schemas.statements import RecallAction, RecallCategory
from tests.api.cli.shell import TEACHER, ok, run, write_chats


def shard() -> str:
    [found] = ok("dataset", "show", "chat", "--json").json["parts"]
    return str(found["shard"])


def test_the_choices_are_those_of_statements() -> None:
    assert list(RecallCategory) == list(CATEGORIES)
    assert list(RecallAction) == list(ACTIONS)


@pytest.mark.usefixtures("warehouse")
def test_a_recall_says_whom_it_reaches_and_stops_reading() -> None:
    ok("dataset", "export", "chat", "../out")
    done = ok("recall", "chat", "--category", "terms", "--reason", "consent withdrawn", "--action", "delete")
    entry = ok("log", "head", "--json").json["size"] - 1
    lines = done.out.splitlines()
    assert lines[0].startswith(f"recalled in entry {entry}: recall:")
    assert "  rows      20 rows of 1 shard" in lines
    assert "  action    delete" in lines
    reached = {tuple(line.split()[:4]) for line in lines if line.startswith(("dataset", "student", "run", "release"))}
    assert {("dataset", "chat@1", "20", "1"), ("student", "acme/mini@1", "20", "1"), ("run", "first", "20", "1")} <= reached
    assert "bytes are out: 1 delivery, which nobody here can take back" in lines
    assert "inbond dataset trim" in done.err
    refused = run("pull", "chat", "--student", "acme/mini", "--run", "second", "--out", "../more.jsonl")
    assert refused.code == 5
    assert f"entry {entry} (recall:" in refused.err
    assert "try: inbond dataset list" in refused.err
    check = run("check", "chat", "--student", "acme/mini")
    assert (check.code, "withdrawn: recall:" in check.out) == (5, True)
    assert "withdraws rows [0, 20)" in check.out + check.err
    found = run("dataset", "export", "chat", "../again", "--json")
    assert (found.code, found.problem["type"]) == (5, "urn:inbond:problem:policy-denied")


@pytest.mark.usefixtures("warehouse")
def test_rows_are_withdrawn_and_given_back() -> None:
    ref = shard()
    told = ok(
        "recall", ref[:20], "--rows", "3:5", "--rows", "9:10", "--category", "personal_data", "--reason", "r", "--json"
    ).json
    assert (told["schema"], told["rows"], told["shards"], told["targets"]) == ("urn:inbond:cli:recall:v1", 3, 1, [ref])
    assert {item["kind"] for item in told["affected"]} == {"dataset", "student", "run", "release"}
    assert told["recalls"] == [told["ref"]]
    assert run("check", "chat", "--student", "acme/mini").code == 5
    assert ok("dataset", "trim", "chat").out == "chat@2 on record\n"
    ok("check", "chat", "--student", "acme/mini")
    ok("pull", "chat", "--student", "acme/mini", "--run", "second", "--out", "../more.jsonl")
    assert len(Path("../more.jsonl").read_text().splitlines()) == 17
    assert ok("dataset", "trim", "chat", "--json").json["unchanged"]
    lifted = ok("recall", told["ref"], "--lift", "--reason", "another person's")
    assert lifted.out.startswith("lifted in entry ")
    assert not lifted.err
    ok("check", "chat@1", "--student", "acme/mini")
    assert run("recall", told["ref"], "--lift", "--reason", "again").code == 8


@pytest.mark.usefixtures("warehouse")
def test_one_that_takes_effect_later_stops_nothing_yet() -> None:
    done = ok(
        "recall", TEACHER, "--category", "quality", "--reason", "r", "--effective", "2099-01-01", "--deadline", "2099-02-01"
    )
    assert "  from      2099-01-01" in done.out
    ok("check", "chat", "--student", "acme/mini")
    assert "nothing on record was made" not in done.out
    chats = write_chats(Path("../other.jsonl"), 3, start=50)
    ok("import", "messages", chats, "--teacher", TEACHER, "--dataset", "other")
    last = ok("recall", "other", "--category", "quality", "--reason", "r", "--replacement", "chat", "--effective", "2098-01-01")
    assert "dataset  other@1" in last.out


USAGE = [
    ("recall",), ("recall", "chat"), ("recall", "chat", "--reason", "r"), ("recall", "chat", "--category", "terms"),
    ("recall", "chat", "--reason", "r", "--category", "mood"),
    ("recall", "chat", "--reason", "r", "--category", "terms", "--rows", "5"),
    ("recall", "chat", "--reason", "r", "--category", "terms", "--rows", "5:5"),
    ("recall", "chat", "--reason", "r", "--category", "terms", "--rows", "0:1"),
    ("recall", "chat", "--reason", "r", "--category", "terms", "--effective", "soon"),
    ("recall", "chat", "--reason", "r", "--lift", "--category", "terms"),
    ("recall", "chat", "--reason", "r", "--lift", "--rows", "0:1"),
    ("declare", "openai"), ("declare", "openai", "--template", "--facts", "policy.txt"),
    ("declare", "openai", "--template", "--correct"),
]  # fmt: skip


@pytest.mark.usefixtures("warehouse")
def test_usage_is_2_and_nothing_is_recorded() -> None:
    size = ok("log", "head", "--json").json["size"]
    for words in USAGE:
        done = run(*words)
        assert (done.code, done.out) == (2, ""), (words, done)
    assert ok("log", "head", "--json").json["size"] == size
    assert run("recall", "nothing", "--reason", "r", "--category", "terms").code == 7


@pytest.mark.usefixtures("warehouse")
def test_facts_are_declared_later_and_corrected_when_asked(tmp_path: Path) -> None:
    template = ok("declare", "openai", "--template")
    assert '#domicile = "DE"' in template.out
    assert template.out == ok("declare", "openai", "--template", "--json").json["template"]
    facts = tmp_path / "facts.toml"
    facts.write_text(template.out.replace('#domicile = "DE"', 'domicile = "US"'))
    done = ok("declare", "openai", "--facts", facts)
    entry = ok("log", "head", "--json").json["size"] - 1
    assert done.out.splitlines()[0].endswith(f": 1 fact declared in entry {entry}")
    assert "  domicile: US" in done.out
    assert "on record already" in ok("declare", "openai", "--facts", facts).out
    assert ok("log", "head", "--json").json["size"] == entry + 1
    facts.write_text('domicile = "FR"\n')
    refused = run("declare", "openai", "--facts", facts)
    assert (refused.code, "domicile is US, not FR" in refused.err, "--correct" in refused.err) == (8, True, True)
    corrected = ok("declare", "openai", "--facts", facts, "--correct", "--reason", "they moved")
    assert "  domicile: FR (was US)" in corrected.out
    told = ok("declare", shard(), "--template", "--json")
    assert "generated" in told.json["template"]
    facts.write_text('purpose = "chat"\nrelease_plan.hosted = true\n')
    told = ok("declare", "acme/mini", "--facts", facts, "--json")
    assert [change["path"] for change in told.json["filled"]] == ["purpose", "release_plan.hosted"]
    assert "purpose" not in told.json["missing"]
    facts.write_text('acquired = "2026-01-05"\n')
    assert "not known still" in ok("declare", "chat", "--facts", facts).out
    write_chats(tmp_path / "more.jsonl", 4, start=90)
    ok("import", "messages", tmp_path / "more.jsonl", "--teacher", TEACHER, "--dataset", "chat", "--append")
    assert "#acquired = " in ok("declare", "chat", "--template").out
    told = ok("declare", "chat", "--facts", facts, "--json").json["shards"]
    assert [bool(each["entry"]) for each in told] == [False, True]
    assert "#acquired = " not in ok("declare", "chat", "--template").out
    ok("verify")
    ok("rebuild")
