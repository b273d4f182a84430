"""What speaks, and what it was asked with: teachers and sources."""

from enum import StrEnum

from msgspec import UNSET, UnsetType

from inbond.schemas.declared import Declared
from inbond.schemas.scalars import (
    AccessPath,
    Closed,
    Count,
    Digest,
    Label,
    Language,
    Listed,
    Modality,
    Number,
    Ref,
    Time,
    Url,
)
from inbond.schemas.statements.header import Basis


class Alignment(StrEnum):
    """How far a model was tuned."""

    BASE = "base"
    SFT = "sft"
    ALIGNED = "aligned"
    UNKNOWN = "unknown"


class Edge(StrEnum):
    """How one model descends from another: by its weights, or by what it said."""

    INITIALISED_FROM = "initialised_from"
    TRAINED_ON_OUTPUTS_OF = "trained_on_outputs_of"


class EuMarket(Closed, frozen=True, kw_only=True):
    """Whether a model was on the Union market, and when that was checked."""

    value: bool
    as_of: Time


class Summary(Closed, frozen=True, kw_only=True):
    """A provider's public summary of training content; without `url` none was found when it was `checked`."""

    url: Url | UnsetType = UNSET
    checked: Time


class Ancestor(Closed, frozen=True, kw_only=True):
    """A model that a teacher descends from, as far as is known about others' models."""

    model: Ref
    edge: Edge
    basis: Basis


class Teacher(Closed, frozen=True, kw_only=True):
    """A model version reached on one path. `same_as_student` links a student of this registry that became a teacher."""

    party: Declared[Ref]
    model: Declared[Label]
    version: Declared[Label]
    pinned: Declared[bool]
    access_path: Declared[AccessPath]
    weights: Declared[Digest]
    endpoint: Declared[Url]
    base_family: Declared[Label]
    alignment: Declared[Alignment]
    active_parameters: Declared[Count]
    eu_market: Declared[EuMarket]
    summary: Declared[Summary]
    training_note: Declared[Digest]
    ancestry: Declared[Listed[Ancestor]]
    same_as_student: Ref | UnsetType = UNSET


class SourceCategory(StrEnum):
    """Where data comes from, as the official summary template divides it."""

    PUBLIC = "public"
    LICENSED = "licensed"
    PRIVATE = "private"
    CRAWL = "crawl"
    USER = "user"
    HUMAN = "human"
    SYNTHETIC = "synthetic"
    OTHER = "other"


class Collected(Closed, frozen=True, kw_only=True, rename={"from_": "from"}):
    """The period of collection; `live` says that it goes on."""

    from_: Time
    to: Time
    live: bool


class Size(Closed, frozen=True, kw_only=True):
    """An amount of one modality in the unit that its source states."""

    modality: Modality
    amount: Number
    unit: Label


class Crawler(Closed, frozen=True, kw_only=True):
    """A crawler and how it behaves; `domains` names the list of domains in the store."""

    name: Label
    purpose: Label
    behaviour: Label
    domains: Digest


class Content(Closed, frozen=True, kw_only=True):
    """What the content is: modalities, types (such as source code or fiction), languages, regions."""

    modalities: Listed[Modality]
    types: Listed[Label]
    languages: Listed[Language]
    regions: Listed[Label]


class Flag(Closed, frozen=True, kw_only=True):
    """A finding, what found it, and when."""

    value: bool
    tool: Label
    date: Time


class Flags(Closed, frozen=True, kw_only=True):
    """Findings about content: personal and consumer data, rights, illegal content, labels of AI output."""

    personal: Declared[Flag]
    consumer: Declared[Flag]
    copyright: Declared[Flag]
    trademark: Declared[Flag]
    patent: Declared[Flag]
    illegal: Declared[Flag]
    ai_label: Declared[Flag]


class Source(Closed, frozen=True, kw_only=True):
    """Where prompts or other data come from. `licence` names terms; `opt_out_measures` is a document in the store."""

    name: Label
    version: Declared[Label]
    url: Declared[Url]
    owner: Declared[Ref]
    category: SourceCategory
    licence: Declared[Ref]
    collected: Declared[Collected]
    acquired: Declared[Time]
    sizes: Declared[Listed[Size]]
    content: Declared[Content]
    crawler: Declared[Crawler]
    user_service: Declared[Label]
    opt_out_measures: Declared[Digest]
    flags: Declared[Flags]
