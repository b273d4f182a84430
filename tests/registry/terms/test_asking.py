"""The gate with the engine behind it: clauses that were read decide, and the engine's verdict goes into the grant."""

import shlex
from pathlib import Path

import pytest

from inbond.registry.deciding import refusal, settle
from inbond.registry.terms import asking
from inbond.registry.terms.recording import accept
from inbond.registry.times import now
from inbond.schemas.errors import InvalidInput, PolicyDenied
from inbond.schemas.statements import Verdict
from tests.registry.terms.test_gathering import MADE, PLAN, House
from tests.registry.world import World

LLAMA = "Llama 3.1 Community License"


@pytest.fixture
def house(world: World) -> House:
    return House(world)


def ruled(house: House, terms: str, student: str = "lab/commercial") -> None:
    asked = house.registry.ask(student, terms, "grounds")
    house.registry.rule(asked.ref, "permit", "grounds")


def test_the_verdict_and_the_obligations_go_into_the_grant(house: House) -> None:
    data = house.teach("meta/llama-3.1-8b@1", "llama", "llama-3.1", path="weights")
    assert house.registry.check([data], "lab/commercial").verdict is Verdict.PERMITTED_WITH_OBLIGATIONS  # nobody has ruled
    pull = house.registry.pull(data, student="lab/commercial", run="first")
    assert len(list(pull)) == 3
    grant = house.world.body(pull.grant)
    assert grant.verdict is Verdict.PERMITTED_WITH_OBLIGATIONS
    owed = house.registry.store.read_lines(grant.obligations.digest, grant.obligations.root, grant.obligations.count)
    assert {"name_prefix", "mau_threshold"} <= {line["obligation"] for line in owed}
    reasons = house.registry.store.read_lines(grant.reasons.digest, grant.reasons.root, grant.reasons.count)
    [clause] = [line for line in reasons if line["rule"] == "clause-1"]
    assert (clause["clause"], clause["terms"]) == ("1.b.i", house.world.ref(LLAMA))
    assert clause["fact"].startswith("terms_fact:")
    house.world.check()


def test_a_refusal_says_whom_it_means_and_commands_that_a_shell_takes(house: House) -> None:
    data = house.teach("meta/llama-3.1-8b@1", "llama", path="weights")
    house.bind("llama-3.1", "meta", accepted=None)
    operator = house.registry.called([house.registry.operator])[house.registry.operator]
    with pytest.raises(PolicyDenied, match=rf"{operator} is not on record") as told:
        house.registry.pull(data, student="lab/commercial", run="first")
    words = shlex.split((told.value.hint or "").splitlines()[0])
    assert words[:4] == ["inbond", "terms", "accept", f"{LLAMA}@2024-07-23"]
    assert "party:" not in told.value.message
    checked = house.registry.check([data], "lab/commercial")
    assert house.registry.operator in checked.names
    assert house.registry.operator in house.weigh(data).names


def test_what_the_operators_party_has_not_said_is_asked_of_the_operator(house: House) -> None:
    data = house.teach("deepseek/chat@1", "chats", "deepseek-open-platform-2026-04-29")
    house.teach("meta/llama-3.2-11b@1", "llama", "llama-3.2", path="weights")
    student = house.registry.add_student("lab/vision", initialised_from=["meta/llama-3.2-11b"], facts={"release_plan": PLAN}).ref
    shut = house.registry.check([data], "lab/vision")
    [reason] = [each for each in shut.reasons if each.verdict is not Verdict.PERMITTED]
    assert reason.text.endswith("not in EU: the domicile is not known; whether the weights take or give image is not known")
    hints = (refusal(house.registry, shut, student).hint or "").splitlines()
    assert [line.split()[:3] for line in hints] == [["inbond", "operator", "set"], ["inbond", "decide", "rule"]]
    ruled(house, "Llama 3.2 Community License", "lab/vision")
    assert house.registry.check([data], "lab/vision").verdict is Verdict.PERMITTED_WITH_OBLIGATIONS


def test_outputs_through_a_router_need_the_providers_terms_and_the_routers(house: House) -> None:
    house.registry.add_party("openrouter")
    data = house.teach(
        "deepseek/chat@1", "routed", "deepseek-open-platform-2026-04-29", path="router", made={**MADE, "route": ["openrouter"]}
    )
    found = house.registry.check([data], "lab/commercial")
    [shut] = [each for each in found.reasons if each.verdict is not Verdict.PERMITTED]
    assert (found.verdict, shut.rule) == (Verdict.UNDETERMINED, "terms-1")
    assert "the router's terms are not on record" in shut.text
    house.bind("openrouter-2026-08-31", "openrouter")
    found = house.registry.check([data], "lab/commercial")
    assert (found.verdict, {each.terms for each in found.reasons}) == (
        Verdict.PERMITTED_WITH_OBLIGATIONS, {house.world.ref("DeepSeek Open Platform Terms of Service")},
    )  # fmt: skip
    assert len(list(house.registry.pull(data, student="lab/commercial", run="first"))) == 3
    unnamed = house.teach("deepseek/other@1", "unnamed", path="router")
    found = house.registry.check([unnamed], "lab/commercial")
    assert (found.verdict, {each.rule for each in found.reasons}) == (Verdict.UNDETERMINED, {"terms-1", "clause-1"})
    alone = house.teach("novo/chat@1", "alone", path="router", made={**MADE, "route": ["openrouter"]})
    found = house.registry.check([alone], "lab/commercial")
    assert (found.verdict, {each.rule for each in found.reasons}) == (Verdict.UNDETERMINED, {"terms-1", "clause-5"})
    house.world.check()


def test_what_a_clause_forbids_no_authorisation_opens(house: House) -> None:
    data = house.teach("openai/gpt-4o@1", "gpt", "openai-services-2026-01-01")
    ruled(house, "OpenAI Services Agreement")
    with pytest.raises(PolicyDenied, match=r"clause 3.3\(e\) forbids training.*\(clause-2\)") as caught:
        house.registry.pull(data, student="lab/commercial", run="first")
    assert "--exception" in (caught.value.hint or "")
    student, trainer = house.world.ref("lab/commercial"), "trainer"
    run, key = house.world.run(student, "by-hand", house.world.ref(data), trainer=trainer)
    granted = house.world.signed("grant", house.world.grant_body(run, key, house.world.parts(data)), "registry")
    house.world.refuse(granted, PolicyDenied, "forbids training")


def test_a_grant_that_leaves_obligations_out_is_refused(house: House) -> None:
    data = house.teach("meta/llama-3.1-8b@1", "llama", "llama-3.1", path="weights")
    ruled(house, LLAMA)
    run, key = house.world.run(house.world.ref("lab/commercial"), "by-hand", house.world.ref(data))
    parts, owes = house.world.parts(data), Verdict.PERMITTED_WITH_OBLIGATIONS
    permitted = house.world.signed("grant", house.world.grant_body(run, key, parts), "registry")
    house.world.refuse(permitted, InvalidInput, "expected verdict permitted_with_obligations")
    without = house.world.signed("grant", house.world.grant_body(run, key, parts, verdict=owes), "registry")
    house.world.refuse(without, InvalidInput, "obligations that the permission comes with")
    with house.registry.reading() as reader:
        owed = asking.evaluate(reader.connection, house.world.ref("lab/commercial"), [parts[0][0]], now())[1]
    lines = house.registry.store.put_lines(asking.lines(owed))
    house.world.grant(run, key, parts, verdict=owes, obligations=lines)


def test_a_plan_that_does_not_say_shuts_once_a_document_was_read(house: House) -> None:
    data = house.teach("deepseek/chat@1", "chats", "deepseek-open-platform-2026-04-29")
    ruled(house, "DeepSeek Open Platform Terms of Service", "lab/other")
    with pytest.raises(PolicyDenied, match="the release plan does not say"):
        house.registry.pull(data, student="lab/other", run="first")
    house.registry.declare("student:lab/other", {"release_plan": PLAN})
    assert len(list(house.registry.pull(data, student="lab/other", run="first"))) == 3


def test_documents_that_nobody_has_read_are_a_matter_of_rulings_alone(house: House) -> None:
    house.teach("deepseek/chat@1", "chats", "deepseek-open-platform-2026-04-29")
    assert house.registry.check(["chat"], "lab/pupil").verdict is Verdict.PERMITTED
    size = house.world.size()
    with house.registry.reading() as reader:
        student, parts = house.world.ref("lab/pupil"), [house.world.parts("chat")[0][0]]
        found, owed = asking.evaluate(reader.connection, student, parts, now(), size)
    assert ([each.rule for each in found.reasons], owed) == (["decision-1"], ())


def test_a_document_that_nobody_has_read_needs_its_ruling_beside_one_that_permits(house: House) -> None:
    data = house.teach("meta/llama-3.1-8b@1", "llama", "llama-3.1", path="weights")
    llama = house.world.ref(LLAMA)
    unread = house.world.put("terms", house.world.changed(llama, title="Addendum"), "compliance")
    found = house.registry.check([data], "lab/commercial")
    assert found.verdict is Verdict.UNDETERMINED
    assert {(each.rule, each.terms) for each in found.reasons if each.verdict is not Verdict.PERMITTED} == {
        ("decision-1", unread), ("read-1", unread), ("accept-1", unread),
    }  # fmt: skip
    accept(house.registry, unread, accepted="2020-01-01")
    ruled(house, unread)
    assert house.registry.check([data], "lab/commercial").verdict is Verdict.PERMITTED_WITH_OBLIGATIONS


def test_a_refusal_shuts_what_a_clause_permits(house: House) -> None:
    data = house.teach("meta/llama-3.1-8b@1", "llama", "llama-3.1", path="weights")
    pull = iter(house.registry.pull(data, student="lab/commercial", run="first", segment=1))
    next(pull)
    asked = house.registry.ask("lab/commercial", LLAMA, "grounds")
    house.registry.rule(asked.ref, "refuse", "grounds")
    assert house.registry.check([data], "lab/commercial").verdict is Verdict.PROHIBITED
    with pytest.raises(PolicyDenied, match="compliance has ruled: refuse"):
        list(pull)


EXCEPTED = [
    ("2099-05-31T23:59:59.999Z", Verdict.PERMITTED), ("2099-06-01T00:00:00.000Z", Verdict.PROHIBITED),
    ("2099-06-01T00:00:00.001Z", Verdict.PROHIBITED),
]  # fmt: skip


def test_an_exception_opens_what_a_clause_forbids_until_it_ends(house: House, tmp_path: Path) -> None:
    data, title = house.teach("openai/gpt-4o@1", "gpt", "openai-services-2026-01-01"), "OpenAI Services Agreement"
    letter = tmp_path / "letter.txt"
    letter.write_text("You may.")
    given = {"exception": True, "evidence": [letter]}
    assert house.registry.check([data], "lab/commercial").verdict is Verdict.PROHIBITED
    settle(house.registry, "lab/commercial", title, "permit", "their letter", "2099-06-01", **given)
    assert house.registry.check([data], "lab/commercial").verdict is Verdict.PERMITTED
    student, shards = house.world.ref("lab/commercial"), {house.world.parts(data)[0][0]}
    with house.registry.reading() as reader:
        found = [(at, asking.answer(reader.connection, student, shards, at).ruled.verdict) for at, _ in EXCEPTED]
    assert found == EXCEPTED
    settle(house.registry, "lab/commercial", title, "refuse", "taken back", exception=True)
    assert house.registry.check([data], "lab/commercial").verdict is Verdict.PROHIBITED


def test_consent_that_has_ended_opens_nothing(house: House) -> None:
    data, title = house.teach("anthropic/claude@1", "claude", "anthropic-usage-2026-11-12"), "Anthropic Usage Policy"
    settle(house.registry, "lab/commercial", title, "permit", "their letter", "2099-06-01")
    student, shards = house.world.ref("lab/commercial"), {house.world.parts(data)[0][0]}
    with house.registry.reading() as reader:
        for at, verdict in EXCEPTED:
            asks = Verdict.NEEDS_AUTHORISATION if verdict is Verdict.PROHIBITED else verdict
            assert asking.answer(reader.connection, student, shards, at).ruled.verdict is asks, at
