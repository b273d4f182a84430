"""A monitor in front of logs on real sockets: honest ones, growing ones, forks, and servers that say anything."""

import dataclasses
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inbond.ledger import checkpoints, notes, watch
from inbond.ledger.contradictions import Contradiction, Signed, compare
from inbond.ledger.cosigner import Cosigner
from inbond.ledger.cosigning import Witness as WitnessServer
from inbond.ledger.keys import COSIGNATURE_V1
from inbond.ledger.merkle import root_of
from inbond.ledger.policy import Group, TrustedLog, TrustPolicy, Witness
from inbond.ledger.tiles import parse_path
from inbond.ledger.watch import EVIDENCE, INCONCLUSIVE, OK, Finding, Watch
from inbond.ledger.watched import Known, Watched
from inbond.ledger.witness_state import WitnessState
from inbond.schemas.errors import Inconclusive, InvalidInput, VerificationError
from tests.api.cli.shell import run
from tests.api.witness_server import listening
from tests.ledger.witnessed import KNOWN, LOG_KEY, NOW, ORIGIN, PlainLog
from tests.registry.places.scripted import Asked, Said, Scripted, serving

POLICY = TrustPolicy((TrustedLog(LOG_KEY.verifier),))
HONEST, FORKED = PlainLog(600), PlainLog(600, fork=280)
KEY = Cosigner("witness.example/one", COSIGNATURE_V1, bytes([70] * 32))


@dataclass
class Shown:
    """A log of `size` as a server shows it; `change` may alter its answers by path."""

    log: PlainLog
    size: int
    change: Callable[[str, Said], Said] = lambda path, said: said
    lines: list[notes.NoteSignature] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def note(self) -> bytes:
        parsed = notes.parse(self.log.note(self.size))
        return notes.Note(parsed.text, (*parsed.signatures, *self.lines)).to_bytes()

    def answer(self, asked: Asked) -> Said:
        path = asked.path.removeprefix("/")
        self.paths.append(path)
        return self.change(path, self.honest(path))

    def honest(self, path: str) -> Said:
        if path == "checkpoint":
            return Said(body=self.note())
        try:
            name = parse_path(path)
        except InvalidInput:
            return Said(404)
        if name.level is None or (256 * name.n + name.width) << 8 * name.level > self.size:
            return Said(404)
        step = 1 << 8 * name.level
        hashes = range(256 * name.n, 256 * name.n + name.width)
        return Said(body=b"".join(root_of(self.log.leaves[i * step : (i + 1) * step]) for i in hashes))


@dataclass
class Scene:
    """Servers, and a monitor's state and evidence."""

    folder: Path
    stack: ExitStack

    def serve(self, shown: Shown) -> str:
        server = Scripted(shown.answer)
        self.stack.enter_context(serving(server))
        return server.url

    def look(self, *urls: str, policy: TrustPolicy = POLICY, seconds: float = 30.0, **options: float) -> list[Finding]:
        """One round of a monitor that begins again from what it remembers."""
        state, evidence = self.folder / "watched.db", self.folder / "evidence"
        with Watch(urls, policy, state, evidence, seconds=seconds, **options) as watching:  # type: ignore[arg-type]
            return watching.round()

    def one(self, url: str, **options: object) -> Finding:
        [found] = self.look(url, **options)  # type: ignore[arg-type]
        return found


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(tmp_path, stack)


def signed(log: PlainLog, size: int) -> Signed:
    return Signed(log.head(size), log.note(size))


# One history ------------------------------------------------------------------------------------------------------------


def test_a_growing_log_is_followed_from_one_look_to_the_next(scene: Scene) -> None:
    shown = Shown(HONEST, 1)
    url = scene.serve(shown)
    for size in (1, 1, 255, 256, 257, 511, 512, 600):
        shown.size = size
        assert scene.one(url) == Finding(url, OK, "consistent", ORIGIN, size)
    assert not (scene.folder / "evidence").exists()
    assert not [path for path in shown.paths if path.startswith("tile/entries")]


def test_a_log_below_a_registrys_address_is_found(scene: Scene) -> None:
    shown = Shown(HONEST, 300)
    shown.change = lambda path, said: shown.honest(path.removeprefix("ledger/")) if path.startswith("ledger/") else Said(404)
    url = scene.serve(shown)
    with Watch([url], POLICY, scene.folder / "w.db", scene.folder) as watching:
        assert [watching.round()[0].verdict for _ in range(2)] == [OK, OK]


def test_only_the_full_tile_may_be_kept(scene: Scene) -> None:
    shown = Shown(HONEST, 256)
    url = scene.serve(shown)
    assert scene.one(url).verdict == OK
    log, size = HONEST, 300
    other = Shown(log, 600)
    shown.change = lambda path, said: Said(404) if ".p/" in path and "tile/0" in path else other.honest(path)
    other.size = 512
    assert scene.one(url).size == 512
    with pytest.raises(Inconclusive, match="expected a tile of the log, found none"):
        compare(signed(log, 200), signed(log, size), _Nothing(), 1e12)


class _Nothing:
    name = "nothing"

    def read(self, path: str, limit: int) -> None:
        return None


# Two histories ----------------------------------------------------------------------------------------------------------


def evidence(found: Finding) -> tuple[list[bytes], set[str]]:
    """The notes that were written, each signed by the log, and the paths of the tiles."""
    assert found.verdict == EVIDENCE, found
    assert found.evidence is not None
    files = {
        path.relative_to(found.evidence).as_posix(): path.read_bytes() for path in found.evidence.rglob("*") if path.is_file()
    }
    kept = [files.pop("first.note"), files.pop("second.note")]
    assert found.text.partition(";")[0] in files.pop("README.txt").decode()
    for note in kept:
        POLICY.open_checkpoint(note)
    return kept, set(files)


def test_two_roots_of_one_size(scene: Scene) -> None:
    shown = Shown(HONEST, 300)
    url = scene.serve(shown)
    scene.one(url)
    shown.log = FORKED
    found = scene.one(url)
    assert evidence(found) == ([HONEST.note(300), FORKED.note(300)], set())
    assert "two roots were signed for size 300" in found.text
    assert scene.one(url) == found, "what was seen first stays"
    shown.log = HONEST
    assert scene.one(url).verdict == OK


@pytest.mark.parametrize(("old", "new"), [(281, 282), (300, 512), (300, 600), (512, 513), (512, 600)])
def test_a_larger_head_of_another_history(scene: Scene, old: int, new: int) -> None:
    shown = Shown(HONEST, old)
    url = scene.serve(shown)
    scene.one(url)
    shown.log, shown.size = FORKED, new
    found = scene.one(url)
    kept, tiles = evidence(found)
    assert kept == [HONEST.note(old), FORKED.note(new)]
    assert f"the head of size {old} is of another history than that of size {new}, whose tiles fit its root" in found.text
    assert tiles
    for path in tiles:
        data = (found.evidence or Path()) / path
        assert data.read_bytes() == Shown(FORKED, new).honest(path).body


def test_a_fork_after_what_was_seen_is_none_yet(scene: Scene) -> None:
    shown = Shown(HONEST, 280)
    url = scene.serve(shown)
    scene.one(url)
    shown.log, shown.size = FORKED, 600
    assert scene.one(url).verdict == OK
    shown.log, shown.size = HONEST, 290
    lagging = scene.one(url)  # it shows a smaller head, and has no tiles of the larger one any more
    assert (lagging.verdict, "it lags, or was rolled back" in lagging.text) == (INCONCLUSIVE, True)
    shown.size = 600
    evidence(scene.one(url))


def test_two_addresses_of_one_log_are_compared(scene: Scene) -> None:
    here, there = Shown(HONEST, 300), Shown(HONEST, 290)
    urls = scene.serve(here), scene.serve(there)
    assert [each.verdict for each in scene.look(*urls)] == [OK, OK]
    there.log = FORKED
    found = scene.look(*urls)
    assert [each.verdict for each in found] == [OK, EVIDENCE]
    assert evidence(found[1])[0] == [FORKED.note(290), HONEST.note(300)]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("path", ["tile/0/001.p/44", "tile/0/001.p/45", "tile/1/000.p/1"])
def test_tiles_that_do_not_fit_the_signed_root(scene: Scene, path: str, first: bool) -> None:
    size = 301 if path.endswith("45") else 300
    shown = Shown(HONEST, 280)
    url = scene.serve(shown)
    if not first:
        scene.one(url)

    def change(asked: str, said: Said) -> Said:
        return dataclasses.replace(said, body=bytes(32) + said.body[32:]) if asked == path else said

    shown.size, shown.change = size, change
    found = scene.one(url)
    kept, tiles = evidence(found)
    assert kept == [HONEST.note(size if first else 280), HONEST.note(size)]
    assert "the tiles do not fit the root" in found.text
    assert path in tiles


@pytest.mark.parametrize("first", [True, False])
def test_a_tile_that_was_damaged_on_its_way_is_fetched_again(scene: Scene, first: bool) -> None:
    shown = Shown(HONEST, 280)
    url = scene.serve(shown)
    if not first:
        scene.one(url)
    shown.size = 300
    damaged: list[str] = []

    def change(path: str, said: Said) -> Said:
        if path.startswith("tile/") and path not in damaged:
            damaged.append(path)
            return dataclasses.replace(said, body=bytes(32) + said.body[32:])
        return said

    shown.change = change
    assert scene.one(url).verdict == OK
    assert damaged


def test_tiles_that_fit_either_root_but_not_each_other() -> None:
    """Below, tiles of the smaller head's history; above, hashes of the larger one's: both roots can be computed."""
    small, large = signed(HONEST, 300), signed(FORKED, 600)

    class Mixed:
        name = "mixed"

        def read(self, path: str, limit: int) -> bytes | None:
            return Shown(FORKED if path.startswith(("tile/1", "tile/0/002")) else HONEST, 600).honest(path).body

    with pytest.raises(Contradiction, match="do not fit the root"):
        compare(small, large, Mixed(), 1e12)


# Servers that say anything ----------------------------------------------------------------------------------------------


HUGE = b"x" * (3 << 20)
ANSWERS: dict[str, Said] = {
    "nothing": Said(drop=True),
    "an error": Said(500, b"oops"),
    "no such file": Said(404),
    "not for everybody": Said(403),
    "elsewhere": Said(302, headers={"Location": "http://127.0.0.1:1/"}),
    "a page": Said(body=b"<html>"),
    "no end": Said(body=HUGE),
    "less than it said": Said(body=HONEST.note(300), only=20),
    "another log's": Said(body=b"example.org/other\n1\n" + HONEST.note(300).split(b"\n", 2)[2]),
    "an altered one": Said(body=HONEST.note(300).replace(b"\n300\n", b"\n301\n")),
    "gzip that is none": Said(body=HONEST.note(300), headers={"Content-Encoding": "gzip"}),
    "an unknown encoding": Said(body=HONEST.note(300), headers={"Content-Encoding": "br"}),
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A monitor that asks once."""
    monkeypatch.setattr(watch, "_ATTEMPTS", 1)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("what", ANSWERS)
def test_what_is_no_checkpoint_is_inconclusive(scene: Scene, what: str) -> None:
    shown = Shown(HONEST, 300)
    url = scene.serve(shown)
    assert scene.one(url).verdict == OK
    shown.change = lambda path, said: ANSWERS[what]
    found = scene.one(url)
    assert (found.verdict, found.size, found.evidence) == (INCONCLUSIVE, None, None)
    assert found.text
    shown.change = lambda path, said: said
    assert scene.one(url).verdict == OK


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("answer", [Said(404), Said(body=HUGE), Said(body=b"short"), Said(drop=True), Said(body=b"")])
def test_what_is_no_tile_is_inconclusive(scene: Scene, answer: Said) -> None:
    shown = Shown(HONEST, 280)
    url = scene.serve(shown)
    scene.one(url)
    shown.size, shown.change = 600, lambda path, said: answer if path.startswith("tile/") else said
    found = scene.one(url)
    assert (found.verdict, found.size, found.evidence) == (INCONCLUSIVE, 600, None)
    shown.size, shown.change = 300, lambda path, said: said
    assert scene.one(url).size == 300, "what could not be checked was not remembered"


@pytest.mark.usefixtures("quick")
def test_a_server_that_does_not_answer_is_given_up(scene: Scene) -> None:
    never = threading.Event()
    deaf, good = Shown(HONEST, 300, change=lambda path, said: (never.wait(60), said)[1]), Shown(HONEST, 300)
    urls = scene.serve(deaf), scene.serve(good)
    found = scene.look(*urls, seconds=1.0)
    assert [each.verdict for each in found] == [INCONCLUSIVE, OK]
    assert "nothing whole within 1 s" in found[0].text
    never.set()


def test_a_state_of_another_key_or_none_is_said(scene: Scene) -> None:
    url = scene.serve(Shown(HONEST, 300))
    scene.one(url)
    other = TrustPolicy((TrustedLog(KEY_OF_ANOTHER.verifier),))
    assert scene.one(url, policy=other).verdict == INCONCLUSIVE
    theirs = scene.serve(Shown(PlainLog(5, key=KEY_OF_ANOTHER), 5))
    with pytest.raises(InvalidInput, match=r"expected to remember a head of log\.example/one that the policy accepts"):
        scene.one(theirs, policy=other)
    (scene.folder / "watched.db").write_bytes(b"")
    with pytest.raises(VerificationError, match="expected a state file of kind"):
        scene.one(url)
    with pytest.raises(InvalidInput, match="expected the address of a log"):
        scene.look()


def test_of_two_monitors_that_share_a_state_one_looks_again(tmp_path: Path) -> None:
    one, other = Watched(tmp_path / "w.db"), Watched(tmp_path / "w.db")
    first, second = (Known(HONEST.head(size), HONEST.note(size), 1.0) for size in (5, 7))
    assert one.newest(ORIGIN) is None
    assert one.keep(None, first)
    assert not other.keep(None, second), "there is one by now"
    assert other.newest(ORIGIN) == first
    assert other.keep(first, second)
    assert not one.keep(first, second)
    assert one.newest(ORIGIN) == second
    one.close()
    other.close()


KEY_OF_ANOTHER = type(LOG_KEY).from_seed(ORIGIN, bytes([9] * 32))


# Witnesses --------------------------------------------------------------------------------------------------------------


@contextmanager
def witness(folder: Path, log: PlainLog) -> Iterator[tuple[str, Callable[[int, int], None]]]:
    """A witness of our own, on a socket, and what lets it cosign the log's next head."""
    state = WitnessState.create(folder / "witness.db")
    server = WitnessServer(state, [KEY], KNOWN, clock=lambda: NOW)
    try:
        with listening(server) as url:
            yield url, lambda old, new: server.add_checkpoint(log.body(old, new)) and None
    finally:
        state.close()


def wanting(url: str) -> TrustPolicy:
    return TrustPolicy(POLICY.logs, (Witness("one", KEY.verifier, url),), (Group("some", 1, ("one",)),), "some")


def test_witnesses_are_asked_what_they_have_seen(scene: Scene) -> None:
    shown = Shown(HONEST, 300)
    url = scene.serve(shown)
    with witness(scene.folder, HONEST) as (theirs, cosign):
        policy = wanting(theirs)
        found = scene.one(url, policy=policy)
        assert found.verdict == INCONCLUSIVE
        assert "witness one shows nothing of this log; not witnessed at size 300" in found.text
        cosign(0, 300)
        assert scene.one(url, policy=policy).verdict == OK, "its word is taken from itself"
        shown.size = 500
        assert "not witnessed at size 500" in scene.one(url, policy=policy).text
        cosign(300, 600)
        found = scene.one(url, policy=policy)
        assert "it lags: witness one has cosigned size 600, and it shows size 500" in found.text
        shown.size = 600
        assert scene.one(url, policy=policy).verdict == OK
    gone = scene.one(url, policy=policy)
    assert (gone.verdict, "witness one shows nothing" in gone.text) == (INCONCLUSIVE, True)


def test_a_history_that_only_a_witness_was_shown(scene: Scene) -> None:
    shown = Shown(HONEST, 300)
    url = scene.serve(shown)
    with witness(scene.folder, FORKED) as (theirs, cosign):
        cosign(0, 290)
        found = scene.one(url, policy=wanting(theirs))
        kept, tiles = evidence(found)
        assert [checkpoints.parse(notes.parse(note).text).size for note in kept] == [290, 300]
        wanting(theirs).open_checkpoint(kept[0])  # with the witness's own signature
        assert tiles


def test_a_head_that_is_too_old(scene: Scene) -> None:
    now = [1000.0]
    shown = Shown(HONEST, 300)
    url = scene.serve(shown)

    def look(policy: TrustPolicy = POLICY) -> Finding:
        with Watch([url], policy, scene.folder / "w.db", scene.folder, max_age=60, clock=lambda: now[0]) as watching:
            return watching.round()[0]

    assert look().verdict == OK
    now[0] += 61
    assert "no newer head for 61 seconds: expected one within 60" in look().text
    line = KEY.cosign(notes.parse(shown.note()).text, 1050)
    shown.lines = [line]
    assert look(TrustPolicy(POLICY.logs, (Witness("one", KEY.verifier),))).verdict == OK
    assert look().verdict == INCONCLUSIVE, "who cosigns is for the policy to say"
    shown.size, shown.lines = 301, []
    assert look().verdict == OK


# The command ------------------------------------------------------------------------------------------------------------


def test_the_command_and_its_exit_codes(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOND_STATE", str(scene.folder / "state"))
    shown = Shown(HONEST, 300)
    url = scene.serve(shown)
    policy = scene.folder / "policy.txt"
    policy.write_text(f"log {LOG_KEY.verifier.format()} {url}\nquorum none\n")
    watching = ("log", "watch", "--policy", policy, "--json")
    done = run(*watching, url, "--once")
    assert (done.code, done.json["verdict"]) == (0, "ok")
    [log] = done.json["logs"]
    assert (log["url"], log["origin"], log["size"], log["verdict"], log["evidence"]) == (url, ORIGIN, 300, "ok", None)
    assert run(*watching, "--once").json == done.json  # the policy says where the log is
    assert "consistent" in run("log", "watch", "--policy", policy, "--every", "0.1", "--for", "0.3").out
    shown.size = 200
    assert run(*watching, "--once").code == 6
    shown.size, shown.log = 600, FORKED
    found = run("log", "watch", "--policy", policy, "--every", "600", "--evidence", scene.folder / "kept")
    assert (found.code, "evidence" in found.out) == (3, True)  # and it does not wait for the next look
    assert len(list((scene.folder / "kept").iterdir())) == 1
    assert run("log", "watch", "--policy", policy, "--once", "--for", "1").code == 2
    assert run("log", "watch", "ftp://x", "--policy", policy, "--once").code == 2
