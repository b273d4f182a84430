"""A release carries what the gate says of it as it was released, and stands whatever that is."""

import pytest

from inbond.registry.listing import ListedFact
from inbond.registry.terms.releasing import clashes_of, policy_of
from inbond.schemas import statements as s
from inbond.schemas.declared import known
from inbond.schemas.errors import InvalidInput
from inbond.schemas.scalars import EMPTY_LIST
from inbond.schemas.statements import Verdict
from tests.registry.terms.test_asking import LLAMA, ruled
from tests.registry.terms.test_gathering import PLAN, House
from tests.registry.world import World


@pytest.fixture
def house(world: World) -> House:
    house = House(world)
    data = house.teach("meta/llama-3.1-8b@1", "llama", "llama-3.1", path="weights")
    ruled(house, LLAMA)
    list(house.registry.pull(data, student="lab/commercial", run="first"))
    return house


def test_a_plan_that_changed_before_release_is_seen_at_release(house: House) -> None:
    registry = house.registry
    as_planned = house.world.body(registry.release("lab/commercial", b"1", facts={"actual": PLAN}).ref)
    assert as_planned.policy.known.verdict is Verdict.PERMITTED_WITH_OBLIGATIONS
    owed = registry.store.read_lines(as_planned.obligations.digest, as_planned.obligations.root, as_planned.obligations.count)
    assert [line["obligation"] for line in owed] == [each.ref for each in registry.every(ListedFact)]
    assert clashes_of(registry, as_planned) == ()
    renamed = house.world.body(registry.release("lab/commercial", b"3", facts={"actual": {**PLAN, "name": "mini"}}).ref)
    assert clashes_of(registry, renamed) == (f"the name 'mini' does not begin with 'Llama', as {LLAMA}@2024-07-23 asks",)
    told = registry.release("lab/commercial", b"2").ref  # nobody says how it was released: on record, and marked
    assert house.world.body(told).policy.known.verdict is Verdict.UNDETERMINED
    reasons = house.world.body(told).policy.known.reasons
    rules = {line["rule"] for line in registry.store.read_lines(reasons.digest, reasons.root, reasons.count)}
    assert "plan-1" in rules
    house.world.check()


def test_a_verdict_that_the_gate_does_not_give_is_refused(house: House) -> None:
    ref = house.registry.release("lab/commercial", b"1").ref
    policy = house.world.body(ref).policy.known
    for changes in ({"verdict": Verdict.PERMITTED}, {"decisions": ()}):
        wrong = {name: getattr(policy, name) for name in s.Policy.__struct_fields__} | changes
        body = house.world.changed(ref, policy=known(s.Policy(**wrong)), weights="sha256:" + "2" * 64)
        house.world.refuse(house.world.signed("release", body, "trainer"), InvalidInput, "expected verdict undetermined")


def test_obligations_that_do_not_come_with_the_verdict_are_refused(house: House) -> None:
    ref = house.registry.release("lab/commercial", b"1", facts={"actual": PLAN}).ref
    body = house.world.changed(ref, obligations=EMPTY_LIST, weights="sha256:" + "2" * 64)
    wrong = house.world.signed("release", body, "trainer")
    house.world.refuse(wrong, InvalidInput, "expected the obligations that come with its verdict, of")


def test_where_nothing_was_read_nothing_is_said(house: House) -> None:
    actual = house.world.body(house.world.ref("lab/pupil")).release_plan
    found, owed = policy_of(house.registry, house.world.ref("lab/pupil"), actual)
    assert (found.is_known, owed) == (False, EMPTY_LIST)
