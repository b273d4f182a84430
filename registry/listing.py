"""What is on record, one line each: the items of `list` commands and of the API's collections; see `paging`.

Every item has its entry and its owner, the party that made it. Fields that name other things hold references; a page says
what people call them.
"""

from dataclasses import dataclass

MAX_PAGE = 1000
"""The most items of a page."""


@dataclass(frozen=True, slots=True)
class ListedParty:
    """A party; `teachers` counts those it provides."""

    ref: str
    name: str
    entry: int
    owner: str
    teachers: int


@dataclass(frozen=True, slots=True)
class ListedTeacher:
    """A teacher; `access_path` is None where it is not known, `terms` are the documents that apply to it.

    `records` is None where the shards are so many that a list does not add them up.
    """

    ref: str
    name: str
    entry: int
    owner: str
    party: str | None
    access_path: str | None
    same_as: str | None
    shards: int
    records: int | None
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListedTerms:
    """A document of terms with the models and paths that it applies to, in force from `starts` until `ends` (None: open).

    Where a version states no end, the beginning of the next one on record is it.
    """

    ref: str
    name: str
    entry: int
    owner: str
    party: str
    models: tuple[str, ...]
    access_paths: tuple[str, ...]
    starts: str
    ends: str | None


@dataclass(frozen=True, slots=True)
class ListedFact:
    """A reading of one clause of a document, as its newest statement has it; `grade` says how it was read."""

    ref: str
    entry: int
    owner: str
    terms: str
    clause: str
    scope: str
    permits: str
    grade: str


@dataclass(frozen=True, slots=True)
class ListedAcceptance:
    """That a party is bound by a document; times are None where they are not known."""

    ref: str
    entry: int
    owner: str
    terms: str
    party: str
    means: str
    accepted: str | None
    ended: str | None


@dataclass(frozen=True, slots=True)
class ListedDataset:
    """A dataset version. `teachers` are those of its parts: where there are many, of the first, and `all_teachers` is false."""

    ref: str
    name: str
    version: str
    entry: int
    owner: str
    records: int
    shards: int
    teachers: tuple[str, ...]
    all_teachers: bool


@dataclass(frozen=True, slots=True)
class ListedShard:
    """A shard: its place in its import, its file, and the models that had a hand in it."""

    ref: str
    entry: int
    owner: str
    kind: str
    records: int
    size: int
    file: str
    import_identity: str
    ordinal: int
    teachers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListedStudent:
    """A student; `releases` counts releases of its weights."""

    ref: str
    name: str
    entry: int
    owner: str
    runs: int
    releases: int


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run; `outcome` is None while it is open. `samples` counts what segments delivered, repeats in later epochs too.

    `delivered` says that whole datasets were delivered to it, beside segments or without any.
    """

    ref: str
    name: str
    entry: int
    owner: str
    student: str
    stage: str
    datasets: tuple[str, ...]
    segments: int
    samples: int
    outcome: str | None
    delivered: bool


@dataclass(frozen=True, slots=True)
class ListedGrant:
    """A right to read, given to a run until `expires`."""

    ref: str
    entry: int
    owner: str
    run: str
    student: str
    mode: str
    verdict: str
    expires: str
    report_by: str


@dataclass(frozen=True, slots=True)
class ListedConsumption:
    """A segment that a run was given: samples [first, last) of an epoch; `grant` is None where it came out of band."""

    ref: str
    entry: int
    owner: str
    run: str
    grant: str | None
    sequence: int
    epoch: int
    first: int
    last: int
    rows: int
    state: str


@dataclass(frozen=True, slots=True)
class ListedDelivery:
    """Bytes of a dataset version or shard that left; `recipient` is None where it is not known."""

    ref: str
    entry: int
    owner: str
    object: str
    recipient: str | None
    channel: str
    grant: str | None


@dataclass(frozen=True, slots=True)
class ListedRelease:
    """A release of a student's weights."""

    ref: str
    entry: int
    owner: str
    student: str
    weights: str
    released: str


@dataclass(frozen=True, slots=True)
class ListedRecall:
    """A withdrawal of rows of shards from `effective` on."""

    ref: str
    entry: int
    owner: str
    category: str
    action: str
    effective: str
    shards: int
    rows: int


@dataclass(frozen=True, slots=True)
class ListedDecision:
    """A question to compliance about `subjects`, with its newest ruling; `ruling` is None while nobody has ruled."""

    ref: str
    entry: int
    owner: str
    question: str
    subjects: tuple[str, ...]
    ruling: str | None
    ruled_by: str | None
    until: str | None


@dataclass(frozen=True, slots=True)
class ListedSource:
    """A source of prompts."""

    ref: str
    name: str
    entry: int
    owner: str
    category: str


@dataclass(frozen=True, slots=True)
class ListedReport:
    """A report that was made, as of `tree_size`; `supersedes` is the one that it replaces."""

    ref: str
    entry: int
    owner: str
    student: str | None
    template: str
    profile: str
    tree_size: int
    model: str
    supersedes: str | None


@dataclass(frozen=True, slots=True)
class ListedOperator:
    """What the operator says of itself, once or anew."""

    ref: str
    entry: int
    owner: str
    party: str


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key of this log. `entry` enrolled it, `revoked` ended it; `entries` are all that are about it.

    `file` is where its private half lies on this machine, None when it is not at hand or nobody has looked.
    """

    fingerprint: str
    public_key: str
    roles: tuple[str, ...]
    party: str
    entry: int
    entries: tuple[int, ...]
    revoked: int | None
    not_after: str | None
    suspect_from: int | None
    file: str | None = None
