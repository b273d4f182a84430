"""Dataset versions: immutable lists of parts, each version extending the one before."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from msgspec import UNSET, UnsetType

from inbond.registry.listing import ListedDataset
from inbond.registry.opened import OpenRegistry
from inbond.registry.recorder import Said
from inbond.schemas import canonical
from inbond.schemas.declared import Reason, unknown
from inbond.schemas.errors import Conflict, InvalidInput
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


def _next_version(
    registry: OpenRegistry, label: str, wanted: str, shards: Sequence[tuple[str, int]]
) -> tuple[Dataset | None, Version]:
    """The body of the version that follows the newest of `label`, or None and the newest, which has all the shards."""
    every = versions_of(registry, label)
    newest = every[-1] if every else None
    lines = parts_of(registry, newest.ref) if newest else []
    present = {line.shard for line in lines}
    added = [(ref, size) for ref, size in shards if ref not in present]
    if newest is not None and not added:
        return None, Version(newest.ref, newest.name, is_new=False)
    lines += [PartLine(shard=ref, rows=((0, size),), split=SPLIT, count=size) for ref, size in added]
    splits: dict[str, int] = {}
    for line in lines:
        splits[line.split] = splits.get(line.split, 0) + line.count
    taken = {item.version for item in every}
    previous: str | UnsetType = UNSET if newest is None else newest.ref
    body = Dataset(
        policy=unknown(Reason.NOT_YET),
        name=label,
        version=wanted or next(str(n) for n in count(len(every) + 1) if str(n) not in taken),
        parts=registry.place.objects.put_lines(lines),
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
