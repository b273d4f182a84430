"""What is asked of a registry in a folder, by imports and pulls on their way and by people: nothing is recorded.

Each answer is of one snapshot of the log and the catalogue.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select

from inbond.ledger.log import Log
from inbond.ledger.reader import LedgerReader
from inbond.registry import impact as impacts
from inbond.registry import learners, lineage, names, shares, tracing
from inbond.registry import tables as t
from inbond.registry.given import chunks, rows_in
from inbond.registry.impact import Impact
from inbond.registry.learners import Learners
from inbond.registry.lineage import Answer
from inbond.registry.objects import ObjectStore
from inbond.registry.place import ImportedShard, RunState, Segment
from inbond.registry.reading import statement_of
from inbond.registry.shares import Shares
from inbond.registry.terms import asking
from inbond.registry.terms.answers import Checked
from inbond.registry.times import now
from inbond.registry.tracing import Traced
from inbond.registry.training.layout import Span
from inbond.schemas.errors import InvalidInput, NotFound


class FolderAnswers:
    """The questions of a `Place`, answered from `log`, its catalogue and `store`."""

    log: Log
    store: ObjectStore

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
