"""Fixtures of the ledger's tests: a small log, and a state folder that is not the user's.

Tests marked `both_databases` run on SQLite and on PostgreSQL.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import postgres
from tests.ledger.world import World


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("both_databases") and "make_world" in metafunc.fixturenames:
        metafunc.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """What kind of database the worlds of a test are in."""
    return getattr(request, "param", "sqlite")


@pytest.fixture
def make_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str) -> Iterator[Callable[..., World]]:
    """Makes worlds under `tmp_path`, named; their logs are closed at the end."""
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    made: list[World] = []

    def make(name: str = "log", **options: Any) -> World:
        if database == "postgresql":
            options = {"database": postgres.new_schema()} | options
        made.append(World(tmp_path / name, **options))
        return made[-1]

    yield make
    for world in made:
        world.log.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A log of size 2: genesis and the producer's key."""
    return make_world()
