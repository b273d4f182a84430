"""The section router, row by row of the table that the template's rules amount to, and its grey zones."""

from itertools import product
from typing import Any

import pytest

from inbond.registry.disclosure.router import NOWHERE, SECTIONS, Prompts, Routing, route, route_hand, sections_in
from inbond.schemas.errors import InvalidInput
from inbond.schemas.statements import CreatedBy, ModelRole, SourceCategory, UseKind

OPERATOR, CONTRACTOR, THIRD = CreatedBy.OPERATOR, CreatedBy.CONTRACTOR, CreatedBy.THIRD_PARTY
TRAINED = (UseKind.SFT, UseKind.KD_LOGITS, UseKind.PREFERENCE, UseKind.REWARD)
NONE: tuple[Prompts, ...] = ()


def facts(created_by: CreatedBy | None = OPERATOR, *uses: UseKind, **more: Any) -> Routing:
    fields: dict[str, Any] = {"prompts": NONE}
    return Routing(created_by=created_by, uses=frozenset(uses or {UseKind.SFT}), **(fields | more))


@pytest.mark.parametrize(("who", "public", "use"), list(product((OPERATOR, CONTRACTOR), (True, False, None), TRAINED)))
def test_what_the_operator_made_or_had_made_is_synthetic_data_public_or_not(who: CreatedBy, public: bool, use: UseKind) -> None:
    assert route(facts(who, use, public=public)).sections == ("2.5",)


@pytest.mark.parametrize("use", list(UseKind))
def test_a_third_partys_public_outputs_are_public_datasets_whatever_they_are_used_for(use: UseKind) -> None:
    assert route(facts(THIRD, use, public=True)).sections == ("2.1",)


@pytest.mark.parametrize(("licensed", "section"), [(True, "2.2.1"), (False, "2.2.2")])
@pytest.mark.parametrize("use", list(UseKind))
def test_a_third_partys_private_outputs_go_by_their_licence(use: UseKind, licensed: bool, section: str) -> None:
    assert route(facts(THIRD, use, public=False, licensed=licensed)).sections == (section,)


def test_what_a_third_party_made_under_contract_is_the_operators() -> None:
    assert route(facts(THIRD, public=False, on_behalf=True)).sections == ("2.5",)
    assert route(facts(None, on_behalf=True)).sections == ("2.5",)


PROMPTS = [
    (SourceCategory.USER, "2.4"),
    (SourceCategory.CRAWL, "2.3"),
    (SourceCategory.PUBLIC, "2.1"),
    (SourceCategory.HUMAN, "2.6"),
    (SourceCategory.LICENSED, "2.2.1"),
    (SourceCategory.PRIVATE, "2.2.2"),
    (SourceCategory.OTHER, "2.6"),
    (SourceCategory.SYNTHETIC, "2.5"),
]


@pytest.mark.parametrize(("category", "section"), PROMPTS)
@pytest.mark.parametrize("who", [OPERATOR, THIRD])
def test_prompts_that_were_trained_on_go_to_a_section_beside(who: CreatedBy, category: SourceCategory, section: str) -> None:
    found = route(facts(who, public=True, prompts=(Prompts(category, True),)))
    assert (found.sections, found.beside) == (("2.5",) if who is OPERATOR else ("2.1",), (section,))
    left_out = route(facts(who, public=True, prompts=(Prompts(category, False),)))
    assert (left_out.beside, left_out.unknown) == ((), ())


def test_several_prompts_go_to_several_sections() -> None:
    prompts = tuple(Prompts(category, True) for category, _ in PROMPTS[:4])
    assert route(facts(prompts=prompts)).beside == ("2.1", "2.3", "2.4", "2.6")


GREY = [
    (facts(None), "created_by"),
    (facts(None, UseKind.PREFERENCE, public=True), "created_by"),
    (facts(THIRD, public=None), "public"),
    (facts(THIRD, public=False, licensed=None), "licence"),
    (facts(OPERATOR, UseKind.JUDGE), "judgements"),
    (facts(OPERATOR, UseKind.REWARD, roles=frozenset({ModelRole.RESPONSE, ModelRole.JUDGE})), "reward"),
    (facts(CONTRACTOR, UseKind.REWARD, roles=frozenset({ModelRole.RESPONSE, ModelRole.REWARD})), "reward"),
    (facts(OPERATOR, UseKind.REPHRASE, prompts=(Prompts(SourceCategory.CRAWL, True),)), "crawled"),
    (facts(OPERATOR, UseKind.REPHRASE, prompts=(Prompts(SourceCategory.CRAWL, False),)), "crawled"),
    (facts(OPERATOR, roles=frozenset({ModelRole.RESPONSE, ModelRole.REPHRASE}), prompts=None), "rephrased"),
    (facts(OPERATOR, UseKind.OTHER), "other"),
]


@pytest.mark.parametrize(("given", "word"), GREY)
def test_grey_zones_are_questions_and_never_decided(given: Routing, word: str) -> None:
    found = route(given)
    assert found.sections == ()
    assert word in " ".join(found.questions)


def test_rephrasing_of_what_is_no_crawl_is_synthetic_data() -> None:
    assert route(facts(OPERATOR, UseKind.REPHRASE, prompts=(Prompts(SourceCategory.USER, True),))).sections == ("2.5",)


HANDS = [
    (ModelRole.FILTER, {"chosen": False}, (NOWHERE,)),
    (ModelRole.FILTER, {"chosen": True}, "rejection sampling"),
    (ModelRole.FILTER, {"chosen": None}, "rejection sampling"),
    (ModelRole.JUDGE, {"uses": {UseKind.PREFERENCE}}, ("2.5",)),
    (ModelRole.JUDGE, {"uses": {UseKind.SFT}}, "rejection sampling"),
    (ModelRole.JUDGE, {"uses": {UseKind.REWARD}}, "the reward"),
    (ModelRole.REWARD, {"uses": {UseKind.REWARD}}, "the reward"),
    (ModelRole.REWARD, {"uses": {UseKind.SFT}}, "the reward"),
    (ModelRole.REPHRASE, {}, ("2.5",)),
    (ModelRole.FILTER, {"created_by": THIRD}, (NOWHERE,)),
    (ModelRole.JUDGE, {"created_by": THIRD, "uses": {UseKind.REWARD}}, (NOWHERE,)),
]


@pytest.mark.parametrize(("role", "given", "expected"), HANDS)
def test_models_that_only_had_a_hand_in_it(role: ModelRole, given: dict[str, Any], expected: object) -> None:
    more = dict(given)
    uses = more.pop("uses", {UseKind.SFT})
    found = route_hand(role, facts(more.pop("created_by", OPERATOR), *uses, **more))
    if isinstance(expected, str):
        assert (found.sections, expected in " ".join(found.questions)) == ((), True)
    else:
        assert (found.sections, found.questions) == (expected, ())


def test_what_is_not_known_of_prompts_is_said_for_ones_own_outputs_alone() -> None:
    assert route(facts(OPERATOR, prompts=None)).unknown == ("prompts",)
    assert route(facts(None, prompts=None)).unknown == ("prompts",)
    assert route(facts(THIRD, public=True, prompts=None)).unknown == ()
    unsure = (Prompts(SourceCategory.USER, None),)
    assert route(facts(OPERATOR, prompts=unsure)).unknown == ("prompts.in_training",)


def test_every_combination_is_routed_or_asked_about_never_both_nor_neither() -> None:
    for who, use, public, licensed, on_behalf in product(
        (*CreatedBy, None), UseKind, (True, False, None), (True, False, None), (True, False)
    ):
        given = None if who is CreatedBy.UNKNOWN else who
        found = route(facts(given, use, public=public, licensed=licensed, on_behalf=on_behalf))
        assert bool(found.sections) is not bool(found.questions)
        assert set(found.sections) <= set(SECTIONS)


@pytest.mark.parametrize(("scope", "sections"), [("2.5", ("2.5",)), ("2.5, 2.3", ("2.3", "2.5")), ("none", ("none",))])
def test_rulings_name_sections(scope: str, sections: tuple[str, ...]) -> None:
    assert sections_in(scope) == sections


@pytest.mark.parametrize("scope", ["", "2", "2.7", "2.5,", "2.5 2.3", "none, 2.5", "2.5, 2.5", "lessons"])
def test_other_words_name_none(scope: str) -> None:
    with pytest.raises(InvalidInput, match=r"section: expected some of 2\.1"):
        sections_in(scope)
