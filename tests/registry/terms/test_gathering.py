"""The engine's question as it is drawn from a registry: circumstances, documents, routes, weights, rulings, the plan."""

from typing import Any

import pytest

from inbond.registry.listing import ListedAcceptance
from inbond.registry.operator import set_operator
from inbond.registry.terms import shelf
from inbond.registry.terms.answers import Weighed
from inbond.registry.terms.gathering import question_of
from inbond.registry.terms.recording import accept
from inbond.schemas.declared import known
from inbond.schemas.statements import Verdict
from tests.registry.terms.cases import rules
from tests.registry.world import World, messages

PLAN = {
    "distributed": True, "hosted": False, "commercial": True, "territories": ["US"], "classifier_only": False, "mau": 1000,
    "name": "Llama-mini", "licence": "proprietary",
}  # fmt: skip
MADE = {"generated": {"first": "2026-10-01", "last": "2026-10-10", "live": False}, "created_by": "operator"}


class House:
    """A registry with a commercial, distributed student, to which teachers are added."""

    def __init__(self, world: World) -> None:
        self.world, self.registry = world, world.registry
        self.registry.add_student("lab/commercial", facts={"release_plan": PLAN})

    def teach(self, spec: str, dataset: str, *rows: str, path: str = "api", made: dict[str, Any] | None = None) -> str:
        """A teacher with a few answers, under rows of the catalogue, read in full and accepted by the operator long before."""
        self.registry.add_teacher(spec, create=True, facts={"access_path": path})
        for id in rows:
            self.bind(id, spec.partition("/")[0])
        file = messages(self.world.folder.parent / f"{dataset}.jsonl", dataset, 3)
        facts = MADE if made is None else made
        self.registry.import_files("messages", [file], teacher=spec, dataset=dataset, facts=facts)
        return dataset

    def bind(self, id: str, party: str, grade: str | None = "P", accepted: str | None = "2020-01-01") -> str:
        bound = shelf.bind(self.registry, id, id.encode(), party=party, effective="2021-01-01", models=("*",))
        for each in bound.facts:
            if grade and self.world.body(each.ref).grade != grade:
                self.registry.declare(each.ref, {"grade": grade}, correct=True)
        if accepted:
            accept(self.registry, bound.terms, accepted=accepted)
        return bound.terms

    def weigh(self, *datasets: str, student: str = "lab/commercial", **options: Any) -> Weighed:
        return self.registry.place.terms.weigh(student, datasets, **options)


@pytest.fixture
def house(world: World) -> House:
    return House(world)


def test_what_is_declared_of_shards_students_and_documents_decides(house: House) -> None:
    data = house.teach("meta/llama-3.1-8b@1", "llama", "llama-3.1", path="weights")
    found = house.weigh(data)
    assert found.evaluation.verdict is Verdict.PERMITTED_WITH_OBLIGATIONS, found.evaluation.reasons
    assert {each.document_name for each in found.evaluation.obligations} == {"Llama 3.1 Community License@2024-07-23"}
    assert found.clashes == ()
    assert "begin the model's name with 'Llama'" in found.notice
    assert "meta/llama-3.1-8b@1, under Llama 3.1 Community License@2024-07-23:" in found.notice
    size = house.world.size()
    house.registry.declare("lab/commercial", {"release_plan": {"name": "mini"}}, correct=True)
    assert "'mini' does not begin with 'Llama'" in house.weigh(data).clashes[0].text
    assert house.weigh(data, size=size).clashes == ()


def test_what_is_not_declared_is_named(house: House) -> None:
    data = house.teach("deepseek/chat@1", "chats", "deepseek-open-platform-2026-04-29", made={})
    assert rules(house.weigh(data).evaluation) == {"dates-1", "accept-1"}
    [shard] = house.world.parts(data)
    house.registry.declare(shard[0], MADE)
    assert house.weigh(data).evaluation.verdict is Verdict.PERMITTED
    plain = house.weigh(data, student="lab/pupil").evaluation
    assert (rules(plain), plain.missing) == ({"plan-1"}, ("commercial", "distributed", "hosted"))


def test_a_correction_of_a_fact_changes_the_verdict_and_a_past_size_does_not_know_it(house: House) -> None:
    data = house.teach("deepseek/chat@1", "chats", "deepseek-open-platform-2026-04-29")
    size = house.world.size()
    [fact] = house.weigh(data).evaluation.reasons
    house.registry.declare(str(fact.fact), {"permits_training": "ambiguous"}, correct=True)
    assert rules(house.weigh(data).evaluation) == {"clause-4"}
    assert house.weigh(data, size=size).evaluation.verdict is Verdict.PERMITTED


def test_a_ruling_counts_while_it_is_in_force(house: House) -> None:
    data = house.teach("anthropic/claude@1", "claude", "anthropic-commercial-2025-06-17")
    assert house.weigh(data).evaluation.verdict is Verdict.NEEDS_AUTHORISATION
    terms = "Anthropic Commercial Terms of Service"
    asked = house.registry.ask("lab/commercial", terms, "we wrote to them")
    house.registry.rule(asked.ref, "permit", "their letter")
    found = house.weigh(data).evaluation
    assert (found.verdict, [each.rule for each in found.reasons]) == (Verdict.PERMITTED, ["ruling-1"])
    house.world.permit(house.world.ref("lab/commercial"), house.world.ref(terms), until=known("2026-01-01"))
    assert house.weigh(data).evaluation.verdict is Verdict.PERMITTED  # one that has ended takes nothing back


def test_a_router_brings_its_own_documents_and_the_providers(house: House) -> None:
    house.registry.add_party("openrouter")
    house.registry.add_party("openai")
    house.bind("openrouter-2026-08-31", "openrouter")
    house.bind("openai-services-2026-01-01", "openai")
    made = {**MADE, "route": ["openrouter"]}
    data = house.teach("openai/gpt-4o@1", "routed", path="router", made=made)
    found = house.weigh(data)
    assert (found.evaluation.verdict, rules(found.evaluation)) == (Verdict.PROHIBITED, {"clause-2"})
    assert [each.type for each in found.evaluation.obligations] == ["other"]


def test_who_made_the_outputs_is_who_must_be_bound(house: House) -> None:
    terms = "deepseek-open-platform-2026-04-29"
    made = {**MADE, "created_by": "contractor", "supplier": "vendor"}
    data = house.teach("deepseek/chat@1", "chats", terms, made=made)
    assert rules(house.weigh(data).evaluation) == {"accept-1"}
    accept(house.registry, "DeepSeek Open Platform Terms of Service", party="vendor", means="contract", accepted="2020-01-01")
    assert house.weigh(data).evaluation.verdict is Verdict.PERMITTED


def test_outputs_may_be_stated_to_rest_on_an_acceptance(house: House) -> None:
    data = house.teach("deepseek/chat@1", "chats", "deepseek-open-platform-2026-04-29")
    [accepted] = [each.ref for each in house.registry.every(ListedAcceptance)]
    [shard] = house.world.parts(data)
    other = accept(house.registry, "acme-terms", accepted="2020-01-01").ref
    house.registry.declare(shard[0], {"acceptances": [other]})
    assert rules(house.weigh(data).evaluation) == {"accept-1"}
    house.registry.declare(shard[0], {"acceptances": [accepted, other]}, correct=True)
    assert house.weigh(data).evaluation.verdict is Verdict.PERMITTED


def test_a_student_that_becomes_a_teacher_brings_its_obligations(house: House) -> None:
    registry = house.registry
    data = house.teach("meta/llama-3.1-8b@1", "llama", "llama-3.1", path="weights")
    asked = registry.ask("lab/commercial", "Llama 3.1 Community License", "theirs")
    registry.rule(asked.ref, "permit", "read")
    for _ in registry.pull(data, student="lab/commercial", run="first"):
        pass
    registry.add_teacher("lab/own@1", facts={"access_path": "weights"}, same_as="lab/commercial")
    file = messages(house.world.folder.parent / "own.jsonl", "own", 3)
    registry.import_files("messages", [file], teacher="lab/own@1", dataset="own", facts=MADE)
    registry.add_student("lab/second", facts={"release_plan": PLAN})
    found = house.weigh("own", student="lab/second")
    assert "name_prefix" in {each.type for each in found.evaluation.obligations}
    assert {each.via for each in found.evaluation.obligations} == {(house.world.ref("lab/commercial"),)}
    assert "(through lab/commercial@1)" in found.notice
    assert rules(found.evaluation) == {"terms-1"}  # our own weights have no terms yet
    assert registry.place.terms.weigh("lab/commercial").evaluation.obligations  # of what its runs were to read


def test_weights_bring_their_licence(house: House) -> None:
    data = house.teach("deepseek/chat@1", "chats", "deepseek-open-platform-2026-04-29")
    house.registry.add_teacher("meta/llama-3.1-8b@1", create=True, facts={"access_path": "weights"})
    house.registry.add_student("lab/tuned", initialised_from=["meta/llama-3.1-8b@1:adapter"], facts={"release_plan": PLAN})
    assert rules(house.weigh(data, student="lab/tuned").evaluation) == {"base-1"}
    house.bind("llama-3.1", "meta")
    found = house.weigh(data, student="lab/tuned").evaluation
    assert found.verdict is Verdict.PERMITTED_WITH_OBLIGATIONS
    assert not any(each.is_arguable for each in found.obligations)
    house.registry.add_student("lab/grand", initialised_from=["lab/tuned:finetune"], facts={"release_plan": PLAN})
    assert set(house.weigh(data, student="lab/grand").evaluation.obligations) == set(found.obligations)


def test_a_band_of_revenue_decides_a_threshold(house: House) -> None:
    data = house.teach("mistral/medium-3.5@1", "medium", "mistral-medium-3.5", path="weights")
    assert house.weigh(data).evaluation.missing == ("revenue",)
    for band, verdict in (
        ("below USD 10M", Verdict.PERMITTED_WITH_OBLIGATIONS), ("below EUR 10M", Verdict.UNDETERMINED),
        ("above USD 1B", Verdict.NEEDS_AUTHORISATION),
    ):  # fmt: skip
        set_operator(house.registry, {"revenue": {"band": band, "as_of": "2026-01-01"}})
        assert house.weigh(data).evaluation.verdict is verdict, band


def test_records_do_not_add_uses(house: House) -> None:
    with house.registry.reading() as reader:
        shards = [part[0] for part in house.world.parts("chat")]
        question = question_of(reader.connection, house.world.ref("lab/pupil"), shards, "2026-11-20")
    assert (len(shards), len(question.uses)) == (3, 1)
