"""The engine in time: versions, acceptances, rulings, routes, vendors; and what holds whatever is asked."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.registry.terms import shelf
from inbond.registry.terms.alike import distinct
from inbond.registry.terms.bands import Band
from inbond.registry.terms.engine import evaluate
from inbond.registry.terms.known import Document, timeline
from inbond.registry.terms.question import SEVERITY, Plan, Question, Use
from inbond.schemas import statements as s
from inbond.schemas.declared import known
from inbond.schemas.statements import Derivative, Grade, Permission, TemporalReach, Verdict
from tests.registry.terms.cases import (
    INSIDE,
    LAB,
    MADE,
    SORTER,
    asked,
    base,
    document,
    plan,
    ref,
    rules,
    ruling,
    use,
)  # fmt: skip
from tests.registry.terms.facts import condition

YES, OWES, ASK, OPEN, NO = (
    Verdict.PERMITTED, Verdict.PERMITTED_WITH_OBLIGATIONS, Verdict.NEEDS_AUTHORISATION, Verdict.UNDETERMINED, Verdict.PROHIBITED,
)  # fmt: skip
DEEPSEEK, OPENAI, SERVICES = "deepseek-open-platform-2026-04-29", "openai-services-2026-01-01", "anthropic-commercial-2025-06-17"
VENDOR = ref("party", "vendor")


# -- what must be known ----------------------------------------------------------------------------------------------------

UNKNOWN: list[tuple[str, Any, set[str]]] = [
    ("no terms", lambda: asked(use(party=LAB)), {"terms-1"}),
    ("no teacher", lambda: asked(), {"teacher-1"}),
    ("no dates", lambda: asked(use(DEEPSEEK, generated=None)), {"dates-1"}),
    ("no dates and no acceptance", lambda: asked(use(document(DEEPSEEK, by=None), generated=None)), {"dates-1", "accept-1"}),
    ("no dates of a prohibition", lambda: asked(use(document(OPENAI, by=None), generated=None)), {"dates-1", "accept-1"}),
    ("no acceptance", lambda: asked(use(document(DEEPSEEK, by=None))), {"accept-1"}),
    ("nobody known who made them", lambda: asked(use(DEEPSEEK, bound=None)), {"accept-1"}),
    ("another party's acceptance", lambda: asked(use(document(DEEPSEEK, by=VENDOR))), {"accept-1"}),
    ("another acceptance than they rest on", lambda: asked(use(DEEPSEEK, acceptances=(ref("acceptance", "x"),))), {"accept-1"}),
    ("acceptance of no day", lambda: asked(use(document(DEEPSEEK, accepted=None))), {"accept-1"}),
    ("acceptance afterwards", lambda: asked(use(document(DEEPSEEK, accepted="2026-10-02"))), {"accept-1"}),
    ("acceptance that ended before", lambda: asked(use(document(DEEPSEEK, ended="2026-10-05"))), {"accept-1", "accept-2"}),
    ("acceptance that ended since", lambda: asked(use(document(DEEPSEEK, ended="2026-11-01"))), {"accept-2"}),
    ("a document that nobody has read", lambda: asked(use(replace(document(DEEPSEEK), readings=()))), {"read-1", "clause-5"}),
    ("terms that ended", lambda: asked(use(document(DEEPSEEK, ends="2026-10-05"))), {"force-1"}),
    ("terms that ended long before", lambda: asked(use(document(DEEPSEEK, ends="2026-09-01"))), {"force-1", "clause-5"}),
    ("terms that came later", lambda: asked(use(document(DEEPSEEK, starts="2026-10-02"))), {"force-1"}),
    ("an unknown path", lambda: asked(use(DEEPSEEK, access_path="unknown")), {"path-1"}),
    ("an unknown provider", lambda: asked(use(DEEPSEEK, party=None)), {"path-1"}),
    ("an ambiguous derivative", lambda: asked(use(document(DEEPSEEK, student_is_derivative=Derivative.AMBIGUOUS))), {"clause-4"}),
    ("a bought prohibition", lambda: asked(use(document(OPENAI, by=VENDOR), bound=VENDOR, is_bought=True)), {"recipient-1"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "shut"), UNKNOWN, ids=[each[0] for each in UNKNOWN])
def test_what_is_not_known_is_undetermined(name: str, make: Any, shut: set[str]) -> None:
    found = evaluate(make())
    assert (found.verdict, rules(found)) == (OPEN, shut), found.reasons


@pytest.mark.parametrize("name", ["distributed", "hosted", "commercial"])
def test_a_plan_that_does_not_say_is_undetermined_and_says_what_is_missing(name: str) -> None:
    found = evaluate(asked(use(DEEPSEEK), plan=plan(**{name: None})))
    assert (found.verdict, rules(found), found.missing) == (OPEN, {"plan-1"}, (name,))
    assert evaluate(asked(use(DEEPSEEK), plan=Plan(LAB))).missing == ("commercial", "distributed", "hosted")


def test_the_acceptances_that_outputs_are_stated_to_rest_on_count() -> None:
    terms = document(DEEPSEEK)
    stated = use(terms, acceptances=(terms.accepted[0].ref, ref("acceptance", "another document's")))
    assert evaluate(asked(stated)).verdict is YES
    assert len(distinct([stated, use(terms)])) == 2


def test_reasons_name_document_clause_fact_and_rule() -> None:
    terms = document(OPENAI)
    found = evaluate(asked(use(terms)))
    [shut] = [each for each in found.reasons if each.verdict is NO]
    assert (shut.document, shut.clause, shut.fact, shut.rule) == (terms.ref, "3.3(e)", terms.readings[0].ref, "clause-2")
    assert "OpenAI Services Agreement@2026-01-01, clause 3.3(e)" in shut.text


def test_a_clause_about_others_models_does_not_reach_the_providers_own() -> None:
    terms = document("zai-api-2026-04-14")
    found = evaluate(asked(use(terms), plan=plan(owner=terms.party)))
    assert [each.rule for each in found.reasons] == ["own-1", "clause-5"]  # it does not forbid, and nothing permits
    assert rules(evaluate(asked(use(terms), plan=plan(owner=VENDOR)))) == {"clause-3"}


LIMITS = [
    (plan(), NO, ()), (plan(distributed=False, hosted=True), NO, ()), (INSIDE, OWES, ()),
    (plan(distributed=None), OPEN, ("distributed", "hosted")),
]  # fmt: skip


@pytest.mark.parametrize(("planned", "verdict", "missing"), LIMITS)
def test_what_may_not_be_given_to_others(planned: Plan, verdict: Verdict, missing: tuple[str, ...]) -> None:
    found = evaluate(asked(use(document(DEEPSEEK, conditions=(condition("non_distribution"),))), plan=planned))
    assert (found.verdict, found.missing) == (verdict, missing)
    assert ("limit-1" in rules(found)) is (verdict is not OWES)


@pytest.mark.parametrize("kind", ["prior_authorisation", "order_form"])
def test_a_condition_of_consent_needs_an_authorisation(kind: str) -> None:
    terms = document(DEEPSEEK, conditions=(condition(kind),))
    found = evaluate(asked(use(terms)))
    assert (found.verdict, rules(found), found.obligations) == (ASK, {"clause-3"}, ())
    assert evaluate(asked(use(terms), rulings=(ruling(terms),))).verdict is YES


def test_a_limit_of_the_weights_is_none_of_who_saw_outputs_alone() -> None:
    limit = (condition("mau_threshold", mau=1, attaches="weights"),)
    assert evaluate(asked(use(document(DEEPSEEK, conditions=limit)))).verdict is YES
    derived = document(DEEPSEEK, conditions=limit, student_is_derivative=Derivative.YES)
    for question in (asked(use(derived)), asked(use(DEEPSEEK), bases=(base(document("phi-4-mit", conditions=limit)),))):
        assert (evaluate(question).verdict, rules(evaluate(question))) == (ASK, {"limit-2"})


ANYBODY = [
    (DEEPSEEK, YES, set()), ("llama-3", OPEN, {"clause-2", "limit-2"}), (OPENAI, OPEN, {"clause-2"}),
    ("openai-terms-of-use-2026-01-01", NO, {"clause-2", "compete-1"}), (SERVICES, OPEN, {"compete-1"}),
    ("anthropic-usage-2026-11-12", ASK, {"clause-3"}), ("llama-2", OPEN, {"clause-2", "limit-2"}),
    ("gemma-terms-of-use-2026-04-01", OWES, set()), ("qwen-research", OPEN, {"limit-1"}),
    ("xai-acceptable-use-2026-08-14", OPEN, {"clause-3", "compete-1"}), ("llama-3.1", OPEN, {"limit-2"}),
]  # fmt: skip


@pytest.mark.parametrize(("id", "verdict", "shut"), ANYBODY, ids=[each[0] for each in ANYBODY])
def test_what_terms_say_of_any_student(id: str, verdict: Verdict, shut: set[str]) -> None:
    found = evaluate(Question(None, Plan(None), "2026-11-20", (use(id),)))
    assert (found.verdict, rules(found)) == (verdict, shut), found.reasons


# -- time ------------------------------------------------------------------------------------------------------------------


def versions(reach: TemporalReach, first: str = DEEPSEEK, second: str = OPENAI) -> tuple[Document, ...]:
    """A document that says one thing until 1 November, and another from then on, when the outputs are used."""
    before, after = document(first, temporal_reach=reach), document(second, starts="2026-11-01", temporal_reach=reach)
    return tuple(timeline([before, replace(after, party=before.party, title=before.title)]))


REACHES = [
    (TemporalReach.GENERATED, YES, NO), (TemporalReach.USED, NO, YES), (TemporalReach.BOTH, NO, NO),
    (TemporalReach.UNSTATED, NO, NO),
]  # fmt: skip


@pytest.mark.parametrize(("reach", "stricter", "laxer"), REACHES)
def test_terms_that_change_between_making_and_use(reach: TemporalReach, stricter: Verdict, laxer: Verdict) -> None:
    assert evaluate(asked(use(*versions(reach)))).verdict is stricter
    assert evaluate(asked(use(*versions(reach, OPENAI, DEEPSEEK)))).verdict is laxer


def test_what_a_later_version_permits_does_not_reach_back_unless_it_says_so() -> None:
    for reach, verdict in ((TemporalReach.UNSTATED, OPEN), (TemporalReach.USED, YES)):
        assert evaluate(asked(use(*versions(reach, "mistral-usage-2026-06-11", DEEPSEEK)))).verdict is verdict


def test_two_versions_in_force_at_once_decide_nothing() -> None:
    one, other = document(DEEPSEEK), document("phi-4-mit", starts="2026-09-01")
    both = (replace(one, ends="2027-01-01", stated_end=True), replace(other, party=one.party, title=one.title))
    assert rules(evaluate(asked(use(*both)))) == {"force-2"}


def test_a_permission_survives_the_contract_only_where_it_says_so() -> None:
    for survives, verdict in ((True, YES), (False, OPEN)):
        ended = document(DEEPSEEK, ended="2026-11-01", survives_termination=known(survives))
        assert evaluate(asked(use(ended))).verdict is verdict
    assert evaluate(asked(use(document(OPENAI, ended="2026-11-01")))).verdict is NO


# -- rulings ---------------------------------------------------------------------------------------------------------------


def test_an_authorisation_opens_what_needs_one_while_it_is_in_force() -> None:
    terms = document(SERVICES)
    question = asked(use(terms), rulings=(ruling(terms, until="2026-12-01"),))
    found = evaluate(question)
    assert (found.verdict, [each.decision for each in found.reasons if each.rule == "ruling-1"]) == (YES, [ref("decision", "d")])
    for lapsed in (ruling(terms, until="2026-11-20"), ruling(terms, starts="2026-12-01"), ruling(document(OPENAI))):
        assert evaluate(replace(question, rulings=(lapsed,))).verdict is ASK
    assert evaluate(replace(question, rulings=(ruling(terms, permits=False),))).verdict is NO


def test_what_an_authorisation_does_not_settle() -> None:
    opening = (OPENAI, DEEPSEEK)
    for terms, changes in (
        (document(OPENAI), {}), (document(DEEPSEEK, by=None), {}), (document(DEEPSEEK, ends="2026-10-05"), {}),
        (document(DEEPSEEK), {"plan": Plan(LAB)}),
    ):  # fmt: skip
        assert evaluate(asked(use(terms), rulings=(ruling(terms),), **changes)).verdict not in (YES, OWES), opening
    research = document("qwen-research")
    assert evaluate(asked(use(research), rulings=(ruling(research),))).verdict is NO  # a limit that the plan breaks
    terms = document(OPENAI)
    assert evaluate(asked(use(terms), rulings=(ruling(terms, question=s.Question.EXCEPTION),))).verdict is YES


def test_a_ruling_settles_what_is_ambiguous_silent_or_read_elsewhere() -> None:
    ships = document(DEEPSEEK, grade=None)
    for terms in (document("kimi-k3"), document("minimax-m2"), ships, replace(document(DEEPSEEK), readings=())):
        assert evaluate(asked(use(terms), plan=INSIDE)).verdict is OPEN
        assert evaluate(asked(use(terms), plan=INSIDE, rulings=(ruling(terms),))).verdict in (YES, OWES)
    terms = document(OPENAI)
    assert evaluate(asked(use(terms), plan=INSIDE, rulings=(ruling(terms),))).verdict is YES


@pytest.mark.parametrize(
    ("territories", "verdict"),
    [
        (("UK",), NO),
        (("GB",), NO),
        (("EL",), NO),
        (("FR-75",), NO),
        (("US", "KR"), NO),
        (("US",), OWES),
        ((), OPEN),
        (None, OPEN),
    ],
)
def test_territories_are_compared_as_countries_and_none_are_not_known(
    territories: tuple[str, ...] | None, verdict: Verdict
) -> None:
    assert evaluate(asked(use(document("tencent-hunyuan")), plan=plan(territories=territories))).verdict is verdict


# -- stories ---------------------------------------------------------------------------------------------------------------


def test_llama_weights_and_claude_outputs_through_a_router_released_in_the_union() -> None:
    router, claude = document("openrouter-2026-08-31"), document(SERVICES)
    policy = document("anthropic-usage-2025-09-15", ends="2026-11-12")
    late = replace(document("anthropic-usage-2026-11-12", starts="2026-11-12", grade=None), accepted=())
    taught = use(claude, policy, late, router, party=claude.party, access_path="router")
    question = asked(taught, plan=plan(territories=("EU",), domicile="DE"), bases=(base("llama-3.1"),))
    found = evaluate(question)
    assert (found.verdict, rules(found)) == (ASK, {"clause-3"})
    agreed = tuple(ruling(each, decision=ref("decision", each.ref[6:])) for each in (claude, policy, late))
    for some in (agreed[:1], agreed[1:], ()):
        assert evaluate(replace(question, rulings=some)).verdict is ASK
    found = evaluate(replace(question, rulings=agreed))
    assert found.verdict is OWES
    assert {("name_prefix", "Llama")} == {(each.type, each.get("prefix")) for each in found.obligations if each.get("prefix")}


def test_a_data_set_bought_from_a_vendor_who_used_gpt_4() -> None:
    theirs = document(OPENAI, by=VENDOR)
    bought = use(theirs, bound=VENDOR, is_bought=True)
    assert rules(evaluate(asked(bought))) == {"recipient-1"}
    reaching = document(OPENAI, by=VENDOR, reaches_recipients=known(True))
    assert evaluate(asked(replace(bought, documents=(reaching,)))).verdict is NO
    leaving = document(OPENAI, by=VENDOR, reaches_recipients=known(False))
    assert rules(evaluate(asked(replace(bought, documents=(leaving,))))) == {"clause-5"}  # nobody forbids, nobody permits
    assert rules(evaluate(asked(use(document(OPENAI, by=None), bound=VENDOR, is_bought=True)))) == {"recipient-1", "accept-1"}


def test_a_contractor_made_them_on_the_operators_behalf() -> None:
    made = use(document(OPENAI, by=VENDOR), bound=VENDOR)
    assert evaluate(asked(made)).verdict is NO  # as if the operator had made them
    assert rules(evaluate(asked(use(document(DEEPSEEK), bound=VENDOR)))) == {"accept-1"}
    assert evaluate(asked(use(document(DEEPSEEK, by=VENDOR), bound=VENDOR))).verdict is YES


def test_a_plan_that_changed_before_release() -> None:
    question = asked(use(OPENAI), plan=SORTER)
    assert evaluate(question).verdict is YES
    assert evaluate(replace(question, plan=replace(SORTER, hosted=True))).verdict is NO


# -- whatever is asked -----------------------------------------------------------------------------------------------------

plans = st.builds(
    plan, distributed=st.sampled_from([True, False, None]), hosted=st.sampled_from([True, False, None]),
    commercial=st.sampled_from([True, False, None]), classifier_only=st.booleans(), mau=st.sampled_from([None, 0, 10**9]),
    revenue=st.sampled_from([None, Band(0, 1), Band(10**12, None)]), territories=st.sampled_from([None, (), ("EU",), ("US",)]),
)  # fmt: skip
ids = st.sampled_from(sorted(shelf.shelf()))


@st.composite
def teachers(draw: st.DrawFn) -> Use:
    made = tuple(
        document(
            id, grade=draw(st.sampled_from([None, Grade.PRIMARY])), by=draw(st.sampled_from([LAB, None, VENDOR])),
            ended=draw(st.sampled_from([None, "2026-11-01"])), temporal_reach=draw(st.sampled_from(TemporalReach)),
        )
        for id in draw(st.lists(ids, max_size=3, unique=True))
    )  # fmt: skip
    when = draw(st.sampled_from([MADE, None, ("2020-01-01", "2020-02-01")]))
    return use(*made, generated=when, is_bought=draw(st.booleans()), bound=draw(st.sampled_from([LAB, None, VENDOR])))


@st.composite
def questions(draw: st.DrawFn) -> Question:
    uses = tuple(draw(st.lists(teachers(), max_size=3)))
    bases = tuple(base(id) for id in draw(st.lists(ids, max_size=1)))
    ruled = [each for use in uses for each in use.documents if draw(st.booleans())]
    rulings = tuple(ruling(each, permits=draw(st.booleans())) for each in ruled)
    return asked(*uses, plan=draw(plans), bases=bases, rulings=rulings)


@settings(max_examples=60, deadline=None)
@given(questions(), teachers())
def test_another_teacher_never_raises_a_permission_and_loses_no_obligation(question: Question, more: Use) -> None:
    before, after = evaluate(question), evaluate(replace(question, uses=(*question.uses, more)))
    if question.uses:  # without any it is undetermined
        assert SEVERITY.index(after.verdict) >= SEVERITY.index(before.verdict)
    assert set(before.obligations) <= set(after.obligations)
    assert set(before.missing) <= set(after.missing)


def is_unclear(use: Use) -> bool:
    """Whether something about a teacher is ambiguous, silent or not known."""
    facts = [each.fact for document in use.documents for each in document.readings]
    speaking = [each for each in facts if each.permits_training is not Permission.SILENT]
    accepted = {each.acceptance.party for document in use.documents for each in document.accepted}
    return (
        use.generated is None or use.bound is None or not speaking or use.bound not in accepted
        or any(each.permits_training is Permission.AMBIGUOUS for each in facts)
        or any(each.student_is_derivative is Derivative.AMBIGUOUS for each in facts)
        or all(each.grade in (Grade.SECONDARY, Grade.MEMORY) for each in speaking)
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(questions())
def test_nothing_ambiguous_or_unknown_is_permitted_without_a_decision(question: Question) -> None:
    question = replace(question, rulings=())
    found = evaluate(question)
    asked_plan = question.plan
    unclear = None in (asked_plan.distributed, asked_plan.hosted, asked_plan.commercial) or not question.uses
    if unclear or any(map(is_unclear, question.uses)):
        assert found.verdict not in (YES, OWES), found
    assert evaluate(question) == found


def test_it_is_asked_of_when_outputs_are_used() -> None:
    assert evaluate(asked(use(versions(TemporalReach.USED)[0]), used="2026-10-31")).verdict is YES


@pytest.mark.parametrize("ended", [None, "2026-09-20", "2026-09-20T12:00:00.000Z"])
@pytest.mark.parametrize("clock", ["", "T12:00:00.000Z"])
def test_uses_that_are_taken_to_be_alike_have_the_same_answer(clock: str, ended: str | None) -> None:
    made = document(DEEPSEEK, starts=f"2026-09-05{clock}", ends=f"2026-09-25{clock}", accepted="2026-09-08", ended=ended)
    days = [4, 5, 6, 7, 8, 9, 19, 20, 21, 24, 25, 26]
    spans = [(f"2026-09-{first:02d}", f"2026-09-{last:02d}") for first in days for last in days if first <= last]
    uses = [use(made, generated=span) for span in spans]
    answers = [(found.verdict, rules(found)) for found in (evaluate(asked(each)) for each in uses)]
    assert len({str(answer) for answer in answers}) > 2
    for one, mine in zip(uses, answers, strict=True):
        for other, theirs in zip(uses, answers, strict=True):
            assert mine == theirs or len(distinct([one, other])) == 2, (one.generated, other.generated)
    assert rules(evaluate(asked(*uses))) == set().union(*(shut for _, shut in answers))
    assert len(distinct(uses)) < len(uses)
