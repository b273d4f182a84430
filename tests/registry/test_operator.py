"""What the operator says of itself, sources, rulings on sections, and what is said later of how a run was closed."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from inbond.registry.deciding import ask_section, rule_section, settle_section
from inbond.registry.facts import load_facts
from inbond.registry.operator import POLICY, add_source, operator_of, operator_template, set_operator, source_template
from inbond.schemas import statements as s
from inbond.schemas.declared import known, unknown
from inbond.schemas.errors import Conflict, InbondError, InvalidInput, NotFound, NotPermitted
from inbond.schemas.statements import Question, Ruling
from tests.registry.disclosure.scene import OPERATOR
from tests.registry.world import World, ask_body, refused, rule_body


def newest(world: World, ref: str) -> Any:
    return world.body(world.registry.thing(ref).newest)


def test_the_operator_says_what_it_is_and_later_something_else(world: World) -> None:
    first = set_operator(world.registry, OPERATOR)
    assert operator_of(world.registry, world.registry.operator) == first.ref
    body: s.Operator = newest(world, first.ref)
    assert (body.sme, body.code_of_practice_signatory) == (known(False), known(True))
    assert world.registry.store.get(body.illegal_content_measures.value_or("")) == b"Hash lists are matched before training."
    assert world.registry.store.get(body.disclosure_policy) == POLICY
    party: s.Party = newest(world, world.registry.operator)
    assert (party.legal_name, party.domicile, party.aliases) == (known("Lab Models GmbH"), known("DE"), ("lab",))
    assert isinstance(party.contact, str)
    assert world.registry.store.get(party.contact)[32:] == b"Training content desk\ncontent-desk@lab.example"
    again = set_operator(world.registry, {"sme": True, "party": {"domicile": "FR"}})
    assert again.ref == first.ref
    assert newest(world, first.ref) == msgspec.structs.replace(body, sme=known(True))
    assert newest(world, world.registry.operator) == msgspec.structs.replace(party, domicile=known("FR"))
    assert set_operator(world.registry, {"sme": True}).operator is None
    world.check()


def test_documents_are_files_texts_or_digests(world: World, tmp_path: Path) -> None:
    (tmp_path / "measures.md").write_text("Measures.\n")
    (tmp_path / "facts.toml").write_text(
        'opt_out_measures = { file = "measures.md" }\nillegal_content_measures = { text = "None yet." }\n'
        'disclosure_policy = { file = "measures.md" }\nrevenue = { band = "below 10M", as_of = 2026-01-01 }\n'
        '[[policies]]\nname = "Copyright"\nurl = "https://lab.example/c"\ndigest = { text = "policy" }\n'
        '[party]\nlegal_name = "Lab GmbH"\ncontact = "Desk"\n'
    )
    done = set_operator(world.registry, load_facts(tmp_path / "facts.toml"), tmp_path)
    body: s.Operator = newest(world, done.ref)
    assert world.registry.store.get(body.disclosure_policy) == b"Measures.\n"
    assert body.policies[0].digest == f"sha256:{world.registry.store.put_bytes(b'policy')}"
    with pytest.raises(NotFound, match=r"expected a document, found nothing at .*gone\.md"):
        set_operator(world.registry, {"opt_out_measures": {"file": "gone.md"}}, tmp_path)
    for wrong in ({"file": 3}, {"text": ""}):
        with pytest.raises(InvalidInput, match="expected the name of a file or a text"):
            set_operator(world.registry, {"opt_out_measures": wrong}, tmp_path)
    with pytest.raises(InvalidInput, match="party: expected a table"):
        set_operator(world.registry, {"party": "lab"})
    with pytest.raises(InvalidInput, match="contact: expected text"):
        set_operator(world.registry, {"party": {"contact": 3}})


@pytest.mark.parametrize("printed", [operator_template, source_template])
def test_templates_are_facts_once_the_comments_are_gone(world: World, tmp_path: Path, printed: Any) -> None:
    lines = [line[1:] if line[:1] == "#" and line[:2] != "# " else line for line in printed().splitlines()]
    (tmp_path / "facts.toml").write_text("\n".join(line for line in lines if not line.startswith("  ")))
    facts = load_facts(tmp_path / "facts.toml")
    assert facts
    if printed is operator_template:
        assert {"legal_name", "domicile", "contact"} <= facts["party"].keys()


def test_an_operator_statement_is_about_its_signer_and_made_once(world: World) -> None:
    done = set_operator(world.registry, {})
    body: s.Operator = newest(world, done.ref)
    world.refuse(world.signed("operator", body, "compliance"), Conflict, "expected a correction of it")
    world.refuse(world.signed("operator", body, "vendor-compliance"), NotPermitted, "about itself")
    world.refuse(world.signed("operator", body, "trainer"), NotPermitted, "in the role compliance")
    moved = msgspec.structs.replace(body, party=world.ref("vendor"))
    world.refuse(world.signed("operator", moved, "compliance", amends=done.ref), InbondError, "party")
    nowhere = msgspec.structs.replace(body, disclosure_policy="sha256:" + "1" * 64)
    world.refuse(world.signed("operator", nowhere, "vendor-compliance"), InvalidInput, "expected object")


def test_a_source_is_put_on_record_with_its_documents(world: World) -> None:
    crawler = {"name": "bot/1", "purpose": "p", "behaviour": "b", "domains": {"text": "a.example\n"}}
    recorded = add_source(world.registry, "web", "crawl", {"crawler": crawler, "owner": "acme"})
    body: s.Source = world.body(recorded.ref)
    assert (body.category, body.owner, body.licence) == (s.SourceCategory.CRAWL, known(world.ref("acme")), unknown())
    assert isinstance(body.crawler.known, s.Crawler)
    assert world.registry.store.get(body.crawler.known.domains) == b"a.example\n"
    with pytest.raises(InvalidInput, match="category: expected one of public"):
        add_source(world.registry, "web", "wild", {})


# -- rulings on sections ---------------------------------------------------------------------------------------------------------


def test_a_section_is_asked_about_and_ruled_on_by_two_keys(world: World) -> None:
    asked = ask_section(world.registry, "lab/pupil", ["chat", "code"], "acme/base@1", "why")
    body: s.DecisionAsk = world.body(asked.ref)
    assert set(body.subjects) == {
        world.ref("lab/pupil", "student"), world.ref("chat"), world.ref("code"), world.ref("acme/base@1"),
    }  # fmt: skip
    again, ruled = settle_section(world.registry, "lab/pupil", ["code", "chat"], "acme/base@1", "2.5,2.3", "because")
    assert again is None
    rule: s.DecisionRule = world.body(ruled.ref)
    assert (rule.ask, rule.scope, rule.ruling, rule.question) == (asked.ref, "2.3, 2.5", Ruling.SECTION, Question.ROUTE_SECTION)
    new, _ = settle_section(world.registry, "lab/pupil", ["code"], None, "none", "because")
    assert new is not None
    with pytest.raises(InvalidInput, match=r"expected some of 2\.1"):
        settle_section(world.registry, "lab/pupil", ["chat"], None, "2.9", "because")
    with pytest.raises(InvalidInput, match=r"expected some of 2\.1"):
        rule_section(world.registry, asked.ref, "two", "because")
    world.check()


def test_what_a_question_about_a_section_must_name(world: World) -> None:
    student, other, chat = world.ref("lab/pupil", "student"), world.ref("lab/other", "student"), world.ref("chat")
    teacher, coder = world.ref("acme/base@1"), world.ref("acme/coder@2")
    question = {"question": Question.ROUTE_SECTION}
    for subjects in ((student,), (chat,), (student, other, chat), (student, teacher), (student, chat, teacher, coder)):
        world.refuse(world.signed("decision", ask_body(*subjects, **question), "trainer"), InvalidInput, "expected one student")
    party = ask_body(student, chat, world.ref("acme"), **question)
    world.refuse(world.signed("decision", party, "trainer"), InvalidInput, "expected one student")
    ask = world.put("decision", ask_body(student, chat, **question), "trainer")
    section = {"ruling": Ruling.SECTION, "scope": "2.5", **question}
    for changes, key, error, text in (
        ({"scope": "lessons"}, "compliance", InvalidInput, "expected some of 2.1"),
        ({"ruling": Ruling.PERMIT}, "compliance", InvalidInput, "expected the ruling section"),
        ({}, "vendor-compliance", NotPermitted, "belongs to"),
        ({}, "trainer", NotPermitted, "in the role compliance"),
    ):
        world.refuse(world.signed("decision", rule_body(ask, student, chat, **(section | changes)), key), error, text)
    world.put("decision", rule_body(ask, student, chat, **section), "compliance")


# -- what is said later of how a run was closed ----------------------------------------------------------------------------------


def test_a_closed_run_is_told_more_about_its_inputs(world: World) -> None:
    registry = world.registry
    add_source(registry, "notes", "human", {})
    for _ in registry.pull("code", student="lab/pupil", run="one"):
        pass
    with refused(InvalidInput, "is open: expected an outcome"):
        registry.close_run("one")
    first = registry.close_run("one", "kept")
    later = registry.close_run("one", complete=False, inputs={"notes": 7})
    body: s.RunClose = world.body(later.ref)
    assert (body.outcome, body.inputs_complete) == (s.Outcome.KEPT, known(False))
    lines = registry.store.read_lines(body.inputs.digest, body.inputs.root, int(body.inputs.count))
    assert {(line["object"].partition(":")[0], line["rows"]) for line in lines} == {("shard", 10), ("source", 7)}
    last = registry.close_run("one", complete=True)
    assert world.body(last.ref).inputs == body.inputs
    with refused(Conflict, "all of it is on record already"):
        registry.close_run("one", complete=True)
    with refused(Conflict, "as kept, not released"):
        registry.close_run("one", "released")
    [run] = world.rows()["runs"]
    assert (run["closed"], run["outcome"]) == (first.seq, "kept")
    world.check()


def test_a_closing_is_corrected_as_to_its_inputs_alone(world: World) -> None:
    registry = world.registry
    for name in ("one", "two"):
        for _ in registry.pull("code", student="lab/pupil", run=name):
            pass
        registry.close_run(name, "kept")
    one, two = sorted(
        (row["ref"] for row in world.rows()["things"] if row["kind"] == "run" and row["name"] is None),
        key=lambda ref: registry.thing(ref).entry,
    )
    body: s.RunClose = world.body(one)
    for changes, amends in (({"outcome": s.Outcome.FAILED}, one), ({}, two), ({"run": world.body(two).run}, one)):
        wrong = world.signed("run", msgspec.structs.replace(body, **changes), "trainer", amends=amends)
        world.refuse(wrong, InvalidInput, "expected to correct how")
    opening = world.signed("run", body, "trainer", amends=body.run)
    world.refuse(opening, InvalidInput, "expected to correct how")
