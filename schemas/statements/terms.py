"""Terms: a document, what its clauses say, and who accepted it."""

from enum import StrEnum

from msgspec import UNSET, UnsetType

from inbond.schemas.declared import Declared
from inbond.schemas.scalars import (
    AccessPath,
    Closed,
    Digest,
    Label,
    Language,
    Listed,
    Modality,
    Parameters,
    Ref,
    Some,
    Time,
    Url,
)


class AppliesTo(Closed, frozen=True, kw_only=True):
    """The models (names, `*` for any run of characters) and the way to them that a document governs."""

    models: Some[Label]
    access_path: AccessPath


class Effective(Closed, frozen=True, kw_only=True, rename={"from_": "from"}):
    """From when, and until when, a version of a document is in force."""

    from_: Time
    to: Declared[Time]


class Terms(Closed, frozen=True, kw_only=True):
    """One version of a document that governs outputs; `text` names the archived copy."""

    party: Ref
    title: Label
    version: Label
    applies_to: Some[AppliesTo]
    url: Declared[Url]
    text: Digest
    language: Language
    effective: Effective
    announced: Declared[Time]
    retrieved: Time


class TermsScope(StrEnum):
    """Which students a clause is about."""

    ANY_MODEL = "any_model"
    EXTERNAL_MODEL = "external_model"
    COMPETING_MODEL = "competing_model"
    MODALITY = "modality"
    NONE = "none"


class Permission(StrEnum):
    """What a clause says about training on outputs."""

    YES = "yes"
    CONDITIONAL = "conditional"
    NO = "no"
    SILENT = "silent"
    AMBIGUOUS = "ambiguous"


class ConditionType(StrEnum):
    """A duty or limit that comes with a permission."""

    NAME_PREFIX = "name_prefix"
    DISPLAY_NOTICE = "display_notice"
    LICENCE_COPY = "licence_copy"
    NOTICE_FILE = "notice_file"
    USE_RESTRICTION_FLOWDOWN = "use_restriction_flowdown"
    MAU_THRESHOLD = "mau_threshold"
    REVENUE_THRESHOLD = "revenue_threshold"
    TERRITORY_EXCLUSION = "territory_exclusion"
    NON_DISTRIBUTION = "non_distribution"
    LABEL_AI_GENERATED = "label_ai_generated"
    PRIOR_AUTHORISATION = "prior_authorisation"
    ORDER_FORM = "order_form"
    NON_COMMERCIAL = "non_commercial"
    LITIGATION_TERMINATION = "litigation_termination"
    TRADEMARK_LIMIT = "trademark_limit"
    OTHER = "other"


class ExceptionType(StrEnum):
    """A case that a clause leaves out."""

    ORDER_FORM = "order_form"
    PRIOR_AUTHORISATION = "prior_authorisation"
    CLASSIFIER = "classifier"
    EMBEDDING = "embedding"
    RESEARCH = "research"
    INTERNAL_USE = "internal_use"
    OWN_MODEL = "own_model"
    OTHER = "other"


class TemporalReach(StrEnum):
    """Which moment decides the version of the terms that applies."""

    GENERATED = "generated"
    USED = "used"
    BOTH = "both"
    UNSTATED = "unstated"


class OutputOwnership(StrEnum):
    """To whom the terms give the outputs."""

    CUSTOMER = "customer"
    PROVIDER = "provider"
    UNCLAIMED = "unclaimed"
    UNSTATED = "unstated"


class Derivative(StrEnum):
    """Whether the terms make the student a derivative of the teacher."""

    YES = "yes"
    NO = "no"
    AMBIGUOUS = "ambiguous"


class Grade(StrEnum):
    """How a fact was read: primary text, full copy of it, secondary source, memory."""

    PRIMARY = "P"
    FULL_COPY = "F"
    SECONDARY = "S"
    MEMORY = "M"


class Condition(Closed, frozen=True, kw_only=True):
    """A typed condition with what is needed to evaluate it."""

    type: ConditionType
    parameters: Parameters


class TermsException(Closed, frozen=True, kw_only=True):
    """A typed exception with what is needed to evaluate it."""

    type: ExceptionType
    parameters: Parameters


class TermsFact(Closed, frozen=True, kw_only=True):
    """What one clause says, in a form that a rule can evaluate.

    `modality` says which one, where `scope` is modality. `reader` is a role, office or tool, never a person's name.
    """

    terms: Ref
    clause: Label
    scope: TermsScope
    modality: Modality | UnsetType = UNSET
    permits_training: Permission
    conditions: Listed[Condition]
    exceptions: Listed[TermsException]
    temporal_reach: TemporalReach
    survives_termination: Declared[bool]
    reaches_recipients: Declared[bool]
    output_ownership: OutputOwnership
    student_is_derivative: Derivative
    grade: Grade
    reader: Label
    read_on: Time

    def __post_init__(self) -> None:
        if (self.scope == TermsScope.MODALITY) is (self.modality is UNSET):
            raise ValueError(f"expected modality exactly where scope is modality, found scope {self.scope}")


class AcceptanceMeans(StrEnum):
    """How a party came to be bound."""

    CLICK = "click"
    CONTRACT = "contract"
    ORDER_FORM = "order_form"
    LICENCE_BY_USE = "licence_by_use"
    UNKNOWN = "unknown"


class Acceptance(Closed, frozen=True, kw_only=True):
    """That `party` is bound by `terms`. `account` is an erasable object, `order_form` a document in the store."""

    terms: Ref
    party: Ref
    means: AcceptanceMeans
    accepted: Declared[Time]
    ended: Declared[Time]
    account: Declared[Digest]
    order_form: Digest | UnsetType = UNSET
