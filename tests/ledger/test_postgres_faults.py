"""PostgreSQL: connections that are cut at COMMIT, and writers who share nothing but the server."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from inbond.ledger import databases
from inbond.ledger.audit import audit_log
from inbond.ledger.log import Log
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


def test_writers_on_two_machines_take_turns(
    make_world: Callable[..., World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock on the checkpoint outside is one machine's; between machines there is the lock on the head alone."""
    world = make_world(database=postgres.new_schema())
    logs = [world.log]
    for machine in "bc":
        monkeypatch.setenv("INBOND_STATE", str(tmp_path / machine))
        logs.append(world.open())
    batches = [
        [world.numbered(number, f"{log}-{batch}") for number in range(batch % 4 + 1)] for log in range(3) for batch in range(12)
    ]
    errors, found, start = [], [], threading.Barrier(3)

    def work(log: int) -> None:
        start.wait()
        for batch in batches[log * 12 : log * 12 + 12]:
            try:
                found.extend(seqs(logs[log].append(batch)))
            except StoreError as error:
                errors.append(error.message)

    threads = [threading.Thread(target=work, args=[log]) for log in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[0]
    assert sorted(found) == list(range(2, 2 + sum(map(len, batches))))
    for log in logs:
        assert audit_log(log, world.rules).verdict == "clean"
        log.close()


def test_a_folder_that_cannot_name_its_database(make_world: Callable[..., World], tmp_path: Path) -> None:
    """The tables are there by then: whoever asked hears where, and what to do."""
    world, address = make_world(database=postgres.new_schema()), postgres.new_schema()
    with pytest.raises(StoreError, match=r"the log was made in .*its address could not be written here") as caught:
        Log.create(tmp_path / "nowhere", world.genesis, world.log_key, world.rules, database=address)
    assert "write the address into that file" in (caught.value.hint or "")
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / databases.ADDRESS).write_text(address + "\n")
    log = Log(tmp_path / "again", world.rules, world.log_key)
    assert audit_log(log, world.rules).verdict == "clean"
    log.close()
