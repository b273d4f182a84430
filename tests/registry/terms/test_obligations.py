"""Obligations in words, where they clash with each other or with a plan, and the NOTICE that a release carries."""

from inbond.registry.terms.engine import evaluate
from inbond.registry.terms.obligations import clashes, notice, texts, words
from inbond.registry.terms.question import Obligation
from inbond.schemas.statements import ConditionType
from tests.registry.terms.cases import COMMERCIAL, INSIDE, asked, base, document, plan, ref, use
from tests.registry.terms.facts import condition


def owed(*rows: str, **changes: object) -> tuple[Obligation, ...]:
    return evaluate(asked(*(use(each) for each in rows), **changes)).obligations


def test_every_type_is_said_in_words() -> None:
    given = {
        "name_prefix": {"prefix": "Llama"}, "display_notice": {"notice": "Built with Qwen", "or": "Improved using Qwen"},
        "mau_threshold": {"mau": 7, "measured_on": "2024-07-23"},
        "revenue_threshold": {"usd": 8, "period": "year", "service": "x"},
        "territory_exclusion": {"territories": "EU GB", "of": "territory"}, "trademark_limit": {"mark": "DeepSeek"},
        "litigation_termination": {"against": "Meta"}, "other": {"what": "keep the guardrails"},
    }  # fmt: skip
    expected = {
        "name_prefix": "'Llama'", "display_notice": "show 'Built with Qwen' or 'Improved using Qwen'",
        "licence_copy": "copy of T@1", "notice_file": "notice that T@1", "use_restriction_flowdown": "restrictions of T@1",
        "mau_threshold": "above 7 monthly active users, counted on 2024-07-23",
        "revenue_threshold": "above 8 US dollars of revenue a year (x)", "territory_exclusion": "stay out of EU GB (territory)",
        "non_distribution": "nobody else", "label_ai_generated": "as made by AI", "non_commercial": "out of commerce",
        "litigation_termination": "litigation against Meta", "trademark_limit": "mark DeepSeek", "other": "keep the guardrails",
    }  # fmt: skip
    kinds = set(ConditionType) - {"prior_authorisation", "order_form"}
    assert set(expected) == kinds
    for kind in kinds:
        one = Obligation(kind, "m", "d", "T@1", "1", "f", tuple(given.get(kind, {}).items()))
        assert expected[kind] in words(one), kind
    above = Obligation("display_notice", "m", "d", "T@1", "1", "f", (("above_mau", 5), ("notice", "N")), True)
    assert words(above) == "show 'N', above 5 monthly active users (arguable for a student that saw outputs alone)"


def test_names_and_licences_that_clash_with_the_plan_are_explained() -> None:
    llama = owed("llama-3.1")
    assert clashes(llama) == []
    [name] = clashes(llama, COMMERCIAL)
    assert "'acme/mini' does not begin with 'Llama', as Llama 3.1 Community License@2024-07-23 asks" in name.text
    assert clashes(llama, plan(name="acme/Llama-mini")) == clashes(llama, plan(name=None)) == clashes(llama, INSIDE) == []
    gemma = owed("gemma-terms-of-use-2026-04-01")
    [licence] = clashes(gemma, plan(licence="Apache-2.0"))
    assert "Apache-2.0 passes on no restrictions of use, as Gemma Terms of Use" in licence.text
    assert clashes(gemma, COMMERCIAL) == []
    [hosted] = clashes(gemma, plan(licence="MIT", distributed=False, hosted=True))  # as a service too
    assert "MIT" in hosted.text


def test_a_first_word_and_a_flow_down_in_one_student_are_said() -> None:
    both = owed("llama-3.1", "gemma-terms-of-use-2026-04-01", "qwen-license")
    [found] = clashes(both)
    assert (found.is_final, "Llama" in found.text, "Gemma" in found.text) == (False, True, True)
    claims = document("llama-3.3", conditions=(condition("name_prefix", prefix="Falcon"),), clause="9")
    [first] = clashes(evaluate(asked(use("llama-3.1"), use(claims))).obligations)
    assert (first.is_final, "'Falcon'" in first.text, "'Llama'" in first.text) == (True, True, True)


def test_a_notice_names_documents_and_holds_no_text_of_theirs() -> None:
    found = evaluate(asked(use("qwen-license"), use("gemma-terms-of-use-2026-04-01", via=(ref("student", "middle"),))))
    models = {each.model for each in found.obligations}
    text = notice(
        "acme/mini@1", found.obligations, dict.fromkeys(models, "a teacher") | {ref("student", "middle"): "lab/middle@1"}
    )
    assert text.startswith("NOTICE for acme/mini@1\n")
    assert "not legal advice" in text
    assert "\n    Built with Qwen\n" in text
    assert "pass on the use restrictions of Gemma Terms of Use@2026-04-01" in text
    assert "(through lab/middle@1)" in text
    assert "[here the text of Gemma Terms of Use@2026-04-01: " in text
    assert texts(found.obligations) == ["Gemma Terms of Use@2026-04-01"]


def test_weights_bring_the_licence_copy_and_outputs_alone_do_not() -> None:
    assert owed("qwen-apache") == ()
    both = evaluate(asked(use("mistral-apache"), bases=(base("qwen-apache"),))).obligations
    assert texts(both) == ["Qwen licence, Apache 2.0@2.0"]
