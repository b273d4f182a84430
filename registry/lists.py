"""Lists that statements name by digest, read from the store; and what a plan's sources amount to."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import UnsetType
from sqlalchemy import Connection, select

from inbond.registry import tables as t
from inbond.registry.objects import ObjectStore
from inbond.registry.terms.standing import Standing
from inbond.registry.training.layout import Layout, Span, merged
from inbond.registry.withdrawn import Part
from inbond.schemas import canonical
from inbond.schemas.errors import InvalidInput
from inbond.schemas.scalars import Closed, ObjectList, Ref
from inbond.schemas.statements import Delivery, DerivedLine, Extent, GrantMode, InputLine, PartLine, TargetLine

_PLANS_KEPT = 32


class Lists:
    """The store as admission and projection see it. Lists are immutable, so the newest few are kept.

    `standing` keeps what the gate said of grants.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.standing = Standing()
        self._plans: dict[str, Layout] = {}
        self._read = lru_cache(maxsize=64)(self._read_parts)

    def parts(self, named: ObjectList) -> tuple[PartLine, ...]:
        """The parts of a dataset version or grant, verified."""
        return self._read(named)

    def inputs(self, named: ObjectList) -> tuple[InputLine, ...]:
        """The files that a shard was imported from, verified."""
        lines = self._store.read_lines(named.digest, named.root, int(named.count))
        return tuple(canonical.convert(line, InputLine, what=f"inputs {named.digest}") for line in lines)

    def derived(self, named: ObjectList) -> tuple[DerivedLine, ...]:
        """The shards that a shard was made from, verified."""
        lines = self._store.read_lines(named.digest, named.root, int(named.count))
        return tuple(canonical.convert(line, DerivedLine, what=f"derived_from {named.digest}") for line in lines)

    def targets(self, named: ObjectList) -> tuple[TargetLine, ...]:
        """What a recall is about, verified."""
        lines = self._store.read_lines(named.digest, named.root, int(named.count))
        return tuple(canonical.convert(line, TargetLine, what=f"targets {named.digest}") for line in lines)

    def lines(self, named: ObjectList) -> list[Any]:
        """The lines of a list, verified."""
        return self._store.read_lines(named.digest, named.root, int(named.count))

    def options(self, digest: str) -> "ReportOptions":
        """What a report was asked for, verified."""
        return canonical.decode(self._store.get(digest), ReportOptions, what=f"report options {digest}")

    def report(self, digest: str) -> "ReportHead":
        """The head of a report model, verified; the rest of it is looked at by whoever verifies the report."""
        data = self._store.get(digest)
        canonical.decode(data, what=f"report model {digest}")
        return canonical.convert(msgspec.json.decode(data), ReportHead, what=f"report model {digest}")

    def expect(self, digest: str, kind: str) -> None:
        """Raise InvalidInput unless an object is in the store: a statement never names bytes that are not there."""
        if not self._store.has(digest):
            raise InvalidInput(f"{kind} statement: expected object {digest} in the store, found none", hint="store it first")

    def expect_size(self, digest: str, size: int) -> None:
        """Raise InvalidInput unless the object has `size` bytes."""
        found = self._store.size(digest)
        if found != size:
            raise InvalidInput(f"object {digest}: expected {size} bytes as the statement says, found {found}")

    def layout(self, connection: Connection, run: str) -> Layout:
        """One epoch of a run that is on record; it never changes, so the newest few are kept."""
        found = self._plans.get(run)
        if found is None:
            found = self._plans[run] = layout_of(connection, sources_of(connection, run))
            while len(self._plans) > _PLANS_KEPT:
                self._plans.pop(next(iter(self._plans)))
        return found

    def handed_out(self, connection: Connection, run: str, mode: GrantMode) -> Sequence[Part]:
        """What a grant of this mode to a run gives; of a stream it is asked for every segment."""
        spans = self.layout(connection, run).spans
        return spans if mode is GrantMode.STREAM else handed_out(connection, mode, sources_of(connection, run), spans)

    def _read_parts(self, named: ObjectList) -> tuple[PartLine, ...]:
        lines = self._store.read_lines(named.digest, named.root, int(named.count))
        return tuple(canonical.convert(line, PartLine, what=f"parts {named.digest}") for line in lines)


class ReportOptions(Closed, frozen=True, kw_only=True):
    """What a report was asked for: it ties a report to its student."""

    student: Ref
    template: str
    profile: str


class _Template(msgspec.Struct):
    id: str
    version: str
    digest: str


class _Student(msgspec.Struct):
    ref: str


class ReportHead(msgspec.Struct):
    """Of a report model, what its statement repeats; models of every version have these members."""

    template: _Template
    profile: str
    tree_size: int
    student: _Student
    version: int
    gaps: list[Any]


def layout_of(connection: Connection, sources: Iterable[Any]) -> Layout:
    """The samples of one epoch over `sources` (anything with dataset and split), in order."""
    p = t.dataset_parts.c
    spans: list[Span] = []
    for source in sources:
        query = select(p.shard, p.first, p.last).where(p.dataset == source.dataset, p.split == source.split)
        spans.extend(Span(row.shard, row.first, row.last, source.split) for row in connection.execute(query.order_by(p.position)))
    return Layout(spans)


def handed_out(connection: Connection, mode: GrantMode, sources: Iterable[Any], spans: Sequence[Span]) -> Sequence[Part]:
    """What a grant of this mode gives of `spans`, the rows of `sources`: them, or whole shards where whole files leave.

    With text in files leave the log-probabilities that its dataset has of it.
    """
    if mode is GrantMode.STREAM:
        return spans
    if mode is GrantMode.ROWS:
        return [*spans, *_logits_spans(connection, sources, spans)]
    return [*(span.shard for span in spans), *logits_of(connection, sources)]


def delivered_spans(connection: Connection, delivery: Delivery) -> list[Span]:
    """What a delivery hands out, log-probabilities included: whole shards, whatever rows of them a dataset version names.

    One that says so hands out rows alone: those of the plan that its grant is for, or all that the version names.
    """
    p, s, ref = t.dataset_parts.c, t.shards.c, delivery.object
    if delivery.extent is not Extent.ROWS:
        shards = select(p.shard).where(p.dataset == ref) if ref.startswith("dataset:") else [ref]
        query = select(s.ref, s.rows).where(s.ref.in_(shards)).order_by(s.seq)
        return [Span(row.ref, 0, row.rows) for row in connection.execute(query)]
    if isinstance(delivery.grant, UnsetType):
        query = select(p.shard, p.first, p.last).where(p.dataset == ref).order_by(p.position)
        return [Span(*row) for row in connection.execute(query)]
    run = connection.execute(select(t.grants.c.run).where(t.grants.c.ref == delivery.grant)).scalar_one()
    sources = [source for source in sources_of(connection, run) if source.dataset == ref]
    spans = layout_of(connection, sources).spans
    return [*spans, *_logits_spans(connection, sources, spans)]


def target_spans(connection: Connection, targets: Iterable[TargetLine]) -> list[Span]:
    """The rows that a recall names: those of a shard's line, or all; of a dataset version those of its parts."""
    p, s = t.dataset_parts.c, t.shards.c
    spans: list[Span] = []
    for target in targets:
        if target.object.startswith("dataset:"):
            query = select(p.shard, p.first, p.last).where(p.dataset == target.object).order_by(p.position)
            spans += [Span(*row) for row in connection.execute(query)]
        elif isinstance(target.rows, UnsetType):
            rows = connection.execute(select(s.rows).where(s.ref == target.object)).scalar_one()
            spans.append(Span(target.object, 0, rows))
        else:
            spans += [Span(target.object, first, last) for first, last in target.rows]
    return [span for span in spans if span.rows]


def logits_of(connection: Connection, sources: Iterable[Any]) -> list[str]:
    """The shards of log-probabilities in the datasets of `sources`."""
    p = t.dataset_parts.c
    datasets = {source.dataset for source in sources}
    query = select(p.shard).where(p.dataset.in_(datasets), p.split.is_(None)).distinct().order_by(p.shard)
    return list(connection.execute(query).scalars())


def _logits_spans(connection: Connection, sources: Iterable[Any], spans: Iterable[Span]) -> list[Span]:
    """The rows of those shards that the datasets name beside `spans` of the text."""
    p, e = t.dataset_parts.c, t.edges.c
    query = select(p.shard, e.dst, p.first, p.last).join_from(t.dataset_parts, t.edges, e.src == p.shard)
    query = query.where(p.dataset.in_({source.dataset for source in sources}), p.split.is_(None), e.relation == "logits_of")
    text: dict[str, list[Span]] = {}
    for span in spans:
        text.setdefault(span.shard, []).append(span)
    common: dict[str, list[tuple[int, int]]] = {}
    for row in connection.execute(query.order_by(p.shard)):
        rows = ((max(span.first, row.first), min(span.last, row.last)) for span in text.get(row.dst, ()))
        common.setdefault(row.shard, []).extend((first, last) for first, last in rows if first < last)
    return [Span(shard, *rows) for shard, ranges in common.items() for rows in merged(ranges)]


def sources_of(connection: Connection, run: str) -> list[Any]:
    """The sources of a run's plan, in order."""
    query = select(t.run_sources).where(t.run_sources.c.run == run).order_by(t.run_sources.c.position)
    return list(connection.execute(query))
