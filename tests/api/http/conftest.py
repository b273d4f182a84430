"""Registries to serve: one in which everything has happened, built once a session and copied for each module that asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.http.serving import Server, copied, served
from tests.registry.world import World, build, live


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a registry and the state that belongs to it; nobody opens it."""
    folder = tmp_path_factory.mktemp("lived-in") / "world"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        world = build(folder / "registry")
        live(world)
        world.registry.close()
    return folder


@pytest.fixture(scope="module")
def server(lived_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests of a module: those that write add things of new names."""
    folder = tmp_path_factory.mktemp("served") / "world"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        world = World(copied(lived_in, folder))
        with served(world) as found:
            yield found
        world.registry.close()
