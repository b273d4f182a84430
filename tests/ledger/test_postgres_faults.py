"""What survives on PostgreSQL when connections are cut at COMMIT and the server is killed."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from inbond.ledger.audit import audit_log
from inbond.schemas.errors import StoreError
from tests import postgres
from tests.faults.cutting import MOMENTS, Cutter
from tests.ledger.test_faults import names_on_record
from tests.ledger.world import World, seqs

FAULTS = int(os.environ.get("INBOND_FAULTS", "20"))


@pytest.fixture
def cutter() -> Iterator[Cutter]:
    query = parse_qs(urlsplit(postgres.server().get_uri()).query)
    made = Cutter(Path(query["host"][0]))
    yield made
    made.close()


def through(cutter: Cutter, address: str) -> str:
    """The same database, reached through a cutter."""
    host = parse_qs(urlsplit(address).query)["host"][0]
    return address.replace(f"host={host}", f"host={cutter.folder}")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_connection_that_is_cut_at_commit(
    moment: str, cutter: Cutter, make_world: Callable[..., World], record_property: Callable[[str, object], None]
) -> None:
    """Nobody knows whether it is on record, and the log says so; the same statements again are on record once."""
    world = make_world(database=through(cutter, postgres.new_schema()))
    number = 0
    for attempt in range(max(2, FAULTS // 4)):
        first, number = number, number + 1 + attempt % 3
        batch = [world.numbered(each) for each in range(first, number)]
        cutter.armed = moment
        with pytest.raises(StoreError, match="COMMIT failed and its outcome is not known") as caught:
            world.log.append(batch)
        assert caught.value.hint == "open the registry again"
        with pytest.raises(StoreError, match="COMMIT failed"):
            world.log.append(batch)
        world.reopen()
        results = world.log.append(batch)
        assert seqs(results) == list(range(first + 2, number + 2))
        if moment != "between":
            assert {result.duplicate for result in results} == {moment == "after"}  # type: ignore[union-attr]
    assert cutter.fired == max(2, FAULTS // 4)
    record_property("injected", ["COMMIT", f"cut={moment}", cutter.fired])
    assert names_on_record(world) == [f"/{each}" for each in range(number)]
    assert audit_log(world.log, world.rules).verdict == "clean"
