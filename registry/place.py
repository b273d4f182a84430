"""Where a registry is: what the verbs ask of it, the same in a folder of this machine and on a server.

A verb (import, pull, lineage …) builds statements, signs them here and hands them to a `Place`; whatever it must know
before, it asks the place. `places/folder.py` answers from the log and the catalogue, `places/server.py` asks the
HTTP API, which asks the server's folder. So each question stands once, and the API's routes are these methods.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol, TypeVar

from inbond.ledger.keyring import KeyState
from inbond.ledger.receipts import Receipt
from inbond.registry.impact import Impact
from inbond.registry.learners import Learners
from inbond.registry.lineage import Answer
from inbond.registry.objects import ObjectSink
from inbond.registry.shares import Shares
from inbond.registry.terms.answers import (
    Checked,
    Difference,
    Odrl,
    Published,
    Review,
    TermsEvaluation,
    TermsImpact,
    Timeline,
    Weighed,
)
from inbond.registry.tracing import Traced
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InbondError
from inbond.schemas.scalars import ObjectList
from inbond.schemas.statement import Statement
from inbond.schemas.statements import Extent, ReleasePlan, Seen, Shard

L = TypeVar("L")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A statement on record: the reference of what it made, and its place. `duplicate` says that it had been there before."""

    ref: str
    seq: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Thing:
    """Whatever a statement made. `name` is what people type, None where it has none; `entry` is its place in the log.

    `newest` is the newest statement about the thing, itself where nothing corrects it; the name is what it is called there.
    """

    ref: str
    kind: str
    entry: int
    owner: str
    name: str | None
    amends: str | None
    visibility: str
    newest: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment that a run was given: samples [first, last) of an epoch."""

    ref: str
    sequence: int
    epoch: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class RunState:
    """A run: its plan's digest and sources (dataset, split), the entry that closed it, its newest segment."""

    ref: str
    name: str
    student: str
    owner: str
    keyid: str
    plan: str
    sources: tuple[tuple[str, str], ...]
    closed: int | None
    outcome: str | None
    newest: Segment | None


@dataclass(frozen=True, slots=True)
class ImportedShard:
    """A shard of an import that is on record."""

    ref: str
    rows: int


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a list, oldest first, as of `tree_size`; `next` is what to ask for those that follow, None at the end.

    `names` gives what people call each reference in the items.
    """

    items: tuple[Any, ...]
    next: int | None
    tree_size: int
    names: dict[str, str] = field(default_factory=dict)


class TermsDesk(Protocol):
    """What is asked about terms. `at` is a time of use or of effect (now unless given), `size` what the log then knew.

    Nothing is recorded. Raises NotFound for what is not on record, InvalidInput for a time or size that is none.
    """

    def timeline(self, terms: str, at: str | None = None, size: int | None = None) -> Timeline:
        """The versions of a document, all or those in force at a time."""

    def difference(self, one: str, other: str, size: int | None = None) -> Difference:
        """What changed from one document to another: in the archived texts, and in what was read of them."""

    def odrl(self, terms: str, size: int | None = None) -> Odrl:
        """What is known of one version of a document, as an ODRL policy."""

    def impact(self, terms: str, since: int | None = None, at: str | None = None) -> TermsImpact:
        """Whose verdict the newest statement about a document changed, or all statements since the log had `since` entries."""

    def unread(self, days: int) -> Review:
        """The documents in force that nobody has read again for so many days."""

    def weigh(
        self, student: str, datasets: Sequence[str] | None = None, at: str | None = None, size: int | None = None
    ) -> Weighed:
        """What the engine alone says of a student and the rows of datasets, or of all that its runs were to read."""

    def evaluation(self, student: str, at: str | None = None, size: int | None = None) -> TermsEvaluation:
        """Each grant of a student: the verdict that it carries, and what the gate says now."""

    def release(self, student: str, actual: ReleasePlan, at: str) -> Checked:
        """What the gate says of a student that is released as `actual` has it."""

    def dataset(self, parts: ObjectList, at: str) -> Published:
        """What terms say of the parts of a dataset version, a list in the store, whoever learns from them."""


class Place(Protocol):
    """A registry, wherever it is. Raises what the errors tree has; NotFound for a reference that is not on record."""

    @property
    def address(self) -> str:
        """The folder's path, or the server's URL."""

    @property
    def origin(self) -> str:
        """The name of the registry's log."""

    @property
    def genesis(self) -> bytes:
        """The leaf hash of entry 0."""

    @property
    def operator(self) -> str:
        """The reference of the operator's party."""

    @property
    def policy_text(self) -> str:
        """The trust policy that a folder publishes, or that a server is held to."""

    @property
    def objects(self) -> ObjectSink:
        """Where bytes are put before a statement names them."""

    @property
    def terms(self) -> TermsDesk:
        """What is asked about terms."""

    def close(self) -> None:
        """Close the log, or the connection; nothing is asked any more."""

    # -- the log -----------------------------------------------------------------------------------------------------------

    def head(self) -> Seen:
        """The newest head: verified, and consistent with every head seen before."""

    def append(self, envelopes: Sequence[Envelope]) -> list[Recorded | InbondError]:
        """Put signed statements on record, in order; what is refused stands as its error in its place.

        What is answered as recorded has been checked: its entry holds the very envelope and stands under a trusted head.
        """

    def statement(self, ref: str) -> Statement:
        """The statement that made a thing, proved to be in the log and signed by keys of it."""

    def receipt(self, seq: int, size: int | None = None) -> Receipt:
        """The receipt of an entry under the head of `size`, with the cosignatures that it has by now.

        Unless a size is given, under the newest head that has the quorum of the registry's policy, where it covers the entry.
        It has the entry's bytes where the caller may see them. Heads are signed where a batch ended, so `size` is that of
        a head that was seen.
        """

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The RFC 6962 proof that the tree of size `old` is how that of `new` begins; whoever holds both roots verifies it."""

    def remarks(self) -> list[str]:
        """What must be said of the answers so far, such as that no witness has seen yet what they rest on."""

    def key(self, fingerprint: str) -> KeyState | None:
        """An enrolled key as of the newest head, None where there is none."""

    # -- things ------------------------------------------------------------------------------------------------------------

    def find(self, text: str, *kinds: str, size: int | None = None) -> str:
        """The reference that `text` names; see `names.resolve`."""

    def things(self, refs: Iterable[str]) -> dict[str, Thing]:
        """What is known of each reference that is on record."""

    def page(self, what: type[L], after: int = -1, limit: int = 100, **wanted: str) -> Page:
        """At most `limit` items of a class of `listing`, oldest first; `after` is `next` of the page before, `wanted` filters."""

    # -- bytes -------------------------------------------------------------------------------------------------------------

    def object(self, digest: str, of: str) -> bytes:
        """The bytes of an object that the statement `of` names, hashed before they are returned."""

    def lines(self, named: ObjectList, of: str) -> list[Any]:
        """The lines of a list that the statement `of` names; digest, root and count checked."""

    def shard_file(self, ref: str, body: Shard, under: str | None) -> tuple[BinaryIO, bytes]:
        """The shard's file, not verified yet, and its joined block hashes; `under` is the grant or delivery that permits it."""

    # -- what imports and pulls ask ----------------------------------------------------------------------------------------

    def imported(self, identity: str) -> dict[int, ImportedShard]:
        """The shards of an import that are on record, by ordinal."""

    def doubled(self, dataset: str, teacher: str, inputs: Sequence[str]) -> list[str]:
        """The shards in a dataset version that have records of any of these input digests and this teacher."""

    def run(self, run: str) -> RunState:
        """A run by reference."""

    def inputs(self, run: str) -> dict[str, int]:
        """How many distinct rows of each shard a run was given."""

    def check(self, student: str, datasets: Sequence[str], split: str | None = None) -> Checked:
        """What the gate says now of a student and the rows of datasets (of one split, or all); nothing is recorded."""

    def grant(self, request: Envelope) -> Recorded:
        """Have a request, signed by a run's key, evaluated and granted by the registry; PolicyDenied if the gate is shut."""

    def deliver(
        self,
        *,
        grant: str | None = None,
        object: str | None = None,
        recipient: str | None = None,
        extent: Extent | None = None,
    ) -> list[Recorded]:
        """Have deliveries put on record by the registry: of all that a grant for files covers, or of one object.

        Of an object leave whole shards, unless `extent` says that its rows do.
        """

    # -- questions ---------------------------------------------------------------------------------------------------------

    def lineage(self, ref: str, direction: str = "up", depth: int | None = None, size: int | None = None) -> Answer:
        """What a thing came from, or led to; see `lineage.walk`."""

    def shares(self, student: str, size: int | None = None) -> Shares:
        """Whose outputs a student was given, stage by stage, with shares and their denominators."""

    def learners(
        self, ref: str, *, since: str | None = None, until: str | None = None, clock: str = "consumed", size: int | None = None
    ) -> Learners:
        """The students that learned from a teacher, or from any of a party's, by one of several clocks."""

    def impact(self, ref: str, size: int | None = None) -> Impact:
        """Everybody and everything that a withdrawal of a shard, dataset or teacher, or a recall on record, reaches."""

    def trace(self, record: str, size: int | None = None) -> Traced:
        """Where a record lies and whom it reached: `shard:ID:ROW`, or a record id."""

    def report_model(self, student: str, template: str, options: Mapping[str, Any], size: int | None = None) -> bytes:
        """The report model (canonical JSON) of a student at a tree size; see `disclosure`."""
