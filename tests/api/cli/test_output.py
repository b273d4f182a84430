import json

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.api.cli.output import Output, echo, error_lines, facts, pairs, plural, problem, short, table
from inbond.schemas.errors import PolicyDenied


def test_a_table_aligns_numbers_to_the_right_and_cuts_ids() -> None:
    lines = table(("name", "rows", "id"), [("a", 5, "f" * 32), ("longer", 1234, "shard:" + "0" * 32)], empty="none")
    assert lines == [
        "NAME     ROWS  ID",
        "a           5  ffffffffffff",
        "longer  1,234  shard:000000000000",
    ]
    assert table(("name",), [], empty="none yet") == ["none yet"]


def test_pairs_leave_out_what_is_empty_and_keep_references_whole() -> None:
    ref, digest = "party:" + "a" * 32, "sha256:" + "b" * 64
    assert pairs([("ref", ref), ("digest", digest), ("nothing", None)]) == [f"ref     {ref}", "digest  sha256:" + "b" * 12]
    assert pairs([("digest", digest)], whole=True) == [f"digest  {digest}"]


def test_facts_tell_known_from_not_known() -> None:
    body = {
        "party": {"known": "party:" + "a" * 32},
        "flag": {"known": False},
        "when": {"na": "open_ended"},
        "who": {"unknown": "not_declared"},
        "lost": {"unknown": "lost"},
        "parts": {"digest": "sha256:" + "b" * 64, "root": "sha256:" + "c" * 64, "count": 3},
        "nested": [{"name": "x"}],
    }
    assert facts(body, {"party:" + "a" * 32: "openai"}) == [
        "party           openai (party:aaaaaaaaaaaa)",
        "flag            no",
        "when            not applicable (open ended)",
        "parts           3 in list sha256:bbbbbbbbbbbb",
        "nested[0].name  x",
        "not known (2): who, lost (lost)",
    ]


def test_an_error_ends_with_what_to_try() -> None:
    error = PolicyDenied("may not", hint="inbond one\ninbond two", verdict="prohibited")
    assert error_lines(error) == ["error: may not", "  try: inbond one", "  try: inbond two"]
    assert problem(error) == {
        "verdict": "prohibited",
        "type": "urn:inbond:problem:policy-denied",
        "title": "Refused by policy",
        "status": 403,
        "detail": "may not",
        "hint": "inbond one\ninbond two",
    }


def test_many_reasons_stand_on_lines_of_their_own() -> None:
    error = PolicyDenied("mini may not learn from this (undetermined): a@1: no terms; b@1: no terms")
    assert error_lines(error) == ["error: mini may not learn from this (undetermined):", "  a@1: no terms", "  b@1: no terms"]


def test_members_of_an_error_cannot_take_the_place_of_its_own() -> None:
    assert problem(PolicyDenied("may not", title="fine"))["title"] == "Refused by policy"


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_no_name_reaches_the_terminal_as_a_command(text: str) -> None:
    @click.command()
    def command() -> None:
        echo(f"name {text}")

    from click.testing import CliRunner

    shown = CliRunner().invoke(command, []).stdout
    assert not {c for c in shown if (c < " " and c not in "\n\t") or "\x7f" <= c <= "\x9f"}


@pytest.mark.parametrize(("count", "said"), [(1, "1 entry"), (2, "2 entries"), (12345, "12,345 entries")])
def test_plural(count: int, said: str) -> None:
    assert plural(count, "entry", "entries") == said


def test_short_leaves_words_alone() -> None:
    assert short("openai/gpt-4o@2024-05-13") == "openai/gpt-4o@2024-05-13"


def test_an_answer_names_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    group = click.Group("inbond")
    command = click.Command("head", callback=lambda: Output(json=True).answer({"size": 3}, ["size 3"]))
    log = click.Group("log", commands=[command])
    group.add_command(log)
    group.main(["log", "head"], prog_name="inbond", standalone_mode=False)
    assert json.loads(capsys.readouterr().out) == {"schema": "urn:inbond:cli:log-head:v1", "size": 3}
