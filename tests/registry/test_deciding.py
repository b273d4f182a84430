from pathlib import Path

import pytest

from inbond.registry.deciding import check, refusal, settle
from inbond.schemas.declared import known
from inbond.schemas.errors import InvalidInput, NotFound, NotPermitted, PolicyDenied
from inbond.schemas.statements import Question, Verdict
from tests.registry.world import World, ask_body, rule_body


def test_an_ask_and_a_ruling_open_the_gate(world: World) -> None:
    registry = world.registry
    assert registry.check(["chat"], "lab/other").verdict is Verdict.NEEDS_AUTHORISATION
    size = world.size()
    asked = registry.ask("lab/other", "acme-terms", "a reason", until="2090-01-01")
    assert registry.check(["chat"], "lab/other").verdict is Verdict.NEEDS_AUTHORISATION
    ruled = registry.rule(asked.ref, "permit", "another reason")
    assert (asked.seq, ruled.seq) == (size, size + 1)
    assert registry.check(["chat"], "lab/other").decisions == (ruled.ref,)
    assert world.body(ruled.ref).until.known == "2090-01-01"
    registry.rule(asked.ref, "refuse", "thought again")
    assert registry.check(["chat"], "lab/other").verdict is Verdict.PROHIBITED
    world.check()


def test_grounds_lie_salted_beside_the_log(world: World) -> None:
    asked = world.registry.ask("lab/other", "acme-terms", "a reason")
    again = world.registry.ask("lab/other", "acme-terms", "a reason")
    grounds = [world.body(ask.ref).grounds for ask in (asked, again)]
    assert grounds[0] != grounds[1]
    assert {world.registry.store.get(digest)[32:] for digest in grounds} == {b"a reason"}


def test_settling_asks_only_where_nobody_has(world: World) -> None:
    asked, ruled = settle(world.registry, "lab/other", "acme-terms", "permit", "because")
    assert asked is not None
    assert world.body(ruled.ref).ask == asked.ref
    open_ask = world.registry.ask("lab/other", "acme-terms", "again")
    found, ruled = settle(world.registry, "lab/other", "acme-terms", "refuse", "because")
    assert found is None
    assert world.body(ruled.ref).ask == open_ask.ref


def test_what_cannot_be_ruled_on(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = world.registry.ask("lab/other", "acme-terms", "a reason")
    ruled = world.registry.rule(asked.ref, "permit", "yes")
    with pytest.raises(InvalidInput):
        world.registry.rule(ruled.ref, "permit", "a ruling on a ruling")
    with pytest.raises(NotFound):
        world.registry.ask("lab/other", "no-terms", "a reason")
    (world.folder / "keys" / "compliance.key").unlink()
    with pytest.raises(NotPermitted, match=r"no compliance key at hand: expected .*compliance\.key$"):
        world.registry.rule(asked.ref, "permit", "yes")
    monkeypatch.setenv("INBOND_KEYS", str(tmp_path))
    with pytest.raises(NotPermitted, match="INBOND_KEYS is for registries on a server"):
        world.registry.rule(asked.ref, "permit", "yes")


def test_another_partys_compliance_does_not_rule_on_our_student_under_our_terms(world: World) -> None:
    subjects = (world.ref("lab/other"), world.ref("acme-terms", "terms"))
    asked = world.put("decision", ask_body(*subjects), "vendor-trainer")
    with pytest.raises(NotPermitted, match="by the party of the student, or by the party that recorded the terms"):
        world.put("decision", rule_body(asked, *subjects), "vendor-compliance")
    assert world.registry.check(["chat"], "lab/other").verdict is Verdict.NEEDS_AUTHORISATION
    world.put("decision", rule_body(asked, *subjects), "compliance")
    assert world.registry.check(["chat"], "lab/other").verdict is Verdict.PERMITTED
    world.check()


def test_a_refusal_stops_a_running_pull_at_its_next_segment(world: World) -> None:
    records = iter(world.registry.pull("chat", student="lab/pupil", run="first", segment=4))
    read = [next(records) for _ in range(4)]
    settle(world.registry, "lab/pupil", "acme-terms", "refuse", "thought again", None)
    with pytest.raises(PolicyDenied, match=r"is no longer permitted: compliance has ruled: refuse"):
        next(records)
    assert len(read) == 4
    world.check()


def test_a_refusal_names_teacher_document_and_command(world: World) -> None:
    for datasets, words, command in (
        (["chat"], "acme/base@1 under acme-terms@2026-01-01: no decision", "inbond decide"),
        (["beta"], "beta/chat@1: no terms are on record", "inbond terms add"),
    ):
        error = refusal(world.registry, check(world.registry, datasets, "lab/other"), world.ref("lab/other"))
        assert error.message.startswith("lab/other@1 may not learn from this")
        assert words in error.message
        assert (error.hint or "").startswith(command)
        assert error.exit_code == 5


def test_what_a_ruling_lacks_is_said_before_anything_is_asked(world: World) -> None:
    size, about = world.size(), ("lab/other", "acme-terms", "permit", "because")
    with pytest.raises(InvalidInput, match="expected an end that is still to come, found 2020-01-01"):
        settle(world.registry, *about, "2020-01-01")
    with pytest.raises(InvalidInput, match="expected the document that grants an exception"):
        settle(world.registry, *about, exception=True)
    with pytest.raises(NotFound, match="no party is called 'nobody'"):
        settle(world.registry, *about, authoriser="nobody")
    with pytest.raises(InvalidInput, match="still to come"):
        world.registry.ask("lab/other", "acme-terms", "why not", "2020-01-01")
    assert world.size() == size


# -- authorisations and exceptions -----------------------------------------------------------------------------------------


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    file = tmp_path / "letter.txt"
    file.write_text("You may, until June.")
    return file


def test_an_order_form_is_a_ruling_with_its_evidence_scope_party_and_end(world: World, letter: Path) -> None:
    registry = world.registry
    given = {"scope": "embeddings alone", "authoriser": "acme", "evidence": [letter]}
    asked, ruled = settle(registry, "lab/other", "acme-terms", "permit", "order form 7", "2099-06-01", **given)
    assert asked is not None
    found = registry.place.statement(ruled.ref)
    [evidence] = found.header.evidence
    assert (evidence.media, evidence.stored) == ("text/plain", True)
    assert registry.place.object(evidence.digest, ruled.ref) == letter.read_bytes()
    assert (found.body.scope, found.body.until, found.body.authoriser) == (
        "embeddings alone", known("2099-06-01"), known(world.ref("acme", "party")),
    )  # fmt: skip


def test_what_was_enclosed_with_the_question_is_evidence_of_the_ruling(world: World, letter: Path) -> None:
    asked = world.registry.ask("lab/other", "acme-terms", "their letter", exception=True, evidence=[letter])
    ruled = world.registry.rule(asked.ref, "permit", "as it says")
    found = [world.registry.place.statement(ref).header.evidence for ref in (asked.ref, ruled.ref)]
    assert found[0] == found[1] != ()
    assert world.body(ruled.ref).question is Question.EXCEPTION


def test_an_exception_wants_its_evidence_and_its_own_party(world: World, letter: Path) -> None:
    registry, subjects = world.registry, (world.ref("lab/other"), world.ref("acme-terms", "terms"))
    with pytest.raises(InvalidInput, match="the document that grants an exception as evidence"):
        settle(registry, "lab/other", "acme-terms", "permit", "they said so", exception=True)
    first = registry.ask("lab/other", "acme-terms", "may it?", exception=True).ref
    asked, refused = settle(registry, "lab/other", "acme-terms", "refuse", "they did not", exception=True)
    assert (asked, world.body(refused.ref).ask) == (None, first)  # it rules on the open question
    body = ask_body(*subjects, question=Question.EXCEPTION)
    theirs = world.put("decision", body, "vendor-trainer")
    evidence = registry.place.statement(registry.ask("lab/other", "acme-terms", "x", evidence=[letter]).ref).header.evidence
    ruling = rule_body(theirs, *subjects, question=Question.EXCEPTION)
    with pytest.raises(NotPermitted, match="by the party of the student"):
        world.put("decision", ruling, "vendor-compliance", evidence=evidence)
