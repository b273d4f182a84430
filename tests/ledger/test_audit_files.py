"""Audits of logs as files: in a folder, every bit of it; at an address, whoever answers there."""

import gzip
import random
import shutil
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from inbond.ledger import checkpoints
from inbond.ledger.audit import AuditReport, Options, audit_files, audit_folder
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.export import export
from inbond.ledger.fetching import AddressFiles, check_address
from inbond.ledger.policy import TrustedLog, TrustPolicy
from inbond.ledger.published import FileSource
from inbond.ledger.rules import NoRules
from inbond.schemas.errors import InvalidInput
from tests.ledger.published import Answer, dripping, gzipped, long_entries, never_ending, plainly, publish, served
from tests.ledger.world import World

SIZES = (3, 200, 256, 530)


@pytest.fixture(scope="module")
def long_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("long")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        world = World(folder / "log", NoRules())
        world.log.close()
    return world


@pytest.fixture(scope="module")
def grown(long_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 530 entries, exported at four sizes into one folder."""
    out = tmp_path_factory.mktemp("grown") / "log"
    entries = long_entries(long_world, SIZES[-1])
    for size in SIZES:
        publish(out, entries[:size], [long_world.log_key])
    return out


@pytest.fixture
def copy(grown: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(grown, tmp_path / "copy"))


def audited(folder: Path, world: World, **options: object) -> AuditReport:
    return audit_folder(folder, NoRules(), world.genesis_leaf, options=Options(**options))  # type: ignore[arg-type]


def quick(folder: Path, world: World) -> AuditReport:
    return audited(folder, world, signatures=False)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_folder_that_grew_is_clean(grown: Path, long_world: World) -> None:
    report = audited(grown, long_world)
    assert (report.verdict, report.size, report.signatures, report.checkpoints) == ("clean", 530, 531, 1)
    assert {path.relative_to(grown).as_posix() for path in files(grown)} >= {
        "tile/0/000", "tile/0/000.p/3", "tile/0/000.p/200", "tile/0/002.p/18", "tile/1/000.p/1", "tile/1/000.p/2",
        "tile/entries/000.p/200", "tile/entries/002.p/18",
    }  # fmt: skip


def test_any_bit_of_any_file_is_found_and_named(copy: Path, long_world: World) -> None:
    """Also in the tiles and bundles that earlier exports have left."""
    choose = random.Random(7)
    for path in files(copy):
        content = path.read_bytes()
        for at in {0, len(content) - 1, *(choose.randrange(len(content)) for _ in range(3))}:
            altered = bytearray(content)
            altered[at] ^= 1 << choose.randrange(8)
            path.write_bytes(altered)
            report = audited(copy, long_world, signatures="entries" in str(path) and at % 2 == 0)
            assert report.verdict == "differs", f"{path} at {at}"
            assert str(path) in (report.problem or ""), f"byte {at}: {report.problem}"
        path.write_bytes(content)
    assert audited(copy, long_world).verdict == "clean"


def test_a_file_that_is_cut_gone_or_one_too_many_is_named(copy: Path, long_world: World) -> None:
    for path in files(copy):
        content = path.read_bytes()
        for altered in (content[:-32], content + b"\0"):
            path.write_bytes(altered)
            assert str(path) in (quick(copy, long_world).problem or ""), f"{path} of {len(altered)} bytes"
        path.write_bytes(content)
    for name in ("tile/0/000", "tile/0/002.p/18", "tile/1/000.p/2", "tile/entries/001", "tile/entries/002.p/18"):
        content = (copy / name).read_bytes()
        (copy / name).unlink()
        assert f"{copy / name}: expected a file of the log, found none" in (quick(copy, long_world).problem or "")
        (copy / name).write_bytes(content)
    for name in (
        "tile/0/003.p/1",
        "tile/0/002.p/19",
        "tile/2/000.p/1",
        "tile/entries/003",
        "tile/0/000.p/256",
        "tile/x",
        "tile/0/.t",
    ):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(b"\0" * 32)
        assert str(copy / name) in (quick(copy, long_world).problem or ""), name
        (copy / name).unlink()
    (copy / "index.html").write_bytes(b"hello")  # a web server's business
    assert audited(copy, long_world).verdict == "clean"


def test_a_wider_file_serves_for_a_narrower_one(copy: Path, long_world: World, grown: Path) -> None:
    """A log may take partial tiles away when they are full."""
    early = publish(copy.parent / "early", long_entries(long_world, 200), [long_world.log_key])
    shutil.copy(early / "checkpoint", copy / "checkpoint")
    with served(copy) as url, AddressFiles(url) as there:
        for name in ("tile/0/000.p/200", "tile/entries/000.p/200"):
            (copy / name).unlink()
        options = Options(genesis=long_world.genesis_leaf)
        assert audit_files(FileSource(there), NoRules(), options).verdict == "clean"


def test_heads_and_tiles_without_entries(copy: Path, long_world: World) -> None:
    shutil.rmtree(copy / "tile/entries")
    policy = TrustPolicy((TrustedLog(long_world.log_key.verifier),))
    report = audited(copy, long_world, policy=policy)
    assert (report.verdict, len(report.unchecked), report.genesis) == ("inconclusive", 1, long_world.genesis_leaf.hex())
    assert "no entry bundles" in report.unchecked[0]
    assert "a trust policy has to say" in audited(copy, long_world).unchecked[1]
    stranger = TrustPolicy((TrustedLog(long_world.producer.verifier),))
    assert "expected signatures by keys of this log or of the policy only" in (
        audited(copy, long_world, policy=stranger).problem or ""
    )
    assert "expected genesis" in (audit_folder(copy, NoRules(), bytes(32)).problem or "")
    for path in files(copy):
        content = path.read_bytes()
        path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
        report = audited(copy, long_world, policy=policy)
        assert report.verdict == "differs", path
        path.write_bytes(content)


def test_an_export_is_what_the_hand_makes(make_world: Callable[..., World], tmp_path: Path) -> None:
    """The folders of these tests are those of `export`."""
    world = make_world()
    world.log.append(world.parties(300))
    with world.log.reading() as reader:
        export(reader, tmp_path / "one")
    publish(tmp_path / "two", world.entries(), [world.log_key])
    one, two = ({path.relative_to(out): path.read_bytes() for path in files(out)} for out in (tmp_path / "one", tmp_path / "two"))
    assert one == two


def test_a_checkpoint_that_claims_far_too_much(copy: Path, long_world: World) -> None:
    """Nothing is made ready for entries that nobody has shown."""
    text = Checkpoint(long_world.log_key.name, 2**62, bytes(32))
    (copy / "checkpoint").write_bytes(checkpoints.sign(text, [long_world.log_key]))
    assert "tile/entries/002: expected a file of the log, found none" in (audited(copy, long_world).problem or "")
    shutil.rmtree(copy / "tile/entries")
    assert "tile/0/002: expected a file of the log, found none" in (audited(copy, long_world).problem or "")


# -- at an address -----------------------------------------------------------------------------------------------------------


def at_address(url: str, world: World, **options: object) -> AuditReport:
    with AddressFiles(url, options.pop("token", None), seconds=1.0, attempts=2) as there:  # type: ignore[arg-type]
        return audit_files(FileSource(there), NoRules(), Options(genesis=world.genesis_leaf, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", [plainly, gzipped])
def test_a_log_at_an_address(grown: Path, long_world: World, answer: Answer) -> None:
    with served(grown, answer, "/some/log") as url:
        report = at_address(f"{url}/some/log/", long_world)
    assert (report.verdict, report.problem, report.size, report.signatures) == ("clean", None, 530, 531)


def only(path: str, answer: Answer) -> Answer:
    """`answer` for one path, and as it should be for all others."""
    return lambda handler, data: (answer if handler.path.startswith(path) else plainly)(handler, data)


def status(code: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler, data: bytes | None) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def body(change: Callable[[bytes], bytes]) -> Answer:
    return lambda handler, data: plainly(handler, change(data or b""))


def nothing(handler: BaseHTTPRequestHandler, data: bytes | None) -> None:
    time.sleep(20)


def hang_up(handler: BaseHTTPRequestHandler, data: bytes | None) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(b"\0" * 10)
    handler.close_connection = True


_BOMB = gzip.compress(bytes(32 << 20), 9)


def bomb(handler: BaseHTTPRequestHandler, data: bytes | None) -> None:
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.send_header("Content-Length", str(len(_BOMB)))
    handler.end_headers()
    handler.wfile.write(_BOMB)


def brotli(handler: BaseHTTPRequestHandler, data: bytes | None) -> None:
    handler.send_response(200)
    handler.send_header("Content-Encoding", "br")
    handler.send_header("Content-Length", "1")
    handler.end_headers()
    handler.wfile.write(b"x")


HOSTILE: dict[str, tuple[Answer, str, str]] = {
    "a checkpoint without end": (only("/checkpoint", never_ending), "differs", "expected at most 1048576 bytes, found more"),
    "a tile without end": (only("/tile/0", never_ending), "differs", "expected at most 8192 bytes, found more"),
    "a bundle without end": (only("/tile/entries/001", never_ending), "differs", "expected at most 16777472 bytes, found more"),
    "a bomb": (only("/tile/0/001", bomb), "differs", "expected at most 8192 bytes, found more"),
    "a tile that is too short": (only("/tile/0/001", body(lambda data: data[:-32])), "differs", "expected 8192 bytes"),
    "a tile of others": (only("/tile/0/001", body(lambda data: bytes(len(data)))), "differs", "expected the leaf hash"),
    "a bundle that is cut": (only("/tile/entries/001", body(lambda data: data[:-9])), "differs", "001: entry bundle"),
    "no checkpoint": (only("/checkpoint", status(404)), "differs", "checkpoint: expected a file of the log, found none"),
    "a tile that is gone": (only("/tile/0/001", status(410)), "differs", "tile/0/001: expected a file of the log, found none"),
    "silence": (only("/tile/0/001", nothing), "inconclusive", "found nothing whole within 1 s"),
    "a drip": (only("/checkpoint", dripping), "inconclusive", "found nothing whole within 1 s"),
    "a broken line": (only("/tile/0/001", hang_up), "inconclusive", "found RemoteProtocolError"),
    "an error": (only("/tile/0/001", status(500)), "inconclusive", "found status 500"),
    "too many": (only("/tile/0/001", status(429, Retry_After="0")), "inconclusive", "found status 429"),
    "elsewhere": (only("/checkpoint", status(302, Location="http://127.0.0.1:1/")), "inconclusive", "found status 302"),
    "another coding": (only("/checkpoint", brotli), "differs", "expected plain bytes or gzip, found them encoded, 'br'"),
    "no entries": (only("/tile/entries", status(404)), "inconclusive", "has no entry bundles"),
    "entries for others": (only("/tile/entries", status(403)), "inconclusive", "entries are for auditors"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_whoever_answers_is_given_up_cleanly(grown: Path, long_world: World, name: str) -> None:
    answer, verdict, message = HOSTILE[name]
    start = time.monotonic()
    with served(grown, answer) as url:
        report = at_address(url, long_world)
    assert (report.verdict, message in f"{report.problem} {report.unchecked}") == (verdict, True), report
    assert time.monotonic() - start < 20


def test_nobody_is_there(long_world: World) -> None:
    report = at_address("http://127.0.0.1:1", long_world)
    assert report.verdict == "inconclusive"
    assert "http://127.0.0.1:1/checkpoint: expected a file of the log, found ConnectError" in report.unchecked[0]


def test_a_token_opens_the_entries(grown: Path, long_world: World) -> None:
    asked: list[str | None] = []

    def answer(handler: BaseHTTPRequestHandler, data: bytes | None) -> None:
        given = handler.headers.get("Authorization")
        asked.append(given)
        closed = handler.path.startswith("/tile/entries") and given != "Bearer inb_12345678"
        (status(401) if closed else plainly)(handler, data)

    with served(grown, answer) as url:
        assert at_address(url, long_world, token="inb_12345678").verdict == "clean"
        assert set(asked) == {"Bearer inb_12345678"}
        assert "INBOND_TOKEN" in at_address(url, long_world).unchecked[0]


@pytest.mark.parametrize(
    "url",
    ["http://example.org/log", "ftp://example.org", "https://", "https://a@b.example", "https://x.example/?a", "http://10.0.0.1"],
)
def test_addresses_that_a_token_may_not_be_sent_to(url: str) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        check_address(url)


@pytest.mark.parametrize("url", ["http://localhost:8/x/", "http://[::1]:8/x", "https://example.org/x"])
def test_addresses_that_it_may(url: str) -> None:
    assert check_address(url).endswith("/x")
