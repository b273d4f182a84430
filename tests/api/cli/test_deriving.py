"""Derived versions by command."""

import pytest

from tests.api.cli.shell import ok, run


@pytest.mark.usefixtures("warehouse")
def test_a_version_of_some_rows_is_made_once_and_pulled() -> None:
    words = ("dataset", "derive", "chat", "some", "--where", "response LIKE '%1%'", "--split", "train=50%", "--split", "test=0.5")
    done = ok(*words, "--json").json
    assert (done["name"], done["records"], done["of"], done["unchanged"]) == ("some@1", 11, 20, False)
    assert sum(done["splits"].values()) == 11
    again = ok(*words)
    assert again.out.startswith("some@1 is on record already; nothing was written")
    assert "records  11 of 20" in again.out
    read = ok("pull", "some", "--student", "acme/mini", "--run", "derived", "--split", "test").out
    assert len(read.splitlines()) == done["splits"]["test"]
    refused = run("dataset", "derive", "chat", "some", "--sample", "3")
    assert refused.code == 8
    assert "try: some@2 makes a new version of it" in refused.err
    assert ok("dataset", "derive", "chat", "some@2", "--sample", "3", "--seed", "4", "--dedup", "--json").json["records"] == 3


@pytest.mark.usefixtures("warehouse")
def test_a_wrong_step_is_told() -> None:
    for words, text in (
        ((), "expected something to do"),
        (("--where", "nope = 1"), "expected columns among"),
        (("--split", "train"), "expected NAME=FRACTION"),
        (("--split", "train=0.5", "--split", "train=0.5"), "each name once"),
        (("--split", "train=0.5"), "expected fractions that sum to 1"),
        (("--sample", "none"), "expected a fraction above 0"),
    ):
        done = run("dataset", "derive", "chat", "wrong", *words)
        assert (done.code, text in done.err) == (2, True), (words, done.err)
