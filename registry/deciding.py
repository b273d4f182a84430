"""Asking the gate, and asking people: a question by one key, a ruling by another that has seen it."""

import secrets
from collections.abc import Mapping, Sequence
from mimetypes import guess_type
from pathlib import Path
from shlex import quote
from typing import Any

from inbond.registry import refusing
from inbond.registry.admission.rulings import NO_EVIDENCE
from inbond.registry.disclosure.router import sections_in
from inbond.registry.gate import Ruled
from inbond.registry.listing import ListedDecision
from inbond.registry.opened import OpenRegistry
from inbond.registry.place import Recorded
from inbond.registry.recorder import Said
from inbond.registry.terms.answers import Checked
from inbond.registry.terms.moments import is_before
from inbond.registry.times import now
from inbond.registry.words import word
from inbond.schemas.declared import known, not_applicable
from inbond.schemas.errors import InvalidInput, NotPermitted, PolicyDenied, VerificationError
from inbond.schemas.scalars import Role
from inbond.schemas.statements import DecisionAsk, DecisionRule, Evidence, Question, Ruling

_SCOPE = "training of the student on outputs under these terms"
_SECTION = "the section of the public summary of training content that it belongs to"


def ask(
    registry: OpenRegistry,
    student: str,
    terms: str,
    grounds: str,
    until: str | None = None,
    *,
    exception: bool = False,
    scope: str | None = None,
    authoriser: str | None = None,
    evidence: Sequence[Path] = (),
) -> Recorded:
    """Ask whether `student` may learn under `terms`, with the trainer's key.

    It is asked for an authorisation, such as an order form or consent, or with `exception` whether an exception of the terms
    holds. `scope` says for what, `authoriser` is the party outside that gave leave; `evidence` are files that bear it out,
    which go into the store.
    """
    _expect_to_come(until)
    body = DecisionAsk(
        question=Question.EXCEPTION if exception else Question.AUTHORISATION,
        subjects=(registry.resolve(student, "student"), registry.resolve(terms, "terms")),
        scope=scope or _SCOPE,
        from_=now(),
        until=known(until) if until else not_applicable(),
        grounds=keep_text(registry, grounds),
        authoriser=known(registry.resolve(authoriser, "party")) if authoriser else not_applicable(),
    )
    return _record(registry, body, Role.TRAINER, _kept(registry, evidence))


def rule(
    registry: OpenRegistry,
    ask: str,
    ruling: str,
    grounds: str,
    until: str | None = None,
    *,
    scope: str | None = None,
    authoriser: str | None = None,
    evidence: Sequence[Path] = (),
) -> Recorded:
    """Rule on the ask, with the compliance key; `until`, `scope` and `authoriser` are as asked unless given.

    An exception is permitted with the document that grants it as evidence, given here or with the ask.
    """
    return _rule(registry, ask, word(Ruling, ruling, "ruling"), grounds, until, scope, authoriser, evidence)


def _rule(
    registry: OpenRegistry,
    ask: str,
    ruling: Ruling,
    grounds: str,
    until: str | None,
    scope: str | None,
    authoriser: str | None = None,
    evidence: Sequence[Path] = (),
) -> Recorded:
    ref = registry.resolve(ask, "decision")
    found = registry.place.statement(ref)
    asked = found.body
    if not isinstance(asked, DecisionAsk):
        raise InvalidInput(f"decision: expected an ask to rule on, found {ref}", hint="inbond decide list")
    _expect_to_come(until or asked.until.value_or("") or None)
    answer = DecisionRule(
        ask=ref,
        question=asked.question,
        subjects=asked.subjects,
        ruling=ruling,
        scope=scope or asked.scope,
        from_=now(),
        until=known(until) if until else asked.until,
        grounds=keep_text(registry, grounds),
        authoriser=known(registry.resolve(authoriser, "party")) if authoriser else asked.authoriser,
    )
    return _record(registry, answer, Role.COMPLIANCE, _kept(registry, evidence) or found.header.evidence)


def _kept(registry: OpenRegistry, files: Sequence[Path]) -> tuple[Evidence, ...]:
    """Files as evidence, in the store."""
    objects = registry.place.objects
    return tuple(
        Evidence(media=_media(file), digest=f"sha256:{objects.put_bytes(file.read_bytes())}", stored=True) for file in files
    )


def _media(file: Path) -> str:
    return guess_type(file.name)[0] or "application/octet-stream"


def _record(registry: OpenRegistry, body: DecisionAsk | DecisionRule, role: Role, evidence: Sequence[Evidence] = ()) -> Recorded:
    return registry.recorder.record(Said("decision", body, [registry.keys.role(role)], evidence=evidence))


def settle(
    registry: OpenRegistry,
    student: str,
    terms: str,
    ruling: str,
    grounds: str,
    until: str | None = None,
    *,
    exception: bool = False,
    **options: Any,
) -> tuple[Recorded | None, Recorded]:
    """Rule on the open ask about `student` and `terms`; where there is none, ask first. Returns (ask or None, ruling).

    `options` as `rule` takes them.
    """
    question = Question.EXCEPTION if exception else Question.AUTHORISATION
    subjects = {registry.resolve(student, "student"), registry.resolve(terms, "terms")}
    found, asked = open_ask(registry, question, subjects), None
    _expect_ruling(registry, word(Ruling, ruling, "ruling"), question, found, until, options)
    if found is None:
        _expect_asking_key(registry, f"--student {quote(student)} --terms {quote(terms)}" + (" --exception" if exception else ""))
        asked = ask(registry, student, terms, grounds, until, exception=exception)
        found = asked.ref
    return asked, rule(registry, found, ruling, grounds, until, **options)


def _expect_ruling(
    registry: OpenRegistry, ruling: Ruling, question: Question, ask: str | None, until: str | None, options: Mapping[str, Any]
) -> None:
    """Raise what would refuse a ruling, before anything is asked for it."""
    _expect_to_come(until)
    if options.get("authoriser"):
        registry.resolve(options["authoriser"], "party")
    if question is Question.EXCEPTION and ruling is Ruling.PERMIT and ask is None and not options.get("evidence"):
        raise InvalidInput(NO_EVIDENCE, hint="--evidence FILE")


def _expect_to_come(until: str | None) -> None:
    if until and not is_before(now(), until):
        raise InvalidInput(f"decision: expected an end that is still to come, found {until}", hint="--until DATE")


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
    return _record(registry, body, Role.TRAINER)


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
    found = open_ask(registry, Question.ROUTE_SECTION, wanted)
    if found is None:
        _expect_asking_key(registry, " ".join([f"--student {quote(student)}", *(f"--about {quote(each)}" for each in about)]))
    asked = ask_section(registry, student, about, model, grounds, until) if found is None else None
    return asked, rule_section(registry, asked.ref if asked else str(found), section, grounds, until)


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


def open_ask(registry: OpenRegistry, question: Question, subjects: set[str]) -> str | None:
    """The newest ask of a question about exactly these things, a student among them, that nobody has ruled on.

    A server says which it is; the statement itself must say so too, as a ruling on it is about to be signed.
    """
    [student] = [ref for ref in subjects if ref.startswith("student:")]
    found = [
        each.ref
        for each in registry.every(ListedDecision, student=student)
        if each.ruling is None and each.question == question and set(each.subjects) == subjects
    ]
    if not found:
        return None
    asked = registry.place.statement(found[-1]).body
    if not (isinstance(asked, DecisionAsk) and asked.question is question and set(asked.subjects) == subjects):
        about = " and ".join(sorted(subjects))
        raise VerificationError(f"{found[-1]}: expected an ask ({question.value}) about {about}, found another statement")
    return found[-1]


def check(registry: OpenRegistry, datasets: Sequence[str], student: str) -> Checked:
    """What the gate says of `student` and these datasets now; nothing is recorded."""
    refs = [registry.resolve(dataset, "dataset") for dataset in datasets]
    return registry.place.check(registry.resolve(student, "student"), refs)


def refusal(registry: OpenRegistry, ruled: Ruled, student: str) -> PolicyDenied:
    """The refusal as an error that names teacher and document, and the commands that would settle it."""
    return refusing.refusal(ruled, student, registry.called(refusing.mentioned(ruled, student)))


def keep_text(registry: OpenRegistry, text: str) -> str:
    """Keep free text as an erasable object, salted so that its digest says nothing about it; returns the digest."""
    return f"sha256:{registry.place.objects.put_bytes(secrets.token_bytes(32) + text.encode())}"
