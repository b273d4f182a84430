"""Readings and acceptances on record: what is refused, what amends, what was known when, and what was in force when."""

from typing import Any

import pytest

from inbond.registry import facts
from inbond.registry.listing import ListedAcceptance, ListedFact
from inbond.registry.terms.known import documents
from inbond.registry.terms.recording import accept, add_fact
from inbond.schemas import statements as s
from inbond.schemas.declared import known
from inbond.schemas.errors import Conflict, InbondError, InvalidInput, NotPermitted
from tests.registry.terms.facts import accepting, condition, reading
from tests.registry.world import World

GIVEN = {
    "clause": "3.3(e)", "scope": "competing_model", "permits_training": "no", "conditions": [],
    "exceptions": [{"type": "classifier", "parameters": {}}], "temporal_reach": "unstated", "output_ownership": "customer",
    "student_is_derivative": "no", "grade": "S", "reader": "compliance", "read_on": "2026-10-10",
}  # fmt: skip


@pytest.fixture
def terms(world: World) -> str:
    return world.ref("acme-terms")


def test_a_reading_and_an_acceptance_are_on_record_and_listed(world: World, terms: str) -> None:
    fact = add_fact(world.registry, "acme-terms", GIVEN)
    bound = accept(world.registry, "acme-terms", means="click", accepted="2026-01-02", account="team")
    [read] = world.registry.every(ListedFact, terms="acme-terms")
    assert (read.ref, read.terms, read.clause, read.scope) == (fact.ref, terms, "3.3(e)", "competing_model")
    assert (read.permits, read.grade, read.entry) == ("no", "S", fact.seq)
    [found] = world.registry.every(ListedAcceptance, party="lab")
    assert (found.ref, found.party, found.means, found.accepted) == (bound.ref, world.registry.operator, "click", "2026-01-02")
    account = world.body(bound.ref).account.known
    assert world.registry.store.get(account)[32:] == b"team"
    assert list(world.registry.every(ListedAcceptance, party="vendor")) == []
    world.check()


def test_a_correction_amends_and_both_stay_known(world: World, terms: str) -> None:
    fact = add_fact(world.registry, "acme-terms", GIVEN)
    size = world.size()
    changed = world.registry.declare(fact.ref, {"permits_training": "ambiguous", "grade": "P"}, correct=True, reason="re-read")
    assert [(each.path, each.was, each.now) for each in changed.corrected] == [
        ("permits_training", "no", "ambiguous"), ("grade", "S", "P"),
    ]  # fmt: skip
    [read] = world.registry.every(ListedFact)
    assert (read.ref, read.entry, read.permits, read.grade) == (fact.ref, fact.seq, "ambiguous", "P")
    with world.registry.reading() as reader:
        [now] = documents(reader.connection, [terms])
        [then] = documents(reader.connection, [terms], size)
        [before] = documents(reader.connection, [terms], fact.seq)
    assert [each.fact.permits_training.value for each in now.readings] == ["ambiguous"]
    assert [each.fact.permits_training.value for each in then.readings] == ["no"]
    assert before.readings == ()
    world.registry.declare(fact.ref, {"survives_termination": True})
    world.check()


EXCLUSION = {"type": "territory_exclusion", "of": "territory"}
REFUSED: dict[str, tuple[Any, type[InbondError], str]] = {
    "parameter missing": (
        lambda w, t: ("terms_fact", reading(t, conditions=(condition("name_prefix"),))),
        InvalidInput, "expected parameter prefix"),
    "parameter unknown": (
        lambda w, t: ("terms_fact", reading(t, conditions=(condition("licence_copy", pages=3),))),
        InvalidInput, "'pages'"),
    "parameter of another type": (
        lambda w, t: ("terms_fact", reading(t, conditions=(condition("mau_threshold", mau="many"),))),
        InvalidInput, "mau as int"),
    **{
        f"{name} that nothing can be compared with: {value!r}": (
            lambda w, t, given={**of, name: value}: ("terms_fact", reading(t, conditions=(condition(**given),))),
            InvalidInput, rf"expected {name} (as|of) .*found {value!r}")
        for of, name, value in (
            *((EXCLUSION, "territories", each) for each in ("EU, GB", "Europe", "eu", "  ")),
            (EXCLUSION | {"territories": "EU"}, "modality", "images"),
            ({"type": "mau_threshold"}, "mau", -3),
            ({"type": "mau_threshold", "mau": 3}, "measured_on", "2024-13-01"),
            ({"type": "name_prefix"}, "prefix", ""),
        )
    },
    "word outside the vocabulary": (
        lambda w, t: ("terms_fact", reading(t, conditions=(condition("licence_copy", attaches="x"),))),
        InvalidInput, "attaches of"),
    "order form without one": (
        lambda w, t: ("acceptance", accepting(t, w.registry.operator, means=s.AcceptanceMeans.ORDER_FORM)),
        InvalidInput, "expected the order form"),
    "order form that is nowhere": (
        lambda w, t: ("acceptance", accepting(t, w.registry.operator, order_form="sha256:" + "1" * 64)),
        InvalidInput, "expected object"),
    "end before the beginning": (
        lambda w, t: ("acceptance", accepting(t, w.registry.operator, ended=known("2025-12-31"))),
        InvalidInput, "expected an end"),
    "party that is none": (lambda w, t: ("acceptance", accepting(t, t)), InvalidInput, "reference to a party"),
    "terms that are none": (lambda w, t: ("terms_fact", reading(w.registry.operator)), InvalidInput, "reference to a terms"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(world: World, terms: str, case: str) -> None:
    make, error, text = REFUSED[case]
    kind, body = make(world, terms)
    world.refuse(world.signed(kind, body, "compliance"), error, text)


def test_another_party_says_nothing_about_our_documents_but_of_itself(world: World, terms: str) -> None:
    key = "vendor-compliance"
    world.refuse(world.signed("terms_fact", reading(terms), key), NotPermitted, "belongs to")
    world.refuse(world.signed("acceptance", accepting(terms, world.registry.operator), key), NotPermitted, "belongs to")
    world.put("acceptance", accepting(terms, world.ref("vendor", "party")), key)


def test_a_clause_is_read_once_for_each_scope(world: World, terms: str) -> None:
    first = world.put("terms_fact", reading(terms), "compliance")
    world.put("terms_fact", reading(terms, scope=s.TermsScope.COMPETING_MODEL), "compliance")
    world.refuse(world.signed("terms_fact", reading(terms), "compliance"), Conflict, "expected a correction")
    second = world.put("terms_fact", reading(terms, scope=s.TermsScope.EXTERNAL_MODEL), "compliance", amends=first)
    third = world.put("terms_fact", reading(terms), "compliance")  # the first is about another scope now
    assert len({first, second, third}) == 3


def test_a_correction_stays_with_its_document_and_clause(world: World, terms: str) -> None:
    other = world.put("terms", world.changed(terms, title="others"), "compliance")
    fact = world.put("terms_fact", reading(terms), "compliance")
    for body in (reading(other), reading(terms, clause="2")):
        world.refuse(world.signed("terms_fact", body, "compliance", amends=fact), InvalidInput, "as in")
    with pytest.raises(InvalidInput, match="expected a reading of a clause of acme-terms, found one of others"):
        add_fact(world.registry, "acme-terms", {**GIVEN, "terms": "others"})


def test_facts_in_a_file_are_refused_with_what_is_wrong(world: World, tmp_path: Any) -> None:
    with pytest.raises(InvalidInput, match=r"conditions\[0\].type: expected one of name_prefix.*found 'tribute'"):
        add_fact(world.registry, "acme-terms", {**GIVEN, "conditions": [{"type": "tribute", "parameters": {}}]})
    file = tmp_path / "fact.toml"
    file.write_text("read_on = 2026-10-10T12:00:00\n")
    with pytest.raises(InvalidInput, match="expected a date-time with its offset from UTC"):
        facts.load_facts(file)


def test_versions_form_a_timeline(world: World, terms: str) -> None:
    registry = world.registry
    registry.add_terms(b"You may not.\n", party="acme", title="acme-terms", effective="2026-06-01")
    registry.add_terms(b"Ask.\n", party="acme", title="acme-terms", effective="2026-09-01", facts={"effective_to": "2026-10-01"})
    found = registry.place.terms.timeline(terms).versions
    assert [(each.version, each.starts, each.ends) for each in found] == [
        ("2026-01-01", "2026-01-01", "2026-06-01"), ("2026-06-01", "2026-06-01", "2026-09-01"),
        ("2026-09-01", "2026-09-01", "2026-10-01"),
    ]  # fmt: skip
    at = {"2025-12-31": [], "2026-05-31T23:59:59.999Z": [0], "2026-06-01": [1], "2026-09-30": [2], "2026-10-01": []}
    for day, expected in at.items():
        assert [each.version for each in registry.place.terms.timeline(terms, day).versions] == [
            found[each].version for each in expected
        ], day
    assert [each.ends for each in registry.place.terms.timeline(terms, size=world.size() - 2).versions] == [None]
    diff = registry.place.terms.difference(found[0].ref, found[1].ref)
    assert list(diff.text[2:]) == ["@@ -1 +1 @@", "-You may, if asked.", "+You may not."]


def test_what_was_read_otherwise_is_named_clause_by_clause(world: World, terms: str, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = world.registry
    later = registry.add_terms(b"You may, if asked.\n", party="acme", title="acme-terms", effective="2026-06-01").ref
    one, same, other = (
        add_fact(registry, of, {**GIVEN, **given}).ref
        for of, given in ((terms, {}), (terms, {"clause": "9"}), (later, {"permits_training": "silent", "read_on": "2026-11-01"}))
    )
    add_fact(registry, later, {**GIVEN, "clause": "9", "reader": "somebody else"})
    alone = add_fact(registry, later, {**GIVEN, "clause": "10"}).ref
    found = registry.place.terms.difference(terms, later)
    assert [(each.clause, each.before, each.after) for each in found.facts] == [
        (GIVEN["clause"], one, other), ("10", None, alone),
    ]  # fmt: skip
    assert [(each.field, each.after) for each in found.facts[0].fields] == [("permits_training", "silent")]
    assert found.facts[1].fields == ()
    assert same not in str(found.facts)
    known = registry.place.terms.difference(terms, later, registry.thing(other).entry)
    assert [(each.clause, each.after) for each in known.facts] == [(GIVEN["clause"], None), ("9", None)]
    monkeypatch.setattr("inbond.registry.terms.timelines.MAX_COMPARED", 5)
    with pytest.raises(InvalidInput, match="acme-terms@2026-01-01: expected a text of at most 5 bytes to compare, found 19"):
        registry.place.terms.difference(terms, later)


def test_versions_that_are_in_force_at_once_are_refused(world: World) -> None:
    registry = world.registry
    for effective, until in (("2026-01-01", None), ("2025-06-01", "2026-02-01")):
        given = {"effective_to": until} if until else {}
        with pytest.raises(Conflict, match="in force at once"):
            registry.add_terms(b"x", party="acme", title="acme-terms", effective=effective, version="v", facts=given)
    registry.add_terms(b"x", party="acme", title="acme-terms", effective="2025-06-01", facts={"effective_to": "2026-01-01"})
