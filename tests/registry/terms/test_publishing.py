"""A dataset version carries what terms say of it, and is published whatever that is."""

import pytest

from inbond.registry.listing import ListedFact
from inbond.schemas import statements as s
from inbond.schemas.declared import Reason, known, unknown
from inbond.schemas.errors import InvalidInput
from inbond.schemas.statements import Verdict
from tests.registry.terms.test_gathering import House
from tests.registry.world import World

DEEPSEEK = "deepseek-open-platform-2026-04-29"


@pytest.fixture
def house(world: World) -> House:
    return House(world)


def carried(house: House, dataset: str) -> s.Policy:
    policy: s.Policy = house.world.body(house.world.ref(dataset, "dataset")).policy.known
    return policy


def reasons(house: House, policy: s.Policy) -> list[tuple[str, str]]:
    lines = house.registry.store.read_lines(policy.reasons.digest, policy.reasons.root, policy.reasons.count)
    return [(line["rule"], line["verdict"]) for line in lines]


def test_a_version_carries_what_terms_say_whoever_learns_from_it(house: House) -> None:
    policy = carried(house, house.teach("deepseek/chat@1", "chats", DEEPSEEK))
    assert (policy.verdict, reasons(house, policy)) == (Verdict.PERMITTED, [("clause-1", "permitted")])
    assert policy.evaluated.facts_size == house.world.size() - 1  # with its shards, before itself
    policy = carried(house, house.teach("anthropic/claude@1", "claude", "anthropic-usage-2026-11-12"))
    assert policy.verdict is Verdict.NEEDS_AUTHORISATION
    policy = carried(house, house.teach("openai/gpt-4o@1", "gpt", "openai-services-2026-01-01"))
    assert (policy.verdict, reasons(house, policy)) == (Verdict.UNDETERMINED, [("clause-2", "undetermined")])
    house.world.check()


def test_where_nobody_has_read_terms_nothing_is_said(house: House) -> None:
    house.teach("deepseek/chat@1", "chats", DEEPSEEK)
    house.registry.import_files("messages", [house.world.folder.parent / "chats.jsonl"], teacher="acme/base@1", dataset="plain")
    assert house.world.body(house.world.ref("plain", "dataset")).policy == unknown(Reason.NOT_DECLARED)


def test_what_is_derived_or_trimmed_carries_its_own(house: House) -> None:
    data = house.teach("deepseek/chat@1", "chats", DEEPSEEK)
    [fact] = [each.ref for each in house.registry.every(ListedFact, terms="DeepSeek Open Platform Terms of Service")]
    house.registry.declare(fact, {"permits_training": "no"}, correct=True)
    house.registry.derive(data, "fewer", sample=2)
    assert carried(house, "fewer").verdict is Verdict.PROHIBITED
    [(shard, *_)] = house.world.parts(data)
    house.registry.recall(shard, rows=[(0, 1)], reason="wrong", category="quality")
    assert carried(house, house.registry.trim(data).name).verdict is Verdict.PROHIBITED
    assert carried(house, f"{data}@1").verdict is Verdict.PERMITTED  # what was published stays as it was


WRONG = [
    ({"verdict": Verdict.PERMITTED_WITH_OBLIGATIONS}, "expected verdict permitted by no decision"),
    ({"evaluated": {"facts_size": 10**6}}, "over at most"),
    ({"evaluated": {"rules": "sha256:" + "0" * 64}}, "expected rules"),
    ({"evaluated": {"facts_size": 20}}, "nobody has read terms"),
]  # fmt: skip


def test_a_verdict_that_terms_do_not_give_is_refused(house: House) -> None:
    data = house.teach("deepseek/chat@1", "chats", DEEPSEEK)
    policy = carried(house, data)
    for changes, text in WRONG:
        evaluated = {name: getattr(policy.evaluated, name) for name in s.Evaluated.__struct_fields__}
        fields = {name: getattr(policy, name) for name in s.Policy.__struct_fields__} | changes
        fields["evaluated"] = s.Evaluated(**(evaluated | changes.get("evaluated", {})))
        body = house.world.changed(house.world.ref(data, "dataset"), name="other", policy=known(s.Policy(**fields)))
        house.world.refuse(house.world.signed("dataset", body, "producer"), InvalidInput, text)
