"""Afterwards: decisions, recalls and what followed, erasures, reports."""

from enum import StrEnum

from msgspec import UNSET, UnsetType

from inbond.schemas.declared import Declared
from inbond.schemas.scalars import Closed, Count, Digest, Label, Listed, MediaType, ObjectList, Ref, Some, Time, Url


class Question(StrEnum):
    """What a person is asked to decide."""

    ROUTE_SECTION = "route_section"
    AUTHORISATION = "authorisation"
    EXCEPTION = "exception"
    SAME_MODEL = "same_model"
    OTHER = "other"


class Ruling(StrEnum):
    """What was decided."""

    PERMIT = "permit"
    REFUSE = "refuse"
    SECTION = "section"


class RecallCategory(StrEnum):
    """Why something is withdrawn."""

    TERMS = "terms"
    PERSONAL_DATA = "personal_data"
    ILLEGAL = "illegal"
    QUALITY = "quality"
    SECURITY = "security"
    OTHER = "other"


class RecallAction(StrEnum):
    """What a recall asks for."""

    STOP = "stop"
    DELETE = "delete"
    RETRAIN = "retrain"


class AckAction(StrEnum):
    """What an affected party did."""

    STOPPED = "stopped"
    DELETED = "deleted"
    RETRAINED = "retrained"
    DISPUTED = "disputed"
    NONE = "none"


class Profile(StrEnum):
    """For whom a report is made."""

    PUBLIC = "public"
    DOWNSTREAM = "downstream"
    AUTHORITY = "authority"
    INTERNAL = "internal"


class DecisionAsk(Closed, frozen=True, kw_only=True, tag_field="phase", tag="ask", rename={"from_": "from"}):
    """A question about `subjects` (such as a student and terms), and for what and how long an answer is wanted.

    `grounds` is an erasable object with the reasons of whoever asks.
    """

    question: Question
    subjects: Some[Ref]
    scope: Label
    from_: Time
    until: Declared[Time]
    grounds: Digest
    authoriser: Declared[Ref]


class DecisionRule(Closed, frozen=True, kw_only=True, tag_field="phase", tag="rule", rename={"from_": "from"}):
    """The answer to `ask` by another signer, who has seen it.

    It repeats what it rules on, so that it stands alone and may be narrower than what was asked. `authoriser` is the
    party outside that gave leave, where one did.
    """

    ask: Ref
    question: Question
    subjects: Some[Ref]
    ruling: Ruling
    scope: Label
    from_: Time
    until: Declared[Time]
    grounds: Digest
    authoriser: Declared[Ref]


class Recall(Closed, frozen=True, kw_only=True):
    """A withdrawal: no reads from `effective` on; `targets` holds `TargetLine`s, down to records."""

    targets: ObjectList
    category: RecallCategory
    known: Time
    effective: Time
    action: RecallAction
    deadline: Time | UnsetType = UNSET
    replacement: Ref | UnsetType = UNSET


class Ack(Closed, frozen=True, kw_only=True):
    """What the asserting party did about a recall."""

    recall: Ref
    action: AckAction


class Copy(Closed, frozen=True, kw_only=True):
    """A place where bytes lay, and whether they are destroyed there."""

    place: Label
    destroyed: Declared[bool]


class Erasure(Closed, frozen=True, kw_only=True):
    """Bytes destroyed with the commitment kept; `targets` holds `TargetLine`s."""

    targets: ObjectList
    legal_basis: Label
    copies: Listed[Copy]


class Template(Closed, frozen=True, kw_only=True):
    """The official or own form that a report follows."""

    id: Label
    version: Label
    digest: Digest


class ReportRequest(Closed, frozen=True, kw_only=True):
    """Who asked for a report under which right: the reference of the request and its legal basis."""

    reference: Label
    legal_basis: Label


class Rendering(Closed, frozen=True, kw_only=True):
    """A report in one format."""

    media: MediaType
    digest: Digest


class Published(Closed, frozen=True, kw_only=True):
    """Where and when a report was made public."""

    url: Url
    at: Time


class Report(Closed, frozen=True, kw_only=True):
    """A disclosure made from the first `tree_size` entries.

    `renderer`, `options` and `model` determine its bytes; `commitments` names the salted commitments to its fields, and
    `salts_custody` says where the salts lie; `gaps` lists what it could not say.
    """

    releases: Listed[Ref]
    template: Template
    profile: Profile
    recipient: Declared[Ref]
    request: ReportRequest | UnsetType = UNSET
    tree_size: Count
    renderer: Digest
    options: Digest
    model: Digest
    commitments: Digest
    salts_custody: Label
    renderings: Listed[Rendering]
    gaps: ObjectList
    approved_by: Ref
    published: Published | UnsetType = UNSET
    supersedes: Ref | UnsetType = UNSET
