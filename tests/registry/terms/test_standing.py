"""When the gate is asked again for what a grant rests on: after a change of what it asks about, and not otherwise."""

from typing import Any

import pytest

from inbond.registry import tables as t
from inbond.registry.listing import ListedFact
from inbond.registry.terms import asking, standing
from inbond.registry.terms.asking import Answer
from inbond.registry.terms.standing import Standing
from inbond.registry.times import now
from inbond.schemas.declared import known
from inbond.schemas.errors import PolicyDenied
from inbond.schemas.statements import Verdict
from tests.registry.terms.test_gathering import MADE, PLAN, House
from tests.registry.world import World, messages

DEEPSEEK, MISTRAL = "deepseek-open-platform-2026-04-29", "mistral-commercial-2026-09-25"


@pytest.fixture
def house(world: World) -> House:
    return House(world)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The times at which the gate was asked about a grant that had been given."""
    times: list[str] = []

    def answer(connection: Any, student: str, shards: Any, at: str, *more: Any) -> Answer:
        times.append(at)
        return real(connection, student, shards, at, *more)

    real = asking.answer
    monkeypatch.setattr(standing.asking, "answer", answer)
    return times


def fact_of(house: House, title: str) -> str:
    [fact] = [each.ref for each in house.registry.every(ListedFact, terms=house.world.ref(title))]
    return fact


def test_a_correction_stops_a_running_pull_at_its_next_segment_and_no_other(house: House) -> None:
    registry = house.registry
    chats, others = house.teach("deepseek/chat@1", "chats", DEEPSEEK), house.teach("mistral/large@1", "others", MISTRAL)
    first = iter(registry.pull(chats, student="lab/commercial", run="first", segment=1))
    second = iter(registry.pull(others, student="lab/commercial", run="second", segment=1))
    next(first), next(second)
    registry.declare(fact_of(house, "DeepSeek Open Platform Terms of Service"), {"permits_training": "no"}, correct=True)
    stopped = r"no longer permitted: DeepSeek Open Platform Terms of Service@2026-04-29, clause .* forbids training \(clause-2\)"
    with pytest.raises(PolicyDenied, match=stopped):
        next(first)
    assert len(list(second)) == 2
    house.world.check()


def test_what_a_teacher_here_learns_later_stops_a_pull_of_its_outputs(house: House) -> None:
    """The engine asks about every run of a student that is a teacher: an audit that begins later must not differ."""
    registry, world = house.registry, house.world
    llama = house.teach("meta/llama-3.1-8b@1", "llama", "llama-3.1", path="weights")
    forbidden = house.teach("openai/gpt-4o@1", "gpt", "openai-services-2026-01-01")
    list(registry.pull(llama, student="lab/commercial", run="first"))
    registry.add_teacher("lab/own@1", facts={"access_path": "weights"}, same_as="lab/commercial")
    house.bind("olmo-3-apache", "lab")
    file = messages(world.folder.parent / "own.jsonl", "own", 3)
    registry.import_files("messages", [file], teacher="lab/own@1", dataset="own", facts=MADE)
    registry.add_student("lab/second", facts={"release_plan": PLAN})
    records = iter(registry.pull("own", student="lab/second", run="its", segment=1))
    next(records)
    world.run(world.ref("lab/commercial"), "by-hand", world.ref(forbidden))
    with pytest.raises(PolicyDenied, match=r"no longer permitted: .* forbids training.*\(clause-2\)"):
        next(records)
    world.check()


def test_it_is_asked_once_while_nothing_that_it_asks_about_changes(house: House, asked: list[str]) -> None:
    registry = house.registry
    chats = house.teach("deepseek/chat@1", "chats", DEEPSEEK)
    records = iter(registry.pull(chats, student="lab/commercial", run="first", segment=1))
    asked.clear()
    next(records)
    assert len(asked) == 1
    file = messages(house.world.folder.parent / "more.jsonl", "more", 3)
    registry.import_files("messages", [file], teacher="acme/base@1", dataset="more")
    registry.add_student("lab/third")
    next(records)
    assert len(asked) == 1
    registry.add_terms(b"another's\n", party="acme", title="of no concern", effective="2026-01-01")
    next(records)
    assert len(asked) == 2


def test_a_ruling_that_ends_is_seen_without_an_entry(house: House) -> None:
    kept, world = Standing(), house.world
    student, terms = world.ref("lab/other"), world.ref("acme-terms")
    world.permit(student, terms, until=known("2099-06-01"))
    shards = {world.parts("chat")[0][0]}
    moments = [
        ("2099-01-01T00:00:00.000Z", Verdict.PERMITTED), ("2099-05-31T23:59:59.999Z", Verdict.PERMITTED),
        ("2099-06-01T00:00:00.000Z", Verdict.NEEDS_AUTHORISATION),
    ]  # fmt: skip
    with house.registry.reading() as reader:
        found = [kept.ask(reader.connection, "it", student, lambda: shards, at).verdict for at, _ in moments]
    assert found == [verdict for _, verdict in moments]


def test_a_version_that_comes_into_force_is_seen_without_an_entry(house: House) -> None:
    chats, kept, title = house.teach("deepseek/chat@1", "chats", DEEPSEEK), Standing(), "DeepSeek Open Platform Terms of Service"
    house.registry.add_terms(b"No more.\n", party="deepseek", title=title, effective="2099-06-01")
    student, shards = house.world.ref("lab/commercial"), {house.world.parts(chats)[0][0]}
    with house.registry.reading() as reader:
        for at, verdict in (("2099-05-31", Verdict.PERMITTED), ("2099-06-01", Verdict.UNDETERMINED)):
            time = f"{at}T12:00:00.000Z"
            assert kept.ask(reader.connection, "it", student, lambda: shards, time).verdict is verdict


def test_what_was_seen_in_a_transaction_that_was_taken_back_is_asked_again(house: House) -> None:
    chats, kept, student = house.teach("deepseek/chat@1", "chats", DEEPSEEK), Standing(), house.world.ref("lab/commercial")
    shards = {house.world.parts(chats)[0][0]}
    fact = fact_of(house, "DeepSeek Open Platform Terms of Service")
    with house.registry.log.database.writing() as connection:
        row = connection.execute(t.things.select().where(t.things.c.ref == student)).one()._asdict()
        connection.execute(t.things.insert(), [row | {"ref": "student:" + "9" * 32, "seq": house.world.size()}])
        assert kept.ask(connection, "it", student, lambda: shards, now()).verdict is Verdict.PERMITTED
    house.registry.declare(fact, {"permits_training": "no"}, correct=True)
    with house.registry.reading() as reader:
        assert kept.ask(reader.connection, "it", student, lambda: shards, now()).verdict is Verdict.PROHIBITED
