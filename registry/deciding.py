"""Asking the gate, and asking people: a question by one key, a ruling by another that has seen it."""

import secrets
from collections.abc import Sequence

from inbond.registry import gate
from inbond.registry.disclosure.router import sections_in
from inbond.registry.gate import Ruled
from inbond.registry.listing import ListedDecision
from inbond.registry.opened import OpenRegistry
from inbond.registry.place import Recorded
from inbond.registry.times import now
from inbond.registry.words import word
from inbond.schemas.declared import known, not_applicable
from inbond.schemas.errors import InvalidInput, NotPermitted, PolicyDenied
from inbond.schemas.scalars import Role
from inbond.schemas.statements import DecisionAsk, DecisionRule, Question, Ruling

_SCOPE = "training of the student on outputs under these terms"
_SECTION = "the section of the public summary of training content that it belongs to"


def ask(registry: OpenRegistry, student: str, terms: str, grounds: str, until: str | None) -> Recorded:
    """Ask whether `student` may learn under `terms`, with the trainer's key."""
    subjects = (registry.resolve(student, "student"), registry.resolve(terms, "terms"))
    body = DecisionAsk(
        question=Question.AUTHORISATION,
        subjects=subjects,
        scope=_SCOPE,
        from_=now(),
        until=known(until) if until else not_applicable(),
        grounds=keep_text(registry, grounds),
        authoriser=not_applicable(),
    )
    return registry.record("decision", body, Role.TRAINER)


def rule(registry: OpenRegistry, ask: str, ruling: str, grounds: str, until: str | None) -> Recorded:
    """Rule on the ask, with the compliance key."""
    return _rule(registry, ask, word(Ruling, ruling, "ruling"), grounds, until, None)


def _rule(registry: OpenRegistry, ask: str, ruling: Ruling, grounds: str, until: str | None, scope: str | None) -> Recorded:
    ref = registry.resolve(ask, "decision")
    asked = registry.place.statement(ref).body
    if not isinstance(asked, DecisionAsk):
        raise InvalidInput(f"decision: expected an ask to rule on, found {ref}", hint="inbond decide list")
    answer = DecisionRule(
        ask=ref,
        question=asked.question,
        subjects=asked.subjects,
        ruling=ruling,
        scope=scope or asked.scope,
        from_=now(),
        until=known(until) if until else asked.until,
        grounds=keep_text(registry, grounds),
        authoriser=asked.authoriser,
    )
    return registry.record("decision", answer, Role.COMPLIANCE)


def settle(
    registry: OpenRegistry, student: str, terms: str, ruling: str, grounds: str, until: str | None = None
) -> tuple[Recorded | None, Recorded]:
    """Rule on the open ask about `student` and `terms`; where there is none, ask first. Returns (ask or None, ruling)."""
    found, asked = open_ask(registry, student, terms), None
    if found is None:
        _expect_asking_key(registry, f"--student {student} --terms {terms}")
        asked = ask(registry, student, terms, grounds, until)
        found = asked.ref
    return asked, rule(registry, found, ruling, grounds, until)


def ask_section(
    registry: OpenRegistry, student: str, about: Sequence[str], model: str | None, grounds: str, until: str | None = None
) -> Recorded:
    """Ask which section of the Union's summary things belong to for `student`, or only what `model` did for them."""
    body = DecisionAsk(
        question=Question.ROUTE_SECTION,
        subjects=_sectioned(registry, student, about, model),
        scope=_SECTION,
        from_=now(),
        until=known(until) if until else not_applicable(),
        grounds=keep_text(registry, grounds),
        authoriser=not_applicable(),
    )
    return registry.record("decision", body, Role.TRAINER)


def rule_section(registry: OpenRegistry, ask: str, section: str, grounds: str, until: str | None = None) -> Recorded:
    """Rule on an ask about a section: `section` names one, several with commas between, or `none`."""
    return _rule(registry, ask, Ruling.SECTION, grounds, until, ", ".join(sections_in(section)))


def settle_section(
    registry: OpenRegistry,
    student: str,
    about: Sequence[str],
    model: str | None,
    section: str,
    grounds: str,
    until: str | None = None,
) -> tuple[Recorded | None, Recorded]:
    """Rule on the open ask about exactly these; where there is none, ask first. Returns (ask or None, ruling)."""
    wanted = set(_sectioned(registry, student, about, model))
    sections_in(section)
    asks = registry.every(ListedDecision, student=registry.resolve(student, "student"))
    same = [
        each.ref
        for each in asks
        if each.ruling is None and each.question == Question.ROUTE_SECTION and set(each.subjects) == wanted
    ]
    if not same:
        _expect_asking_key(registry, " ".join([f"--student {student}", *(f"--about {each}" for each in about)]))
    asked = None if same else ask_section(registry, student, about, model, grounds, until)
    return asked, rule_section(registry, asked.ref if asked else same[-1], section, grounds, until)


def _expect_asking_key(registry: OpenRegistry, options: str) -> None:
    """Raise NotPermitted, with the way to a ruling, where nobody has asked and the key that asks is not here."""
    if not registry.keys.has(Role.TRAINER):
        raise NotPermitted(
            "nobody has asked this yet: expected a question by the trainer's key, which is not here; a ruling needs another key",
            hint=f"where the trainer's key is: inbond decide ask {options} --grounds TEXT\nthen here: inbond decide rule ASK …",
        )


def _sectioned(registry: OpenRegistry, student: str, about: Sequence[str], model: str | None) -> tuple[str, ...]:
    things = [registry.resolve(each, "shard", "dataset", "source") for each in about]
    models = [registry.resolve(model, "teacher")] if model else []
    return tuple(dict.fromkeys([registry.resolve(student, "student"), *things, *models]))


def open_ask(registry: OpenRegistry, student: str, terms: str) -> str | None:
    """The newest ask about exactly these two that nobody has ruled on."""
    return registry.place.open_ask(registry.resolve(student, "student"), registry.resolve(terms, "terms"))


def check(registry: OpenRegistry, datasets: Sequence[str], student: str) -> Ruled:
    """What the gate says of `student` and these datasets now; nothing is recorded."""
    refs = [registry.resolve(dataset, "dataset") for dataset in datasets]
    return registry.place.check(registry.resolve(student, "student"), refs)


def refusal(registry: OpenRegistry, ruled: Ruled, student: str) -> PolicyDenied:
    """The refusal as an error that names teacher and document, and the commands that would settle it."""
    return gate.refusal(ruled, student, registry.called(gate.mentioned(ruled, student)))


def keep_text(registry: OpenRegistry, text: str) -> str:
    """Keep free text as an erasable object, salted so that its digest says nothing about it; returns the digest."""
    return f"sha256:{registry.place.objects.put_bytes(secrets.token_bytes(32) + text.encode())}"
