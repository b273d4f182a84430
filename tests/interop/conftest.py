"""The log that other people's code looks at, made once."""

from collections.abc import Iterator

import pytest

from inbond.ledger.cosigner import Cosigner
from inbond.ledger.export import export
from inbond.ledger.keys import ML_DSA_44
from tests.interop.shown import SIZES, Shown
from tests.ledger.world import ORIGIN, World


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    base = tmp_path_factory.mktemp("interop")
    patch = pytest.MonkeyPatch()
    patch.setenv("INBOND_STATE", str(base / "state"))
    more = [Cosigner(ORIGIN, ML_DSA_44, bytes([44] * 32))]  # others have to pass over its line
    world = World(base / "log", more_log_keys=more)
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
