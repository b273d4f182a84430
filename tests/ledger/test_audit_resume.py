"""Audits that go on from where an earlier one ended: what they read, what they notice, what they do not believe."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from inbond.ledger import merkle
from inbond.ledger.audit import AuditReport, Memory, Options, audit_files, audit_log
from inbond.ledger.auditing.remembered import FILE
from inbond.ledger.entries import parse_entry
from inbond.ledger.fetching import AddressFiles
from inbond.ledger.highwater import state_folder
from inbond.ledger.published import FileSource, FolderFiles
from inbond.ledger.rules import NoRules
from inbond.schemas.errors import InbondError
from tests.ledger.published import long_entries, placed, plainly, publish, served
from tests.ledger.test_audit import change
from tests.ledger.world import World, seen


class Read(FolderFiles):
    """A folder that remembers what was read of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read_paths: set[str] = set()

    def read(self, path: str, limit: int) -> bytes | None:
        self.read_paths.add(path)
        return super().read(path, limit)


@pytest.fixture
def closed(make_world: Callable[..., World]) -> World:
    world = make_world(rules=NoRules())
    world.log.close()
    return world


@pytest.fixture
def out(closed: World, tmp_path: Path) -> Path:
    """A log of 600 entries, audited once."""
    out = publish(tmp_path / "out", long_entries(closed, 600), [closed.log_key])
    assert audited(out, closed).verdict == "clean"
    return out


def audited(
    folder: Path, world: World, *, anew: bool = False, files: FolderFiles | None = None, **options: object
) -> AuditReport:
    given = Options(genesis=world.genesis_leaf, memory=Memory(anew=anew), **options)  # type: ignore[arg-type]
    return audit_files(FileSource(files or FolderFiles(folder)), NoRules(), given)


def remembered(world: World) -> Path:
    return state_folder() / world.genesis_leaf.hex() / FILE


def test_an_audit_goes_on_from_the_last_full_tile(out: Path, closed: World) -> None:
    files = Read(out)
    again = audited(out, closed, files=files)
    assert (again.verdict, again.resumed, again.signatures) == ("clean", 512, 88)
    assert {path for path in files.read_paths if path.startswith("tile/entries")} == {"tile/entries/002.p/88"}
    publish(out, long_entries(closed, 1000), [closed.log_key])
    files = Read(out)
    later = audited(out, closed, files=files)
    assert (later.verdict, later.resumed, later.signatures, later.size) == ("clean", 512, 488, 1000)
    assert {path for path in files.read_paths if path.startswith("tile/entries")} == {
        "tile/entries/002", "tile/entries/002.p/88", "tile/entries/003.p/232"
    }  # fmt: skip
    assert audited(out, closed).resumed == 768
    start = audited(out, closed, anew=True)
    assert (start.verdict, start.resumed, start.signatures) == ("clean", 0, 1001)
    assert audited(out, closed).resumed == 768


def test_what_lies_behind_is_not_read_again(out: Path, closed: World) -> None:
    bundle = out / "tile/entries/000"
    content = bundle.read_bytes()
    bundle.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert audited(out, closed).verdict == "clean"
    assert str(bundle) in (audited(out, closed, anew=True).problem or "")


def test_what_was_not_clean_is_not_remembered(closed: World, tmp_path: Path) -> None:
    out = publish(tmp_path / "out", long_entries(closed, 300), [closed.log_key])
    (out / "tile/0/001.p/44").write_bytes(bytes(44 * 32))
    assert audited(out, closed).verdict == "differs"
    assert not remembered(closed).exists()
    publish(out, long_entries(closed, 300), [closed.log_key])
    assert audited(out, closed, signatures=False).verdict == "inconclusive"
    assert not remembered(closed).exists()
    assert audited(out, closed).resumed == 0
    assert remembered(closed).stat().st_mode & 0o777 == 0o600


def test_a_log_that_fell_back_is_noticed(out: Path, closed: World, tmp_path: Path) -> None:
    early = publish(tmp_path / "early", long_entries(closed, 550), [closed.log_key])
    assert "expected example.org/log at size 600 or later, which was audited before, found example.org/log at size 550" in (
        audited(early, closed).problem or ""
    )
    assert audited(early, closed, anew=True).verdict == "clean"


@pytest.mark.parametrize("at", [3, 300, 599])
@pytest.mark.parametrize("size", [600, 601, 900])
def test_another_history_is_noticed(out: Path, closed: World, tmp_path: Path, at: int, size: int) -> None:
    """A log that is whole in itself and is not the one that was audited."""
    before = long_entries(closed, 900)[:at]
    others = placed([closed.numbered(number, "other") for number in range(size - at)], before)
    fork = publish(tmp_path / "fork", others, [closed.log_key])
    report = audited(fork, closed)
    assert report.verdict == "differs"
    assert (
        "the checkpoint that an earlier audit has verified: at size 600" in (report.problem or "")
        if at >= 512
        else "expected prev" in (report.problem or "") or "tile 0/0: expected the hashes" in (report.problem or "")
    ), report.problem
    assert audited(fork, closed, anew=True).verdict == "clean"


def test_statements_after_it_are_judged_by_the_keys_before(closed: World, tmp_path: Path) -> None:
    second = closed.key("second")
    head = placed([closed.enrol(second), closed.revoke(closed.producer)], closed.entries())
    body = placed([closed.party(f"p{number}", keys=[second]) for number in range(300)], head)
    out = publish(tmp_path / "out", body, [closed.log_key])
    assert audited(out, closed).verdict == "clean"
    publish(tmp_path / "good", placed([closed.party("good", keys=[second])], body), [closed.log_key])
    good = audited(tmp_path / "good", closed)
    assert (good.verdict, good.resumed) == ("clean", 256)
    for name, envelope, problem in (
        ("revoked", closed.party("x"), "was revoked by entry 3"),
        ("unknown", closed.party("x", keys=[closed.key("stranger")]), "found unknown key"),
        ("unseen", closed.party("x", keys=[second], seen=None), "header.seen: expected the size and root"),
        ("twice", body[7], "expected a header id of its own, found that of entry 7"),
    ):
        said = parse_entry(envelope).dsse if isinstance(envelope, bytes) else envelope
        publish(tmp_path / name, placed([said], body), [closed.log_key])
        report = audited(tmp_path / name, closed)
        assert problem in (report.problem or ""), report
        assert report.resumed == 256


def test_seen_before_it(out: Path, closed: World, tmp_path: Path) -> None:
    """A size that a signer has seen may lie in what is not read again: its tile is, and held to what is remembered."""
    entries = long_entries(closed, 600)
    leaves = [merkle.leaf_hash(data) for data in entries]
    good = placed([closed.party("good", seen=seen(300, merkle.root_of(leaves[:300])))], entries)
    assert audited(publish(tmp_path / "good", good, [closed.log_key]), closed).verdict == "clean"
    bad = placed([closed.party("bad", seen=seen(300, merkle.root_of(leaves[:299])))], entries)
    assert "entry 600: header.seen: at size 300" in (
        audited(publish(tmp_path / "bad", bad, [closed.log_key]), closed).problem or ""
    )
    other = [merkle.leaf_hash(b"%d" % number) for number in range(256)]
    fork = placed([closed.party("fork", seen=seen(300, merkle.root_of([*leaves[:256], *other[:44]])))], entries)
    folder = publish(tmp_path / "fork", fork, [closed.log_key])
    (folder / "tile/0/001").write_bytes(b"".join(other))  # a server that shows the tile that the claim needs
    assert "tile 0/1: expected the hashes that it had before, found others" in (audited(folder, closed).problem or "")


def test_a_file_that_was_altered_makes_no_audit_pass(out: Path, closed: World, tmp_path: Path) -> None:
    """The log has a difference that the file would have to hide; whatever is done to the file, it is found."""
    path = remembered(closed)
    content = path.read_bytes()
    entries = long_entries(closed, 600)
    bad = publish(tmp_path / "bad", placed([closed.party("x", keys=[closed.key("stranger")])], entries), [closed.log_key])
    assert "found unknown key" in (audited(bad, closed).problem or "")
    choose = random.Random(3)
    for altered in (
        b"", content[:-1], content + b"\0", content[:100], bytes(len(content)),
        *(_flipped(content, choose.randrange(len(content)), choose.randrange(8)) for _ in range(20)),
    ):  # fmt: skip
        path.write_bytes(altered)
        report = audited(bad, closed, signatures=False)
        assert report.verdict == "differs"
        assert "started from entry 0" in report.notes[0]
        assert report.resumed == 0
    assert audited(out, closed).verdict == "clean"
    assert audited(out, closed).notes == []


def _flipped(content: bytes, at: int, bit: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]


def test_what_another_log_has_left_is_not_taken(out: Path, make_world: Callable[..., World], tmp_path: Path) -> None:
    other = make_world("other", rules=NoRules(), seed=5)
    other.log.close()
    theirs = publish(tmp_path / "theirs", long_entries(other, 600), [other.log_key])
    [state] = [path for path in state_folder().rglob(FILE)]
    target = state_folder() / other.genesis_leaf.hex() / FILE
    shutil.copy(state, target)
    report = audited(theirs, other)
    assert (report.verdict, report.resumed, len(report.notes)) == ("clean", 0, 1)


def test_small_logs_are_remembered_too(closed: World, tmp_path: Path) -> None:
    entries = long_entries(closed, 20)
    assert audited(publish(tmp_path / "one", entries, [closed.log_key]), closed).verdict == "clean"
    more = placed([closed.numbered(77)], entries)
    assert audited(publish(tmp_path / "two", more, [closed.log_key]), closed).verdict == "clean"
    assert "which was audited before" in (audited(tmp_path / "one", closed).problem or "")
    other = placed([closed.numbered(78), closed.numbered(79)], entries)
    fork = audited(publish(tmp_path / "fork", other, [closed.log_key]), closed)
    assert "the checkpoint that an earlier audit has verified: at size 21" in (fork.problem or "")


def test_an_audit_that_was_cut_off_goes_on_later(closed: World, tmp_path: Path) -> None:
    out = publish(tmp_path / "out", long_entries(closed, 2000), [closed.log_key])

    def answer(handler: object, data: bytes | None) -> None:
        if "tile/entries/005" in handler.path and cut:  # type: ignore[attr-defined]
            handler.close_connection = True  # type: ignore[attr-defined]
            return
        plainly(handler, data)  # type: ignore[arg-type]

    cut = True
    with served(out, answer) as url:
        options = Options(genesis=closed.genesis_leaf, memory=Memory())
        with AddressFiles(url, attempts=1) as there:
            first = audit_files(FileSource(there), NoRules(), options)
        assert (first.verdict, first.problem) == ("inconclusive", None)
        cut = False
        with AddressFiles(url) as there:
            second = audit_files(FileSource(there), NoRules(), options)
    assert second.verdict == "clean"
    assert second.resumed > 0
    assert second.resumed % 256 == 0
    assert second.signatures == 2000 - second.resumed


# -- a database --------------------------------------------------------------------------------------------------------------


def of_log(world: World, *, anew: bool = False) -> AuditReport:
    return audit_log(world.log, world.rules, options=Options(memory=Memory(anew=anew)))


def test_rows_are_made_again_from_all_entries(make_world: Callable[..., World]) -> None:
    """Rules that have to be asked about every statement: signatures alone are not checked again."""
    world = make_world()
    world.log.append(world.parties(598))
    first = of_log(world)
    assert (first.verdict, first.resumed, first.signatures) == ("clean", 0, 601)
    world.log.append(world.parties(10))
    again = of_log(world)
    assert (again.verdict, again.resumed, again.signatures, again.tables) == ("clean", 512, 98, 4)
    assert of_log(world, anew=True).signatures == 611


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE names SET seq = 3 WHERE seq = 20",
        "UPDATE entries SET leaf = X'{hash}' WHERE seq = 20",
        'UPDATE entries SET data = CAST(replace(CAST(data AS TEXT), \'"time":"2\', \'"time":"1\') AS BLOB) WHERE seq = 20',
        "DELETE FROM signers WHERE seq = 20",
    ],
)
def test_what_lies_behind_in_a_database_is_compared_all_the_same(make_world: Callable[..., World], statement: str) -> None:
    world = make_world()
    world.log.append(world.parties(598))
    assert of_log(world).verdict == "clean"
    world.log.close()
    assert change(world.folder, statement.format(hash="ab" * 32))
    world.log = world.open()
    assert of_log(world).verdict == "differs"


def test_a_database_with_plain_rules_is_read_from_there(make_world: Callable[..., World]) -> None:
    world = make_world(rules=NoRules())
    world.log.append(world.parties(598))
    assert of_log(world).verdict == "clean"
    world.log.append(world.parties(300))
    again = of_log(world)
    assert (again.verdict, again.resumed, again.signatures) == ("clean", 512, 388)
    assert again.checkpoints == 2


def test_errors_are_not_remembered_as_done(out: Path, closed: World) -> None:
    path = remembered(closed)
    path.unlink()
    path.mkdir()
    with pytest.raises(InbondError, match="cannot be read"):
        audited(out, closed)
