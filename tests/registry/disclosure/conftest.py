"""Fixtures: the world of scene.py, told once and copied for each test."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.registry.disclosure.scene import tell
from tests.registry.world import World


@pytest.fixture(scope="session")
def told_template(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the registry in which everything is told; nobody opens it."""
    folder = tmp_path_factory.mktemp("told") / "world"
    shutil.copytree(template, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        world = World(folder / "registry")
        tell(world)
        world.registry.close()
    return folder


@pytest.fixture
def told(make_world: Callable[..., World], told_template: Path) -> World:
    """A world of one's own in which everything is told that the Union's summary asks for."""
    return make_world("told", told_template)
