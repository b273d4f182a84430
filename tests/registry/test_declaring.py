"""Facts declared later: what is filled in, what is corrected, and what stays as it was."""

import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.registry import current, declaring, facts
from inbond.registry.current import FIXED
from inbond.schemas import statements as s
from inbond.schemas.declared import Declared, Reason, known, unknown
from inbond.schemas.errors import Conflict, InvalidInput, NotFound, NotPermitted
from tests.registry.world import World
from tests.schemas import examples


def newest(world: World, ref: str, size: int | None = None) -> Any:
    with world.registry.reading() as reader:
        return current.newest(reader.connection, world.ref(ref), size)[1]


def test_what_was_not_known_is_filled_in_and_the_rest_stays(world: World) -> None:
    shard = world.parts("chat")[0][0]
    before, size = world.body(shard), world.size()
    period = {"first": "2026-01-01", "last": "2026-01-31", "live": False}
    done = world.registry.declare(shard, {"generated": period, "flags": {"personal": {"unknown": "lost"}}, "supplier": "vendor"})
    assert done.ref == shard
    assert [change.path for change in done.filled] == ["generated", "supplier", "flags.personal"]
    assert done.corrected == ()
    after = newest(world, shard)
    assert after.generated == known(s.Generated(first="2026-01-01", last="2026-01-31", live=False))
    assert after.supplier == known(world.ref("vendor", "party"))
    changed = {"generated", "supplier", "flags"}
    assert all(getattr(after, name) == getattr(before, name) for name in s.Shard.__struct_fields__ if name not in changed)
    assert newest(world, shard, size) == before
    assert "generated" not in done.missing
    assert "acquired" in done.missing
    header = world.registry.place.statement(done.recorded.ref).header
    assert (header.amends, header.basis, header.visibility) == (shard, s.Basis.DECLARED, s.Visibility.PARTIES)
    world.check()


def test_what_is_known_is_corrected_only_where_that_is_asked_for(world: World) -> None:
    registry, size = world.registry, world.size()
    registry.declare("acme", {"domicile": "US"})
    with pytest.raises(Conflict, match="domicile is US, not FR") as caught:
        registry.declare("acme", {"domicile": "FR", "legal_name": "Acme SA"})
    assert "--correct" in (caught.value.hint or "")
    assert world.size() == size + 1
    done = registry.declare("acme", {"domicile": "FR", "legal_name": "Acme SA"}, correct=True, reason="they told us")
    assert [(change.path, change.was, change.now) for change in done.corrected] == [("domicile", "US", "FR")]
    assert [(change.path, change.now) for change in done.filled] == [("legal_name", "Acme SA")]
    header = registry.place.statement(done.recorded.ref).header
    assert registry.store.get(str(header.why))[32:] == b"they told us"
    again = registry.declare("acme", {"domicile": "FR", "legal_name": {"known": "Acme SA"}})
    assert (again.recorded, again.filled, again.corrected) == (None, (), ())
    assert world.size() == size + 2
    unsure = registry.declare("acme", {"domicile": {"unknown": "withheld"}}, correct=True)
    assert [(change.was, change.now) for change in unsure.corrected] == [("FR", {"unknown": "withheld"})]


def test_facts_within_facts_are_laid_over_one_by_one(world: World) -> None:
    shard = world.parts("chat")[0][0]
    registry = world.registry
    registry.declare(shard, {"sampling": {"temperature": "0.7", "other": {}}})
    done = registry.declare(shard, {"sampling": {"seed": 7}})
    assert [change.path for change in done.filled] == ["sampling.seed"]
    assert newest(world, shard).sampling.known.temperature == known("0.7")
    with pytest.raises(Conflict, match=r"sampling\.temperature is 0\.7, not 0\.8"):
        registry.declare(shard, {"sampling": {"known": {"temperature": "0.8"}}})
    registry.declare(shard, {"models": [{"rows": {"unknown": "lost"}}]}, correct=True)
    assert newest(world, shard).models[0] == s.ShardModel(
        teacher=world.ref("acme/base@1"), role=s.ModelRole.RESPONSE, rows=unknown(Reason.LOST)
    )
    world.student("child", initialised_from=(world.initialised(world.ref("acme/base@1")),))
    done = registry.declare("child", {"initialised_from": [{"terms": "acme-terms"}], "release_plan": {"hosted": True}})
    assert [change.path for change in done.filled] == ["initialised_from[0].terms", "release_plan.hosted"]
    done = registry.declare("acme/base@1", {"same_as_student": "child", "version": "1"})
    assert [change.path for change in done.filled] == ["same_as_student"]


def test_each_kind_can_be_declared_of(world: World) -> None:
    registry = world.registry
    registry.close_run(registry.pull("chat", student="lab/pupil", run="first").run.ref, "kept")
    release = registry.release("lab/pupil", b"weights").ref
    source = s.Source(
        name="prompts", category=s.SourceCategory.PUBLIC, **{
            name: unknown() for name in s.Source.__struct_fields__ if name not in ("name", "category")
        },
    )  # fmt: skip
    told: list[tuple[str, Mapping[str, Any], str]] = [
        ("vendor", {"domicile": "DE"}, "domicile"),
        ("party:lab", {"domicile": "DE"}, "domicile"),
        ("acme-terms", {"url": "https://acme.example/terms"}, "url"),
        ("acme-terms", {"effective": {"to": "2027-01-01"}}, "effective.to"),
        ("beta/chat@1", {"pinned": True}, "pinned"),
        (world.put("source", source, "producer"), {"licence": "acme-terms"}, "licence"),
        (world.parts("code")[0][0], {"acquired": "2026-02-03"}, "acquired"),
        ("student:lab/pupil", {"purpose": "chat"}, "purpose"),
        (release, {"parameters": 7}, "parameters"),
    ]
    for ref, given_facts, path in told:
        done = registry.declare(ref, given_facts)
        assert [change.path for change in done.filled] == [path]
        assert path not in done.missing
    releases = world.rows()["releases"]
    assert [row["ref"] for row in releases] == [release]
    world.check()
    assert registry.verify().verdict == "proved"


def test_every_shard_of_a_dataset_is_told_of_at_once_or_none(world: World) -> None:
    a, b, c = (part[0] for part in world.parts("chat"))
    world.registry.declare(b, {"acquired": "2026-01-05"})
    size = world.size()
    with pytest.raises(Conflict, match=f"{b}: .* acquired is 2026-01-05, not 2026-01-06"):
        world.registry.declare_shards("chat", {"acquired": "2026-01-06"})
    assert world.size() == size
    done = world.registry.declare_shards("chat", {"acquired": "2026-01-05"}, reason="invoice")
    assert [each.ref for each in done] == [a, b, c]
    assert [each.recorded is None for each in done] == [False, True, False]
    assert world.size() == size + 2
    assert {newest(world, shard).acquired for shard in (a, b, c)} == {known("2026-01-05")}
    text = declaring.facts_template(world.registry, "chat")
    assert "#acquired = " not in text
    world.registry.declare(a, {"jurisdiction": "DE"})
    assert "#jurisdiction = " in declaring.facts_template(world.registry, "chat")


BAD = [
    ("chat@1", {"purpose": "x"}, NotFound, "no party or operator or terms"),
    ("shard", {"rows": 3}, InvalidInput, "rows: expected nothing"),
    ("student:lab/pupil", {"id": "x"}, InvalidInput, "id: expected nothing"),
    ("student:lab/pupil", {"purposes": "x"}, InvalidInput, "purpose"),
    ("student:lab/pupil", {"purpose": 3}, InvalidInput, "purpose: expected one line of text"),
    ("acme", {"domicile": "Germany"}, InvalidInput, "domicile"),
    ("shard", {"models": []}, InvalidInput, "models"),
    ("shard", {"models": [{"teacher": "beta/chat@1"}]}, Conflict, r"models\[0\]\.teacher"),
]


@pytest.mark.parametrize(("ref", "told", "error", "text"), BAD)
def test_what_cannot_be_declared(shared_world: World, ref: str, told: Any, error: type[Exception], text: str) -> None:
    size = shared_world.size()
    target = shared_world.parts("chat")[0][0] if ref == "shard" else ref
    with pytest.raises(error, match=text):
        shared_world.registry.declare(target, told)
    assert shared_world.size() == size


def test_the_owner_declares(world: World) -> None:
    with pytest.raises(NotPermitted, match="expected a key of that party"):
        world.registry.declare("vendor/mini", {"purpose": "x"})


def test_what_another_declares_meanwhile_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reading and writing somebody declares another fact: the second statement repeats it."""
    registry, place = world.registry, world.registry.place
    read, others = place.statement, iter([{"domicile": "US"}])

    def statement(ref: str) -> Any:
        found = read(ref)
        for other in others:
            declaring.declare(registry, "acme", other)
        return found

    monkeypatch.setattr(place, "statement", statement)
    registry.declare("acme", {"legal_name": "Acme"})
    assert newest(world, "acme").domicile == known("US")
    assert newest(world, "acme").legal_name == known("Acme")


def uncommented(template: str) -> str:
    return re.sub(r"^#(?=\S)", "", template, flags=re.MULTILINE)


def test_a_template_asks_for_what_is_not_known(world: World, tmp_path: Path) -> None:
    registry, shard = world.registry, world.parts("chat")[0][0]
    registry.declare(shard, {"acquired": "2026-01-01", "sampling": {"temperature": "0.7", "other": {}}})
    text = declaring.facts_template(registry, shard)
    named = set(re.findall(r"^#([a-z_.]+) = ", text, flags=re.MULTILINE))
    assert {"generated.first", "sampling.seed", "flags.personal.value"} <= named
    assert not named & {"acquired", "sampling.temperature", "models", "rows", "file", "tokens.prompt"}
    assert "left as it is on record" in text
    path = tmp_path / "facts.toml"
    path.write_text(text)
    assert registry.declare(shard, facts.load_facts(path)).recorded is None
    for ref, kind in (("acme", "party"), ("student:lab/pupil", "student"), ("acme-terms", "terms")):
        path.write_text(uncommented(declaring.facts_template(registry, ref)))
        given_facts = facts.load_facts(path)
        body = newest(world, ref)
        every = {path.split(".")[0].split("[")[0] for path in declaring.unknown_in(body)}
        assert every == set(given_facts), kind


def mixed(chance: random.Random, value: Any) -> Any:
    """An example in which some facts are not known, at every depth."""
    if isinstance(value, Declared):
        if chance.random() < 0.4:
            return unknown(chance.choice(list(Reason)))
        return known(mixed(chance, value.known)) if value.is_known else value
    if isinstance(value, tuple):
        return tuple(mixed(chance, each) for each in value)
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(type(value))
        # A shard of log-probabilities has no less than all, and a fact about a modality has one.
        optional = {field.name for field in fields if not field.required and field.name != "modality"}
        optional = set() if isinstance(value, s.Shard) else optional
        given_fields = {name: mixed(chance, getattr(value, name)) for name in value.__struct_fields__}
        return type(value)(**{n: v for n, v in given_fields.items() if n not in optional or chance.random() < 0.5})
    return value


@settings(max_examples=200, deadline=None)
@given(kind=st.sampled_from(sorted(FIXED)), seed=st.integers(0, 1 << 32))
def test_whatever_is_laid_over_whatever_says_what_was_given_last(kind: str, seed: int) -> None:
    whole, chance = examples.BODIES[kind], random.Random(seed)
    before, after = mixed(chance, whole), mixed(chance, whole)
    assert list(declaring._changes(before, declaring._merged(None, kind, before, {}), "")) == []  # type: ignore[arg-type]
    fixed = {field.encode_name for field in msgspec.structs.fields(type(whole)) if field.name in FIXED[kind]}
    told = {name: value for name, value in msgspec.to_builtins(after).items() if name not in fixed}
    over = declaring._merged(None, kind, before, told)  # type: ignore[arg-type]
    changes = list(declaring._changes(before, over, ""))
    assert bool(changes) is (over != before)
    for name in type(whole).__struct_fields__:
        if name in FIXED[kind]:
            assert getattr(over, name) == getattr(before, name)
        elif isinstance(getattr(after, name), Declared) and not isinstance(getattr(after, name).known, msgspec.Struct | tuple):
            assert getattr(over, name) == getattr(after, name)
    again = declaring._merged(None, kind, over, told)  # type: ignore[arg-type]
    assert again == over
    known_before = {change.path for change in changes if change.was is not None}
    assert not known_before & set(declaring.unknown_in(before))
