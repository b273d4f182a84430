"""Data: shards, with what was measured and what was declared about them, and dataset versions."""

from enum import StrEnum

from msgspec import UNSET, UnsetType

from inbond.schemas.declared import Declared
from inbond.schemas.scalars import (
    Closed,
    Count,
    Counts,
    Decimal,
    Digest,
    FlopMethod,
    Label,
    Listed,
    Number,
    ObjectList,
    Parameters,
    Ref,
    Some,
    Territory,
    Time,
    Url,
)
from inbond.schemas.statements.policy import Policy
from inbond.schemas.statements.teachers import Content, Flags, SourceCategory


class ShardKind(StrEnum):
    """What a shard's rows hold."""

    TEXT = "text"
    LOGITS = "logits"


class Signal(StrEnum):
    """Whether log-probabilities belong to what the teacher wrote or to text that it scored."""

    GENERATED = "generated"
    SCORED = "scored"


class LogprobKind(StrEnum):
    """Whether log-probabilities are the model's own or were changed by sampling settings."""

    RAW = "raw"
    PROCESSED = "processed"
    UNKNOWN = "unknown"


class TruncationMethod(StrEnum):
    """How a distribution was cut before it was stored."""

    NONE = "none"
    TOP_K = "top_k"
    NUCLEUS = "nucleus"
    SAMPLED = "sampled"
    OTHER = "other"


class ModelRole(StrEnum):
    """What a model did for a shard's rows."""

    RESPONSE = "response"
    LOGITS = "logits"
    JUDGE = "judge"
    REPHRASE = "rephrase"
    FILTER = "filter"
    REWARD = "reward"


class CreatedBy(StrEnum):
    """Who made the outputs."""

    OPERATOR = "operator"
    CONTRACTOR = "contractor"
    THIRD_PARTY = "third_party"
    UNKNOWN = "unknown"


class ProducedFor(StrEnum):
    """For what the outputs were made."""

    TRAINING = "training"
    EVALUATION = "evaluation"
    PRODUCT = "product"
    OTHER = "other"


class Tokens(Closed, frozen=True, kw_only=True):
    """Token sums under one tokenizer; each may be unknown alone (a source may report one of them, or no tokenizer)."""

    tokenizer: Declared[Digest]
    prompt: Declared[Count]
    response: Declared[Count]


class Truncation(Closed, frozen=True, kw_only=True):
    """How distributions were cut, with its settings (such as k, p, draws)."""

    method: TruncationMethod
    parameters: Parameters


class Codec(Closed, frozen=True, kw_only=True):
    """How a logits shard's blobs are written, and what its numbers mean."""

    id: Label
    version: Label
    parameters: Parameters
    vocabulary: Count
    tokenizer: Digest
    logprob_kind: LogprobKind
    temperature: Declared[Decimal]
    truncation: Declared[Truncation]


class Importer(Closed, frozen=True, kw_only=True):
    """The importer that read the files."""

    id: Label
    version: Label


class ShardCounts(Closed, frozen=True, kw_only=True):
    """Records received, kept, kept with an empty response, and rejected by reason."""

    received: Count
    kept: Count
    empty: Count
    rejected: Counts


class Derivation(Closed, frozen=True, kw_only=True):
    """The tool that made a shard from shards, with its configuration in the store."""

    tool: Label
    config: Digest


class ShardModel(Closed, frozen=True, kw_only=True):
    """A model that had a hand in a shard, and in how many of its rows."""

    teacher: Ref
    role: ModelRole
    rows: Declared[Count]


class Generated(Closed, frozen=True, kw_only=True):
    """From when to when the outputs were made; `live` says that they are still being made."""

    first: Time
    last: Time
    live: bool

    def __post_init__(self) -> None:
        digits = min(len(self.first), len(self.last))  # a day and an instant in it are taken to be the same
        if self.last[:digits] < self.first[:digits]:
            raise ValueError(f"expected last not before first, which is {self.first}, found {self.last}")


class OnBehalf(Closed, frozen=True, kw_only=True):
    """The contract under which another party made the outputs for the operator."""

    contract: Digest


class PromptSource(Closed, frozen=True, kw_only=True):
    """Where prompts came from, how many rows, and whether the prompts themselves are trained on."""

    source: Ref
    rows: Count
    category: SourceCategory
    in_training: Declared[bool]


class Sampling(Closed, frozen=True, kw_only=True):
    """Settings of generation, each of which may be unknown alone."""

    temperature: Declared[Decimal]
    top_p: Declared[Decimal]
    top_k: Declared[Count]
    max_tokens: Declared[Count]
    seed: Declared[Count]
    other: Parameters


class Generator(Closed, frozen=True, kw_only=True):
    """The tool that asked the teacher, with what it told it; texts are erasable objects or objects in the store."""

    tool: Label
    version: Declared[Label]
    config: Declared[Digest]
    system_prompt: Declared[Digest]
    system_fingerprint: Declared[Label]


class Output(Closed, frozen=True, kw_only=True):
    """What generation amounted to, what was thrown away included."""

    requests: Declared[Count]
    samples: Declared[Count]
    kept: Declared[Count]
    prompt_tokens: Declared[Count]
    response_tokens: Declared[Count]
    reasoning_tokens: Declared[Count]
    discarded_tokens: Declared[Count]


class Compute(Closed, frozen=True, kw_only=True):
    """Compute spent on generation: floating-point operations, relative margin of error, megawatt hours."""

    flop: Number
    method: FlopMethod
    margin: Declared[Number]
    mwh: Declared[Number]


class PublicSince(Closed, frozen=True, kw_only=True):
    """Since when, and where, the public has free access to the outputs."""

    since: Time
    url: Url


class Processing(Closed, frozen=True, kw_only=True):
    """A step that changed or removed records."""

    step: Label
    tool: Label
    purpose: Label
    removed: Count


class Shard(Closed, frozen=True, kw_only=True):
    """One signed Parquet file: first what was measured, then (from `models` on) what was declared.

    Exactly one model wrote the responses (role response) or gave their log-probabilities (role logits); a judge that wrote a
    judgement has role response. A shard of kind logits names its codec, its signal, and the text shard that its rows are about.
    `inputs` holds `InputLine`s, `derived_from` `DerivedLine`s (none: not made from shards). `import_identity` is the SHA-256 of
    the canonical JSON of what was imported, `ordinal` the shard's place in the import.
    """

    kind: ShardKind
    file: Digest
    size: Count
    block_root: Digest
    record_root: Digest
    rows: Count
    tokens: Declared[Tokens]
    schema_id: Digest
    codec: Codec | UnsetType = UNSET
    text_shard: Ref | UnsetType = UNSET
    signal: Signal | UnsetType = UNSET
    importer: Importer
    import_identity: Digest
    ordinal: Count
    inputs: ObjectList
    counts: ShardCounts
    derived_from: ObjectList
    derivation: Derivation | UnsetType = UNSET

    models: Some[ShardModel]
    generated: Declared[Generated]
    acquired: Declared[Time]
    created_by: Declared[CreatedBy]
    supplier: Declared[Ref]
    on_behalf: Declared[OnBehalf]
    route: Declared[Listed[Ref]]
    jurisdiction: Declared[Territory]
    acceptances: Declared[Listed[Ref]]
    prompts: Declared[Listed[PromptSource]]
    sampling: Declared[Sampling]
    generator: Declared[Generator]
    output: Declared[Output]
    compute: Declared[Compute]
    public: Declared[PublicSince]
    produced_for: Declared[ProducedFor]
    content: Declared[Content]
    flags: Flags
    processing: Declared[Listed[Processing]]

    def __post_init__(self) -> None:
        makers = [model.role for model in self.models if model.role in (ModelRole.RESPONSE, ModelRole.LOGITS)]
        if len(makers) != 1:
            raise ValueError(f"expected exactly one of models with role response or logits, found {len(makers)}")
        is_text = self.kind is ShardKind.TEXT
        for name, value in (("codec", self.codec), ("text_shard", self.text_shard), ("signal", self.signal)):
            if isinstance(value, UnsetType) is not is_text:
                wanted, found = ("no ", "one") if is_text else ("", "none")
                raise ValueError(f"expected {wanted}{name} in a {self.kind.value} shard, found {found}")
        if not is_text and makers[0] is not ModelRole.LOGITS:
            raise ValueError(f"expected the model behind a logits shard with role logits, found role {makers[0].value}")


class DatasetCounts(Closed, frozen=True, kw_only=True):
    """How many shards and rows a dataset version has, how many tokens, and how many rows each split."""

    shards: Count
    rows: Count
    tokens: Declared[Count]
    splits: Counts


class Dataset(Closed, frozen=True, kw_only=True):
    """An immutable version of a dataset; `parts` holds `PartLine`s.

    The root over the parts is `parts.root`: that of a version extends that of its `previous` where its list does.
    """

    policy: Declared[Policy]
    name: Label
    version: Label
    parts: ObjectList
    counts: DatasetCounts
    purpose: Declared[Label]
    licence: Declared[Ref]
    previous: Ref | UnsetType = UNSET
