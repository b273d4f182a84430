"""Backups, taken of one kind of database and restored into another: nothing is lost, nothing damaged gets in."""

import random
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from inbond.ledger import tables as ledger_tables
from inbond.ledger.audit import audit_folder
from inbond.registry import backing, listing
from inbond.registry import tables as t
from inbond.registry.clocks import CLOCKS
from inbond.registry.disclosure.model import TEMPLATES
from inbond.registry.home import CONFIG
from inbond.registry.objects import bare
from inbond.registry.registry import Registry
from inbond.registry.signers import SignerRules
from inbond.schemas.errors import Conflict, InbondError, InvalidInput, NotFound, StoreError, VerificationError
from tests import postgres
from tests.registry.world import World, build, live

LISTS = [kind for name, kind in vars(listing).items() if name.startswith("Listed")]


def rows(registry: Registry) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of log and catalogue, in the order of primary keys."""
    with registry.reading() as reader:
        return {
            table.name: [tuple(row) for row in reader.connection.execute(select(table).order_by(*table.primary_key.columns))]
            for table in (*ledger_tables.TABLES, *t.TABLES)
        }


def answers(registry: Registry) -> dict[str, Any]:
    """What the registry says of everything in it."""
    place, found = registry.local, dict[str, Any]()
    size = int(place.head().size)  # an answer as of a size does not depend on the clock
    for what in LISTS:
        found[what.__name__] = list(registry.every(what))
    with registry.reading() as reader:
        refs = list(reader.connection.execute(select(t.things.c.ref, t.things.c.kind).order_by(t.things.c.seq)))
    for ref, kind in refs:
        found[ref] = place.things([ref])
        if kind in ("student", "teacher", "shard", "dataset", "run", "release", "party", "terms"):
            found[f"{ref} lineage"] = place.lineage(ref, "up", size=size), place.lineage(ref, "down", size=size)
        if kind == "student":
            found[f"{ref} shares"] = place.shares(ref), *(place.report_model(ref, name, {}) for name in TEMPLATES)
        if kind in ("teacher", "party"):
            found[f"{ref} learners"] = [place.learners(ref, clock=clock) for clock in CLOCKS]
        if kind == "shard":
            found[f"{ref} impact"] = place.impact(ref)
    return found


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".lock"))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    """Makes this another machine, which has not seen any log grow."""
    return lambda: monkeypatch.setenv("INBOND_STATE", str(tmp_path / f"state-{secrets.token_hex(4)}"))


def test_a_registry_goes_to_postgresql_and_back(lived: World, tmp_path: Path) -> None:
    first = lived.registry
    lived.dataset("some", [(lived.parts("chat")[0][0], 2, 5)])
    first.deliver("some", student="lab/pupil", run="rows of some", folder=tmp_path / "rows", format="messages")
    backing.back_up(first, tmp_path / "one", keys=True)
    restored = backing.restore(tmp_path / "one", tmp_path / "there", database=postgres.new_schema())
    assert (restored.size, restored.behind, restored.checked.verdict) == (lived.size(), None, "proved")
    assert not (tmp_path / "there" / "ledger.db").exists()
    with Registry.open(tmp_path / "there") as there:
        assert rows(there) == rows(first)
        assert answers(there) == answers(first)
        there.add_party("written there")
        assert there.audit().verdict == "clean"
        backing.back_up(there, tmp_path / "one")
        ours = rows(there)
    lived.registry.close()
    backing.restore(tmp_path / "one", tmp_path / "back")
    with Registry.open(tmp_path / "back") as back:
        assert rows(back) == ours
        back.add_party("written here")


def test_everything_can_be_done_in_postgresql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    world = build(tmp_path / "registry", database=postgres.new_schema())
    live(world)
    world.check()
    before = rows(world.registry)
    world.registry.rebuild()
    assert rows(world.registry) == before
    world.registry.close()


def test_a_backup_brought_up_to_date_writes_what_is_new(lived: World, tmp_path: Path) -> None:
    done = backing.back_up(lived.registry, tmp_path / "b")
    assert (done.size, done.copied, done.keys) == (lived.size(), done.objects, False)
    before = {path: (path.stat().st_ino, path.read_bytes()) for path in files(tmp_path / "b" / "objects")}
    lived.registry.add_party("later")
    assert backing.back_up(lived.registry, tmp_path / "b").copied == 0
    assert {path: (path.stat().st_ino, path.read_bytes()) for path in files(tmp_path / "b" / "objects")} == before
    report = audit_folder(tmp_path / "b" / "log", SignerRules(), lived.registry.local.genesis)
    assert (report.problem, report.size) == (None, lived.size())


def test_a_backup_of_a_registry_that_is_written_meanwhile(world: World, tmp_path: Path, elsewhere: Callable[[], None]) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            world.registry.add_party(secrets.token_hex(8))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        sizes = [backing.back_up(world.registry, tmp_path / "b").size for _ in range(5)]
    finally:
        stop.set()
        writer.join()
    assert sizes == sorted(sizes)
    assert backing.restore(tmp_path / "b", tmp_path / "r").behind is not None
    elsewhere()
    restored = backing.restore(tmp_path / "b", tmp_path / "s")
    assert (restored.size, restored.behind, restored.checked.verdict) == (sizes[-1], None, "proved")


def test_a_restored_registry_that_is_behind_can_be_read_and_not_written(world: World, tmp_path: Path) -> None:
    size = backing.back_up(world.registry, tmp_path / "b", keys=True).size
    world.registry.add_party("later")
    for name, database in (("here", None), ("there", postgres.new_schema())):
        restored = backing.restore(tmp_path / "b", tmp_path / name, database=database)
        assert f"expected at least size {size + 1}" in (restored.behind or "")
        with Registry.open(tmp_path / name) as registry:
            assert registry.local.head().size == size
            with pytest.raises(StoreError, match="signing now would fork the log"):
                registry.add_party("other")


def test_one_flipped_bit_anywhere_is_refused_and_leaves_nothing(
    lived: World, tmp_path: Path, elsewhere: Callable[[], None]
) -> None:
    backing.back_up(lived.registry, tmp_path / "b", keys=True)
    choose = random.Random(11)
    # Keys are files of their owner; of policy.txt only what it trusts is compared, and it is a line here.
    for path in [p for p in files(tmp_path / "b") if "keys" not in p.parts and p.suffix not in (".db", ".blocks", ".ids")][::3]:
        content = path.read_bytes()
        if not content:
            continue
        altered = bytearray(content)
        altered[choose.randrange(len(altered))] ^= 1 << choose.randrange(7)
        path.write_bytes(altered)
        elsewhere()
        with pytest.raises(InbondError):
            backing.restore(tmp_path / "b", tmp_path / "r")
        assert not (tmp_path / "r").exists(), path
        assert not list(tmp_path.glob(".r.*")), path
        path.write_bytes(content)


def test_what_is_missing_is_refused(lived: World, tmp_path: Path, elsewhere: Callable[[], None]) -> None:
    backing.back_up(lived.registry, tmp_path / "b")
    with lived.registry.reading() as reader:
        shard = reader.connection.execute(select(t.shards.c.file)).scalars().first()
    files_of_shards = list((tmp_path / "b" / "objects").rglob(bare(shard)))
    tiles = sorted((tmp_path / "b" / "log" / "tile").rglob("0*"))
    for path in (*files_of_shards, tiles[0] if tiles[0].is_file() else tiles[-1], tmp_path / "b" / "log" / "checkpoint"):
        moved = path.rename(tmp_path / "aside")
        elsewhere()
        with pytest.raises((VerificationError, NotFound)):
            backing.restore(tmp_path / "b", tmp_path / "r")
        assert not (tmp_path / "r").exists()
        moved.rename(path)


def test_other_folders_are_left_alone(world: World, make_world: Callable[..., World], tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    with pytest.raises(InvalidInput, match="expected a new or empty folder, or an earlier backup"):
        backing.back_up(world.registry, tmp_path / "full")
    backing.back_up(world.registry, tmp_path / "b")
    (tmp_path / "b" / CONFIG).write_bytes((tmp_path / "b" / CONFIG).read_bytes().replace(b"example", b"exbmple"))
    with pytest.raises(InvalidInput, match="found one of another registry"):
        backing.back_up(world.registry, tmp_path / "b")
    with pytest.raises(Conflict, match="is not empty"):
        backing.restore(tmp_path / "b", tmp_path / "full")
    with pytest.raises(NotFound, match="expected a backup"):
        backing.restore(tmp_path / "full", tmp_path / "r")


KILLED = """
import os, signal, sys
from pathlib import Path
from inbond.registry import backing
from inbond.registry.objects import bare
from inbond.registry.registry import Registry
from inbond.registry.signers import SignerRules

def back_up(left):
    def sync(descriptor, real=os.fsync):
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        real(descriptor)
    os.fsync = sync
    with Registry.open(sys.argv[1]) as registry:
        backing.back_up(registry, Path(sys.argv[2]))

for left in map(int, sys.argv[3:]):
    child = os.fork()
    if not child:
        back_up(left)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_a_backup_that_was_killed_is_finished_by_the_next(lived: World, tmp_path: Path, elsewhere: Callable[[], None]) -> None:
    """Killed at one of its syncs after another, in the same folder; what is there in the end is whole."""
    words = [sys.executable, "-c", KILLED, lived.folder, tmp_path / "b", *map(str, (0, 2, 3, 5, 9, 14, 20, 33, 50))]
    done = subprocess.run(words, timeout=120, check=True, capture_output=True, text=True)
    assert done.stdout.split().count("-9") >= 8
    assert backing.back_up(lived.registry, tmp_path / "b").size == lived.size()
    elsewhere()
    assert backing.restore(tmp_path / "b", tmp_path / "r").size == lived.size()
