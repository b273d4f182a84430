"""What the engine is asked, and what it answers: plain values, so that the same question always has the same answer."""

from dataclasses import dataclass

from inbond.registry.terms.bands import Band
from inbond.registry.terms.known import Document
from inbond.schemas.statements import Question as Asked
from inbond.schemas.statements import Verdict

SEVERITY = (
    Verdict.PERMITTED,
    Verdict.PERMITTED_WITH_OBLIGATIONS,
    Verdict.NEEDS_AUTHORISATION,
    Verdict.UNDETERMINED,
    Verdict.PROHIBITED,
)
"""Verdicts, each shutting the gate more firmly than the one before: of several, the last of these holds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What terms ask about a student: as it is planned, or as it was released. None: not known.

    `owner` is the student's party (None: of no student) and `domicile` its country; `revenue` is the band of that
    party's. `mau` counts monthly active users. `territories` are codes of countries or `EU`.
    """

    owner: str | None
    name: str | None = None
    licence: str | None = None
    distributed: bool | None = None
    hosted: bool | None = None
    commercial: bool | None = None
    territories: tuple[str, ...] | None = None
    classifier_only: bool | None = None
    mau: int | None = None
    modalities: frozenset[str] = frozenset({"text"})
    revenue: Band | None = None
    domicile: str | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """Outputs of one teacher, of at least one row, made under the same circumstances.

    `documents` are all versions of every document that applies to the teacher on its access path, the router's among them.
    `generated` are the first and last time at which they were made. `bound` is the party that made them: the operator, a
    contractor on its behalf, or a vendor (`is_bought`). `via` names the students of this registry through which they came.
    `acceptances` are those under which they were made, where that is stated: then no other counts.
    """

    teacher: str
    name: str
    party: str | None
    access_path: str | None
    documents: tuple[Document, ...]
    generated: tuple[str, str] | None = None
    bound: str | None = None
    is_bought: bool = False
    role: str = "response"
    via: tuple[str, ...] = ()
    acceptances: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Base:
    """A model whose weights the student starts from, with the documents that govern those weights."""

    model: str
    name: str
    documents: tuple[Document, ...]
    base_family: str | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """A ruling of compliance on the student under one document, in force from `starts` until `until` (None: open).

    One on an `authorisation` settles what a clause leaves to the provider or to interpretation; one on an `exception` also
    what a clause forbids. One that does not permit shuts the gate.
    """

    decision: str
    terms: str
    permits: bool
    starts: str
    until: str | None = None
    question: Asked = Asked.AUTHORISATION


@dataclass(frozen=True, slots=True)
class Question:
    """May `student` learn, or be released, at time `used`, with all of this: the engine's question.

    Without a student: what do terms say of any, of which nothing is known but that it is not the provider's own?
    """

    student: str | None
    plan: Plan
    used: str
    uses: tuple[Use, ...] = ()
    bases: tuple[Base, ...] = ()
    rulings: tuple[Ruling, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: the rule, and as far as it is about them the teacher or base, the document, its clause, the fact, the decision."""

    rule: str
    verdict: Verdict
    text: str
    model: str | None = None
    document: str | None = None
    clause: str | None = None
    fact: str | None = None
    decision: str | None = None


@dataclass(frozen=True, slots=True)
class Obligation:
    """What comes with a permission. `is_arguable` says that it may be asked of models that carry the weights alone.

    `parameters` are those of the condition; `type` is a `ConditionType`. `via` as in `Use`.
    """

    type: str
    model: str
    document: str
    document_name: str
    clause: str
    fact: str
    parameters: tuple[tuple[str, bool | int | str], ...]
    is_arguable: bool = False
    via: tuple[str, ...] = ()

    def get(self, name: str) -> bool | int | str | None:
        """A parameter, None where there is none."""
        return dict(self.parameters).get(name)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The answer: the verdict, every reason for it, all obligations, and the facts about the plan that are missing."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    obligations: tuple[Obligation, ...]
    missing: tuple[str, ...]
