"""The catalogue that ships: each row is whole, says what it is, holds no text, and binds to an operator's own copy."""

from typing import Any

import pytest

from inbond.registry.listing import ListedFact
from inbond.registry.terms import shelf
from inbond.schemas import statements as s
from inbond.schemas.errors import Conflict, InvalidInput, NotFound
from tests.registry.world import World

HOSTED = [
    "openai-services-2026-01-01", "openai-terms-of-use-2026-01-01", "anthropic-commercial-2025-06-17",
    "anthropic-usage-2025-09-15", "anthropic-usage-2026-11-12", "anthropic-consumer-2025-10-08", "google-gemini-api-2026-03-23",
    "xai-enterprise-2026-08-14", "xai-acceptable-use-2026-08-14", "mistral-commercial-2026-09-25", "mistral-usage-2026-06-11",
    "cohere-saas-2024-02-29", "deepseek-open-platform-2026-04-29", "deepseek-terms-of-use-2026-03-27",
    "alibaba-model-studio-3.8.0", "moonshot-kimi-openplatform-2026-07-30", "zai-api-2026-04-14",
    "minimax-open-platform-2026-03-30", "openrouter-2026-08-31",
]  # fmt: skip
WEIGHTS = [
    "llama-2", "llama-3", "llama-3.1", "llama-3.2", "llama-3.3", "llama-4", "gemma-terms-of-use-2026-04-01", "gemma-4-apache",
    "tencent-hunyuan", "qwen-license", "qwen-research", "qwen-apache", "qwen-community-1.0-max",
    "qwen-community-1.0-flash-next", "deepseek-weights", "glm-mit", "glm-5.3", "kimi-k2-modified-mit", "kimi-k3", "minimax-m2",
    "minimax-m3-community", "mistral-apache", "mistral-medium-3.5", "gpt-oss-apache", "olmo-3-apache",
    "nvidia-open-model-2024-06", "nvidia-open-model-2025-01-06", "nvidia-open-model-2025-04-28", "nvidia-open-model-2025-09-23",
    "nvidia-nemotron-open-2025-12-15", "nvidia-datasets", "phi-4-mit", "cohere-command-cc-by-nc",
]  # fmt: skip


def test_these_are_the_rows() -> None:
    assert sorted(shelf.shelf()) == sorted(HOSTED + WEIGHTS)
    for id, row in shelf.shelf().items():
        assert row.access_path.value in (("api", "app", "router") if id in HOSTED else ("weights", "unknown")), id
        assert all(each.reading.endswith(".") and len(each.reading) < 260 for each in row.facts), id
        assert all(each.fact.grade is row.grade for each in row.facts), id


def test_a_row_whose_party_is_not_on_record_says_how_it_is_called(world: World) -> None:
    with pytest.raises(NotFound, match="openrouter-2026-08-31: no party is called 'openrouter'") as told:
        shelf.bind(world.registry, "openrouter-2026-08-31", b"copy")
    assert (told.value.hint or "").splitlines() == [
        "inbond party add openrouter", "or --party NAME, where OpenRouter has another name here",
    ]  # fmt: skip


def test_rows_without_an_address_of_their_source_are_these() -> None:
    assert {id for id, row in shelf.shelf().items() if row.url is None} == {
        "anthropic-consumer-2025-10-08", "mistral-usage-2026-06-11", "cohere-saas-2024-02-29", "deepseek-terms-of-use-2026-03-27",
        "tencent-hunyuan", "nvidia-nemotron-open-2025-12-15",
    }  # fmt: skip
    assert all((row.url is None) is ("No address" in (row.note or "")) for row in shelf.shelf().values())


def test_a_row_that_is_not_verified_is_of_the_lowest_grade() -> None:
    unread = ("cohere-saas-2024-02-29", "cohere-command-cc-by-nc", "anthropic-usage-2026-11-12", "tencent-hunyuan")
    assert {id for id, row in shelf.shelf().items() if row.grade is s.Grade.MEMORY} == set(unread)
    assert {row.id for row in shelf.shelf().values() if row.grade is s.Grade.PRIMARY} == {
        "llama-2", "llama-3", "llama-3.1", "llama-3.2", "llama-3.3", "llama-4",
    }  # fmt: skip


HEAD = """
["x"]
provider = "X"
party = "x"
title = "T"
version = "1"
access_path = "api"
models = ["*"]
language = "en"
grade = "S"
read_on = "2026-10-10"
"""
FACT = """
[["x".facts]]
clause = "1"
scope = "any_model"
permits_training = "yes"
reading = "Yes."
conditions = []
exceptions = []
"""
BAD = {
    "no fact": (HEAD, "expected at least one fact"),
    "no title": (HEAD.replace('title = "T"\n', "") + FACT, "expected title"),
    "another field": (HEAD + 'lawyer = "none"\n' + FACT, "expected no lawyer"),
    "no reading": (HEAD + FACT.replace('reading = "Yes."\n', ""), "expected a reading in words"),
    "a clause twice": (HEAD + FACT + FACT, "each clause once"),
    "unknown condition": (
        HEAD + FACT.replace("conditions = []", 'conditions = [{type="fee", parameters={}}]'), "conditions.*fee"),
    "condition without what it needs": (
        HEAD + FACT.replace("conditions = []", 'conditions = [{type="name_prefix", parameters={}}]'), "parameter prefix"),
    "unknown grade": (HEAD.replace('"S"', '"A"') + FACT, "grade: expected one of P, F, S, M"),
    "no table": ("x = 1\n", "expected a table"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_row_that_is_not_well_made_is_refused(case: str) -> None:
    assert shelf.read(HEAD + FACT, "f.toml")["x"].facts[0].clause == "1"
    text, expected = BAD[case]
    with pytest.raises(InvalidInput, match=f"f.toml: x: .*{expected}" if "grade" not in case else expected):
        shelf.read(text, "f.toml")


def test_a_row_binds_to_an_operators_copy_once(world: World) -> None:
    registry = world.registry
    row = shelf.row("openai-services-2026-01-01")
    with pytest.raises(NotFound):
        shelf.bind(registry, row.id, b"their text")
    registry.add_party("openai")
    bound = shelf.bind(registry, row.id, b"their text")
    body: Any = world.body(bound.terms)
    assert (body.title, body.version, body.effective.from_) == (row.title, row.version, row.effective)
    assert registry.store.get(body.text) == b"their text"
    assert body.url.known == row.url
    assert [world.body(each.ref) for each in bound.facts] == [
        s.TermsFact(**{name: getattr(each.fact, name) for name in s.TermsFact.__struct_fields__} | {"terms": bound.terms})
        for each in row.facts
    ]
    again = shelf.bind(registry, row.id, b"their text")
    assert (again.terms, again.was_there, again.facts) == (bound.terms, True, ())
    with pytest.raises(Conflict, match="another text"):
        shelf.bind(registry, row.id, b"other text")
    assert len(list(registry.every(ListedFact, terms=bound.terms))) == len(row.facts)


def test_a_binding_that_was_interrupted_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = world.registry
    registry.add_party("openai")
    add, calls = shelf.add_fact, []

    def fails(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise OSError("no space left")
        return add(*args)

    monkeypatch.setattr(shelf, "add_fact", fails)
    with pytest.raises(OSError, match="no space"):
        shelf.bind(registry, "openai-services-2026-01-01", b"text")
    bound = shelf.bind(registry, "openai-services-2026-01-01", b"text")
    assert (bound.was_there, len(bound.facts)) == (True, 1)


def test_a_row_without_a_day_asks_for_it(world: World) -> None:
    world.registry.add_party("microsoft")
    with pytest.raises(InvalidInput, match="expected the day"):
        shelf.bind(world.registry, "phi-4-mit", b"text")
    bound = shelf.bind(world.registry, "phi-4-mit", b"text", effective="2025-01-08", models=("phi-4",))
    body = world.body(bound.terms)
    assert (body.effective.from_, body.applies_to[0].models) == ("2025-01-08", ("phi-4",))
