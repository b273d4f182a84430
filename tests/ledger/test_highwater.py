import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inbond.ledger.highwater import state_folder
from inbond.ledger.log import Appended
from inbond.schemas.errors import StoreError, VerificationError
from tests.ledger.world import World


def newest(world: World) -> Path:
    return state_folder() / world.genesis_leaf.hex() / "checkpoint"


def head(world: World) -> bytes:
    with world.log.reading() as reader:
        return reader.note


def keep(world: World, name: str) -> Path:
    """A copy of the database as it is now. The log is closed for it and opened again."""
    world.log.close()
    copy = world.folder / name
    shutil.copy(world.folder / "ledger.db", copy)
    world.log = world.open()
    return copy


def restore(world: World, copy: Path) -> None:
    world.log.close()
    shutil.copy(copy, world.folder / "ledger.db")
    world.log = world.open()


def test_the_newest_checkpoint_lies_outside_too(world: World) -> None:
    assert newest(world).read_bytes() == head(world)
    world.log.append(world.parties(3))
    assert newest(world).read_bytes() == head(world)
    assert newest(world).stat().st_mode & 0o777 == 0o644
    assert newest(world).parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in newest(world).parent.iterdir()] == ["checkpoint"]


def test_a_database_restored_from_an_older_copy_signs_nothing(world: World) -> None:
    old = keep(world, "old")
    world.log.append(world.parties(2))
    new = keep(world, "new")
    restore(world, old)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"is behind: expected at least size 4.*found size 2.*would fork") as caught:
            world.log.append(world.parties(1))
        assert "restore the newest database" in (caught.value.hint or "")
    with pytest.raises(StoreError, match="is behind"):
        world.log.check_high_water()
    assert len(world.entries()) == 2
    restore(world, new)
    assert world.log.append_one(world.party("a")) == Appended(4, False)


def test_another_history_signs_nothing(make_world: Callable[..., World]) -> None:
    world = make_world()
    old = keep(world, "old")
    world.log.append(world.parties(2))
    note = newest(world).read_bytes()
    newest(world).unlink()
    restore(world, old)
    world.log.append(world.parties(3, "another history"))  # a machine that does not know the first one
    newest(world).write_bytes(note)
    for size in (5, 8):
        with pytest.raises(VerificationError, match=f"another history: at size 4.*{newest(world)}"):
            world.log.append(world.parties(1))
        assert len(world.entries()) == 5, size


def test_the_same_size_with_another_root_signs_nothing(world: World) -> None:
    old = keep(world, "old")
    world.log.append(world.parties(2))
    note = newest(world).read_bytes()
    newest(world).unlink()
    restore(world, old)
    world.log.append(world.parties(2, "another history"))
    newest(world).write_bytes(note)
    with pytest.raises(VerificationError, match="another history: at size 4"):
        world.log.append(world.parties(1))


def test_a_missing_file_is_tolerated_and_made_again(world: World) -> None:
    shutil.rmtree(state_folder())
    world.reopen()
    world.log.check_high_water()
    world.log.append_one(world.party("a"))
    assert newest(world).read_bytes() == head(world)


def test_a_file_that_lags_is_tolerated_and_caught_up(world: World) -> None:
    """A crash between COMMIT and the file leaves the file behind; whoever asks again gets it written before an answer."""
    before = newest(world).read_bytes()
    sent = world.party("a")
    world.log.append_one(sent)
    newest(world).write_bytes(before)
    world.reopen()
    assert world.log.append_one(sent) == Appended(2, True)
    assert newest(world).read_bytes() == head(world)
    newest(world).write_bytes(before)
    assert world.log.append_one(world.party("b")) == Appended(3, False)
    assert newest(world).read_bytes() == head(world)


@pytest.mark.parametrize("change", ["cut", "flip", "size", "other"])
def test_a_file_that_this_log_did_not_sign_is_a_finding(make_world: Callable[..., World], change: str) -> None:
    world = make_world()
    note = newest(world).read_bytes()
    altered = {
        "cut": note[:-10],
        "flip": note[:60] + bytes([note[60] ^ 1]) + note[61:],
        "size": note.replace(b"\n2\n", b"\n3\n"),
        "other": head(make_world("other", seed=1)),
    }[change]
    newest(world).write_bytes(altered)
    for attempt in (lambda: world.log.append(world.parties(1)), world.log.check_high_water):
        with pytest.raises(VerificationError, match="expected a checkpoint signed by this log") as caught:
            attempt()
        assert str(newest(world)) in caught.value.message


def test_a_file_that_cannot_be_written_stops_the_answer_not_the_record(world: World) -> None:
    """The folder is in the way: even root cannot replace a folder with a file."""
    newest(world).unlink()
    world.log.append_one(world.party("a"))
    newest(world).unlink()
    world.log.close()
    world.log = world.open()
    sent = world.party("b")
    newest(world).parent.rmdir()
    newest(world).parent.write_bytes(b"in the way")
    for _ in range(2):
        with pytest.raises(StoreError, match="newest checkpoint"):
            world.log.append_one(sent)
    newest(world).parent.unlink()
    assert world.log.append_one(sent).seq == 3
    assert newest(world).read_bytes() == head(world)


def test_of_two_copies_that_write_at_once_one_is_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second compares only when the first has written the file, however long the first took in between."""
    copy = world.log.database.path.parent.parent / "copy"
    shutil.copytree(world.log.database.path.parent, copy)
    first, second = world.log, type(world.log)(copy, world.log.rules, world.log_key)
    compare, compared = first._compare_high_water, threading.Event()

    def slowly(reader: Any) -> bool:
        found = compare(reader)
        compared.set()
        time.sleep(0.3)
        return found

    monkeypatch.setattr(first, "_compare_high_water", slowly)
    writer = threading.Thread(target=first.append, args=(world.parties(1),))
    writer.start()
    compared.wait()
    try:
        with pytest.raises(StoreError, match="is behind"):
            second.append(world.parties(1, "of the copy"))
    finally:
        writer.join()
        second.close()
