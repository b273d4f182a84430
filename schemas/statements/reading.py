"""Reading: grants, what was consumed under them, and deliveries on any other way."""

from enum import StrEnum

from msgspec import UNSET, UnsetType

from inbond.schemas.declared import Declared
from inbond.schemas.entry import Envelope
from inbond.schemas.scalars import (
    Closed,
    Count,
    Digest,
    HexId,
    Label,
    Listed,
    ObjectList,
    Origin,
    Ref,
    Some,
    Time,
    Token,
)
from inbond.schemas.statements.policy import Evaluated, Policy, Verdict

REQUEST_TYPE = "application/vnd.inbond.request+json"
"""The DSSE payload type of a `GrantRequest`."""


class GrantMode(StrEnum):
    """Whether a grant is for a stream into a run, for files of whole shards, or for files that hold the plan's rows alone."""

    STREAM = "stream"
    EXPORT = "export"
    ROWS = "rows"


class ConsumedColumns(StrEnum):
    """What of each record a run was given."""

    TEXT = "text"
    LOGITS = "logits"
    BOTH = "both"


class ConsumeState(StrEnum):
    """What a segment rests on: delivery, a checkpoint, a spool sent afterwards, a later record, a party's word."""

    DELIVERED = "delivered"
    COMMITTED = "committed"
    SPOOLED = "spooled"
    RETROSPECTIVE = "retrospective"
    CLAIMED = "claimed"


class Channel(StrEnum):
    """How bytes left other than through a run's grant."""

    EXPORT = "export"
    PUSH = "push"
    DOWNLOAD = "download"
    HUB = "hub"
    OTHER = "other"


class Extent(StrEnum):
    """What of the shards behind it a delivery gives: all of them, or the rows that the dataset version names."""

    SHARDS = "shards"
    ROWS = "rows"


class GrantRequest(Closed, frozen=True, kw_only=True):
    """What a run key signs to be granted reading, in an envelope of type `REQUEST_TYPE`; `id` serves once."""

    registry: Origin
    id: HexId
    run: Ref
    columns: Some[Token]
    mode: GrantMode
    parts: ObjectList


class Grant(Closed, frozen=True, kw_only=True):
    """The right to read, on record before bytes move.

    `request` is an envelope over a `GrantRequest`; `plan` is the digest of the run's plan; `parts` holds `PartLine`s.
    Without closing totals by `report_by` everything granted counts as the upper bound of what was read.
    """

    request: Envelope
    student: Ref
    run: Ref
    plan: Digest
    parts: ObjectList
    columns: Some[Token]
    mode: GrantMode
    principal: Ref
    evaluated: Evaluated
    verdict: Verdict
    reasons: ObjectList
    obligations: ObjectList
    decisions: Listed[Ref]
    expires: Time
    report_by: Time


class Consume(Closed, frozen=True, kw_only=True):
    """A segment of samples, [first, last) in the order of its epoch; without `grant` it came out of band.

    `previous` is the run's segment before. Token counts may be unknown: text has none until someone tokenizes it.
    """

    grant: Ref | UnsetType = UNSET
    run: Ref
    sequence: Count
    previous: Ref | UnsetType = UNSET
    epoch: Count
    first: Count
    last: Count
    columns: ConsumedColumns
    rows: Count
    tokens: Declared[Count]
    loss_tokens: Declared[Count]
    dropped: Count
    state: ConsumeState
    checkpoint: Digest | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"expected last of at least first ({self.first}), found {self.last}")


class Delivery(Closed, frozen=True, kw_only=True):
    """Bytes of `object` left on another way than a run's stream: whole shards, unless `extent` says otherwise.

    Under a grant, rows are those of its plan.
    """

    policy: Declared[Policy]
    object: Ref
    recipient: Declared[Ref]
    channel: Channel
    purpose: Declared[Label]
    grant: Ref | UnsetType = UNSET
    extent: Extent | UnsetType = UNSET
