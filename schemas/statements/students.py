"""Students: what they are, their runs, and their releases."""

from enum import StrEnum

from inbond.schemas.declared import Declared
from inbond.schemas.scalars import (
    Base64,
    Closed,
    Count,
    Decimal,
    Digest,
    FlopMethod,
    Label,
    Listed,
    Modality,
    Number,
    ObjectList,
    Ref,
    Some,
    Territory,
    Time,
    Token,
)
from inbond.schemas.statements.data import ModelRole
from inbond.schemas.statements.policy import Policy
from inbond.schemas.statements.teachers import EuMarket, Summary


class Relation(StrEnum):
    """How a student's first weights were made from another model's."""

    FINETUNE = "finetune"
    ADAPTER = "adapter"
    MERGE = "merge"
    QUANTIZED = "quantized"
    CONTINUED = "continued"


class Stage(StrEnum):
    """The stage of training that a run belongs to."""

    PRETRAIN = "pretrain"
    MIDTRAIN = "midtrain"
    SFT = "sft"
    KD = "kd"
    PREFERENCE = "preference"
    REWARD = "reward"
    OTHER = "other"


class UseKind(StrEnum):
    """What outputs are used for; the official summary divides by it."""

    SFT = "sft"
    KD_LOGITS = "kd_logits"
    PREFERENCE = "preference"
    REWARD = "reward"
    REPHRASE = "rephrase"
    JUDGE = "judge"
    OTHER = "other"


class LossOn(StrEnum):
    """What the loss is taken on."""

    RESPONSE = "response"
    ALL = "all"
    LOGITS = "logits"


class Outcome(StrEnum):
    """How a run ended."""

    RELEASED = "released"
    KEPT = "kept"
    ABANDONED = "abandoned"
    FAILED = "failed"


class InitialisedFrom(Closed, frozen=True, kw_only=True):
    """A model whose weights a student starts from; `terms` govern those weights."""

    model: Ref
    weights: Declared[Digest]
    relation: Relation
    training_flop: Declared[Number]
    terms: Declared[Ref]
    eu_market: Declared[EuMarket]
    summary: Declared[Summary]


class ReleasePlan(Closed, frozen=True, kw_only=True):
    """What terms ask about a release: as planned on a student, as it was on a release. `mau`: monthly active users."""

    name: Declared[Label]
    licence: Declared[Label]
    distributed: Declared[bool]
    hosted: Declared[bool]
    commercial: Declared[bool]
    territories: Declared[Listed[Territory]]
    classifier_only: Declared[bool]
    mau: Declared[Count]


class Student(Closed, frozen=True, kw_only=True):
    """A model that is to learn from outputs; no `initialised_from` means from scratch."""

    id: Label
    version: Label
    initialised_from: Listed[InitialisedFrom]
    purpose: Declared[Label]
    release_plan: ReleasePlan


class PlanSource(Closed, frozen=True, kw_only=True):
    """A split of a dataset version and its weight in the mixture."""

    dataset: Ref
    split: Token
    weight: Decimal


class Plan(Closed, frozen=True, kw_only=True):
    """What a run reads, and in which order; the order is a pure function of the plan and the epoch."""

    sources: Some[PlanSource]
    order: Token
    seed: Count


class RunOpen(Closed, frozen=True, kw_only=True, tag_field="phase", tag="open"):
    """The start of a run. `run_key` co-signs it; until close it signs the run's segments and requests, no more."""

    name: Label
    student: Ref
    stage: Stage
    use_kind: UseKind
    loss_on: LossOn
    plan: Plan
    run_key: Base64
    code: Declared[Digest]
    config: Declared[Digest]
    initial_weights: Declared[Digest]


class RunClose(Closed, frozen=True, kw_only=True, tag_field="phase", tag="close"):
    """The end of `run`, named by its opening; `inputs` holds `RunInputLine`s, also of what came from elsewhere."""

    student: Ref
    run: Ref
    outcome: Outcome
    inputs: ObjectList
    inputs_complete: Declared[bool]
    checkpoints: Listed[Digest]
    flop: Declared[Number]
    mwh: Declared[Number]


class LiveModel(Closed, frozen=True, kw_only=True):
    """A model that a run asked while it ran."""

    teacher: Ref
    role: ModelRole


class LiveUse(Closed, frozen=True, kw_only=True):
    """Outputs that a run used without their becoming a shard: judges, on-policy teachers."""

    run: Ref
    models: Some[LiveModel]
    requests: Declared[Count]
    tokens: Declared[Count]
    acceptances: Declared[Listed[Ref]]


class ReleasedRun(Closed, frozen=True, kw_only=True):
    """A run that led to the release, and the checkpoint taken from it."""

    run: Ref
    checkpoint: Digest


class ReleaseFlop(Closed, frozen=True, kw_only=True):
    """Training compute: what updated these weights, and that with all that led to them."""

    direct: Number
    cumulative: Declared[Number]
    method: FlopMethod
    margin: Declared[Number]


class Users(Closed, frozen=True, kw_only=True):
    """Monthly active users on a day."""

    count: Count
    as_of: Time


class Release(Closed, frozen=True, kw_only=True):
    """Weights given to others or put to use; `obligations` holds `ObligationMetLine`s."""

    student: Ref
    weights: Digest
    runs: Listed[ReleasedRun]
    merged_from: Listed[Ref]
    released: Time
    eu_market: Declared[Time]
    actual: ReleasePlan
    channels: Listed[Label]
    parameters: Declared[Count]
    modalities: Listed[Modality]
    flop: Declared[ReleaseFlop]
    mau: Declared[Users]
    continuous: Declared[bool]
    policy: Declared[Policy]
    obligations: ObjectList
