"""Dataset versions: immutable lists of parts, each version extending the one before.

A version stays what it is; rows that are withdrawn are left out of the versions that follow.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from inbond.registry.listing import ListedDataset, ListedRecall
from inbond.registry.opened import OpenRegistry
from inbond.registry.recorder import Said
from inbond.registry.terms.publishing import policy_of
from inbond.registry.times import now
from inbond.registry.training.layout import merged, shards_in
from inbond.schemas import canonical
from inbond.schemas.canonical import MAX_INTEGER
from inbond.schemas.declared import Reason, unknown
from inbond.schemas.errors import Conflict, InvalidInput, NotFound
from inbond.schemas.scalars import Role
from inbond.schemas.statements import Basis, Dataset, DatasetCounts, Evidence, PartLine, Recall, TargetLine

SPLIT = "train"


@dataclass(frozen=True)
class Version:
    """A dataset version: its reference, its name with version, and whether it was put on record just now."""

    ref: str
    name: str
    is_new: bool


@dataclass(frozen=True)
class Added:
    """A text shard that a version is to have, how many rows it has, and the shards of log-probabilities about them."""

    shard: str
    rows: int
    logits: tuple[str, ...] = ()

    @property
    def line(self) -> PartLine:
        """All of it, as a part of the first split."""
        return PartLine(shard=self.shard, rows=((0, self.rows),), split=SPLIT, count=self.rows, logits=self.logits or UNSET)


def extend_dataset(registry: OpenRegistry, name: str, shards: Sequence[Added]) -> Version:
    """Put a version of `name` on record that has the newest version's parts and then `shards`.

    Withdrawn rows are left out. Where the newest version has all of `shards` already, it is returned as it is. When another
    process takes the version's name in between, the next one is tried.
    """
    label, _, wanted = name.partition("@")
    for attempt in range(_ATTEMPTS):
        body, found = _next_version(registry, label, wanted, shards)
        if body is None:
            return found
        try:
            recorded = registry.record("dataset", body, Role.PRODUCER)
        except Conflict as error:
            if wanted or attempt + 1 == _ATTEMPTS or not error.message.startswith("dataset "):
                raise
        else:
            return Version(recorded.ref, f"{label}@{body.version}", is_new=True)
    raise AssertionError("unreachable: the last attempt returns or raises")


_ATTEMPTS = 5


def versions_of(registry: OpenRegistry, label: str) -> list[ListedDataset]:
    """The versions of a dataset of ours, oldest first."""
    owner = registry.recorder.party_of(registry.keys.role(Role.PRODUCER))
    every = registry.every(ListedDataset, name=label, owner=owner)
    return [item for item in every if item.name == f"{label}@{item.version}"]


def parts_of(registry: OpenRegistry, dataset: str) -> list[PartLine]:
    """The parts of a dataset version, as its statement names them."""
    body = registry.place.statement(dataset).body
    if not isinstance(body, Dataset):
        raise InvalidInput(f"expected a dataset version, found {dataset}")
    lines = registry.place.lines(body.parts, dataset)
    return [canonical.convert(line, PartLine, what=f"parts of {dataset}") for line in lines]


def trim_dataset(registry: OpenRegistry, name: str) -> Version:
    """Put a version of `name` on record that has the newest version's parts without the rows that are withdrawn now.

    Where none of them is, the newest version is returned as it is. Raises NotFound for a dataset that is not ours, and
    InvalidInput where nothing would be left.
    """
    label = name.partition("@")[0]
    every = versions_of(registry, label)
    if not every:
        raise NotFound(f"no dataset of ours is called {label!r}", hint="inbond dataset list")
    before = parts_of(registry, every[-1].ref)
    lines = _standing(registry, every[-1].ref, before, ())
    if lines == before:
        return Version(every[-1].ref, every[-1].name, is_new=False)
    if not lines:
        raise InvalidInput(f"{every[-1].name}: expected rows that are not withdrawn, found none")
    body = _body(registry, label, "", every, lines)
    recorded = registry.record("dataset", body, Role.PRODUCER)
    return Version(recorded.ref, f"{label}@{body.version}", is_new=True)


def standing_parts(registry: OpenRegistry, dataset: str) -> list[PartLine]:
    """The parts of a dataset version (by reference) without the rows that are withdrawn now."""
    return _standing(registry, dataset, parts_of(registry, dataset), ())


def put_version(
    registry: OpenRegistry, label: str, wanted: str, lines: Sequence[PartLine], *, evidence: Sequence[Evidence], **fields: Any
) -> Version:
    """Put a version of `label` on record with these parts: the next one, unless a version is `wanted`.

    `evidence` are objects in the store that say how it was made; `fields` are those of the statement that are known.
    """
    body = replace(_body(registry, label, wanted, versions_of(registry, label), lines), **fields)
    key = registry.keys.role(Role.PRODUCER)
    recorded = registry.recorder.record(Said("dataset", body, [key], basis=Basis.DERIVED, evidence=tuple(evidence)))
    return Version(recorded.ref, f"{label}@{body.version}", is_new=True)


def _next_version(registry: OpenRegistry, label: str, wanted: str, shards: Sequence[Added]) -> tuple[Dataset | None, Version]:
    """The body of the version that follows the newest of `label`, or None and the newest, which has all the shards."""
    every = versions_of(registry, label)
    newest = every[-1] if every else None
    lines = parts_of(registry, newest.ref) if newest else []
    present = {line.shard for line in lines}
    added = [each.line for each in shards if each.shard not in present]
    lines = _standing(registry, newest.ref if newest else None, lines, added)
    if newest is not None and not any(line.shard not in present for line in lines):
        return None, Version(newest.ref, newest.name, is_new=False)
    if not lines:
        raise InvalidInput(f"dataset {label}: expected rows that are not withdrawn, found none")
    return _body(registry, label, wanted, every, lines), Version("", "", is_new=True)


def _body(registry: OpenRegistry, label: str, wanted: str, every: Sequence[ListedDataset], lines: Sequence[PartLine]) -> Dataset:
    """A version of `label` with the parts `lines`, after `every` version there is, and what terms say of them."""
    splits: dict[str, int] = {}
    for line in lines:
        splits[line.split] = splits.get(line.split, 0) + line.count
    taken = {item.version for item in every}
    previous: str | UnsetType = UNSET if not every else every[-1].ref
    parts = registry.place.objects.put_lines(lines)
    return Dataset(
        policy=policy_of(registry, parts),
        name=label,
        version=wanted or next(str(n) for n in count(len(every) + 1) if str(n) not in taken),
        parts=parts,
        counts=DatasetCounts(
            shards=len({line.shard for line in lines}),
            rows=sum(splits.values()),
            tokens=unknown(Reason.NOT_YET),
            splits=splits,
        ),
        purpose=unknown(),
        licence=unknown(),
        previous=previous,
    )


# -- what is withdrawn -----------------------------------------------------------------------------------------------------------


def _standing(
    registry: OpenRegistry, dataset: str | None, lines: Sequence[PartLine], added: Sequence[PartLine]
) -> list[PartLine]:
    """The parts of a version, and those added to it, without the rows that are withdrawn now."""
    recalls = {item.ref: item for item in registry.every(ListedRecall, dataset=dataset)} if dataset else {}
    if added and registry.place.page(ListedRecall, limit=1).items:
        known = registry.place.things(shards_in(added))  # others go on record now, and nobody withdrew them yet
        recalls |= {item.ref: item for shard in known for item in registry.every(ListedRecall, shard=shard)}
    time = now()
    gone: dict[str, list[tuple[int, int]]] = {}
    for ref in [ref for ref, item in recalls.items() if item.effective <= time]:
        if registry.thing(ref).newest == ref:
            for shard, first, last in _withdrawn_by(registry, ref):
                gone.setdefault(shard, []).append((first, last))
    left = [_without(line, merged(gone[line.shard])) if line.shard in gone else line for line in (*lines, *added)]
    return [_without_logits(line, gone) for line in left if line is not None]


def _withdrawn_by(registry: OpenRegistry, recall: str) -> Iterable[tuple[str, int, int]]:
    """The rows that a recall names."""
    body: Recall = registry.place.statement(recall).body
    for line in registry.place.lines(body.targets, recall):
        target = canonical.convert(line, TargetLine, what=f"targets of {recall}")
        if target.object.startswith("dataset:"):
            for part in parts_of(registry, target.object):
                yield from ((part.shard, first, last) for first, last in part.rows)
        else:
            ranges = ((0, MAX_INTEGER),) if isinstance(target.rows, UnsetType) else target.rows
            yield from ((target.object, first, last) for first, last in ranges)


def _without(line: PartLine, gone: Sequence[tuple[int, int]]) -> PartLine | None:
    """A part without some of its rows, None where nothing of it is left."""
    left = []
    for first, last in line.rows:
        for start, end in gone:
            if first < min(start, last):
                left.append((first, min(start, last)))
            first = max(first, min(end, last))
        if first < last:
            left.append((first, last))
    if not left:
        return None
    return replace(line, rows=tuple(left), count=sum(last - first for first, last in left))


def _without_logits(line: PartLine, gone: Mapping[str, Sequence[tuple[int, int]]]) -> PartLine:
    """A part without the log-probabilities of which rows are withdrawn that it has; the text stays."""
    kept = tuple(
        ref
        for ref in line.logits or ()
        if not any(first < end and start < last for start, end in gone.get(ref, ()) for first, last in line.rows)
    )
    return line if kept == (line.logits or ()) else replace(line, logits=kept or UNSET)
