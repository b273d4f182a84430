"""Terms that change: exactly what rests on a document is found, with the verdict before and after; and what to read again."""

import pytest

from inbond.registry.listing import ListedFact
from inbond.registry.registry import Registry
from inbond.registry.terms import changes
from inbond.registry.terms.answers import Unread
from inbond.registry.terms.changes import unread
from inbond.registry.terms.engine import evaluate
from inbond.registry.terms.question import Question
from inbond.schemas.errors import InvalidInput
from inbond.schemas.statements import Verdict
from tests.registry.terms.test_gathering import PLAN, House
from tests.registry.world import World

DEEPSEEK, TITLE = "deepseek-open-platform-2026-04-29", "DeepSeek Open Platform Terms of Service"


@pytest.fixture
def house(world: World) -> House:
    return House(world)


def learn(registry: Registry, student: str, data: str, title: str, run: str) -> str:
    asked = registry.ask(student, title, "grounds")
    registry.rule(asked.ref, "permit", "grounds")
    pull = registry.pull(data, student=student, run=run)
    list(pull)
    return pull.grant


def test_a_correction_shows_exactly_the_affected(house: House) -> None:
    registry = house.registry
    chats = house.teach("deepseek/chat@1", "chats", DEEPSEEK)
    others = house.teach("mistral/large@1", "others", "mistral-commercial-2026-09-25")
    grant = learn(registry, "lab/commercial", chats, TITLE, "first")
    registry.add_student("lab/untouched", facts={"release_plan": PLAN})
    learn(registry, "lab/untouched", others, "Mistral AI Commercial Terms of Service", "first")
    release = registry.release("lab/commercial", b"weights", facts={"actual": PLAN}).ref
    terms = house.world.ref(TITLE)
    [fact] = [each.ref for each in registry.every(ListedFact, terms=terms)]
    registry.declare(fact, {"permits_training": "no"}, correct=True)
    found = registry.place.terms.impact(TITLE)
    student = house.world.ref("lab/commercial")
    assert {each.ref for each in found.changed} == {student, grant, release}
    assert {(each.before, each.after) for each in found.changed} == {(Verdict.PERMITTED, Verdict.PROHIBITED)}
    assert {each.rules_after for each in found.changed} == {("clause-2",)}
    assert (found.looked_at, found.names[student]) == (3, "lab/commercial@1")
    assert registry.place.terms.impact("Mistral AI Commercial Terms of Service", since=house.world.size() - 1).changed == ()
    assert registry.place.terms.impact(TITLE, since=house.world.size() - 1).changed == found.changed
    for size in (0, house.world.size()):
        with pytest.raises(InvalidInput, match="expected a size"):
            registry.place.terms.impact(TITLE, since=size)


def test_what_rests_on_the_same_is_evaluated_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = house.registry
    chats = house.teach("deepseek/chat@1", "chats", DEEPSEEK)
    grants = {learn(registry, "lab/commercial", chats, TITLE, run) for run in ("first", "second", "third")}
    [fact] = [each.ref for each in registry.every(ListedFact, terms=house.world.ref(TITLE))]
    registry.declare(fact, {"permits_training": "no"}, correct=True)
    asked: list[Question] = []
    monkeypatch.setattr(changes, "evaluate", lambda question: asked.append(question) or evaluate(question))
    found = registry.place.terms.impact(TITLE)
    assert {each.ref for each in found.changed} == {*grants, house.world.ref("lab/commercial")}
    assert len(asked) == 2  # before and after


def test_a_new_version_that_binds_at_use_shows_its_students_from_its_day_on(house: House) -> None:
    registry = house.registry
    chats = house.teach("deepseek/chat@1", "chats", DEEPSEEK)
    learn(registry, "lab/commercial", chats, TITLE, "first")
    size = house.world.size()
    registry.add_terms(b"No more.\n", party="deepseek", title=TITLE, effective="2030-01-01", models=("*",))
    assert registry.place.terms.impact(TITLE).changed == ()
    found = registry.place.terms.impact(TITLE, since=size, at="2030-01-01")
    assert {(each.ref.partition(":")[0], each.after, each.rules_after) for each in found.changed} == {
        ("student", Verdict.UNDETERMINED, ("read-1",)), ("grant", Verdict.UNDETERMINED, ("read-1",)),
    }  # fmt: skip


def test_documents_that_nobody_has_read_for_long_are_listed(house: House) -> None:
    registry = house.registry
    house.teach("deepseek/chat@1", "chats", DEEPSEEK)
    name = f"{TITLE}@2026-04-29"

    def found(days: int) -> list[Unread]:
        with registry.reading() as reader:
            return list(unread(reader, days, "2026-11-20").unread)

    assert (name, "2026-10-10", 41) in [(each.name, each.read_on, each.days) for each in found(30)]
    assert name not in [each.name for each in found(42)]
    [fact] = [each.ref for each in registry.every(ListedFact)]
    registry.declare(fact, {"read_on": "2026-11-19"}, correct=True)
    assert name not in [each.name for each in found(30)]
    for days in (-1, 36_501):
        with pytest.raises(InvalidInput, match="days: expected a number from 0 to 36,500"):
            registry.place.terms.unread(days)
