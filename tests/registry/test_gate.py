"""The gate: which documents apply, and what a ruling opens and for how long."""

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from inbond.registry import gate
from inbond.registry.terms import asking
from inbond.registry.times import now
from inbond.schemas import statements as s
from inbond.schemas.declared import known, unknown
from inbond.schemas.scalars import AccessPath
from inbond.schemas.statements import Verdict
from tests.registry.world import LONG_AGO, NEVER, World, ask_body, rule_body


@dataclass
class Rulings:
    """A student, terms and shards of one's own, to ask the gate about."""

    world: World
    student: str
    terms: str
    shards: list[str]

    def ask(self, at: str | None = None, size: int | None = None) -> gate.Ruled:
        with self.world.registry.reading() as reader:
            return asking.evaluate(reader.connection, self.student, self.shards, at or now(), size)[0]

    def rule(
        self, *subjects: str, asked: dict[str, Any] | None = None, evidence: tuple[s.Evidence, ...] = (), **changes: Any
    ) -> str:
        subjects = subjects or (self.student, self.terms)
        ask = self.world.put("decision", ask_body(*subjects, **(asked or {})), "trainer")
        body = rule_body(ask, *subjects, **(asked or {}), **changes)
        return self.world.put("decision", body, "compliance", evidence=evidence)


@pytest.fixture
def case(shared_world: World, request: pytest.FixtureRequest) -> Rulings:
    student = shared_world.student(f"student of {request.node.name}"[:200])
    return Rulings(shared_world, student, shared_world.ref("acme-terms"), [part[0] for part in shared_world.parts("chat")])


def test_nothing_is_decided_without_a_ruling(case: Rulings) -> None:
    assert case.ask().verdict is Verdict.NEEDS_AUTHORISATION
    case.world.put("decision", ask_body(case.student, case.terms), "trainer")
    assert case.ask().verdict is Verdict.NEEDS_AUTHORISATION


def test_the_newest_ruling_counts(case: Rulings) -> None:
    first = case.rule()
    assert (case.ask().verdict, case.ask().decisions) == (Verdict.PERMITTED, (first,))
    size = case.world.size()
    second = case.rule(ruling=s.Ruling.REFUSE)
    assert (case.ask().verdict, case.ask().decisions) == (Verdict.PROHIBITED, (second,))
    assert case.ask(size=size).decisions == (first,)
    case.rule(ruling=s.Ruling.SECTION)
    assert case.ask().verdict is Verdict.PROHIBITED
    case.rule()
    assert case.ask().verdict is Verdict.PERMITTED


def test_a_ruling_is_in_force_from_its_start_until_its_end(case: Rulings) -> None:
    case.rule(from_="2025-01-01", until=known("2026-01-01"))
    assert case.ask("2024-12-31T23:59:59.999Z").verdict is Verdict.NEEDS_AUTHORISATION
    assert case.ask("2025-01-01T00:00:00.000Z").verdict is Verdict.PERMITTED
    assert case.ask("2025-12-31T23:59:59.999Z").verdict is Verdict.PERMITTED
    assert case.ask("2026-01-01T00:00:00.000Z").verdict is Verdict.NEEDS_AUTHORISATION


def test_what_does_not_open_the_gate(case: Rulings) -> None:
    other, more = case.world.student(f"{case.student} other"), case.world.ref("vendor", "party")
    case.rule(other, case.terms)
    case.rule(case.student, case.world.ref("acme/base@1"))
    letter = s.Evidence(digest=f"sha256:{case.world.registry.store.put_bytes(b'their letter')}", media="text/plain", stored=True)
    for question in (s.Question.SAME_MODEL, s.Question.EXCEPTION, s.Question.OTHER):
        case.rule(asked={"question": question}, evidence=(letter,))
    case.rule(from_=NEVER)
    case.rule(until=known(LONG_AGO))
    assert case.ask().verdict is Verdict.NEEDS_AUTHORISATION
    case.rule(case.student, more, case.terms)  # more subjects than these two: still about these two
    assert case.ask().verdict is Verdict.PERMITTED


def test_every_document_and_every_teacher_must_be_permitted(world: World) -> None:
    case = Rulings(world, world.ref("lab/pupil"), world.ref("acme-terms"), [part[0] for part in world.parts("chat")])
    second = case.world.put("terms", case.world.changed(case.terms, title="more terms of acme"), "compliance")
    assert case.ask().verdict is Verdict.NEEDS_AUTHORISATION
    case.rule(case.student, second)
    assert case.ask().verdict is Verdict.PERMITTED
    case.shards.append(case.world.parts("beta")[0][0])
    ruled = case.ask()
    assert ruled.verdict is Verdict.UNDETERMINED
    assert {reason.verdict for reason in ruled.reasons} == {Verdict.PERMITTED, Verdict.UNDETERMINED}


def test_a_judge_counts_as_a_teacher(world: World) -> None:
    shard = world.parts("chat")[0][0]
    models = (*world.body(shard).models, s.ShardModel(teacher=world.ref("beta/chat@1"), role=s.ModelRole.JUDGE, rows=unknown()))
    judged = world.put("shard", world.changed(shard, models=models, ordinal=50), "producer")
    case = Rulings(world, world.ref("lab/pupil"), world.ref("acme-terms"), [shard])
    assert case.ask().verdict is Verdict.PERMITTED
    case.shards = [judged]
    assert case.ask().verdict is Verdict.UNDETERMINED


def test_no_shards_are_undetermined(world: World) -> None:
    case = Rulings(world, world.ref("lab/pupil"), world.ref("acme-terms"), [])
    assert case.ask().verdict is Verdict.UNDETERMINED


SCOPES: list[tuple[tuple[str, ...], str, dict[str, Any], bool]] = [
    (("*",), "api", {}, True),
    (("base",), "api", {}, True),
    (("base@1",), "api", {}, True),
    (("base@2",), "api", {}, False),
    (("b?se@*",), "api", {}, True),
    (("other", "ba*"), "api", {}, True),
    (("other",), "api", {}, False),
    (("BASE",), "api", {}, False),
    (("*",), "weights", {}, False),
    (("*",), "unknown", {}, True),
    (("*",), "weights", {"access_path": known(AccessPath.UNKNOWN)}, True),
    (("*",), "weights", {"access_path": unknown()}, True),
    (("other",), "api", {"model": unknown()}, True),
    (("base@9",), "api", {"version": unknown()}, True),  # it may be that version
    (("ba*9",), "api", {"version": unknown()}, True),
    (("other@9",), "api", {"version": unknown()}, False),
    (("*",), "api", {"party": unknown()}, False),
    (("*",), "api", {"party": "vendor"}, False),
]


@pytest.mark.parametrize(("models", "path", "teacher", "applies"), SCOPES)
def test_terms_apply_to_a_party_its_models_and_the_access_path(
    world: World, models: tuple[str, ...], path: str, teacher: dict[str, Any], applies: bool
) -> None:
    if teacher.get("party") == "vendor":
        teacher = {"party": known(world.ref("vendor", "party"))}
    ref = world.put("teacher", world.changed(world.ref("acme/base@1"), **teacher), "producer")
    scope = replace(world.body(world.ref("acme-terms")).applies_to[0], models=models, access_path=AccessPath(path))
    terms = world.put("terms", world.changed(world.ref("acme-terms"), title="scoped", applies_to=(scope,)), "compliance")
    with world.registry.reading() as reader:
        assert (terms in gate.applicable_terms(reader.connection, ref)) is applies
        assert terms not in gate.applicable_terms(reader.connection, ref, reader.size - 1)


def test_the_rules_are_named_in_every_grant(world: World) -> None:
    granted = world.registry.pull("chat", student="lab/pupil", run="first").grant
    assert world.body(granted).evaluated.rules == gate.RULES_DIGEST
    reasons = world.body(granted).reasons
    [line] = world.registry.store.read_lines(reasons.digest, reasons.root, reasons.count)
    assert (line["rule"], line["terms"], line["verdict"]) == ("decision-1", world.ref("acme-terms"), "permitted")
    assert (line["decision"],) == world.body(granted).decisions


def test_a_corrected_teacher_is_asked_about_as_it_is_known_now(world: World) -> None:
    """The shards name the statement that was corrected; under it the documents that apply would stay unseen."""
    case = Rulings(world, world.ref("lab/pupil"), world.ref("acme-terms"), [part[0] for part in world.parts("chat")])
    size = world.size()
    wrong = world.ref("acme/base@1")
    vendor = known(world.ref("vendor", "party"))
    right = world.put("teacher", world.changed(wrong, party=vendor), "producer", amends=wrong)
    assert case.ask().verdict is Verdict.UNDETERMINED
    assert {reason.teacher for reason in case.ask().reasons} == {right}
    assert case.ask(size=size).verdict is Verdict.PERMITTED
