"""What comes with a permission: who owes what to whom, where two obligations or an obligation and a plan clash, and NOTICE."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from inbond.registry.terms.known import Document, Reading
from inbond.registry.terms.question import Obligation, Plan
from inbond.schemas.statements import Condition, ConditionType, Derivative

_NO_DUTY = {ConditionType.PRIOR_AUTHORISATION, ConditionType.ORDER_FORM}
_TEXTS = {ConditionType.LICENCE_COPY, ConditionType.NOTICE_FILE, ConditionType.USE_RESTRICTION_FLOWDOWN}

PERMISSIVE = ("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "cc0-1.0", "cc-by-4.0", "unlicense", "0bsd")
"""Licences, as SPDX calls them in small letters, that pass no restrictions of use on."""


@dataclass(frozen=True, slots=True)
class Clash:
    """Obligations that get in each other's way, or in the way of a plan; `is_final` says that they cannot all be met."""

    text: str
    is_final: bool


def obligations_of(
    model: str, document: Document, reading: Reading, *, carries_weights: bool, via: tuple[str, ...] = ()
) -> Iterator[Obligation]:
    """The obligations that the conditions of a clause put on a student that learns from `model`, or carries its weights."""
    fact = reading.fact
    for condition in fact.conditions:
        attaches = condition.parameters.get("attaches", "outputs")
        is_derivative = fact.student_is_derivative is Derivative.YES
        if attaches == "weights" and not carries_weights and fact.student_is_derivative is Derivative.NO:
            continue
        if condition.type in _NO_DUTY or _is_for_the_gate(condition):
            continue
        arguable = attaches != "outputs" and not carries_weights and not is_derivative
        yield Obligation(
            condition.type.value, model, document.ref, document.name, fact.clause, reading.ref,
            tuple(sorted((name, value) for name, value in condition.parameters.items() if name != "attaches")), arguable, via,
        )  # fmt: skip


def _is_for_the_gate(condition: Condition) -> bool:
    return condition.type is ConditionType.OTHER and condition.parameters.get("what") == "undeclared_upstream"


def clashes(obligations: Iterable[Obligation], plan: Plan | None = None) -> list[Clash]:
    """Where obligations cannot all be met, alone or (where a plan is given) under its name and licence."""
    listed = list(obligations)
    prefixes: dict[str, list[str]] = {}
    for each in listed:
        if each.type == ConditionType.NAME_PREFIX:
            prefixes.setdefault(str(each.get("prefix")), []).append(each.document_name)
    found = [
        Clash(
            f"the name must begin with {one!r} ({prefixes[one][0]}) and with {other!r} ({prefixes[other][0]}): "
            "both claim its front",
            True,
        )
        for at, one in enumerate(sorted(prefixes))
        for other in sorted(prefixes)[at + 1 :]
        if not (one.startswith(other) or other.startswith(one))
    ]
    flows = [each for each in listed if each.type == ConditionType.USE_RESTRICTION_FLOWDOWN and not each.is_arguable]
    by_document = {each.document_name: each for each in flows}
    if prefixes and by_document:
        # Both can be met, in one licence: but whoever names and licenses the student has to know of both.
        names, documents = ", ".join(sorted(prefixes)), ", ".join(sorted(by_document))
        found.append(Clash(f"the name begins with {names}, while the licence passes on the restrictions of {documents}", False))
    return found + ([] if plan is None else list(_of_plan(plan, prefixes, by_document)))


def _of_plan(plan: Plan, prefixes: dict[str, list[str]], flows: dict[str, Obligation]) -> Iterator[Clash]:
    given_away = plan.distributed is not False or plan.hosted is not False
    for prefix, documents in sorted(prefixes.items()):
        called = (plan.name or "").rpartition("/")[2]
        if given_away and plan.name is not None and not called.startswith(prefix):
            yield Clash(f"the name {plan.name!r} does not begin with {prefix!r}, as {documents[0]} asks", False)
    for document in sorted(flows):
        if given_away and plan.licence is not None and plan.licence.lower() in PERMISSIVE:
            text = f"the licence {plan.licence} passes on no restrictions of use, as {document} asks"
            yield Clash(text, False)


# -- words -----------------------------------------------------------------------------------------------------------------


def words(obligation: Obligation) -> str:
    """What an obligation asks, in a line."""
    given, document = obligation.get, obligation.document_name
    above = [f"{given(name)} {unit}" for name, unit in _ABOVE.items() if given(name) is not None]
    told = {
        ConditionType.NAME_PREFIX: f"begin the model's name with {given('prefix')!r}",
        ConditionType.DISPLAY_NOTICE: f"show {given('notice')!r}" + (f" or {given('or')!r}" if given("or") else ""),
        ConditionType.LICENCE_COPY: f"enclose a copy of {document}",
        ConditionType.NOTICE_FILE: f"enclose the notice that {document} prescribes",
        ConditionType.USE_RESTRICTION_FLOWDOWN: f"pass on the use restrictions of {document} as a term that binds",
        ConditionType.MAU_THRESHOLD: f"ask for a licence above {given('mau')} monthly active users"
        + (f", counted on {given('measured_on')}" if given("measured_on") else ""),
        ConditionType.REVENUE_THRESHOLD: f"ask for a licence above {given('usd')} US dollars of revenue a {given('period')}"
        + (f" ({given('service')})" if given("service") else ""),
        ConditionType.TERRITORY_EXCLUSION: f"stay out of {given('territories')} ({given('of')})"
        + (f", with models for {given('modality')}" if given("modality") else ""),
        ConditionType.NON_DISTRIBUTION: "give it to nobody else",
        ConditionType.LABEL_AI_GENERATED: "mark outputs that are published as made by AI",
        ConditionType.NON_COMMERCIAL: "keep it out of commerce",
        ConditionType.LITIGATION_TERMINATION: f"the permission ends with litigation against {given('against') or 'the provider'}",
        ConditionType.TRADEMARK_LIMIT: f"do not use the mark {given('mark') or ''}".rstrip(),
        ConditionType.OTHER: str(given("what")),
    }[ConditionType(obligation.type)]
    if above:
        told += f", above {' or '.join(above)}"
    return told + (" (arguable for a student that saw outputs alone)" if obligation.is_arguable else "")


_ABOVE = {"above_mau": "monthly active users", "above_usd_month": "US dollars a month"}


def notice(student: str, obligations: Sequence[Obligation], called: dict[str, str]) -> str:
    """The text of a NOTICE file: what a release of `student` must carry, texts of others as placeholders that name them."""
    lines = [
        f"NOTICE for {student}",
        "",
        "This model learned from the models below, or carries their weights. Drawn from what is on",
    ]
    lines += ["record about their terms: readings, and not legal advice.", ""]
    by_document: dict[tuple[str, str], list[Obligation]] = {}
    for each in obligations:
        by_document.setdefault((each.document_name, called.get(each.model, each.model)), []).append(each)
    for (document, model), owed in sorted(by_document.items()):
        lines += [f"{model}, under {document}:"]
        for each in sorted(owed, key=lambda item: (item.type, item.parameters)):
            by = f" (through {', '.join(called.get(one, one) for one in each.via)})" if each.via else ""
            lines.append(f"  - {words(each)} (clause {each.clause}){by}")
            if (
                each.type == ConditionType.DISPLAY_NOTICE
                and each.get("above_mau") is None
                and each.get("above_usd_month") is None
            ):
                lines.append(f"    {each.get('notice')}")
        lines.append("")
    for document in texts(obligations):
        lines += [f"[here the text of {document}: its words are its author's, put your archived copy in this place]", ""]
    return "\n".join(lines)


def texts(obligations: Iterable[Obligation]) -> list[str]:
    """The documents whose texts must accompany a release."""
    return sorted({each.document_name for each in obligations if each.type in _TEXTS})
