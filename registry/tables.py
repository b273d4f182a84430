"""The catalogue's tables: a projection of the ledger, written in its transaction and made again by `inbond rebuild`.

Declarations only. `seq` is the entry that backs a row; no row exists without one. References are `<kind>:<header id>`.
"""

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel


def _entry() -> Column[int]:
    return Column(Integer, ForeignKey("entries.seq", deferrable=True, initially="DEFERRED"), nullable=False, index=True)


class ThingRow(SQLModel, table=True):
    """Whatever a statement makes: its reference, owner (the party that made it), the name people type, its digest."""

    __tablename__ = "things"

    ref: str = Field(primary_key=True)
    kind: str = Field(index=True)
    seq: int = Field(sa_column=_entry())
    owner: str
    name: str | None = Field(default=None, index=True)
    digest: str | None = Field(default=None, index=True)
    amends: str | None = Field(default=None, index=True)
    visibility: str
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class TeacherRow(SQLModel, table=True):
    """A teacher; columns are null where the fact is not known."""

    __tablename__ = "teachers"

    ref: str = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    party: str | None = Field(default=None, index=True)
    model: str | None = None
    version: str | None = None
    access_path: str | None = None
    same_as: str | None = Field(default=None, index=True)


class TermsRow(SQLModel, table=True):
    """A version of a document, and one row for each model pattern and access path that it applies to."""

    __tablename__ = "terms_scopes"

    ref: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    party: str = Field(index=True)
    models: str
    access_path: str


class FactRow(SQLModel, table=True):
    """A reading of one clause of a document; `modality` is null where the clause is not about one."""

    __tablename__ = "terms_facts"

    ref: str = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    terms: str = Field(index=True)
    clause: str
    scope: str
    modality: str | None = None
    permits: str
    grade: str


class AcceptanceRow(SQLModel, table=True):
    """That a party is bound by a document; times are null where they are not known."""

    __tablename__ = "acceptances"

    ref: str = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    terms: str = Field(index=True)
    party: str = Field(index=True)
    means: str
    accepted: str | None = None
    ended: str | None = None


class ShardRow(SQLModel, table=True):
    """A shard: what a reader needs to verify it, and what an import needs to go on.

    `tokens` is the sum of prompt and response, null where a part of it is not known; `tokenizer` null where none is named.
    """

    __tablename__ = "shards"
    __table_args__ = (UniqueConstraint("import_identity", "ordinal"),)

    ref: str = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    kind: str
    file: str = Field(index=True)
    size: int
    block_root: str
    record_root: str
    rows: int
    import_identity: str
    ordinal: int
    tokens: int | None = None
    tokenizer: str | None = None


class MakingRow(SQLModel, table=True):
    """How a shard's outputs came to be, as a statement about it says: `made` is what `terms.circumstances` writes."""

    __tablename__ = "shard_makings"

    ref: str = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    shard: str = Field(index=True)
    made: str


class InputRow(SQLModel, table=True):
    """A file that rows of a shard were imported from."""

    __tablename__ = "shard_inputs"

    shard: str = Field(primary_key=True)
    digest: str = Field(primary_key=True, index=True)
    seq: int = Field(sa_column=_entry())
    rows: int


class DatasetRow(SQLModel, table=True):
    """A dataset version."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("owner", "name", "version"),)

    ref: str = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    owner: str
    name: str
    version: str
    rows: int


class PartRow(SQLModel, table=True):
    """Rows [first, last) of a shard in a dataset version, in list order.

    `split` is null for log-probabilities, which stand after the text: a plan, which names a split, reads text.
    """

    __tablename__ = "dataset_parts"

    dataset: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    shard: str = Field(index=True)
    first: int
    last: int
    split: str | None = None


class RunRow(SQLModel, table=True):
    """A run: its student, the key that signs for it, and how it ended."""

    __tablename__ = "runs"
    __table_args__ = (UniqueConstraint("student", "name"),)

    ref: str = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    owner: str
    name: str
    student: str = Field(index=True)
    stage: str
    plan: str
    keyid: str = Field(index=True)
    public_key: str
    closed: int | None = None
    outcome: str | None = None


class SourceRow(SQLModel, table=True):
    """One source of a run's plan."""

    __tablename__ = "run_sources"

    run: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    dataset: str = Field(index=True)
    split: str
    weight: str


class GrantRow(SQLModel, table=True):
    """A right to read: recorded before bytes move, at the time `granted`."""

    __tablename__ = "grants"

    ref: str = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    run: str = Field(index=True)
    student: str
    request: str = Field(unique=True)
    mode: str
    verdict: str
    granted: str
    expires: str
    report_by: str


class ConsumptionRow(SQLModel, table=True):
    """A segment of samples that was delivered to a run."""

    __tablename__ = "consumptions"
    __table_args__ = (UniqueConstraint("run", "sequence"),)

    ref: str = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    run: str
    grant: str | None = None
    sequence: int
    epoch: int
    first: int
    last: int
    rows: int
    state: str


class ExposureRow(SQLModel, table=True):
    """Rows [first, last) of a shard that reached a run, and the statement that says so (a consumption or a delivery)."""

    __tablename__ = "exposures"
    __table_args__ = (Index("ix_exposures_run_shard", "run", "shard", "first", "last", "seq"),)  # all that is asked of a run

    by: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    run: str
    shard: str = Field(index=True)
    first: int
    last: int
    epoch: int | None = None


class DeliveryRow(SQLModel, table=True):
    """Bytes of a dataset version or shard that left, of whole `shards` or of `rows`; `grant` is null where no run asked."""

    __tablename__ = "deliveries"

    ref: str = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    object: str = Field(index=True)
    recipient: str | None = None
    channel: str
    grant: str | None = Field(default=None, index=True)
    extent: str


class ReleaseRow(SQLModel, table=True):
    """A release of a student's weights."""

    __tablename__ = "releases"

    ref: str = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    student: str = Field(index=True)
    weights: str
    released: str


class RecallRow(SQLModel, table=True):
    """Rows [first, last) of a shard that a statement withdraws from `effective` on; one row for each target range."""

    __tablename__ = "recalls"

    ref: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    shard: str = Field(index=True)
    first: int
    last: int
    category: str
    action: str
    effective: str = Field(index=True)


class ReportRow(SQLModel, table=True):
    """A report that was made, about which releases or student, and what it supersedes."""

    __tablename__ = "reports"

    ref: str = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    student: str | None = Field(default=None, index=True)
    template: str
    profile: str
    tree_size: int
    model: str = Field(index=True)
    supersedes: str | None = None


class DecisionRow(SQLModel, table=True):
    """A question to compliance, and the ruling, one row for each subject. `signers` are key ids with spaces between."""

    __tablename__ = "decisions"

    ref: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    phase: str
    ask: str | None = Field(default=None, index=True)
    question: str
    signers: str
    ruling: str | None = None
    starts: str = ""
    until: str | None = None


class EdgeRow(SQLModel, table=True):
    """A fact about two things, labelled: what lineage walks. `src` comes from, depends on or learned from `dst`."""

    __tablename__ = "edges"
    __table_args__ = (Index("ix_edges_dst", "dst", "relation", "src"),)

    src: str = Field(primary_key=True)
    dst: str = Field(primary_key=True)
    relation: str = Field(primary_key=True)
    seq: int = Field(sa_column=_entry())
    detail: str | None = None


_NAMES = (
    "things", "teachers", "terms_scopes", "terms_facts", "acceptances", "shards", "shard_makings", "shard_inputs",
    "datasets", "dataset_parts", "runs", "run_sources", "grants", "consumptions", "exposures", "deliveries", "releases",
    "recalls", "reports", "decisions", "edges",
)  # fmt: skip
(
    things, teachers, terms_scopes, terms_facts, acceptances, shards, shard_makings, shard_inputs, datasets, dataset_parts,
    runs, run_sources, grants, consumptions, exposures, deliveries, releases, recalls, reports, decisions, edges,
) = TABLES = [SQLModel.metadata.tables[name] for name in _NAMES]  # fmt: skip
