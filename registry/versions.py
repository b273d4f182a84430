"""Dataset versions: immutable lists of parts, each version extending the one before."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, select

from inbond.registry import tables as t
from inbond.registry.opened import OpenRegistry
from inbond.registry.recorder import Said
from inbond.schemas.declared import Reason, unknown
from inbond.schemas.errors import Conflict
from inbond.schemas.scalars import Role
from inbond.schemas.statements import Dataset, DatasetCounts, PartLine

SPLIT = "train"


@dataclass(frozen=True)
class Version:
    """A dataset version: its reference, its name with version, and whether it was put on record just now."""

    ref: str
    name: str
    is_new: bool


def extend_dataset(registry: OpenRegistry, name: str, shards: Sequence[tuple[str, int]], first: Sequence[Said] = ()) -> Version:
    """Put a version of `name` on record that has the newest version's parts and then `shards` (reference, rows).

    Where the newest version has all of them already, it is returned as it is. `first` are statements that go on record
    with it, before it. When another process takes the version's name in between, the next one is tried.
    """
    label, _, wanted = name.partition("@")
    for attempt in range(_ATTEMPTS):
        body, found = _next_version(registry, label, wanted, shards)
        said = list(first if attempt == 0 else ())
        if body is None:
            registry.recorder.record_all(said)
            return found
        said.append(Said("dataset", body, [registry.keys.role(Role.PRODUCER)]))
        try:
            recorded = registry.recorder.record_all(said)[-1]
        except Conflict as error:
            if wanted or attempt + 1 == _ATTEMPTS or not error.message.startswith("dataset "):
                raise
        else:
            return Version(recorded.ref, f"{label}@{body.version}", is_new=True)
    raise AssertionError("unreachable: the last attempt returns or raises")


_ATTEMPTS = 5


def versions_of(connection: Connection, registry: OpenRegistry, label: str) -> Sequence[Any]:
    """The versions of a dataset of ours, oldest first."""
    d = t.datasets.c
    owner = registry.recorder.party_of(registry.keys.role(Role.PRODUCER))
    return connection.execute(select(t.datasets).where(d.name == label, d.owner == owner).order_by(d.seq)).all()


def _next_version(
    registry: OpenRegistry, label: str, wanted: str, shards: Sequence[tuple[str, int]]
) -> tuple[Dataset | None, Version]:
    """The body of the version that follows the newest of `label`, or None and the newest, which has all the shards."""
    with registry.reading() as reader:
        p = t.dataset_parts.c
        every = versions_of(reader.connection, registry, label)
        newest = every[-1] if every else None
        query = select(t.dataset_parts).where(p.dataset == (newest.ref if newest else "")).order_by(p.position)
        rows = reader.connection.execute(query).all()
    present = {row.shard for row in rows}
    added = [(ref, size) for ref, size in shards if ref not in present]
    if newest is not None and not added:
        return None, Version(newest.ref, f"{label}@{newest.version}", is_new=False)
    lines = [
        PartLine(shard=row.shard, rows=((row.first, row.last),), split=row.split, count=row.last - row.first) for row in rows
    ]
    lines += [PartLine(shard=ref, rows=((0, size),), split=SPLIT, count=size) for ref, size in added]
    splits: dict[str, int] = {}
    for line in lines:
        splits[line.split] = splits.get(line.split, 0) + line.count
    taken = {row.version for row in every}
    previous: str | UnsetType = UNSET if newest is None else newest.ref
    body = Dataset(
        policy=unknown(Reason.NOT_YET),
        name=label,
        version=wanted or next(str(n) for n in count(len(every) + 1) if str(n) not in taken),
        parts=registry.store.put_lines(lines),
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
    return body, Version("", "", is_new=True)
