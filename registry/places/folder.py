"""A registry in a folder of this machine: every question answered from its log, its catalogue and its store.

What the HTTP API answers, it asks here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any, BinaryIO, Self, TypeVar

import msgspec
from sqlalchemy import select

from inbond.ledger import audit, dsse
from inbond.ledger.checkpoints import LogSigner
from inbond.ledger.keyring import KeyState
from inbond.ledger.log import Log
from inbond.ledger.policy import TrustPolicy
from inbond.ledger.publishing import PublishedHeads
from inbond.ledger.reader import LedgerReader
from inbond.ledger.receipts import Receipt
from inbond.ledger.witnessed import Witnessed
from inbond.registry import granting, learners, lineage, names, paging, shares, tracing
from inbond.registry import impact as impacts
from inbond.registry import tables as t
from inbond.registry.current import newest_of
from inbond.registry.given import chunks, rows_in
from inbond.registry.home import CONFIG, POLICY, Home
from inbond.registry.impact import Impact
from inbond.registry.keychain import Keychain
from inbond.registry.learners import Learners
from inbond.registry.lineage import Answer
from inbond.registry.mentions import digests
from inbond.registry.objects import bare
from inbond.registry.place import ImportedShard, Page, Recorded, RunState, Segment, Thing
from inbond.registry.places.folder_terms import FolderTerms
from inbond.registry.reading import statement_of
from inbond.registry.rules import RegistryRules
from inbond.registry.shares import Shares
from inbond.registry.signers import SignerRules
from inbond.registry.terms import asking
from inbond.registry.terms.answers import Checked
from inbond.registry.times import now
from inbond.registry.tracing import Traced
from inbond.registry.training.layout import Span
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InbondError, InvalidInput, NotFound, NotPermitted, StoreError, VerificationError
from inbond.schemas.scalars import ObjectList
from inbond.schemas.statement import Statement
from inbond.schemas.statements import Extent, Seen, Shard

L = TypeVar("L")


class FolderPlace:
    """The folder that `home` names, its log open. `keys` are the keys in it: the log's and the registry's among them.

    May be used from several threads. Without the log's key it can be read only.
    """

    def __init__(self, home: Home, *, accept_clock: bool = False) -> None:
        self.home, self.folder = home, home.folder
        self.address = str(home.folder)
        self.origin, self.genesis, self.operator = home.origin, home.genesis, home.operator
        self.keys = Keychain(home.folder / "keys")
        self.store = self.objects = home.store()
        self.rules = RegistryRules(self.store)
        self.terms = FolderTerms(self)
        self.log = Log(home.folder, self.rules, self._log_key(), accept_clock=accept_clock, genesis=home.genesis)
        if home.origin != self.log.origin:
            self.log.close()
            raise VerificationError(f"{home.folder / CONFIG}: expected origin {self.log.origin}, found {home.origin}")

    def _log_key(self) -> list[LogSigner] | InbondError | None:
        """The log's keys; the error where a file of them may not be read: who reads only needs none."""
        try:
            return self.keys.log_keys() or None
        except (NotPermitted, StoreError) as error:
            return error

    @property
    def policy_text(self) -> str:
        """The trust policy that this registry publishes for outsiders."""
        return (self.folder / POLICY).read_text()

    @cached_property
    def published(self) -> PublishedHeads:
        """The checkpoints as outsiders get them. Raises InvalidInput, which names the file, for a policy that cannot be read."""
        try:
            policy = TrustPolicy.parse(self.policy_text)
        except (InbondError, OSError, UnicodeDecodeError) as error:
            why = error.message if isinstance(error, InbondError) else str(error)
            raise InvalidInput(
                f"{self.folder / POLICY}: expected the registry's trust policy (tlog-policy), found: {why}"
            ) from None
        return PublishedHeads(Witnessed(self.folder), policy)

    @contextmanager
    def reading(self) -> Iterator[LedgerReader]:
        """One snapshot of the log and the catalogue."""
        with self.log.reading() as reader:
            yield reader

    @contextmanager
    def reading_at(self, size: int | None) -> Iterator[LedgerReader]:
        """One snapshot, of which `size` is a size."""
        with self.reading() as reader:
            if size is not None and not 0 < size <= reader.size:
                raise InvalidInput(f"as of: expected a size from 1 to {reader.size}, found {size}")
            yield reader

    def audit(
        self, progress: audit.Progress | None = None, options: audit.Options | None = None, *, catalogue: bool = True
    ) -> audit.AuditReport:
        """Replay the whole log and compare everything that was stored; without `catalogue` what was stored of the log."""
        rules = RegistryRules(self.store) if catalogue else SignerRules()
        try:
            policy = TrustPolicy.parse(self.policy_text)
        except InbondError as error:
            raise VerificationError(f"{self.folder / POLICY}: expected a trust policy, found: {error.message}") from None
        options = replace(options or audit.Options(), policy=policy)
        report = audit.audit_log(self.log, rules, progress, options)
        if not catalogue:
            report.notes.append("the catalogue was left out, and so were the rules that need the registry's objects")
        return report

    def close(self) -> None:
        """Close the log."""
        if "published" in self.__dict__:
            self.published.close()
        self.log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the log -----------------------------------------------------------------------------------------------------------

    def head(self) -> Seen:
        """The newest head."""
        with self.reading() as reader:
            return Seen(size=reader.size, root=f"sha256:{reader.root.hex()}")

    def append(self, envelopes: Sequence[Envelope]) -> list[Recorded | InbondError]:
        """Put signed statements on record, in order; what is refused stands as its error in its place."""
        return [
            result if isinstance(result, InbondError) else Recorded(_ref_in(envelope), result.seq, result.duplicate)
            for envelope, result in zip(envelopes, self.log.append(envelopes), strict=True)
        ]

    def statement(self, ref: str) -> Statement:
        """The statement that made a thing, its entry and signatures checked; see `reading.statement_of`."""
        with self.reading() as reader:
            return statement_of(self.log, reader, ref)

    def receipt(self, seq: int, size: int | None = None) -> Receipt:
        """The receipt of an entry with its bytes, under the head of `size`, or the one that is shown; see `PublishedHeads`."""
        with self.reading() as reader:
            return self.published.receipt(reader, seq, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of size `old` is how that of `new` begins."""
        with self.reading() as reader:
            return reader.consistency(old, new)

    def remarks(self) -> list[str]:
        """None: whoever has the folder needs no witness."""
        return []

    def key(self, fingerprint: str) -> KeyState | None:
        """An enrolled key as of the newest head, None where there is none."""
        with self.reading() as reader:
            return self.log.keyring_at(reader).keys.get(fingerprint)

    # -- things ------------------------------------------------------------------------------------------------------------

    def find(self, text: str, *kinds: str, size: int | None = None) -> str:
        """The reference that `text` names; see `names.resolve`."""
        with self.reading_at(size) as reader:
            return names.resolve(reader.connection, text, *kinds, size=size)

    def things(self, refs: Iterable[str]) -> dict[str, Thing]:
        """What is known of each reference that is on record, in the order of `refs`."""
        wanted = list(dict.fromkeys(refs))
        c = t.things.c
        columns = (c.ref, c.kind, c.seq, c.owner, c.name, c.amends, c.visibility)
        found: dict[str, Thing] = {}
        with self.reading() as reader:
            newest, called = newest_of(reader.connection, wanted), names.names_of(reader.connection, wanted)
            for chunk in chunks(wanted):
                for row in reader.connection.execute(select(*columns).where(c.ref.in_(chunk))):
                    name = row.name if called[row.ref] == row.ref else called[row.ref]
                    found[row.ref] = Thing(*row[:4], name, row.amends, row.visibility, newest[row.ref])
        return {ref: found[ref] for ref in wanted if ref in found}

    def page(self, what: type[L], after: int = -1, limit: int = 100, **wanted: str) -> Page:
        """Items of one of the classes of `listing`; see `paging.page`."""
        with self.reading() as reader:
            return paging.page(reader, self.log.keyring_at(reader), what, after, limit, wanted)

    # -- bytes -------------------------------------------------------------------------------------------------------------

    def object(self, digest: str, of: str) -> bytes:
        """The bytes of an object that the statement `of` names, hashed before they are returned."""
        self._expect_named(digest, of)
        return self.store.get(digest)

    def lines(self, named: ObjectList, of: str) -> list[Any]:
        """The lines of a list that the statement `of` names; digest, root and count checked."""
        self._expect_named(named.digest, of)
        return self.store.read_lines(named.digest, named.root, int(named.count))

    def shard_file(self, ref: str, body: Shard, under: str | None) -> tuple[BinaryIO, bytes]:
        """The shard's file, not verified yet, and its joined block hashes; here nobody has to be asked."""
        joined = self.store.get_blocks(body.file, int(body.size))
        return self.store.open(body.file), joined

    def _expect_named(self, digest: str, of: str) -> None:
        found = self.statement(of)
        if f"sha256:{bare(digest)}" not in digests((found.body, found.header)):
            raise NotFound(f"{of} names no object {digest}")

    # -- what imports and pulls ask ----------------------------------------------------------------------------------------

    def imported(self, identity: str) -> dict[int, ImportedShard]:
        """The shards of an import that are on record, by ordinal."""
        s = t.shards.c
        with self.reading() as reader:
            rows = reader.connection.execute(select(s.ordinal, s.ref, s.rows).where(s.import_identity == identity))
            return {row.ordinal: ImportedShard(row.ref, row.rows) for row in rows}

    def doubled(self, dataset: str, teacher: str, inputs: Sequence[str]) -> list[str]:
        """The shards in a dataset version that have records of any of these input digests and this teacher."""
        i, e, p = t.shard_inputs.c, t.edges.c, t.dataset_parts.c
        found: set[str] = set()
        with self.reading() as reader:
            for chunk in chunks(list(inputs)):
                held = select(p.shard).where(p.shard == i.shard, p.dataset == dataset).exists()
                query = (
                    select(i.shard)
                    .join(t.edges, e.src == i.shard)
                    .where(i.digest.in_(chunk), i.rows > 0, e.dst == teacher, e.relation.like("model:%"), held)
                )
                found.update(reader.connection.execute(query.distinct()).scalars())
        return sorted(found)

    def run(self, run: str) -> RunState:
        """A run by reference: that of the statement that opened it."""
        c, s = t.consumptions.c, t.run_sources.c
        with self.reading() as reader:
            connection = reader.connection
            row = connection.execute(select(t.runs).where(t.runs.c.ref == run)).one_or_none()
            if row is None:
                raise NotFound(f"{run} is not the statement that opened a run", hint="inbond run list")
            sources = connection.execute(select(s.dataset, s.split).where(s.run == run).order_by(s.position))
            newest = connection.execute(select(t.consumptions).where(c.run == run).order_by(c.sequence.desc()).limit(1)).first()
            return RunState(
                ref=row.ref,
                name=row.name,
                student=row.student,
                owner=row.owner,
                keyid=row.keyid,
                plan=row.plan,
                sources=tuple((source.dataset, source.split) for source in sources),
                closed=row.closed,
                outcome=row.outcome,
                newest=None if newest is None else Segment(newest.ref, newest.sequence, newest.epoch, newest.first, newest.last),
            )

    def inputs(self, run: str) -> dict[str, int]:
        """How many distinct rows of each shard a run was given."""
        e = t.exposures.c
        read: dict[str, list[tuple[int, int]]] = {}
        with self.reading() as reader:
            names.resolve(reader.connection, run, "run")
            for item in reader.connection.execute(select(e.shard, e.first, e.last).where(e.run == run)):
                read.setdefault(item.shard, []).append((item.first, item.last))
        return {shard: rows_in(ranges) for shard, ranges in sorted(read.items())}

    def check(self, student: str, datasets: Sequence[str], split: str | None = None) -> Checked:
        """What the gate says now of a student and the rows of datasets (of one split, or all); nothing is recorded."""
        p = t.dataset_parts.c
        with self.reading() as reader:
            connection = reader.connection
            who = names.resolve(connection, student, "student")
            refs = [names.resolve(connection, dataset, "dataset") for dataset in datasets]
            query = select(p.shard, p.first, p.last).where(p.dataset.in_(refs))
            if split is not None:
                query = query.where(p.split == split)
            return asking.checked(reader, who, [Span(*row) for row in connection.execute(query.distinct())], now())

    def grant(self, request: Envelope) -> Recorded:
        """Have a request evaluated, and its grant put on record; see `granting.grant`."""
        return granting.grant(self, request)

    def deliver(
        self,
        *,
        grant: str | None = None,
        object: str | None = None,
        recipient: str | None = None,
        extent: Extent | None = None,
    ) -> list[Recorded]:
        """Put deliveries on record: of all that a grant for files covers, or of one object."""
        if grant is not None and object is None and recipient is None and extent is None:
            return granting.deliver_to_run(self, grant)
        if object is not None and grant is None:
            return [granting.deliver_object(self, object, recipient, extent)]
        raise InvalidInput("deliver: expected either a grant, or an object with its recipient and extent, found neither or both")

    # -- questions ---------------------------------------------------------------------------------------------------------

    def lineage(self, ref: str, direction: str = "up", depth: int | None = None, size: int | None = None) -> Answer:
        """What a thing came from, or led to; see `lineage.walk`."""
        with self.reading_at(size) as reader:
            return lineage.walk(reader, names.resolve(reader.connection, ref, size=size), direction, depth, size)

    def shares(self, student: str, size: int | None = None) -> Shares:
        """Whose outputs a student was given; see `shares.shares_of`."""
        with self.reading_at(size) as reader:
            return shares.shares_of(reader, names.resolve(reader.connection, student, "student", size=size), size)

    def learners(
        self, ref: str, *, since: str | None = None, until: str | None = None, clock: str = "consumed", size: int | None = None
    ) -> Learners:
        """The students that learned from a teacher, or from any of a party's; see `learners.learners_of`."""
        with self.reading_at(size) as reader:
            start = names.resolve(reader.connection, ref, "teacher", "party", size=size)
            return learners.learners_of(reader, start, since=since, until=until, clock=clock, size=size)

    def impact(self, ref: str, size: int | None = None) -> Impact:
        """Whom and what a withdrawal reaches; see `impact.impact_of`."""
        with self.reading_at(size) as reader:
            start = names.resolve(reader.connection, ref, "shard", "dataset", "teacher", "recall", size=size)
            return impacts.impact_of(reader, start, size)

    def trace(self, record: str, size: int | None = None) -> Traced:
        """Where a record lies and whom it reached; see `tracing.trace`."""
        with self.reading_at(size) as reader:
            return tracing.trace(reader, self.store, record, size, lambda ref: statement_of(self.log, reader, ref))

    def report_model(self, student: str, template: str, options: Mapping[str, Any], size: int | None = None) -> bytes:
        """The report model (canonical JSON) of a student at a tree size; see `disclosure`."""
        from inbond.registry.disclosure.model import report_model

        with self.reading_at(size) as reader:
            who = names.resolve(reader.connection, student, "student", size=size)
            return report_model(reader, self.store, who, template, options, size)


class _NamedHeader(msgspec.Struct):
    id: str


class _NamedPredicate(msgspec.Struct):
    header: _NamedHeader


class _Named(msgspec.Struct, rename="camel"):
    """As much of a statement that was admitted as its reference needs."""

    predicate: _NamedPredicate
    predicate_type: str


def _ref_in(envelope: Envelope) -> str:
    """The reference of what an admitted statement made."""
    found = msgspec.json.decode(dsse.payload_of(envelope), type=_Named)
    return f"{found.predicate_type.split(':')[2]}:{found.predicate.header.id}"
