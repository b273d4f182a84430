"""The engine on every row of the catalogue and every trap: verdicts and obligations as a careful reader gives them."""

import pytest

from inbond.registry.terms import shelf
from inbond.registry.terms.bands import Band
from inbond.registry.terms.engine import RULES, evaluate
from inbond.registry.terms.question import Plan
from inbond.schemas.statements import Condition, Verdict
from tests.registry.terms.cases import COMMERCIAL, INSIDE, SORTER, asked, base, document, plan, rules, use
from tests.registry.terms.facts import condition

YES, OWES, ASK, OPEN, NO = (
    Verdict.PERMITTED, Verdict.PERMITTED_WITH_OBLIGATIONS, Verdict.NEEDS_AUTHORISATION, Verdict.UNDETERMINED, Verdict.PROHIBITED,
)  # fmt: skip
RICH = Band(10**12, None)
LLAMA = {
    "name_prefix", "display_notice", "licence_copy", "notice_file", "use_restriction_flowdown", "mau_threshold",
    "litigation_termination",
}  # fmt: skip
FLOWS = {"use_restriction_flowdown", "licence_copy", "notice_file"}

# (rows, plan, verdict, rules that shut the gate, obligations): each row once at least, for a commercial, distributed student
CASES: list[tuple[tuple[str, ...], Plan, Verdict, set[str], set[str]]] = [
    # hosted
    (("openai-services-2026-01-01",), COMMERCIAL, NO, {"clause-2"}, set()),
    (("openai-services-2026-01-01",), INSIDE, OPEN, {"compete-1"}, set()),
    (("openai-services-2026-01-01",), SORTER, YES, set(), set()),
    (("openai-services-2026-01-01",), plan(classifier_only=True), NO, {"clause-2"}, set()),  # lost at distribution
    (("openai-services-2026-01-01",), plan(distributed=False, hosted=True, classifier_only=True), NO, {"clause-2"}, set()),
    (("openai-terms-of-use-2026-01-01",), COMMERCIAL, NO, {"clause-2"}, set()),
    (("openai-terms-of-use-2026-01-01",), SORTER, NO, {"clause-2", "compete-1"}, set()),
    (("anthropic-commercial-2025-06-17",), COMMERCIAL, ASK, {"clause-3"}, set()),
    (("anthropic-commercial-2025-06-17",), INSIDE, OPEN, {"compete-1"}, set()),
    (("anthropic-usage-2025-09-15",), INSIDE, ASK, {"clause-3"}, set()),
    (("anthropic-usage-2026-11-12",), INSIDE, ASK, {"clause-3"}, set()),
    (("anthropic-commercial-2025-06-17", "anthropic-usage-2025-09-15"), COMMERCIAL, ASK, {"clause-3"}, set()),
    (("anthropic-consumer-2025-10-08",), INSIDE, NO, {"clause-2"}, set()),
    (("google-gemini-api-2026-03-23",), COMMERCIAL, NO, {"clause-2"}, set()),
    (("google-gemini-api-2026-03-23",), INSIDE, OPEN, {"compete-1"}, set()),
    (("xai-enterprise-2026-08-14",), INSIDE, ASK, {"clause-3"}, set()),
    (("xai-enterprise-2026-08-14", "xai-acceptable-use-2026-08-14"), COMMERCIAL, NO, {"clause-2", "clause-3"}, set()),
    (("mistral-commercial-2026-09-25",), COMMERCIAL, YES, set(), set()),
    (("mistral-commercial-2026-09-25",), plan(modalities=frozenset({"image"})), NO, {"clause-2"}, set()),
    (("mistral-commercial-2026-09-25", "mistral-usage-2026-06-11"), COMMERCIAL, YES, set(), set()),
    (("mistral-usage-2026-06-11",), COMMERCIAL, OPEN, {"clause-5"}, set()),
    (("cohere-saas-2024-02-29",), INSIDE, OPEN, {"clause-4"}, set()),
    (("deepseek-open-platform-2026-04-29",), COMMERCIAL, YES, set(), set()),
    (("deepseek-open-platform-2026-04-29", "deepseek-terms-of-use-2026-03-27"), COMMERCIAL, OWES, set(),
     {"label_ai_generated", "trademark_limit"}),
    (("deepseek-terms-of-use-2026-03-27",), COMMERCIAL, OPEN, {"clause-5"}, {"label_ai_generated", "trademark_limit"}),
    (("alibaba-model-studio-3.8.0",), COMMERCIAL, ASK, {"clause-3"}, set()),
    (("moonshot-kimi-openplatform-2026-07-30",), COMMERCIAL, ASK, {"clause-3"}, set()),
    (("zai-api-2026-04-14",), INSIDE, ASK, {"clause-3"}, set()),
    (("minimax-open-platform-2026-03-30",), INSIDE, OPEN, {"clause-5"}, set()),
    (("openrouter-2026-08-31",), INSIDE, OPEN, {"clause-5"}, {"other"}),
    (("openrouter-2026-08-31", "deepseek-open-platform-2026-04-29"), COMMERCIAL, OWES, set(), {"other"}),
    (("openrouter-2026-08-31", "openai-services-2026-01-01"), COMMERCIAL, NO, {"clause-2"}, {"other"}),
    # weights
    (("llama-2",), COMMERCIAL, NO, {"clause-2"}, {"mau_threshold", "litigation_termination"}),
    (("llama-3",), INSIDE, NO, {"clause-2"}, {"mau_threshold", "litigation_termination"}),
    (("llama-3.1",), COMMERCIAL, OWES, set(), LLAMA),
    (("llama-3.1",), plan(mau=800_000_000), ASK, {"limit-2"}, LLAMA),
    (("llama-3.1",), plan(mau=None), OPEN, {"limit-2"}, LLAMA),
    (("llama-3.2",), plan(domicile="DE"), OWES, set(), LLAMA | {"territory_exclusion"}),
    (("llama-3.2",), plan(domicile="DE", modalities=frozenset({"text", "image"})), NO, {"limit-1"},
     LLAMA | {"territory_exclusion"}),
    (("llama-3.3",), COMMERCIAL, OWES, set(), LLAMA),
    (("llama-4",), plan(domicile=None, modalities=frozenset({"image"})), OPEN, {"limit-1"}, LLAMA | {"territory_exclusion"}),
    (("gemma-terms-of-use-2026-04-01",), COMMERCIAL, OWES, set(), FLOWS),
    (("gemma-4-apache",), COMMERCIAL, YES, set(), set()),
    (("tencent-hunyuan",), COMMERCIAL, OWES, set(), FLOWS | {"territory_exclusion", "mau_threshold"}),
    (("tencent-hunyuan",), plan(territories=("US", "FR")), NO, {"limit-1"}, FLOWS | {"territory_exclusion", "mau_threshold"}),
    (("tencent-hunyuan",), plan(territories=("KR",), mau=10**9), NO, {"limit-1", "limit-2"},
     FLOWS | {"territory_exclusion", "mau_threshold"}),
    (("tencent-hunyuan",), plan(territories=None), OPEN, {"limit-1"}, FLOWS | {"territory_exclusion", "mau_threshold"}),
    (("qwen-license",), COMMERCIAL, OWES, set(), {"display_notice", "mau_threshold"}),
    (("qwen-research",), COMMERCIAL, NO, {"limit-1"}, {"non_commercial"}),
    (("qwen-research",), plan(commercial=False), OWES, set(), {"non_commercial"}),
    (("qwen-apache",), COMMERCIAL, YES, set(), set()),
    (("qwen-community-1.0-max",), COMMERCIAL, OPEN, {"clause-4"}, {"display_notice", "revenue_threshold"}),
    (("qwen-community-1.0-flash-next",), plan(hosted=True), OPEN, {"clause-4", "limit-2"},
     {"display_notice", "revenue_threshold"}),
    (("deepseek-weights",), COMMERCIAL, YES, set(), set()),
    (("glm-mit",), COMMERCIAL, YES, set(), set()),
    (("glm-5.3",), COMMERCIAL, OWES, set(), {"revenue_threshold"}),
    (("glm-5.3",), plan(hosted=True, revenue=RICH), ASK, {"limit-2"}, {"revenue_threshold"}),
    (("kimi-k2-modified-mit",), COMMERCIAL, OPEN, {"clause-4"}, {"display_notice"}),
    (("kimi-k3",), COMMERCIAL, OPEN, {"clause-4"}, {"display_notice", "revenue_threshold"}),
    (("minimax-m2",), COMMERCIAL, OPEN, {"clause-5"}, {"display_notice"}),
    (("minimax-m3-community",), COMMERCIAL, NO, {"clause-4", "limit-1"}, {"non_commercial", "display_notice", "notice_file"}),
    (("minimax-m3-community",), INSIDE, OPEN, {"clause-4"}, {"non_commercial", "display_notice", "notice_file"}),
    (("mistral-apache",), COMMERCIAL, YES, set(), set()),
    (("mistral-medium-3.5",), COMMERCIAL, OWES, set(), {"revenue_threshold"}),
    (("mistral-medium-3.5",), plan(revenue=Band(250_000_000, None)), ASK, {"limit-2"}, {"revenue_threshold"}),
    (("mistral-medium-3.5",), plan(revenue=Band(50_000_000, 100_000_000)), OPEN, {"limit-2"}, {"revenue_threshold"}),
    (("mistral-medium-3.5",), plan(revenue=None), OPEN, {"limit-2"}, {"revenue_threshold"}),
    (("gpt-oss-apache",), COMMERCIAL, YES, set(), set()),
    (("olmo-3-apache",), COMMERCIAL, YES, set(), set()),
    (("nvidia-open-model-2024-06",), COMMERCIAL, YES, set(), set()),
    (("nvidia-open-model-2025-01-06",), COMMERCIAL, YES, set(), set()),
    (("nvidia-open-model-2025-04-28",), COMMERCIAL, YES, set(), set()),
    (("nvidia-open-model-2025-09-23",), COMMERCIAL, YES, set(), set()),
    (("nvidia-nemotron-open-2025-12-15",), COMMERCIAL, YES, set(), set()),
    (("nvidia-datasets",), COMMERCIAL, OPEN, {"upstream-1"}, set()),  # a data set's licence hides its teachers'
    (("phi-4-mit",), COMMERCIAL, YES, set(), set()),
    (("cohere-command-cc-by-nc",), COMMERCIAL, NO, {"limit-1"}, {"non_commercial", "use_restriction_flowdown"}),
    (("cohere-command-cc-by-nc",), INSIDE, OWES, set(), {"non_commercial", "use_restriction_flowdown"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "planned", "verdict", "shut", "owed"), CASES, ids=[f"{number}-{case[0][0]}" for number, case in enumerate(CASES)]
)
def test_what_a_careful_reader_says(
    rows: tuple[str, ...], planned: Plan, verdict: Verdict, shut: set[str], owed: set[str]
) -> None:
    found = evaluate(asked(use(*rows), plan=planned))
    assert (found.verdict, rules(found)) == (verdict, shut), found.reasons
    assert {each.type for each in found.obligations} == owed
    assert {each.rule for each in found.reasons} <= set(RULES)


def test_the_table_has_every_row_and_forty_cases() -> None:
    assert {id for rows, *_ in CASES for id in rows} == set(shelf.shelf())
    assert len(CASES) >= 40


def test_as_it_ships_a_row_opens_nothing_unless_its_full_text_was_read() -> None:
    for id, row in shelf.shelf().items():
        found = evaluate(asked(use(document(id, grade=None)), plan=INSIDE))
        may_open = row.grade in ("P", "F")
        opened = found.verdict in (YES, OWES)
        assert not opened or may_open, id
        if evaluate(asked(use(id), plan=INSIDE)).verdict in (YES, OWES) and not may_open:
            assert rules(found) == {"grade-1"}, id


# -- the traps -------------------------------------------------------------------------------------------------------------


def test_the_same_weights_on_another_path_have_another_answer() -> None:
    assert evaluate(asked(use("qwen-apache"))).verdict is YES
    assert evaluate(asked(use("alibaba-model-studio-3.8.0"))).verdict is ASK
    assert evaluate(asked(use("glm-mit"))).verdict is YES
    assert evaluate(asked(use("zai-api-2026-04-14"))).verdict is ASK


def test_mixed_data_have_the_union_of_obligations_and_the_least_permission() -> None:
    llama, qwen, gpt = use("llama-3.1"), use("qwen-license"), use("openai-services-2026-01-01")
    both = evaluate(asked(llama, qwen))
    assert (both.verdict, {each.type for each in both.obligations}) == (OWES, LLAMA)
    assert {each.get("notice") for each in both.obligations if each.type == "display_notice"} == {
        "Built with Llama",
        "Built with Qwen",
    }
    assert evaluate(asked(llama, qwen, gpt)).verdict is NO
    assert set(evaluate(asked(llama, qwen, gpt)).obligations) == set(both.obligations)


def test_two_first_words_of_a_name_cannot_be_met() -> None:
    llama = use("llama-3.1")
    other = document("llama-3.1", conditions=())
    claims = document("llama-3.3", conditions=(_prefix("Falcon"),), clause="9")
    found = evaluate(asked(llama, use(claims), use(other)))
    assert (found.verdict, rules(found)) == (OPEN, {"naming-1"})
    nested = document("llama-3.3", conditions=(_prefix("Llama 3"),), clause="9")
    assert evaluate(asked(llama, use(nested))).verdict is OWES  # a name can begin with both


def _prefix(prefix: str) -> Condition:
    return condition("name_prefix", prefix=prefix)


def test_weights_have_their_own_limits_and_obligations() -> None:
    found = evaluate(asked(use("qwen-apache"), bases=(base("llama-3.1"),)))
    assert (found.verdict, {each.type for each in found.obligations}) == (OWES, LLAMA)
    assert not any(each.is_arguable for each in found.obligations)
    assert any(each.is_arguable for each in evaluate(asked(use("llama-3.1"))).obligations)
    apache = evaluate(asked(use("mistral-apache"), bases=(base("qwen-apache"),)))
    assert (apache.verdict, {each.type for each in apache.obligations}) == (OWES, {"licence_copy", "notice_file"})
    assert rules(evaluate(asked(use("qwen-apache"), bases=(base(),)))) == {"base-1"}
    assert evaluate(asked(use("qwen-apache"), bases=(base("qwen-research"),))).verdict is NO
    vision = evaluate(asked(use("mistral-apache"), plan=plan(domicile="DE"), bases=(base("llama-3.2"),)))
    assert (vision.verdict, rules(vision)) == (OPEN, {"limit-1"})  # whether those weights take images is not on record
    assert evaluate(asked(use("mistral-apache"), plan=plan(domicile="US"), bases=(base("llama-3.2"),))).verdict is OWES
    own = base("llama-3", base_family="llama 3")
    assert evaluate(asked(use("llama-3"), bases=(own,))).verdict is OWES  # the ban leaves models of its own family out
