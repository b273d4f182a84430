"""Reports by commands: what is missing is supplied by the commands that the gaps name, until nothing is."""

import json
import shlex
from pathlib import Path

import pytest

from tests.api.cli.shell import ok, run

EU = ("--template", "eu-summary")
FACTS = {
    "operator": """
sme = true
code_of_practice_signatory = false
opt_out_measures = { text = "None are taken from the web." }
illegal_content_measures = { text = "Hash lists." }
[party]
legal_name = "Warehouse GmbH"
domicile = "DE"
contact = "training-content@warehouse.example"
""",
    "dataset": """
created_by = "operator"
generated = { first = 2026-01-05, last = 2026-02-10, live = false }
content = { modalities = ["text"], types = ["arithmetic"], languages = ["en"], regions = [] }
prompts = { na = "not_applicable_to_kind" }
""",
    "teacher": """
eu_market = { value = true, as_of = 2026-11-01 }
summary = { url = "https://openai.example/summary", checked = 2026-11-01 }
access_path = "api"
""",
    "release": "eu_market = 2026-03-01\ncontinuous = false\n",
}


@pytest.fixture(autouse=True)
def _facts(warehouse: Path) -> None:
    for name, text in FACTS.items():
        (warehouse / f"{name}.toml").write_text(text)


def of(words: list[str]) -> str:
    """Which file of facts a command of a gap asks for."""
    if words[1] == "operator":
        return "operator.toml"
    kind = words[2].partition(":")[0]
    return {"teacher": "teacher.toml", "release": "release.toml"}.get(kind, "dataset.toml")


def test_the_commands_of_the_gaps_make_a_report_complete(warehouse: Path) -> None:
    checked = run("report", "check", "acme/mini", *EU, "--json")
    assert checked.code == 6
    assert checked.json["missing"] == len([gap for gap in checked.json["gaps"] if gap["required"]]) > 5
    done: set[str] = set()
    for _ in range(4):  # what is supplied may show what else is missing
        gaps = run("report", "check", "acme/mini", *EU, "--json").json["gaps"]
        for command in dict.fromkeys(gap["supply"] for gap in gaps if gap["required"]):
            words = shlex.split(command)[1:]
            if words[:2] == ["decide", "rule"] or command in done:
                continue
            ok(*[of(["inbond", *words]) if word == "FILE" else word for word in words])
            done.add(command)
    assert {shlex.split(command)[1] for command in done} == {"operator", "declare", "run"}
    checked = ok("report", "check", "acme/mini", *EU)
    assert "state    complete" in checked.out
    made = ok("report", "new", "acme/mini", *EU, "--out", warehouse / "out")
    assert "complete" in made.out
    assert "missing" not in made.out
    assert ok("report", "verify", warehouse / "out" / "report.html").out.count("proved") == 5
    assert ok("report", "verify", warehouse / "out" / "report.json", "--json").json["verdict"] == "proved"


def test_a_draft_is_made_listed_shown_and_replaced(warehouse: Path) -> None:
    made = ok("report", "new", "acme/mini", *EU, "--out", warehouse / "out", "--json")
    assert (made.json["draft"], made.json["version"]) == (True, 1)
    assert {Path(path).name for path in made.json["files"]} == {"report.json", "report.html", "report.tlog-proof"}
    assert json.loads((warehouse / "out" / "report.json").read_bytes())["missing"] == made.json["missing"]
    again = ok("report", "new", "acme/mini", *EU, "--out", warehouse / "again")
    assert "version 2" in again.out
    assert f"draft: {made.json['missing']} facts missing" in again.out
    listed = ok("report", "list", "acme/mini")
    assert [line.split()[4] for line in listed.out.splitlines()[1:]] == ["replaced", "newest"]
    assert len(ok("report", "list", "--json").json["reports"]) == 2
    shown = ok("report", "show", made.json["ref"])
    assert "eu-summary" in shown.out
    assert "approved_by" in shown.out
    old = ok("report", "verify", warehouse / "out" / "report.html")
    assert "a newer version of this report is on record" in old.out


def test_a_changed_file_is_told_with_exit_code_three(warehouse: Path) -> None:
    ok("report", "new", "acme/mini", "--template", "ca-ab2013", "--out", warehouse / "out")
    file = warehouse / "out" / "report.json"
    file.write_bytes(
        file.read_bytes()
        .replace(b'"unit":"rows","value":20', b'"unit":"rows","value":21', 1)
        .replace(b'"value":20', b'"value":21')
    )
    done = run("report", "verify", file)
    assert done.code == 3
    assert "expected 20, found 21" in done.err


def test_as_of_an_earlier_size(warehouse: Path) -> None:
    size = ok("log", "head", "--json").json["size"]
    ok("operator", "set", "--facts", "operator.toml")
    now, then = (run("report", "check", "acme/mini", *EU, *more, "--json").json["missing"] for more in ((), ("--as-of", size)))
    assert now < then
    assert run("report", "check", "acme/mini", *EU, "--as-of", size + 99).code == 2


def test_the_operator_and_sources_by_commands(warehouse: Path) -> None:
    missing = run("operator", "show")
    assert missing.code == 7
    assert "inbond operator set --facts FILE" in missing.err
    assert "[party]" in ok("operator", "set", "--facts-template").out
    assert "on record in entry" in ok("operator", "set", "--facts", "operator.toml").out
    assert "illegal_content_measures" in ok("operator", "show").out
    assert run("operator", "set").code == 2
    assert "#url =" in ok("source", "add", "--facts-template").out
    ok("source", "add", "prompts", "--category", "human")
    assert ok("source", "list").out.splitlines()[1].split()[:2] == ["prompts", "human"]
    assert run("source", "add", "prompts").code == 2


def test_a_section_is_decided_by_commands(warehouse: Path) -> None:
    asked = ok("decide", "ask", "--student", "acme/mini", "--about", "chat", "--grounds", "who made it?")
    assert "--section SECTION" in asked.err
    gaps = run("report", "check", "acme/mini", *EU, "--json").json["gaps"]
    [command] = [gap["supply"] for gap in gaps if gap["fact"] == "decision route_section"]
    words = [{"SECTION": "2.5", "TEXT": "ours"}.get(word, word) for word in shlex.split(command)[1:]]
    assert "section 2.5" in ok(*words).out
    assert not [gap for gap in run("report", "check", "acme/mini", *EU, "--json").json["gaps"] if gap["field"] == "2.5.a"]
    ok("decide", "rule", "--student", "acme/mini", "--about", "chat", "--section", "2.2.2", "--grounds", "bought")
    for wrong in (
        ("rule", "--student", "acme/mini", "--about", "chat", "permit", "--grounds", "x"),
        ("rule", "--student", "acme/mini", "--terms", "tos", "--section", "2.5", "--grounds", "x"),
        ("rule", "--section", "2.5", "--grounds", "x"),
        ("rule", "--grounds", "x"),
        ("ask", "--student", "acme/mini", "--grounds", "x"),
        ("ask", "--student", "acme/mini", "--terms", "tos", "--model", "x", "--grounds", "x"),
    ):
        assert run("decide", *wrong).code == 2, wrong


def test_a_closed_run_is_told_more(warehouse: Path) -> None:
    ok("source", "add", "notes", "--category", "human")
    assert "more about it in entry" in ok("run", "close", "first", "--inputs-complete", "no", "--input", "notes=12").out
    assert run("run", "close", "first", "--input", "notes").code == 2
    assert run("run", "close", "first", "--inputs-complete", "no").code == 8
