"""The twelve real teachers under their documents: undetermined as the files leave them, then as a careful reader has it."""

import json
from pathlib import Path

import pytest

from inbond.registry.listing import ListedFact
from inbond.registry.registry import Registry
from inbond.registry.terms import shelf
from inbond.registry.terms.recording import accept, add_fact
from inbond.schemas.statements import Verdict
from tests.registry.terms.cases import rules
from tests.registry.terms.test_gathering import MADE, PLAN

YES, OWES, ASK, OPEN, NO = (
    Verdict.PERMITTED, Verdict.PERMITTED_WITH_OBLIGATIONS, Verdict.NEEDS_AUTHORISATION, Verdict.UNDETERMINED, Verdict.PROHIBITED,
)  # fmt: skip
OPENAI = ("openai-services-2026-01-01",)
CLAUDE = ("anthropic-commercial-2025-06-17", "anthropic-usage-2025-09-15")
TEACHERS: dict[str, tuple[str, str, tuple[str, ...], Verdict, set[str]]] = {
    "Meta-Llama-3-70B-Instruct": ("meta", "weights", ("llama-3",), NO, {"clause-2"}),
    "Meta-Llama-3.1-405B-Instruct-Turbo": ("meta", "weights", ("llama-3.1",), OWES, set()),
    "Mixtral-8x22B-Instruct-v0.1": ("mistral", "weights", ("mistral-apache",), YES, set()),
    "Qwen2-72B-Instruct": ("alibaba", "weights", ("qwen-license",), OWES, set()),
    "alpaca-7b": ("stanford", "weights", (), NO, {"limit-1"}),  # for research alone; its own document, read by the operator
    "claude-3-opus-20240229": ("anthropic", "api", CLAUDE, ASK, {"clause-3"}),
    "deepseek-llm-67b-chat": ("deepseek", "weights", (), OPEN, {"read-1", "clause-5"}),  # a licence that no row reads
    "gemini-pro": ("google", "api", ("google-gemini-api-2026-03-23",), NO, {"clause-2"}),
    "gemma-7b-it": ("google", "weights", ("gemma-terms-of-use-2026-04-01",), OWES, set()),
    "gpt-4o-2024-05-13": ("openai", "api", OPENAI, NO, {"clause-2"}),
    "gpt4_1106_preview": ("openai", "api", OPENAI, NO, {"clause-2"}),
    "text_davinci_003": ("openai", "api", OPENAI, NO, {"clause-2"}),
}
RESEARCH = {
    "clause": "whole text", "scope": "any_model", "permits_training": "conditional", "exceptions": [],
    "conditions": [{"type": "non_commercial", "parameters": {}}], "temporal_reach": "unstated", "output_ownership": "unstated",
    "student_is_derivative": "no", "grade": "P", "reader": "compliance", "read_on": "2026-10-10",
}  # fmt: skip


def test_what_is_made_of_the_real_teachers(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    files = {file.stem: file for file in (shared_data / "teacher-outputs").glob("*.json")}
    assert set(files) == set(TEACHERS)
    with Registry.init(tmp_path / "registry", "example.org/real", "lab") as registry:
        registry.add_student("lab/commercial", facts={"release_plan": PLAN})
        documents: set[str] = set()
        for name, (party, path, rows, *_) in TEACHERS.items():
            records = json.loads(files[name].read_bytes())[:3]
            some = tmp_path / f"{name}.json"
            some.write_text(json.dumps(records))
            registry.add_teacher(f"{party}/{name}@1", create=True, facts={"access_path": path})
            registry.import_files("alpaca-eval", [some], teacher=f"{party}/{name}@1", dataset=name.lower())
            documents |= {shelf.bind(registry, row, row.encode(), party=party, effective="2021-01-01").terms for row in rows}
            if not rows:
                own = {"models": (name,), "access_path": "weights", "effective": "2021-01-01"}
                terms = registry.add_terms(name.encode(), party=party, title=f"licence of {name}", **own).ref
                documents.add(terms)
                if name == "alpaca-7b":
                    add_fact(registry, terms, RESEARCH)

        for name in TEACHERS:
            found = registry.place.terms.weigh("lab/commercial", [name.lower()]).evaluation
            assert (found.verdict, [each.rule for each in found.reasons]) == (OPEN, ["dates-1", "accept-1"]), name

        for terms in documents:
            accept(registry, terms, means="click", accepted="2026-01-01")
        for name in TEACHERS:
            registry.declare_shards(name.lower(), MADE)
        for name, (_, _, rows, verdict, shut) in TEACHERS.items():
            found = registry.place.terms.weigh("lab/commercial", [name.lower()]).evaluation
            by_grade = {"grade-1"} if verdict in (YES, OWES) and shelf.row(rows[0]).grade == "S" else set()
            assert rules(found) == shut | by_grade, (name, found.reasons)
        for each in registry.every(ListedFact):
            if each.grade == "S":
                registry.declare(each.ref, {"grade": "P"}, correct=True, reason="read in our copy")
        for name, (_, _, _, verdict, shut) in TEACHERS.items():
            found = registry.place.terms.weigh("lab/commercial", [name.lower()]).evaluation
            assert (found.verdict, rules(found)) == (verdict, shut), (name, found.reasons)
