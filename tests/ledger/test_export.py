from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from inbond.ledger import checkpoints, merkle, notes
from inbond.ledger.audit import Options, audit_folder
from inbond.ledger.cosigner import Cosigner
from inbond.ledger.export import export, note_for
from inbond.ledger.keys import COSIGNATURE_V1
from inbond.ledger.policy import TrustPolicy, Witness
from inbond.ledger.publishing import PublishedHeads
from inbond.ledger.tiles import TILE_WIDTH, decode_bundle, entries_path, parse_path, tile_path
from inbond.ledger.witnessed import Witnessed
from inbond.schemas.errors import InvalidInput, StoreError
from tests.ledger.world import NoRules, World


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A log of more than one full tile."""
    folder = tmp_path_factory.mktemp("large")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        world = World(folder / "log", NoRules())
        world.log.append(world.parties(TILE_WIDTH + 5))
    world.log.close()
    return world


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(world: World, folder: Path) -> int:
    with world.log.reading() as reader:
        return export(reader, folder)


def test_the_files_of_a_log(large: World, tmp_path: Path) -> None:
    size = TILE_WIDTH + 7
    steps: list[tuple[int, int]] = []
    with large.log.reading() as reader:
        count = export(reader, tmp_path, lambda done, all: steps.append((done, all)))
    found = files(tmp_path)
    assert set(found) == {
        "checkpoint", "tile/0/000", "tile/0/001.p/7", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/7"
    }  # fmt: skip
    assert count == len(found)
    assert steps == [(n, 5) for n in range(1, 6)]
    entries = decode_bundle(found[entries_path(0)], 256) + decode_bundle(found[entries_path(1, 7)], 7)
    assert entries == large.entries()
    leaves = [merkle.leaf_hash(data) for data in entries]
    assert found["tile/0/000"] + found["tile/0/001.p/7"] == b"".join(leaves)
    assert found["tile/1/000.p/1"] == merkle.root_of(leaves[:256])
    assert large.policy.open_checkpoint(found["checkpoint"]).root == merkle.root_of(leaves)
    assert len(leaves) == size
    for name in found.keys() - {"checkpoint"}:
        parse_path(name)


def test_an_export_again_changes_nothing(large: World, tmp_path: Path) -> None:
    put(large, tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("tile/**/*") if path.is_file()}
    before = files(tmp_path)
    assert put(large, tmp_path) == len(before)
    assert files(tmp_path) == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_an_export_is_brought_up_to_date(make_world: Callable[..., World], tmp_path: Path) -> None:
    world = make_world()
    out = tmp_path / "deep" / "out"
    put(world, out)
    early = files(out)
    world.log.append(world.parties(4))
    put(world, out)
    late = files(out)
    assert early.items() - {("checkpoint", early["checkpoint"])} <= late.items()
    assert late.keys() - early.keys() == {"tile/0/000.p/6", "tile/entries/000.p/6"}
    assert audit_folder(out, world.rules, world.genesis_leaf).verdict == "clean"


def test_another_logs_folder_is_refused(make_world: Callable[..., World], tmp_path: Path) -> None:
    one, two = make_world("one"), make_world("two", seed=1)
    two.log.append(two.parties(3))  # no tile of theirs has the name of one of ours
    out = tmp_path / "out"
    put(one, out)
    before = files(out)
    with pytest.raises(InvalidInput, match="belongs to another log"):
        put(two, out)
    assert files(out) == before
    (out / "checkpoint").unlink()
    put(two, out)  # nothing says whose it is, and nothing is overwritten
    (out / "checkpoint").unlink()
    (out / tile_path(0, 0, 2)).write_bytes(before[tile_path(0, 0, 2)][:-1])
    with pytest.raises(InvalidInput, match=r"tile/0/000\.p/2 belongs to another log or was altered"):
        put(one, out)


def test_a_later_state_of_the_log_is_not_overwritten(make_world: Callable[..., World], tmp_path: Path) -> None:
    world = make_world()
    with world.log.reading() as before:
        world.log.append(world.parties(2))
        put(world, tmp_path / "out")
        with pytest.raises(InvalidInput, match="expected a size of at most 2, which is this log's, found 4"):
            export(before, tmp_path / "out")


def test_a_public_export_has_no_entries(large: World, tmp_path: Path) -> None:
    with large.log.reading() as reader:
        assert export(reader, tmp_path / "public", public=True) == 4
        assert set(files(tmp_path / "public")) == {"checkpoint", "tile/0/000", "tile/0/001.p/7", "tile/1/000.p/1"}
        assert export(reader, tmp_path / "public", public=True) == 4
        export(reader, tmp_path / "whole")
        before = files(tmp_path / "whole")
        with pytest.raises(InvalidInput, match="expected no entries in a public export, found some"):
            export(reader, tmp_path / "whole", public=True)
        assert files(tmp_path / "whole") == before
    assert (
        audit_folder(tmp_path / "public", NoRules(), large.genesis_leaf, options=Options(policy=large.policy)).verdict
        == "inconclusive"
    )


def test_a_log_is_exported_as_far_as_its_witnesses_have_seen_it(make_world: Callable[..., World], tmp_path: Path) -> None:
    world, out = make_world(), tmp_path / "out"
    key = Cosigner("witness.example", COSIGNATURE_V1, bytes([5] * 32))
    policy = TrustPolicy(world.policy.logs, (Witness("w", key.verifier),), (), "w")
    heads = PublishedHeads(Witnessed(world.folder), policy)

    def cosign(note: bytes) -> None:
        head = checkpoints.parse(notes.parse(note).text)
        heads.kept.keep(head, [key.cosign(head.text(), 1_800_000_000)])

    def update() -> int:
        with world.log.reading() as reader:
            export(reader, out, note=note_for(reader, out, heads))
        return checkpoints.parse(notes.parse((out / "checkpoint").read_bytes()).text).size

    assert update() == 2, "nobody has seen it yet, so it is shown as it is"
    world.log.append(world.parties(3))
    assert update() == 5
    with world.log.reading() as reader:
        cosign(reader.checkpoint(2))
    assert update() == 5, "an export does not go back"
    with world.log.reading() as reader:
        cosign(reader.note)
    world.log.append(world.parties(3))
    assert update() == 5
    policy.open_checkpoint((out / "checkpoint").read_bytes())
    assert set(files(out)) == {
        "checkpoint", *(f"tile/{kind}/000.p/{width}" for kind in ("0", "entries") for width in (2, 5))
    }  # fmt: skip
    assert audit_folder(out, world.rules, world.genesis_leaf, options=Options(policy=policy)).verdict == "clean"
    heads.close()


def test_what_is_no_checkpoint_is_not_overwritten(world: World, tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_bytes(b"dear diary")
    with pytest.raises(InvalidInput, match="expected a checkpoint of this log or no file"):
        put(world, tmp_path)
    assert (tmp_path / "checkpoint").read_bytes() == b"dear diary"


def test_a_folder_that_cannot_be_written(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="could not be written"):
        put(world, tmp_path / "file")


def flip(path: Path, seed: str) -> None:
    data = bytearray(path.read_bytes())
    data[int.from_bytes(sha256(seed.encode()).digest()[:8], "big") % len(data)] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("attempt", range(2))
@pytest.mark.parametrize(
    "name", ["checkpoint", "tile/0/000", "tile/0/001.p/7", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/7"]
)
def test_a_flipped_byte_in_an_exported_file_is_found(large: World, tmp_path: Path, name: str, attempt: int) -> None:
    put(large, tmp_path)
    flip(tmp_path / name, f"{name}/{attempt}")
    report = audit_folder(tmp_path, NoRules(), large.genesis_leaf)
    assert report.verdict == "differs"
    assert report.problem
    if name.startswith(("tile/0", "tile/1")):
        assert str(tmp_path / name) in report.problem


@pytest.mark.parametrize("name", ["tile/0/000", "tile/0/001.p/7", "tile/entries/001.p/7", "checkpoint"])
def test_a_missing_file_is_found(large: World, tmp_path: Path, name: str) -> None:
    put(large, tmp_path)
    (tmp_path / name).unlink()
    report = audit_folder(tmp_path, NoRules(), large.genesis_leaf)
    assert report.verdict == "differs"
    assert str(tmp_path / name) in (report.problem or "")


def test_an_audit_of_a_folder_says_what_it_rests_on(large: World, tmp_path: Path) -> None:
    put(large, tmp_path)
    assert audit_folder(tmp_path, NoRules(), large.genesis_leaf).verdict == "clean"
    unpinned = audit_folder(tmp_path, NoRules())
    assert unpinned.verdict == "inconclusive"
    assert large.genesis_leaf.hex() in unpinned.unchecked[0]
    other = audit_folder(tmp_path, NoRules(), bytes(32))
    assert other.verdict == "differs"
    assert "expected genesis" in (other.problem or "")


def test_an_export_without_entries_is_inconclusive(large: World, tmp_path: Path) -> None:
    put(large, tmp_path)
    for path in (tmp_path / entries_path(0), tmp_path / entries_path(1, 7)):
        path.unlink()
    report = audit_folder(tmp_path, NoRules(), large.genesis_leaf)
    assert report.verdict == "inconclusive"
    assert "no entry bundles" in report.unchecked[0]
