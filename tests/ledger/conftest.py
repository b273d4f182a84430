"""Fixtures of the ledger's tests: a small log, and a state folder that is not the user's."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.world import World


@pytest.fixture
def make_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    """Makes worlds under `tmp_path`, named; their logs are closed at the end."""
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    made: list[World] = []

    def make(name: str = "log", **options: Any) -> World:
        made.append(World(tmp_path / name, **options))
        return made[-1]

    yield make
    for world in made:
        world.log.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A log of size 2: genesis and the producer's key."""
    return make_world()
