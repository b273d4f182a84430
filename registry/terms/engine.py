"""The engine: what a student may learn from, under which obligations, as a pure function of what is known.

Each teacher with at least one row is asked about alone, under every document that bound whoever made the outputs: all
versions in force when they were made, and those in force when they are used as far as a clause reaches that far. The
permission is the least over all of them, the obligations are the union. Whatever is silent, ambiguous, not known or read
in no full text is never permitted without a ruling. The rules, by name, are `RULES`; clauses.py asks those about clauses.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from inbond.registry.terms.alike import distinct
from inbond.registry.terms.clauses import Finding, limits, reading_of, settled
from inbond.registry.terms.known import Accepted, Document, Reading, overlaps
from inbond.registry.terms.moments import end_of, is_before, start_of
from inbond.registry.terms.obligations import clashes, obligations_of
from inbond.registry.terms.question import SEVERITY, Base, Evaluation, Obligation, Question, Reason, Ruling, Use
from inbond.schemas.scalars import AccessPath
from inbond.schemas.statements import TemporalReach, Verdict

RULES: Mapping[str, str] = {
    "plan-1": "Whether the student is distributed, hosted and commercial must be known.",
    "teacher-1": "A student that learns from nobody on record is undetermined.",
    "path-1": "A teacher's provider and access path must be known: terms attach to them, not to a name.",
    "terms-1": "At least one document must apply to a teacher; where none is on record, nothing is permitted.",
    "dates-1": "When outputs were made must be known: it decides which versions bound whoever made them.",
    "force-1": "Some document must be in force at the first and at the last moment at which outputs were made.",
    "force-2": "Versions of one document that are in force at once contradict each other: nothing is decided.",
    "accept-1": "Whoever made the outputs must be on record as bound by each version then in force, since before.",
    "accept-2": "An acceptance that has ended permits what it permitted only where the clause survives termination.",
    "read-1": "A document that nobody has read permits nothing.",
    "grade-1": "A reading of less than the full text (grade S or M) may forbid, and permits nothing by itself.",
    "clause-1": "A clause that permits training permits it, under its conditions.",
    "clause-2": "A clause that forbids training prohibits it, unless an exception that can be checked holds.",
    "clause-3": "A clause that forbids training unless authorised needs an authorisation.",
    "clause-4": "An ambiguous clause is undetermined, as is one that may or may not make the student a derivative.",
    "clause-5": "A teacher whose documents are all silent is undetermined.",
    "compete-1": "What competes is defined nowhere: a commercial student that others are given is taken to, any other may.",
    "own-1": "A clause about others' models does not reach a student of the provider itself.",
    "recipient-1": "A clause reaches who bought the outputs where it says so; where that is not known, nothing is decided.",
    "limit-1": "A limit on commerce, distribution or territory that the plan breaks prohibits; the plan must say.",
    "limit-2": "Users or revenue above a threshold need an authorisation; a figure that it asks for must be known.",
    "upstream-1": "A data set's licence that points to its teachers' terms settles nothing before they are on record.",
    "base-1": "Weights that a student starts from need a licence on record, of which every limit and obligation holds.",
    "naming-1": "Obligations that cannot all be met, such as two first words of one name, leave it undetermined.",
    "ruling-1": "A ruling in force settles what is left to the provider or to interpretation; a refusal prohibits.",
}
"""Every rule by its name, as reasons name it."""


def evaluate(question: Question) -> Evaluation:
    """The verdict on a question, with reasons, obligations and what is missing. The same question has the same answer."""
    uses = distinct(question.uses)
    found: list[Finding] = [*_plan(question), *(each for use in uses for each in _use(question, use))]
    found += [each for base in question.bases for each in _base(question, base)]
    if not question.uses:
        found.append(Finding(Reason("teacher-1", Verdict.UNDETERMINED, "no teacher is on record")))
    obligations = _once(each for use in uses for each in _owed(question, use))
    obligations = _once([*obligations, *(each for base in question.bases for each in _owed_by_base(base))])
    found += [Finding(Reason("naming-1", Verdict.UNDETERMINED, clash.text)) for clash in clashes(obligations) if clash.is_final]
    reasons = tuple(dict.fromkeys(each.reason for each in found))
    worst = max((reason.verdict for reason in reasons), key=SEVERITY.index)
    if worst is Verdict.PERMITTED and obligations:
        worst = Verdict.PERMITTED_WITH_OBLIGATIONS
    return Evaluation(worst, reasons, obligations, tuple(sorted({name for each in found for name in each.missing})))


# -- the plan --------------------------------------------------------------------------------------------------------------


def _plan(question: Question) -> Iterator[Finding]:
    plan = question.plan
    if question.student is None:
        return
    asked = {"distributed": plan.distributed, "hosted": plan.hosted, "commercial": plan.commercial}
    if missing := tuple(name for name, value in asked.items() if value is None):
        text = f"the release plan does not say: {', '.join(missing)}"
        yield Finding(Reason("plan-1", Verdict.UNDETERMINED, text), missing)


# -- a teacher -------------------------------------------------------------------------------------------------------------


def _use(question: Question, use: Use) -> Iterator[Finding]:
    """What is found about one teacher. What must be known before clauses can be asked is asked first."""
    first = list(_before_clauses(use))
    yield from first
    if use.generated is None or not use.documents:
        return
    series = _series(use.documents)
    for versions in series:
        for one, other in overlaps(versions):
            text = f"{one.name} and {other.name} are both said to be in force from {other.starts}"
            yield _undecided("force-2", text, use, other)
    yield from _in_force(use)
    speaks = False
    for document in use.documents:
        at_making, at_use = in_force_for(question, use, document)
        if not (at_making or at_use):
            continue
        ended = False
        if at_making:
            problem, ended = _acceptance(question, use, document)
            if problem:
                yield problem
        findings = list(_document(question, use, document, at_making, at_use, ended))
        speaks = speaks or any(each.speaks for each in findings)
        yield from settled(findings, _rulings(question, document), document, use.teacher)
    if not speaks:
        yield from _silent(question, use)


def _before_clauses(use: Use) -> Iterator[Finding]:
    if use.party is None or use.access_path in (None, "unknown"):
        text = f"{use.name}: its provider or access path is not known"
        yield Finding(Reason("path-1", Verdict.UNDETERMINED, text, use.teacher))
    if not use.documents:
        yield Finding(
            Reason("terms-1", Verdict.UNDETERMINED, f"{use.name}: no terms are on record that apply to it", use.teacher)
        )
        return
    if missing := _missing_on_route(use):
        yield Finding(Reason("terms-1", Verdict.UNDETERMINED, f"{use.name} was reached through a router: {missing}", use.teacher))
    if use.generated is None:
        yield Finding(
            Reason("dates-1", Verdict.UNDETERMINED, f"{use.name}: when its outputs were made is not known", use.teacher)
        )
        if use.bound is None or not any(_binds(use, each) for each in use.documents):
            text = f"{use.name}: nobody is on record as bound by its terms when the outputs were made"
            yield Finding(Reason("accept-1", Verdict.UNDETERMINED, text, use.teacher))


def _missing_on_route(use: Use) -> str | None:
    """Whose terms are not on record of a teacher behind a router: its provider's bind, and the router's.

    The provider's alone do where they are said to be for outputs that come through routers.
    """
    if use.access_path != AccessPath.ROUTER:
        return None
    own = [each for each in use.documents if each.party == use.party]
    paths = {scope.access_path for each in own for scope in each.applies_to}
    if paths & {AccessPath.ROUTER, AccessPath.UNKNOWN}:
        return None
    if not own:
        return "its provider's own terms are not on record"
    if len(own) == len(use.documents):
        return "the router's terms are not on record, or it is not declared which it was (route)"
    return None


def _binds(use: Use, document: Document) -> bool:
    """Whether the party that made the outputs is on record as bound by a document since some day."""
    return any(each.acceptance.accepted.is_known for each in _acceptances(use, document))


def _acceptances(use: Use, document: Document) -> list[Accepted]:
    """The acceptances of a document by the party that made the outputs: those that the outputs are stated to rest on, or all."""
    by_party = [each for each in document.accepted if use.bound is not None and each.acceptance.party == use.bound]
    return [each for each in by_party if use.acceptances is None or each.ref in use.acceptances]


def _series(documents: Iterable[Document]) -> list[list[Document]]:
    found: dict[tuple[str, str], list[Document]] = {}
    for each in documents:
        found.setdefault((each.party, each.title), []).append(each)
    return list(found.values())


def _in_force(use: Use) -> Iterator[Finding]:
    """Some document at the first and at the last moment."""
    assert use.generated is not None
    moments = (start_of(use.generated[0]), end_of(use.generated[1]))
    if not all(any(each.in_force(moment) for each in use.documents) for moment in moments):
        periods = ", ".join(f"{each.name} from {each.starts} until {each.ends or 'open'}" for each in use.documents)
        text = f"{use.name}: no document was in force from {use.generated[0]} to {use.generated[1]}: {periods}"
        yield Finding(Reason("force-1", Verdict.UNDETERMINED, text, use.teacher))


def in_force_for(question: Question, use: Use, document: Document) -> tuple[bool, bool]:
    """Whether a version was in force while outputs were made, and is when they are used; both where it is not known when."""
    if use.generated is None:
        return True, True
    first, last = start_of(use.generated[0]), end_of(use.generated[1])
    return document.in_force(first, last), document.in_force(start_of(question.used))


def _acceptance(question: Question, use: Use, document: Document) -> tuple[Finding | None, bool]:
    """What is wrong with the acceptance of a document that was in force, and whether it has ended by the time of use."""
    assert use.generated is not None
    begins = max(start_of(use.generated[0]), start_of(document.starts))
    known = [each.acceptance for each in _acceptances(use, document)]
    known = [each for each in known if each.accepted.is_known and not is_before(begins, each.accepted.value_or(""))]
    if not known:
        who = use.bound or "whoever made the outputs, which is not known,"
        text = f"{use.name}: {who} is not on record as bound by {document.name} from {begins[:10]} on"
        return _undecided("accept-1", text, use, document), False
    ends = [each.ended.value_or("") for each in known]
    if all(end and is_before(end, use.generated[1]) for end in ends):
        text = f"{use.name}: the acceptance of {document.name} ended before the last output was made, at {max(ends)}"
        return _undecided("accept-1", text, use, document), True
    return None, all(end and is_before(end, question.used) for end in ends)


def _document(question: Question, use: Use, document: Document, at_making: bool, at_use: bool, ended: bool) -> Iterator[Finding]:
    """What the clauses of one version say of one teacher."""
    if not document.readings:
        yield _undecided("read-1", f"nobody has read {document.name}", use, document)
    for reading in document.readings:
        if not _reaches(reading, at_making, at_use):
            continue
        for found in reading_of(question, use, document, reading):
            is_later = not at_making and reading.fact.temporal_reach is TemporalReach.UNSTATED
            if is_later and found.speaks and found.reason.verdict is Verdict.PERMITTED:
                continue  # a later version may forbid what was made before; that it permits that, it would have to say
            gone = ended and found.reason.verdict is Verdict.PERMITTED and found.speaks
            if gone and not reading.fact.survives_termination.value_or(False):
                text = f"the acceptance of {document.name} has ended; that clause {reading.fact.clause} survives is not known"
                yield replace(found, reason=replace(found.reason, rule="accept-2", verdict=Verdict.UNDETERMINED, text=text))
            else:
                yield found


def _reaches(reading: Reading, at_making: bool, at_use: bool) -> bool:
    """Whether a clause binds, by the moments at which its document is in force; unstated may mean either."""
    reach = reading.fact.temporal_reach
    if reach is TemporalReach.GENERATED:
        return at_making
    return at_use if reach is TemporalReach.USED else at_making or at_use


def _silent(question: Question, use: Use) -> Iterator[Finding]:
    """No document says anything of training: a ruling on one of them may settle it."""
    finding = Finding(
        Reason(
            "clause-5", Verdict.UNDETERMINED, f"{use.name}: no clause on record says whether training is permitted", use.teacher
        ),
        settles=True,
    )
    applying = [each for each in use.documents if any(in_force_for(question, use, each))]
    rulings = [each for document in applying for each in _rulings(question, document)]
    yield from settled([finding], rulings, None, use.teacher) if applying else [finding]


def _rulings(question: Question, document: Document) -> list[Ruling]:
    """The rulings on a document that are in force at use."""
    return [
        each
        for each in question.rulings
        if each.terms == document.ref
        and not is_before(question.used, each.starts)
        and (each.until is None or is_before(question.used, each.until))
    ]


def _undecided(rule: str, text: str, use: Use, document: Document) -> Finding:
    return Finding(Reason(rule, Verdict.UNDETERMINED, text, use.teacher, document.ref), settles=rule == "read-1")


# -- weights ---------------------------------------------------------------------------------------------------------------


def _base(question: Question, base: Base) -> Iterator[Finding]:
    if not base.documents:
        text = f"{base.name}: no licence of its weights is on record"
        yield Finding(Reason("base-1", Verdict.UNDETERMINED, text, base.model))
    for document in base.documents:
        findings: list[Finding] = []
        if not document.readings:
            reason = Reason("read-1", Verdict.UNDETERMINED, f"nobody has read {document.name}", base.model, document.ref)
            findings.append(Finding(reason, settles=True))
        for reading in document.readings:
            findings += limits(question, base.model, document, reading, carries_weights=True)
        text = f"{base.name}: its licence {document.name} is on record"
        findings.append(Finding(Reason("base-1", Verdict.PERMITTED, text, base.model, document.ref)))
        yield from settled(findings, _rulings(question, document), document, base.model)


# -- obligations -----------------------------------------------------------------------------------------------------------


def _owed(question: Question, use: Use) -> Iterator[Obligation]:
    """The obligations of every clause that may bind; where dates are not known, of every version."""
    for document in use.documents:
        for reading in document.readings:
            if _reaches(reading, *in_force_for(question, use, document)):
                yield from obligations_of(use.teacher, document, reading, carries_weights=False, via=use.via)


def _owed_by_base(base: Base) -> Iterator[Obligation]:
    for document in base.documents:
        for reading in document.readings:
            yield from obligations_of(base.model, document, reading, carries_weights=True)


def _once(obligations: Iterable[Obligation]) -> tuple[Obligation, ...]:
    return tuple(dict.fromkeys(obligations))
