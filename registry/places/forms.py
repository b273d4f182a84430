"""The forms of the API's answers that are not classes of the registry already."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from inbond.registry.place import ImportedShard, Thing

L = TypeVar("L")


class Listed(msgspec.Struct, Generic[L]):
    """A page of a collection; `next` is what the server calls the place after it."""

    items: list[L]
    next: str | None
    tree_size: int
    names: dict[str, str] = {}


@dataclass
class Resolved:
    """What a name means."""

    ref: str


@dataclass
class Things:
    """What is known of references."""

    things: list[Thing]


@dataclass
class Imported:
    """The shards of an import, by ordinal."""

    shards: dict[int, ImportedShard]


@dataclass
class Doubled:
    """Shards of a dataset version that hold the same inputs."""

    shards: list[str]


@dataclass
class Inputs:
    """Distinct rows that a run was given, by shard."""

    rows: dict[str, int]
