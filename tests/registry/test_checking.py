"""One flipped byte anywhere: it is named, or nothing that an answer rests on has changed."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from inbond.registry.home import Home
from inbond.registry.keychain import Keychain
from inbond.registry.registry import Registry
from inbond.schemas.errors import InvalidInput, NotFound, NotPermitted, VerificationError
from inbond.schemas.scalars import Role
from tests.registry.world import BETA_ROWS, CHAT_ROWS, CODE_ROWS, World


@contextmanager
def flipped(path: Path, at: int, bit: int) -> Iterator[None]:
    """One bit of a file changed, for a while."""
    whole, mode = path.read_bytes(), path.stat().st_mode
    path.chmod(0o600)
    path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :])
    try:
        yield
    finally:
        path.write_bytes(whole)
        path.chmod(mode)


def found(folder: Path) -> list[str]:
    """What opening and verifying the registry complains about; anything but our errors goes up."""
    try:
        with Registry.open(folder) as registry:
            return registry.verify().problems
    except (VerificationError, InvalidInput, NotPermitted) as error:
        return [error.message]


def test_everything_is_counted(lived: World) -> None:
    checked = lived.registry.verify()
    assert checked.verdict == "proved"
    assert (checked.shards, checked.records) == (6, CHAT_ROWS + CODE_ROWS + BETA_ROWS + 8)
    assert checked.keys == len(list((lived.folder / "keys").rglob("*.key")))
    told: list[tuple[str, int, int]] = []
    lived.registry.verify(progress=lambda *step: told.append(step))
    assert {what for what, _, _ in told} == {"replaying the log", "verifying shards", "verifying objects"}
    assert all(done <= total for _, done, total in told)


def test_one_thing_is_checked_with_its_parts(lived: World) -> None:
    checked = lived.registry.verify("chat@1")
    assert (checked.verdict, checked.entries, checked.shards, checked.records) == ("proved", 4, 3, CHAT_ROWS)
    assert lived.registry.verify(lived.parts("chat")[0][0]).records == 12
    assert lived.registry.verify("student:lab/pupil").verdict == "proved"
    with pytest.raises(NotFound):
        lived.registry.verify("nothing")


def test_a_flipped_byte_in_any_object_is_named(lived: World) -> None:
    chance = random.Random(5)
    objects = sorted(path for path in (lived.folder / "objects").rglob("*") if path.is_file())
    assert any(path.suffix == ".blocks" for path in objects)
    shards = {row["file"].removeprefix("sha256:"): row["ref"] for row in lived.rows()["shards"]}
    lists = [path for path in objects if path.stem not in shards and path.stat().st_size]
    for path in [*(path for path in objects if path.stem in shards), *chance.sample(lists, 4)]:
        with flipped(path, chance.randrange(path.stat().st_size), chance.randrange(8)):
            checked = lived.registry.verify(shards[path.stem]) if path.stem in shards else lived.registry.verify()
        assert checked.problems, path
        name = shards.get(path.stem, path.stem)
        assert any(name in problem for problem in checked.problems), (path, checked.problems)
    assert lived.registry.verify().verdict == "proved"


def test_a_missing_object_is_named(lived: World) -> None:
    path = lived.registry.store.path(lived.body(lived.ref("acme-terms")).text.removeprefix("sha256:"))
    path.unlink()
    assert any(path.name in problem for problem in lived.registry.verify().problems)


FILES = ["registry.toml", "policy.txt", *(f"keys/{role}.key" for role in ("log", "admin", "registry", "producer", "trainer"))]


@pytest.mark.parametrize("name", [*FILES, "keys/runs"])
def test_a_flipped_byte_in_a_key_file_or_in_what_pins_the_registry_is_named(lived: World, name: str) -> None:
    path = lived.folder / name
    path = next(path.iterdir()) if path.is_dir() else path
    lived.registry.close()
    chance = random.Random(name)
    for at in sorted(chance.sample(range(path.stat().st_size), 2)):
        with flipped(path, at, chance.randrange(8)):
            problems = found(lived.folder)
        assert problems, (name, at)
        assert any(path.name in problem or str(lived.folder) in problem for problem in problems), problems


def test_two_keys_that_changed_places_are_named(lived: World) -> None:
    keys = lived.folder / "keys"
    first, second = sorted((keys / "runs").iterdir())[:2]
    other = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(other)
    checked = lived.registry.verify()
    assert [path.name in " ".join(checked.problems) for path in (first, second)] == [True, True]


def test_a_run_key_without_a_run_is_nothing(lived: World) -> None:
    """It is what a pull leaves that was killed before its run was on record."""
    key = lived.registry.keys.run(lived.ref("copies"))
    lived.registry.keys.keep_run("0" * 32, key)
    assert lived.registry.verify().verdict == "proved"


def test_another_key_in_a_roles_file_is_not_proved(lived: World) -> None:
    folder = lived.folder / "keys"
    Keychain(folder).generate("spare", "spare")
    checked = lived.registry.verify()
    assert checked.verdict == "inconclusive"
    assert "spare.key" in checked.unchecked[0]


def answers(registry: Registry) -> Any:
    """Everything that a registry says, but for paths."""
    rows = World.rows(_Open(registry))  # type: ignore[arg-type]
    up, down = registry.lineage("lab/grandpupil"), registry.lineage("acme", direction="down")
    return rows, up.hops, down.hops, registry.check(["chat"], "lab/pupil"), registry.check(["chat"], "lab/other")


class _Open:
    def __init__(self, registry: Registry) -> None:
        self.registry = registry


def test_a_flipped_byte_in_the_database_is_named_or_changes_no_answer(lived: World) -> None:
    moments = int(os.environ.get("INBOND_FAULTS", "7"))
    expected = answers(lived.registry)
    lived.registry.close()
    path, chance, named = lived.folder / "ledger.db", random.Random(11), 0
    size = path.stat().st_size
    for at in [*(0, 20, 60), *(chance.randrange(size) for _ in range(moments))]:
        with flipped(path, at, chance.randrange(8)):
            problems = found(lived.folder)
            named += bool(problems)
            if not problems:
                with Registry.open(lived.folder) as registry:
                    assert answers(registry) == expected, at
        for left in ("ledger.db-wal", "ledger.db-shm"):
            (lived.folder / left).unlink(missing_ok=True)
    assert named >= 2


def test_what_is_no_registry_is_not_opened(lived: World, tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere", tmp_path, lived.folder / "registry.toml"):
        with pytest.raises(NotFound, match="is not a registry"):
            Registry.open(place)
    text = (lived.folder / "registry.toml").read_text()
    for bad in ("", "nonsense", text.replace("genesis", "other"), text.replace('genesis = "', 'genesis = "zz')):
        (lived.folder / "registry.toml").write_text(bad)
        with pytest.raises(InvalidInput, match=r"registry\.toml: expected origin, genesis and operator"):
            Registry.open(lived.folder)
    (lived.folder / "registry.toml").write_text(text.replace("example.org", "example.com"))
    with pytest.raises(VerificationError, match=r"expected origin example\.org/world, found example\.com/world"):
        Registry.open(lived.folder)


def test_another_registrys_ledger_is_not_opened(lived: World, tmp_path: Path) -> None:
    with Registry.init(tmp_path / "other", "example.org/world") as other:
        assert Home.read(other.folder).operator == other.operator
    lived.registry.close()
    shutil.copyfile(tmp_path / "other" / "ledger.db", lived.folder / "ledger.db")
    with pytest.raises(VerificationError, match="expected the log of genesis"):
        Registry.open(lived.folder)


def test_a_registry_without_keys_can_be_read_and_checked(lived: World) -> None:
    lived.registry.close()
    shutil.rmtree(lived.folder / "keys")
    with Registry.open(lived.folder) as registry:
        assert registry.verify().verdict == "proved"
        assert registry.lineage("lab/grandpupil").hops
        with pytest.raises(NotPermitted):
            registry.add_party("new")


def test_an_enrolment_that_was_interrupted_goes_on(make_world: Callable[..., World]) -> None:
    world = make_world("interrupted")
    key = world.registry.keys.generate(Role.AUDITOR, "left-over")
    world.registry.add_key(Role.AUDITOR)
    assert key.public.fingerprint in world.registry.log.keyring.keys
    assert world.registry.verify().verdict == "proved"
