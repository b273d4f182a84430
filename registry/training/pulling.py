"""A pull: verified records for a run, as an ordinary iterator, each segment on record before its first sample is yielded."""

from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from typing import Any

import pyarrow as pa
from msgspec import UNSET, UnsetType

from inbond.registry.opened import OpenRegistry
from inbond.registry.reading import open_shard
from inbond.registry.recorder import Said
from inbond.registry.shards.picking import gathered
from inbond.registry.shards.reader import ShardReader
from inbond.registry.shards.records import Record
from inbond.registry.training import runs
from inbond.registry.training.layout import Span
from inbond.registry.training.runs import OpenRun
from inbond.schemas.columns import TEXT_SCHEMA
from inbond.schemas.declared import unknown
from inbond.schemas.errors import InvalidInput
from inbond.schemas.statements import Basis, Consume, ConsumedColumns, ConsumeState, GrantMode

SEGMENT = 4096


def pull(
    registry: OpenRegistry,
    datasets: Sequence[str],
    *,
    student: str,
    run: str,
    epochs: int = 1,
    segment: int = SEGMENT,
    columns: Sequence[str] | None = None,
    **options: Any,
) -> "Pull":
    """Open or continue the run, get a grant, and return what iterates over its samples; see `Pull`.

    `segment` is how many samples one entry covers; `options` go to `runs.open_run`. Raises PolicyDenied, with the commands
    that would settle it, when the gate is shut.
    """
    if not datasets or epochs < 1 or segment < 1:
        raise InvalidInput("pull: expected at least one dataset, one epoch and one sample a segment")
    wanted = tuple(columns) if columns else tuple(TEXT_SCHEMA.names)
    if strange := sorted(set(wanted) - set(TEXT_SCHEMA.names)):
        raise InvalidInput(f"pull: expected columns among {', '.join(TEXT_SCHEMA.names)}, found {', '.join(strange)}")
    opened = runs.open_run(registry, datasets, student=student, name=run, **options)
    granted = runs.grant(registry, opened, GrantMode.STREAM, wanted)
    return Pull(registry, opened, granted.ref, epochs, segment, wanted)


class Pull:
    """The samples of a run from where its last segment ended, up to `epochs` in all.

    Iterating gives `Record`s; `tables()` gives pyarrow tables of the granted columns, one or more a segment. A segment is
    an entry in the ledger before its first sample is handed out, so after a crash the ledger may say more than was read,
    never less. A segment that was cut short is handed out again, under an entry of its own: no sample is lost, some of
    one segment may come twice. Every byte is verified before it is parsed.
    """

    def __init__(
        self, registry: OpenRegistry, run: OpenRun, grant: str, epochs: int, segment: int, columns: tuple[str, ...]
    ) -> None:
        self.run, self.grant, self.columns = run, grant, columns
        self._registry, self._epochs, self._segment = registry, epochs, segment
        self._readers: dict[str, ShardReader] = {}
        self._cursors = registry.cursors

    def __iter__(self) -> Iterator[Record]:
        for records in self.segments():
            yield from records

    def __len__(self) -> int:
        """The number of samples in an epoch."""
        return self.run.layout.length

    def segments(self) -> Iterator[Iterator[Record]]:
        """The records segment by segment: one that was not followed by another step counts as not handed out."""
        if missing := sorted(set(Record.__struct_fields__) - set(self.columns)):
            raise InvalidInput(
                f"a record holds all columns: expected all of them granted, found none for {', '.join(missing)}",
                hint="use tables() to read some columns",
            )
        for spans in self._segments():
            yield chain.from_iterable(self._reader(shard).records(rows) for shard, rows in _by_shard(spans))

    def tables(self) -> Iterator[pa.Table]:
        """Tables of the granted columns, in order."""
        for spans in self._segments():
            for shard, rows in _by_shard(spans):
                yield from gathered(self._reader(shard), self.columns, rows)

    def _segments(self) -> Iterator[list[Span]]:
        length = self.run.layout.length
        epoch, first, sequence, previous = self._position()
        try:
            while epoch < self._epochs:
                if first >= length:
                    epoch, first = epoch + 1, 0
                    continue
                last = min(length, first + self._segment)
                previous = self._record(sequence, previous, epoch, first, last)
                yield list(self.run.layout.between(first, last))
                self._cursors.mark(self.run.ref, sequence)
                sequence, first = sequence + 1, last
        finally:
            for reader in self._readers.values():
                reader.close()
            self._readers.clear()

    def _position(self) -> tuple[int, int, int, str | None]:
        """(epoch, next sample, next sequence, newest segment): after the newest segment, or at it if it was cut short."""
        newest = self._registry.place.run(self.run.ref).newest
        if newest is None:
            return 0, 0, 0, None
        whole = self._cursors.read_to(self.run.ref) >= newest.sequence
        return newest.epoch, newest.last if whole else newest.first, newest.sequence + 1, newest.ref

    def _record(self, sequence: int, previous: str | None, epoch: int, first: int, last: int) -> str:
        before: str | UnsetType = UNSET if previous is None else previous
        body = Consume(
            grant=self.grant,
            run=self.run.ref,
            sequence=sequence,
            previous=before,
            epoch=epoch,
            first=first,
            last=last,
            columns=ConsumedColumns.TEXT,
            rows=last - first,
            tokens=unknown(),
            loss_tokens=unknown(),
            dropped=0,
            state=ConsumeState.DELIVERED,
        )
        said = Said("consume", body, [self.run.key], basis=Basis.OBSERVED, party=self.run.owner)
        return self._registry.recorder.record(said).ref

    def _reader(self, shard: str) -> ShardReader:
        if shard not in self._readers:
            for reader in self._readers.values():
                reader.close()
            self._readers = {shard: open_shard(self._registry.place, shard, self.grant)}
        return self._readers[shard]


def _by_shard(spans: Sequence[Span]) -> Iterator[tuple[str, list[range]]]:
    """Successive spans of one shard at once: a derived version has many short ones."""
    for shard, some in groupby(spans, key=lambda span: span.shard):
        yield shard, [range(span.first, span.last) for span in some]
