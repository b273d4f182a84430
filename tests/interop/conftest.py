"""The log that other people's code looks at, made once."""

from collections.abc import Iterator

import pytest

from inbond.ledger.export import export
from tests.interop.shown import SIZES, Shown
from tests.ledger.world import World


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    base = tmp_path_factory.mktemp("interop")
    patch = pytest.MonkeyPatch()
    patch.setenv("INBOND_STATE", str(base / "state"))
    world = World(base / "log")
    folders, roots, size = {}, {}, 2
    for wanted in SIZES[1:]:
        world.log.append([world.numbered(number) for number in range(size, wanted)])
        size = wanted
        folders[wanted] = base / str(wanted)
        with world.log.reading() as reader:
            export(reader, folders[wanted])
            roots |= {at: reader.root_at(at) for at in (1, wanted)}
    yield Shown(world, folders, roots, world.entries())
    world.log.close()
    patch.undo()
