"""What is answered about terms: plain values, the same from a folder and over HTTP.

Each answer says the tree size that it is about, and in `names` what people call the references in it.
"""

from dataclasses import dataclass
from typing import Any

from inbond.registry.gate import Reason, Ruled
from inbond.registry.terms.obligations import Clash
from inbond.registry.terms.question import Evaluation, Obligation
from inbond.schemas.statements import GrantMode, Verdict


@dataclass(frozen=True, slots=True)
class Checked(Ruled):
    """The gate's answer about `student`, with the obligations that come with it; `rules` is the digest of its table of rules.

    `clashes` says where the obligations, or one and the name and licence that are planned (or were given), do not go together.
    """

    student: str
    rules: str
    obligations: tuple[Obligation, ...]
    names: dict[str, str]
    tree_size: int
    clashes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Published:
    """What terms say of a list of `parts` (its digest) whoever learns from them; `verdict` is None where none were read."""

    parts: str
    verdict: Verdict | None
    reasons: tuple[Reason, ...]
    rules: str
    names: dict[str, str]
    tree_size: int


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a document, in force from `starts` until `ends` (None: open).

    `stated_end` says that the document states its end itself; else the next version's beginning is it. `text` is the digest
    of the archived text; `readings` and `accepted` count what is on record about it.
    """

    ref: str
    name: str
    version: str
    starts: str
    ends: str | None
    stated_end: bool
    language: str
    retrieved: str
    text: str
    readings: int
    accepted: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """The versions of the document that `terms` is one of, oldest first; with a time asked for, those in force then."""

    terms: str
    versions: tuple[Version, ...]
    names: dict[str, str]
    tree_size: int


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of a reading that differs; values as JSON has them."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class FactChange:
    """A clause that was read otherwise, by the references of the readings: None where it was not read, and then no fields."""

    clause: str
    scope: str
    modality: str | None
    before: str | None
    after: str | None
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from document `one` to `other`: `text` is a unified diff of the archived texts, `facts` what was read.

    Characters that would steer a terminal stand as U+FFFD in the lines of `text`.
    """

    one: str
    other: str
    text: tuple[str, ...]
    facts: tuple[FactChange, ...]
    names: dict[str, str]
    tree_size: int


@dataclass(frozen=True, slots=True)
class Odrl:
    """What is known of a document as an ODRL policy (JSON-LD); see odrl.py."""

    terms: str
    policy: dict[str, Any]
    tree_size: int


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the engine alone says of `student`: the evaluation, where its obligations clash, and what a release must carry.

    `texts` are the documents whose texts go with it; `notice` is the text of its NOTICE file.
    """

    student: str
    evaluation: Evaluation
    clashes: tuple[Clash, ...]
    texts: tuple[str, ...]
    notice: str
    names: dict[str, str]
    tree_size: int

    @property
    def name(self) -> str:
        """What people call the student."""
        return self.names[self.student]


@dataclass(frozen=True, slots=True)
class Reevaluated:
    """A grant: the verdict that it carries, as of `facts_size` entries, and what the gate would say now.

    `rules` are those that shut the gate now; when the grant was given none did.
    """

    grant: str
    run: str
    mode: GrantMode
    facts_size: int
    then: Verdict
    now: Verdict
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TermsEvaluation:
    """Every grant of a student, oldest first, evaluated again."""

    student: str
    grants: tuple[Reevaluated, ...]
    names: dict[str, str]
    tree_size: int


@dataclass(frozen=True, slots=True)
class Changed:
    """Something whose verdict changes: what it is, the verdicts, and the rules that shut it before and after."""

    ref: str
    student: str
    before: Verdict
    after: Verdict
    rules_before: tuple[str, ...]
    rules_after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TermsImpact:
    """What changed with the documents of a timeline between two sizes of the log; `looked_at` counts what rests on them.

    `at` is the time of use that was asked about, None for now.
    """

    terms: str
    size_before: int
    tree_size: int
    at: str | None
    looked_at: int
    changed: tuple[Changed, ...]
    names: dict[str, str]


@dataclass(frozen=True, slots=True)
class Unread:
    """A document that nobody has read since `read_on`, the newest day on which a clause was read, or the text retrieved."""

    terms: str
    name: str
    read_on: str
    days: int


@dataclass(frozen=True, slots=True)
class Review:
    """The documents in force that nobody has read again for so many `days`, longest first."""

    days: int
    unread: tuple[Unread, ...]
    tree_size: int
