"""How a served registry stands just now: what `/health/ready` answers and `/metrics` shows."""

import sqlite3
from datetime import UTC, datetime
from typing import Final

import msgspec

from inbond.ledger import checkpoints, notes
from inbond.ledger.witnessing import Witnessing
from inbond.registry.places.folder import FolderPlace

WAL_RESET_FIXED: Final = (3, 51, 3)
"""The first SQLite without the WAL-reset bug, which two connections that write at once can meet; our lock keeps clear of it."""


class Sqlite(msgspec.Struct, frozen=True):
    """The library that this process has."""

    version: str
    wal_reset_bug: bool


class WitnessLag(msgspec.Struct, frozen=True):
    """A witness that has an address in the policy: the largest head that it has cosigned, and the entries since.

    `helping` is false while it does not cosign when asked; `inbond witness status` says why.
    """

    name: str
    cosigned: int | None
    at: str | None
    behind: int
    helping: bool


class State(msgspec.Struct, frozen=True):
    """`tree_size` is the newest head's, `published` that of the checkpoint which is shown; `head_age` is in seconds."""

    status: str
    tree_size: int
    published: int
    head_time: str
    head_age: float
    sqlite: Sqlite
    witnesses: list[WitnessLag]


def state_of(place: FolderPlace, witnessing: Witnessing) -> State:
    """The state of a registry that can be read."""
    with place.reading() as reader:
        size, time = reader.size, reader.time
        published = checkpoints.parse(notes.parse(place.published.newest(reader)).text).size
    age = (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()
    return State("ok", size, published, time, max(0.0, round(age, 3)), sqlite_here(), _witnesses(witnessing, size))


def sqlite_here() -> Sqlite:
    """The SQLite of this process."""
    return Sqlite(sqlite3.sqlite_version, sqlite3.sqlite_version_info < WAL_RESET_FIXED)


def _witnesses(witnessing: Witnessing, size: int) -> list[WitnessLag]:
    return [
        WitnessLag(
            name=each.name,
            cosigned=each.size,
            at=None if each.time is None else _text(each.time),
            behind=max(0, size - (each.size or 0)),
            helping=each.problem is None,
        )
        for each in witnessing.status()
    ]


def _text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
