"""The rules about one clause: whether it is about this student, what it says, which limits it sets, what a ruling settles."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from inbond.registry.terms.known import Document, Reading
from inbond.registry.terms.question import Plan, Question, Reason, Ruling, Use
from inbond.schemas.statements import (
    Condition,
    ConditionType,
    Derivative,
    ExceptionType,
    Grade,
    Permission,
    TermsScope,
    Verdict,
)
from inbond.schemas.statements import Question as Asked

FULL_TEXT = (Grade.PRIMARY, Grade.FULL_COPY)
UNDECLARED_UPSTREAM = "undeclared_upstream"
EU = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "CY",
        "CZ",
        "DE",
        "DK",
        "EE",
        "ES",
        "FI",
        "FR",
        "GR",
        "HR",
        "HU",
        "IE",
        "IT",
        "LT",
        "LU",
        "LV",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SE",
        "SI",
        "SK",
    ]
)

_ALSO = {"UK": "GB", "EL": "GR"}

_BY_PLAN = {ExceptionType.CLASSIFIER, ExceptionType.OWN_MODEL}
_BY_CONSENT = {ExceptionType.PRIOR_AUTHORISATION, ExceptionType.ORDER_FORM}


@dataclass(frozen=True, slots=True)
class Finding:
    """A reason, and what stands beside it: facts of the plan that are missing, whether a ruling may settle it.

    `speaks` says that a clause is about training this student, so that its document is not silent.
    """

    reason: Reason
    missing: tuple[str, ...] = ()
    settles: bool = False
    speaks: bool = False


def reading_of(question: Question, use: Use, document: Document, reading: Reading) -> Iterator[Finding]:
    """What one clause says of a student that learns from `use`; nothing where it is not about that."""
    yield from limits(question, use.teacher, document, reading, carries_weights=False)
    yield from _upstream(use, document, reading)
    fact = reading.fact
    if fact.student_is_derivative is Derivative.AMBIGUOUS:
        text = f"{document.name}, clause {fact.clause}: whether the student is a derivative is ambiguous"
        yield _found("clause-4", Verdict.UNDETERMINED, text, use.teacher, document, reading, settles=True, speaks=True)
    if fact.scope is TermsScope.NONE or fact.permits_training is Permission.SILENT:
        return
    if fact.scope is TermsScope.MODALITY and fact.modality not in question.plan.modalities:
        return
    if fact.scope is TermsScope.EXTERNAL_MODEL and document.party == question.plan.owner:
        text = f"{document.name}, clause {fact.clause}: the student is the provider's own"
        yield _found("own-1", Verdict.PERMITTED, text, use.teacher, document, reading)
        return
    if fact.permits_training is Permission.AMBIGUOUS:
        text = f"{document.name}, clause {fact.clause}: what it says of training is ambiguous"
        yield _found("clause-4", Verdict.UNDETERMINED, text, use.teacher, document, reading, settles=True, speaks=True)
    elif fact.permits_training is Permission.NO:
        yield from _forbids(question, use, document, reading)
    else:
        yield _permitted(use, document, reading, "clause-1", "permits training on outputs")


def _permitted(use: Use, document: Document, reading: Reading, rule: str, says: str) -> Finding:
    """A permission, as far as somebody has read the full text."""
    fact = reading.fact
    text = f"{document.name}, clause {fact.clause} {says}"
    if fact.grade in FULL_TEXT:
        return _found(rule, Verdict.PERMITTED, text, use.teacher, document, reading, speaks=True)
    text += f", as read with grade {fact.grade}: not in the full text"
    return _found("grade-1", Verdict.UNDETERMINED, text, use.teacher, document, reading, settles=True, speaks=True)


def _forbids(question: Question, use: Use, document: Document, reading: Reading) -> Iterator[Finding]:
    fact, plan = reading.fact, question.plan
    where = f"{document.name}, clause {fact.clause}"
    if use.is_bought and not fact.reaches_recipients.value_or(False):
        if fact.reaches_recipients.is_known:
            return  # it binds the vendor alone
        text = f"{where} forbids it to the vendor; whether it reaches who bought the outputs is not known"
        yield _found("recipient-1", Verdict.UNDETERMINED, text, use.teacher, document, reading, settles=True, speaks=True)
        return
    if held := _exception(question, reading):
        yield _permitted(use, document, reading, "clause-2", f"forbids training, but leaves out {held}")
        return
    by_consent = any(each.type in _BY_CONSENT for each in fact.exceptions)
    if question.student is None and (left := sorted(each.type.value for each in fact.exceptions if each.type in _BY_PLAN)):
        text = f"{where} forbids training, but leaves out {', '.join(left)}: whether that holds is a student's matter"
        yield _found("clause-2", Verdict.UNDETERMINED, text, use.teacher, document, reading, speaks=True)
        return
    competes = fact.scope is TermsScope.COMPETING_MODEL
    if competes and not _competes(plan):
        text = f"{where} forbids what competes: whether this student does is not settled"
        yield _found("compete-1", Verdict.UNDETERMINED, text, use.teacher, document, reading, settles=True, speaks=True)
    elif by_consent:
        text = f"{where} forbids training without the provider's consent"
        yield _found("clause-3", Verdict.NEEDS_AUTHORISATION, text, use.teacher, document, reading, settles=True, speaks=True)
    else:
        text = f"{where} forbids training" + (" of what competes, as this student is taken to" if competes else "")
        yield _found("clause-2", Verdict.PROHIBITED, text, use.teacher, document, reading, speaks=True)


def _competes(plan: Plan) -> bool:
    """Whether a student is taken to compete (compete-1); that it does not, nobody can say."""
    return bool(plan.commercial and (plan.distributed or plan.hosted))


def _exception(question: Question, reading: Reading) -> str | None:
    """The exception of a clause that the plan is known to fall under."""
    plan = question.plan
    for each in reading.fact.exceptions:
        if each.type is ExceptionType.CLASSIFIER and plan.classifier_only and plan.distributed is False and plan.hosted is False:
            return "a classifier that nobody else is given"
        families = {base.base_family for base in question.bases if base.base_family}
        if each.type is ExceptionType.OWN_MODEL and each.parameters.get("base_family") in families:
            return f"models of {each.parameters['base_family']}"
    return None


def _upstream(use: Use, document: Document, reading: Reading) -> Iterator[Finding]:
    for each in reading.fact.conditions:
        if each.type is ConditionType.OTHER and each.parameters.get("what") == UNDECLARED_UPSTREAM:
            text = f"{document.name}, clause {reading.fact.clause} points to the terms of teachers that are not on record"
            yield _found("upstream-1", Verdict.UNDETERMINED, text, use.teacher, document, reading, settles=True, speaks=True)


# -- limits ----------------------------------------------------------------------------------------------------------------


def limits(question: Question, model: str, document: Document, reading: Reading, *, carries_weights: bool) -> Iterator[Finding]:
    """The limits that the conditions of a clause set, each as far as the plan breaks it or does not say."""
    for condition in reading.fact.conditions:
        if condition.parameters.get("attaches") == "weights" and not carries_weights and not _is_derivative(reading):
            continue
        found = _limit(question.plan, condition, carries_weights)
        if found is not None:
            rule, verdict, told, missing = found
            text = f"{document.name}, clause {reading.fact.clause}: {told}"
            settles = verdict is not Verdict.PROHIBITED
            yield _found(rule, verdict, text, model, document, reading, missing=missing, settles=settles, speaks=True)


def _is_derivative(reading: Reading) -> bool:
    return reading.fact.student_is_derivative is not Derivative.NO


def _limit(plan: Plan, condition: Condition, carries_weights: bool) -> tuple[str, Verdict, str, tuple[str, ...]] | None:
    """(rule, verdict, what is wrong, what is missing), None where a limit is kept."""
    kind, given = condition.type, condition.parameters
    open_, shut, ask = Verdict.UNDETERMINED, Verdict.PROHIBITED, Verdict.NEEDS_AUTHORISATION
    if kind is ConditionType.NON_COMMERCIAL and plan.commercial is not False:
        told = "not for commerce" if plan.commercial else "not for commerce, which the plan does not rule out"
        return "limit-1", shut if plan.commercial else open_, told, () if plan.commercial else ("commercial",)
    if kind is ConditionType.NON_DISTRIBUTION and not (plan.distributed is False and plan.hosted is False):
        away = bool(plan.distributed or plan.hosted)
        return "limit-1", shut if away else open_, "not to be given to others", () if away else ("distributed", "hosted")
    if kind in (ConditionType.PRIOR_AUTHORISATION, ConditionType.ORDER_FORM):
        return "clause-3", ask, "needs the provider's consent", ()
    if kind is ConditionType.TERRITORY_EXCLUSION:
        found = _territory(plan, str(given["territories"]).split(), str(given["of"]))
        if found is None or given.get("modality", "text") in plan.modalities:
            return found
        told = f"{found[2]}; whether the weights take or give {given['modality']} is not known"
        return (found[0], open_, told, ()) if carries_weights else None
    if kind is ConditionType.MAU_THRESHOLD:
        return _threshold(plan.mau, int(given["mau"]))
    if kind is ConditionType.REVENUE_THRESHOLD and not ("service" in given and plan.hosted is False):
        usd, period = int(given["usd"]), str(given["period"])
        exceeds = None if plan.revenue is None else plan.revenue.exceeds(usd, period)
        if exceeds is None:
            return "limit-2", open_, f"at most {usd} US dollars of revenue a {period}, which is not known", ("revenue",)
        return ("limit-2", ask, f"at most {usd} US dollars of revenue a {period}, found more", ()) if exceeds else None
    return None


def _threshold(mau: int | None, most: int) -> tuple[str, Verdict, str, tuple[str, ...]] | None:
    words = f"at most {most} monthly active users"
    if mau is None:
        return "limit-2", Verdict.UNDETERMINED, f"{words}, which are not known", ("mau",)
    return ("limit-2", Verdict.NEEDS_AUTHORISATION, f"{words}, found {mau}", ()) if mau > most else None


def _territory(plan: Plan, excluded: Sequence[str], of: str) -> tuple[str, Verdict, str, tuple[str, ...]] | None:
    asked, where_from = ("domicile", "the domicile is") if of == "licensee" else ("territories", "the territories are")
    where = ((plan.domicile,) if plan.domicile else None) if of == "licensee" else plan.territories
    if not where:
        return "limit-1", Verdict.UNDETERMINED, f"not in {' '.join(excluded)}: {where_from} not known", (asked,)
    if hit := sorted(_countries(where) & _countries(excluded)):
        return "limit-1", Verdict.PROHIBITED, f"not in {' '.join(excluded)}, found {' '.join(hit[:3])} in the {asked}", ()
    return None


def _countries(codes: Iterable[str]) -> set[str]:
    """Countries; the Union is all of its members, a part of a country is that country, and other codes in use are ISO's."""
    return {country for code in codes for country in (EU if code == "EU" else (_ALSO.get(code[:2], code[:2]),))}


# -- rulings ---------------------------------------------------------------------------------------------------------------


def settled(findings: Iterable[Finding], rulings: Sequence[Ruling], document: Document | None, model: str) -> Iterator[Finding]:
    """The findings under one document with the rulings on it in force: what they settle is permitted, a refusal prohibits.

    The newest ruling of each question comes last and counts.
    """
    newest = {each.question: each for each in rulings}
    by_consent, excepted = newest.get(Asked.AUTHORISATION), newest.get(Asked.EXCEPTION)
    for each in (by_consent, excepted):
        if each is not None and not each.permits:
            text = "compliance has ruled that it may not"
            where = document.ref if document else each.terms
            yield Finding(Reason("ruling-1", Verdict.PROHIBITED, text, model, where, decision=each.decision), speaks=True)
    for found in findings:
        ruling = next((each for each in (by_consent, excepted) if each is not None and each.permits and found.settles), None)
        if ruling is None and found.reason.rule == "clause-2" and excepted is not None and excepted.permits:
            ruling = excepted
        if ruling is None or found.reason.verdict is Verdict.PERMITTED:
            yield found
            continue
        text = f"{found.reason.text}; compliance has ruled that it may"
        yield replace(
            found, reason=replace(found.reason, rule="ruling-1", verdict=Verdict.PERMITTED, text=text, decision=ruling.decision),
            missing=(),
        )  # fmt: skip


def _found(
    rule: str,
    verdict: Verdict,
    text: str,
    model: str,
    document: Document,
    reading: Reading,
    *,
    missing: tuple[str, ...] = (),
    settles: bool = False,
    speaks: bool = False,
) -> Finding:
    reason = Reason(rule, verdict, text, model, document.ref, reading.fact.clause, reading.ref)
    return Finding(reason, missing, settles, speaks)
