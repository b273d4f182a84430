"""Fixtures of the registry's tests: the world of world.py, built once, copied for whoever writes."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.registry.world import World, build, live


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a registry and the state that belongs to it; nobody opens it."""
    folder = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        build(folder / "registry").registry.close()
    return folder


@pytest.fixture(scope="session")
def lived_template(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after everything has happened that can (`world.live`)."""
    folder = tmp_path_factory.mktemp("lived") / "world"
    shutil.copytree(template, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        world = World(folder / "registry")
        live(world)
        world.registry.close()
    return folder


@pytest.fixture
def make_world(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    """Makes copies of a template, the world of `build` unless one is given, by name; they are closed at the end."""
    made: list[World] = []

    def make(name: str, source: Path = template) -> World:
        shutil.copytree(source, tmp_path / name)
        monkeypatch.setenv("INBOND_STATE", str(tmp_path / name / "state"))
        made.append(World(tmp_path / name / "registry"))
        return made[-1]

    yield make
    for world in made:
        world.registry.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world of one's own."""
    return make_world("world")


@pytest.fixture
def lived(make_world: Callable[..., World], lived_template: Path) -> World:
    """A world of one's own in which everything has happened that can."""
    return make_world("lived", lived_template)


@pytest.fixture(scope="module")
def shared_world(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world for all tests of a module: those that write add things of new names."""
    folder = tmp_path_factory.mktemp("shared") / "world"
    shutil.copytree(template, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        world = World(folder / "registry")
    yield world
    world.registry.close()
