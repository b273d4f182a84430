"""Commands about terms: readings, acceptances, timelines."""

from pathlib import Path

import pytest

from inbond.api.cli.obligations import owed_lines
from tests.api.cli.shell import ok, run


@pytest.mark.usefixtures("warehouse")
def test_a_reading_an_acceptance_and_a_timeline(tmp_path: Path) -> None:
    template = ok("terms", "fact", "add", "tos", "--template").out
    assert "#permits_training =" in template
    assert run("terms", "fact", "add", "tos").code == 2
    file = tmp_path / "fact.toml"
    file.write_text(
        'clause = "1"\nscope = "any_model"\npermits_training = "yes"\nconditions = []\nexceptions = []\n'
        'temporal_reach = "generated"\noutput_ownership = "customer"\nstudent_is_derivative = "no"\ngrade = "P"\n'
        'reader = "compliance"\nread_on = 2026-10-10\n'
    )
    done = ok("terms", "fact", "add", "tos", "--facts", file)
    assert done.out.startswith("reading of clause 1 of tos@2024-01-31 on record in entry ")
    [read] = ok("terms", "fact", "list", "--json").json["facts"]
    assert (read["terms"], read["clause"], read["permits"], read["grade"]) == ("tos@2024-01-31", "1", "yes", "P")
    assert "any_model" in ok("terms", "fact", "list", "--terms", "tos").out
    again = run("terms", "fact", "add", "tos", "--facts", file)
    assert (again.code, "expected a correction of it" in again.err) == (8, True)
    file.write_text('permits_training = "no"\n')
    ok("declare", read["ref"], "--facts", file, "--correct")
    assert ok("terms", "fact", "list", "--json").json["facts"][0]["permits"] == "no"

    (tmp_path / "form.pdf").write_bytes(b"signed")
    words = ("--means", "order_form", "--order-form", tmp_path / "form.pdf", "--accepted", "2024-02-01", "--account", "team-a")
    assert "accepted tos@2024-01-31: on record in entry" in ok("terms", "accept", "tos", *words).out
    [bound] = ok("terms", "acceptances", "--terms", "tos", "--json").json["acceptances"]
    assert (bound["means"], bound["accepted"], bound["ended"]) == ("order_form", "2024-02-01", None)
    assert run("terms", "accept", "tos", "--accepted", "2024-02-01T10:00:00").code == 2  # no offset

    (tmp_path / "tos.txt").write_text("Train no more.\n")
    ok("terms", "add", tmp_path / "tos.txt", "--teacher", "openai/gpt-4o", "--effective", "2025-01-01")
    found = ok("terms", "timeline", "tos", "--json").json
    assert [(each["starts"], each["ends"]) for each in found["versions"]] == [
        ("2024-01-31", "2025-01-01"), ("2025-01-01", None),
    ]  # fmt: skip
    told = ok("terms", "diff", "tos@2024-01-31", "tos@2025-01-01").out
    assert "-Train if we say so.\n+Train no more.\n" in told
    assert "read in" in told
    assert "no clause was read otherwise" in ok("terms", "diff", "tos@2024-01-31", "tos@2024-01-31").out
    assert "tos@2025-01-01" not in ok("terms", "timeline", "tos", "--at", "2024-12-31").out
    assert run("terms", "add", tmp_path / "tos.txt", "--party", "openai", "--effective", "2025-01-01", "--version", "b").code == 8


def test_what_is_owed_is_shown_in_full_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    one = {"model": "meta/llama-3.1-70b@1", "document": "Llama 3.1 Community License@2024-07-23", "clause": "1.b.i", "via": []}
    owes = [
        {**one, "owes": "begin the model's name with 'Llama'"},
        {**one, "owes": "show 'Built with Llama'", "via": ["lab/mini@1"]},
    ]
    assert owed_lines(owes) == [
        "because of meta/llama-3.1-70b@1, under Llama 3.1 Community License@2024-07-23",
        "  1.b.i: begin the model's name with 'Llama'",
        "because of meta/llama-3.1-70b@1 through lab/mini@1, under Llama 3.1 Community License@2024-07-23",
        "  1.b.i: show 'Built with Llama'",
    ]


@pytest.mark.usefixtures("warehouse")
def test_the_catalogue_is_shown_and_bound(tmp_path: Path) -> None:
    told = ok("terms", "catalogue").out
    assert "openai-services-2026-01-01" in told
    assert "not legal advice" in told
    one = ok("terms", "catalogue", "openai-services-2026-01-01").out
    assert "not legal advice" in one
    assert "grade S" in one
    assert run("terms", "catalogue", "nobodys").code == 7
    (tmp_path / "services.html").write_text("Their words.\n")
    line = ("terms", "add", "--from-catalogue", "openai-services-2026-01-01", "--text", tmp_path / "services.html")
    done = ok(*line)
    assert "nobody has read them in your copy" in done.err
    assert len(ok("terms", "fact", "list", "--json").json["facts"]) == 2
    assert run("terms", "add", "--from-catalogue", "openai-services-2026-01-01").code == 2
    assert run("terms", "add", tmp_path / "services.html", "--party", "openai").code == 2


@pytest.mark.usefixtures("warehouse")
def test_what_terms_ask_of_a_student_is_shown_and_written(tmp_path: Path) -> None:
    before = ok("student", "obligations", "acme/mini", "--json").json
    assert before["verdict"] == "undetermined"
    facts = tmp_path / "facts.toml"
    facts.write_text("generated = { first = 2024-06-02, last = 2024-06-01, live = false }\n")
    refused = run("declare", "chat@1", "--facts", facts)
    assert (refused.code, "expected last not before first, which is 2024-06-02, found 2024-06-01" in refused.err) == (2, True)
    facts.write_text('created_by = "operator"\ngenerated = { first = 2024-06-01, last = 2024-06-02, live = false }\n')
    ok("declare", "chat@1", "--facts", facts)
    facts.write_text('access_path = "api"\n')
    ok("declare", "openai/gpt-4o", "--facts", facts)
    facts.write_text(
        'release_plan = { name = "mini", distributed = true, hosted = false, commercial = true, licence = "MIT", mau = 5 }\n'
    )
    ok("declare", "student:acme/mini", "--facts", facts)
    facts.write_text(
        'clause = "1"\nscope = "any_model"\npermits_training = "yes"\nexceptions = []\n'
        'conditions = [{ type = "name_prefix", parameters = { prefix = "Llama" } }, { type = "licence_copy", parameters = {} }]\n'
        'temporal_reach = "generated"\noutput_ownership = "customer"\nstudent_is_derivative = "no"\ngrade = "P"\n'
        'reader = "compliance"\nread_on = 2026-10-10\n'
    )
    ok("terms", "fact", "add", "tos", "--facts", facts)
    ok("terms", "accept", "tos", "--means", "click", "--accepted", "2024-02-01")
    found = ok("check", "chat", "--student", "acme/mini", "--json").json
    assert found["verdict"] == "permitted_with_obligations", found
    assert [each["rule"] for each in found["reasons"]] == ["decision-1", "clause-1"]
    assert found["reasons"][1]["terms"] == "tos@2024-01-31"
    assert "begin the model's name with 'Llama'" in ok("check", "chat", "--student", "acme/mini").out
    assert "clash: the name 'mini' does not begin" in ok("check", "chat", "--student", "acme/mini").out
    facts.write_text(
        'actual = { name = "maxi", distributed = true, hosted = false, commercial = true, licence = "MIT", mau = 5 }\n'
    )
    (tmp_path / "more.bin").write_bytes(b"more")
    released = ok("student", "release", "acme/mini", tmp_path / "more.bin", "--facts", facts)
    assert "clash: the name 'maxi' does not begin with 'Llama', as tos@2024-01-31 asks" in released.err
    told = ok("student", "obligations", "acme/mini", "--notice", tmp_path / "NOTICE")
    assert "clash: the name 'mini' does not begin with 'Llama', as tos@2024-01-31 asks" in told.out
    assert "begin the model's name with 'Llama'" in (tmp_path / "NOTICE").read_text()
    assert "[here the text of tos@2024-01-31: " in (tmp_path / "NOTICE").read_text()
    data = ok("student", "obligations", "acme/mini", "--json").json
    assert [each["type"] for each in data["obligations"]] == ["name_prefix", "licence_copy"]
    assert ok("student", "obligations", "acme/mini", "--dataset", "chat", "--at", "2025-01-01", "--json").json == data
    earlier = ok("student", "obligations", "acme/mini", "--as-of", before["tree_size"], "--json").json
    assert (earlier["obligations"], earlier["verdict"], earlier["tree_size"]) == ([], "undetermined", before["tree_size"])
    assert data["texts"] == ["tos@2024-01-31"]
    assert run("terms", "impact", "tos", "--since", "9999").code == 2
    facts.write_text('permits_training = "no"\n')
    [fact] = ok("terms", "fact", "list", "--json").json["facts"]
    ok("declare", fact["ref"], "--facts", facts, "--correct")
    found = ok("terms", "impact", "tos", "--json").json
    assert {each["after"] for each in found["changed"]} == {"prohibited"}
    assert {each["ref"].partition(":")[0] for each in found["changed"]} == {"student", "grant", "release"}
    assert "clause-2" in ok("terms", "impact", "tos").out
    assert "clause-2" in ok("student", "evaluation", "acme/mini").out
    assert ok("terms", "review", "--days", "0", "--json").json["unread"][0]["name"] == "tos@2024-01-31"
    assert "was read within 36000 days" in ok("terms", "review", "--days", "36000").out
    assert ok("terms", "odrl", "tos", "--json").json["policy"]["prohibition"][0]["inbond:clause"] == "1"
