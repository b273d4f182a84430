"""The log's client of witnesses: rounds with real witnesses on real sockets, and with strangers who say anything."""

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.ledger import checkpoints, cosignatures, notes, witness
from inbond.ledger.cosigner import Cosigner
from inbond.ledger.cosigning import Witness as Server
from inbond.ledger.keys import COSIGNATURE_V1, ML_DSA_44, SigningKey
from inbond.ledger.log import Log
from inbond.ledger.loglist import KnownLog
from inbond.ledger.notes import NoteSignature
from inbond.ledger.policy import Group, TrustPolicy, Witness
from inbond.ledger.publishing import PublishedHeads
from inbond.ledger.witness_client import MAX_AHEAD, MAX_ANSWER, check_url, read_cosignatures, read_size
from inbond.ledger.witness_state import WitnessState
from inbond.ledger.witnessed import FILE, Witnessed
from inbond.ledger.witnessing import Witnessing
from inbond.schemas.errors import InvalidInput, NotFound, StoreError, VerificationError
from tests.api.witness_server import listening, wait_until
from tests.ledger.test_parsers import altered
from tests.ledger.witnessed import COSIGNER, NOW, PlainLog
from tests.ledger.world import ORIGIN, World

KEYS = [Cosigner(f"witness.example/{i}", COSIGNATURE_V1, bytes([20 + i] * 32)) for i in range(3)]
POST_QUANTUM = Cosigner("witness.example/0", ML_DSA_44, bytes([30] * 32))
QUICK: dict[str, Any] = {"every": 0.2, "poll": 0.02, "deadline": 2.0}


@contextmanager
def witnessed_by(world: World, folder: Path, *keys: Cosigner) -> Iterator[tuple[str, WitnessState]]:
    """A witness that knows the world's log, on a socket."""
    path = folder / f"{keys[0].name.replace('/', '-')}.db"
    state = WitnessState.open(path) if path.exists() else WitnessState.create(path)
    try:
        with listening(Server(state, keys, [KnownLog(ORIGIN, (world.log_key.verifier,))])) as url:
            yield url, state
    finally:
        state.close()


@contextmanager
def asking(world: World, *witnesses: Witness, log: Log | None = None, **options: Any) -> Iterator[Witnessing]:
    made = Witnessing(log or world.log, witnesses, world.folder, **QUICK | options)
    try:
        yield made
    finally:
        made.stop()


def trusted(name: str, key: Cosigner, url: str | None) -> Witness:
    return Witness(name, key.verifier, url)


def cosigners(note: bytes, *keys: Cosigner) -> set[str]:
    """Whose cosignatures verify on a note, of those of `keys`."""
    verifiers = [key.verifier for key in keys]
    try:
        _, signers = notes.open_note(note, verifiers)
    except VerificationError:
        return set()
    return {signer.name for signer in signers}


def head(world: World) -> bytes:
    with world.log.reading() as reader:
        return reader.note


# Rounds with real witnesses --------------------------------------------------------------------------------------------


def test_a_round_with_two_witnesses(world: World, tmp_path: Path) -> None:
    with (
        witnessed_by(world, tmp_path, KEYS[0], POST_QUANTUM) as (first, _),
        witnessed_by(world, tmp_path, KEYS[1]) as (second, _),
    ):
        trust = [trusted("a", KEYS[0], first), trusted("pq", POST_QUANTUM, first), trusted("b", KEYS[1], second)]
        with asking(world, *trust, trusted("c", KEYS[2], None)) as made:
            assert len(made.endpoints) == 2
            note = made.cosign_now()
            assert cosigners(note, *KEYS, POST_QUANTUM) == {"witness.example/0", "witness.example/1"}
            assert len(notes.parse(note).signatures) == 4
            world.log.append(world.parties(5))
            newer = made.cosign_now()
            assert checkpoints.parse(notes.parse(newer).text).size == 7
            assert len(notes.parse(newer).signatures) == 4
            assert made.cosigned(note) == note  # and what was cosigned before is kept
            assert {each.name: each.size for each in made.status()} == {"a": 7, "pq": 7, "b": 7}
            assert not any(each.problem for each in made.status())
    with asking(world, *trust) as again:  # also for the next who opens it
        assert again.cosigned(note) == note


def test_in_the_background_while_appends_go_on(world: World, tmp_path: Path) -> None:
    with witnessed_by(world, tmp_path, KEYS[0]) as (url, state), asking(world, trusted("a", KEYS[0], url), every=0.05) as made:
        made.start()
        for _ in range(30):
            world.log.append_one(world.party(world.id()))
        wait_until(lambda: cosigners(made.cosigned(head(world)), KEYS[0]))
        latest = state.latest(ORIGIN)
        assert latest is not None
        assert latest.size == 32
        began = time.monotonic()
    assert time.monotonic() - began < 5


def test_a_witness_that_hangs_holds_up_nothing_but_itself(world: World, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, witnessed_by(world, tmp_path, KEYS[1]) as (url, _):
        silent = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with asking(world, trusted("a", KEYS[0], silent), trusted("b", KEYS[1], url), deadline=30.0) as made:
            made.start()
            for _ in range(3):
                began = time.monotonic()
                world.log.append(world.parties(3))
                assert time.monotonic() - began < 2
                wait_until(lambda: cosigners(made.cosigned(head(world)), KEYS[1]))
            began = time.monotonic()
        assert time.monotonic() - began < 5  # and does not hold up the end either


def test_a_witness_that_has_seen_more_than_we_remember(world: World, tmp_path: Path) -> None:
    """The log has lost witnessed.db: it learns from the 409 what to prove from."""
    world.log.append(world.parties(3))
    with witnessed_by(world, tmp_path, KEYS[0]) as (url, _):
        with asking(world, trusted("a", KEYS[0], url)) as made:
            made.cosign_now()
        (world.folder / FILE).unlink()
        world.log.append(world.parties(4))
        with asking(world, trusted("a", KEYS[0], url)) as made:
            assert cosigners(made.cosign_now(), KEYS[0])


def test_a_witness_that_has_lost_its_state_is_asked_anew(world: World, tmp_path: Path) -> None:
    with witnessed_by(world, tmp_path, KEYS[0]) as (url, _), asking(world, trusted("a", KEYS[0], url)) as made:
        made.cosign_now()
    (tmp_path / "witness.example-0.db").unlink()
    world.log.append(world.parties(2))
    with witnessed_by(world, tmp_path, KEYS[0]) as (url, _), asking(world, trusted("a", KEYS[0], url)) as made:
        assert cosigners(made.cosign_now(), KEYS[0])


def test_one_round_in_ten_seconds_over_threads_and_objects(world: World, tmp_path: Path) -> None:
    with listening_to(lambda _: (404, {}, b"unknown log\n")) as (url, heard):
        trust = trusted("a", KEYS[0], url)
        with asking(world, trust, every=3.0) as one, asking(world, trust, every=3.0) as two:
            one.start()
            two.start()
            threads = [threading.Thread(target=each.cosign_now, args=[None, 1.0]) for each in (one, two)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            wait_until(lambda: "404" in (one.status()[0].problem or ""))
            assert len(heard) == 1
            [status] = one.status()
            assert 5 < status.next - status.asked < 7  # twice as long after a failure


# A log that has fallen back --------------------------------------------------------------------------------------------


def test_a_log_that_was_restored_from_a_backup_refuses_to_sign(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that has never seen the log: only the witness knows that there was more."""
    world.log.append(world.parties(3))
    world.log.close()
    shutil.copytree(world.folder, tmp_path / "backup")
    world.reopen()
    world.log.append(world.parties(3))
    with witnessed_by(world, tmp_path, KEYS[0]) as (url, state):
        trust = trusted("a", KEYS[0], url)
        with asking(world, trust) as made:
            made.cosign_now()
        monkeypatch.setenv("INBOND_STATE", str(tmp_path / "elsewhere"))
        old = Log(tmp_path / "backup", world.rules, world.log_key)
        folder, world.folder = world.folder, tmp_path / "backup"
        with asking(world, trust, log=old) as made:
            made.cosign_now(wait=1.0)
            [status] = made.status()
            assert status.evidence is not None
            assert "fallen back" in (status.problem or "")
            assert checkpoints.open_checkpoint(status.evidence, [world.log_key.verifier], ORIGIN).size == 8
        with pytest.raises(StoreError, match="is behind"):
            old.append_one(world.party("fork"))
        old.close()
        assert state.contradictions() == []
        # whoever finds the newest database and puts it there goes on
        world.log.close()
        shutil.rmtree(tmp_path / "backup")
        shutil.copytree(folder, tmp_path / "backup")
        whole = Log(tmp_path / "backup", world.rules, world.log_key)
        whole.append_one(world.party("goes on"))
        with asking(world, trust, log=whole) as made:
            assert cosigners(made.cosign_now(), KEYS[0])
            assert [each.evidence for each in made.status()] == [None]
        whole.close()


def test_a_log_with_two_histories_refuses_to_sign(make_world: Callable[..., World], tmp_path: Path, monkeypatch: Any) -> None:
    world = make_world()
    world.log.close()
    shutil.copytree(world.folder, tmp_path / "copy")
    world.reopen()
    world.log.append(world.parties(3))
    with witnessed_by(world, tmp_path, KEYS[0]) as (url, _):
        trust = trusted("a", KEYS[0], url)
        with asking(world, trust) as made:
            made.cosign_now()
        monkeypatch.setenv("INBOND_STATE", str(tmp_path / "elsewhere"))
        copy = Log(tmp_path / "copy", world.rules, world.log_key)
        with asking_of(copy, world) as other:
            other.log.append(other.parties(4))
            with asking(other, trust, log=copy) as made:
                made.cosign_now(wait=1.0)
                [status] = made.status()
            assert "two of it" in (status.problem or "")
            with pytest.raises(VerificationError, match="another history"):
                copy.append_one(other.party("more"))
        copy.close()


@contextmanager
def asking_of(log: Log, world: World) -> Iterator[World]:
    """The world with another log in its place."""
    log_before, folder = world.log, world.folder
    world.log, world.folder = log, log.database.path.parent
    try:
        yield world
    finally:
        world.log, world.folder = log_before, folder


@pytest.mark.parametrize("signed", [False, True])
def test_a_witness_cannot_stop_a_log_with_its_word_alone(world: World, signed: bool) -> None:
    """It names a size that we do not hold: that counts only with our own key's signature."""
    stranger = world.log_key if signed else SigningKey.from_seed(ORIGIN, bytes([9] * 32))
    forged = checkpoints.sign(checkpoints.Checkpoint(ORIGIN, 1000, bytes(32)), [stranger])
    reply: Reply = lambda body: (409, SIZE, b"1000\n") if body else (200, {}, forged)  # noqa: E731
    with listening_to(reply) as (url, _), asking(world, trusted("a", KEYS[0], url)) as made:
        made.cosign_now(wait=0.1)
        [status] = made.status()
    assert (status.evidence == forged) == signed
    if signed:
        with pytest.raises(StoreError, match="is behind"):
            world.log.append_one(world.party("more"))
    else:
        assert "not of this log" in (status.problem or "")
        world.log.append_one(world.party("more"))


# Strangers ---------------------------------------------------------------------------------------------------------------

Reply = Callable[[bytes], tuple[int, dict[str, str], bytes]]


@contextmanager
def listening_to(reply: Reply) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers whatever `reply` says; and the bodies that it heard."""
    heard: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append(body)
            self.answer(*reply(body))

        def do_GET(self) -> None:
            self.answer(*reply(b""))

        def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in ({"content-length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None: ...  # clients that give up break its pipes

    server = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def problem_of(world: World, reply: Reply, **options: Any) -> tuple[str, int]:
    """What the log says of a witness that answers so, and how often it asked; it must have got no cosignature."""
    with listening_to(reply) as (url, heard), asking(world, trusted("a", KEYS[0], url), **options) as made:
        note = made.cosign_now(wait=0.1)
        assert note == head(world)
        [status] = made.status()
        assert (status.size, status.evidence) == (None, None)
        assert status.problem is not None
        return status.problem, len(heard)


def cosigned(body: bytes, key: Cosigner = KEYS[0], moment: int | None = None, text: bytes | None = None) -> bytes:
    request = witness.parse(body)
    return (key.cosign(text or request.note.text, moment or int(time.time())).line() + "\n").encode()


def test_cosignatures_that_are_none(world: World) -> None:
    other = PlainLog().head(2).text()
    good = cosigned
    replies: dict[str, tuple[Callable[[bytes], bytes], str]] = {
        "nothing": (lambda _: b"", "expected a text, a blank line and signature lines"),
        "no lines": (lambda _: b"hello\n", "expected a signature line"),
        "no newline": (lambda body: good(body)[:-1], "signature lines"),
        "a key that we do not know": (lambda body: good(body, KEYS[1]), "expected a signature by witness.example/0"),
        "another checkpoint": (lambda body: good(body, text=other), "does not verify"),
        "no time": (time_zero, "expected a time"),
        "the far future": (lambda body: good(body, moment=int(time.time()) + MAX_AHEAD + 60), "expected a time"),
        "a flipped bit": (lambda body: flipped(good(body)), "does not verify"),
        "a good one and a bad one": (lambda body: good(body) + flipped(good(body)), "does not verify"),
        "more text": (more_text, "signature lines and nothing else"),
        "a log's signature": (lambda _: notes.sign(b"x\n", [world.log_key])[3:], "expected a signature"),
    }  # fmt: skip
    for name, (reply, message) in replies.items():
        problem, asked = problem_of(world, lambda body, reply=reply: (200, {}, reply(body)))  # type: ignore[misc]
        assert message in problem, (name, problem)
        assert asked == 1, name
        (world.folder / FILE).unlink()


def more_text(body: bytes) -> bytes:
    """Signature lines of another text, which begins with ours: the last blank line is further down."""
    text = witness.parse(body).note.text
    return text + b"\n" + cosigned(body, text=text + b"\n" + text)


def time_zero(body: bytes) -> bytes:
    key = SigningKey.from_seed(KEYS[0].name, bytes([20] * 32))
    blob = bytes(8) + key.sign(cosignatures.ed25519_message(0, witness.parse(body).note.text))
    return (NoteSignature(KEYS[0].name, KEYS[0].verifier.key_id, blob).line() + "\n").encode()


def flipped(line: bytes) -> bytes:
    note = notes.parse(b"x\n\n" + line)
    [signature] = note.signatures
    bad = NoteSignature(signature.name, signature.key_id, signature.blob[:-1] + bytes([signature.blob[-1] ^ 1]))
    return (bad.line() + "\n").encode()


def test_signatures_of_other_keys_beside_the_right_one_are_left_out(world: World) -> None:
    def reply(body: bytes) -> tuple[int, dict[str, str], bytes]:
        return 200, {}, cosigned(body, KEYS[1]) + cosigned(body) + cosigned(body, moment=77)

    with listening_to(reply) as (url, _), asking(world, trusted("a", KEYS[0], url)) as made:
        note = made.cosign_now()
    assert [each.name for each in notes.parse(note).signatures] == [ORIGIN, "witness.example/0"]


SIZE = {"content-type": "text/x.tlog.size"}


@pytest.mark.parametrize(
    ("answer", "message", "asked"),
    [
        ((200, {}, b"x" * (MAX_ANSWER + 1)), "at most 131072 bytes", 1),
        ((404, {}, b"unknown log\n"), "expected status 200, found 404: unknown log", 1),
        ((404, {}, b"\x1b[2J\xff\r\n"), r"found 404: \x1b[2J\xff\x0d", 1),
        ((302, {"location": "http://127.0.0.1:1/"}, b""), "found 302", 1),
        ((500, {}, b""), "found 500", 1),
        ((409, SIZE, b"0\n"), "it has cosigned size 0 last", 1),
        ((409, SIZE, b"9223372036854775807\n"), "it has cosigned size 9223372036854775807 last", 1),
        ((409, SIZE, b"9223372036854775808\n"), "0 to 2^63-1", 1),
        ((409, SIZE, b"2"), "expected a size", 1),
        ((409, SIZE, b"02\n"), "0 to 2^63-1", 1),
        ((409, {"content-type": "text/plain"}, b"2\n"), "expected a size", 1),
        ((409, SIZE, b"1\n"), "it has cosigned size 1 last", 2),
        ((422, {}, b"consistency proof\n"), "found 422", 1),
    ],
)
def test_answers_that_help_nobody(world: World, answer: tuple[int, dict[str, str], bytes], message: str, asked: int) -> None:
    problem, count = problem_of(world, lambda _: answer)
    assert message in problem
    assert count == asked


def test_a_witness_that_sends_us_round_in_circles(world: World) -> None:
    sizes = iter([1, 2, 1, 2, 1, 2])
    problem, count = problem_of(world, lambda body: (409, SIZE, b"%d\n" % next(sizes)) if body else (404, {}, b""))
    assert count == 3
    assert "leads nowhere" in problem


def test_a_lie_about_the_size_is_forgotten(world: World) -> None:
    """Otherwise a witness that once named a huge size would never be asked again."""
    truth: list[bool] = []

    def reply(body: bytes) -> tuple[int, dict[str, str], bytes]:
        if not body:
            return 404, {}, b""
        return (200, {}, cosigned(body)) if truth else (409, SIZE, b"1000000\n")

    with listening_to(reply) as (url, _), asking(world, trusted("a", KEYS[0], url), every=0.01) as made:
        assert not cosigners(made.cosign_now(wait=0.1), KEYS[0])
        truth.append(True)
        assert cosigners(made.cosign_now(wait=5), KEYS[0])


@pytest.mark.parametrize(("said", "pause"), [("77", 77), ("0", 10), ("999999999", 3600), ("-1", 20), ("", 20)])
def test_push_back_is_heeded(world: World, said: str, pause: int) -> None:
    with listening_to(lambda _: (429, {"retry-after": said}, b"later\n")) as (url, heard):
        with asking(world, trusted("a", KEYS[0], url), every=10.0) as made:
            made.cosign_now(wait=0.3)
            [status] = made.status()
        assert status.next - status.asked == pytest.approx(pause, abs=0.01)
        assert len(heard) == 1


def test_failures_are_asked_later_and_later(world: World) -> None:
    now = [float(NOW)]
    pauses = []
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with asking(world, trusted("a", KEYS[0], url), every=10.0, clock=lambda: now[0]) as made:
        for _ in range(9):
            made.cosign_now(wait=0.0)
            [status] = made.status()
            pauses.append(round(status.next - status.asked))
            now[0] = status.next
        assert "no answer" in (status.problem or "")
        now[0] -= 1_000_000  # a clock that was a week ahead must not silence us for a week
        made.cosign_now(wait=0.0)
        assert made.status()[0].asked == now[0]
    assert pauses == [20, 40, 80, 160, 320, 600, 600, 600, 600]


@pytest.mark.parametrize(
    "chunks",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"\xff\xfe garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 7\r\n\r\n",
    ],
)
def test_answers_that_never_end(world: World, chunks: bytes) -> None:
    """A drop every fiftieth of a second, for ever: each arrives long before a timeout of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    connection.sendall(chunks)
                    while not over.wait(0.02):
                        connection.sendall(b"1\r\nx\r\n" if b"chunked" in chunks else b"x" if chunks else b"")
                except OSError:
                    pass

        dripping = threading.Thread(target=drip)
        dripping.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with asking(world, trusted("a", KEYS[0], url), deadline=0.5) as made:
            began = time.monotonic()
            made.cosign_now(wait=0.2)
            assert time.monotonic() - began < 4
            assert "no answer" in (made.status()[0].problem or "")
        over.set()
        dripping.join()


# Parsers and parts ---------------------------------------------------------------------------------------------------------

LOG = PlainLog()
REQUEST = LOG.request(0, 5)
LINES = (COSIGNER.cosign(REQUEST.note.text, NOW).line() + "\n").encode()


@settings(max_examples=300, deadline=None, database=None)
@given(altered(LINES))
def test_only_the_very_line_counts(body: bytes) -> None:
    try:
        [found] = read_cosignatures(body, REQUEST, [COSIGNER.verifier], NOW)
    except VerificationError:
        return
    assert (found.line() + "\n").encode() == LINES
    assert LINES in body


@settings(max_examples=200, deadline=None, database=None)
@given(st.one_of(altered(b"1234\n"), st.integers(0, 2**63 - 1).map(lambda size: b"%d\n" % size)))
def test_a_size_is_read_only_as_it_is_written(body: bytes) -> None:
    try:
        size = read_size("text/x.tlog.size", body)
    except VerificationError:
        return
    assert body == b"%d\n" % size


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://w/", "http://", "https://w/?a=1", "https://w/#x", "https://u:p@w/", "http://[::/", "file:///etc"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(InvalidInput, match="witness: expected an address"):
        check_url(url)


def test_an_address_with_and_without_a_slash_is_one(world: World) -> None:
    trust = [trusted("a", KEYS[0], "https://w.example/x/"), trusted("b", KEYS[1], "https://w.example/x")]
    with asking(world, *trust) as made:
        assert [endpoint.url for endpoint in made.endpoints] == ["https://w.example/x"]


def test_a_library_without_ml_dsa(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    key = POST_QUANTUM.verifier
    monkeypatch.setattr(cosignatures, "IMPORTED", False)
    with asking(world, Witness("pq", key, "http://127.0.0.1:1")) as made:
        made.start()
        assert made.cosign_now(wait=0.1) == head(world)


def test_a_receipt_gets_the_cosignatures_of_its_checkpoint(world: World, tmp_path: Path) -> None:
    world.log.append(world.parties(3))
    with witnessed_by(world, tmp_path, KEYS[0]) as (url, _), asking(world, trusted("a", KEYS[0], url)) as made:
        receipt = world.log.receipt(1)
        policy = TrustPolicy(world.policy.logs, (trusted("a", KEYS[0], url), trusted("b", KEYS[1], None)), (), "a")
        with world.log.reading() as reader:
            assert made.kept.accepted(reader, policy) is None
            assert PublishedHeads(made.kept, policy).receipt(reader, 1) == receipt  # there is none better
        note = made.cosign_now()
        better = replace(receipt, checkpoint=note)
        assert policy.open_checkpoint(better.checkpoint).size == 5
        assert made.cosigned(note) == note  # and no signature twice
        world.log.append(world.parties(3))
        with world.log.reading() as reader:
            assert made.kept.accepted(reader, policy) == note
            assert made.kept.accepted(reader, policy, above=5) is None
            shown = PublishedHeads(made.kept, policy)
            assert shown.newest(reader) == note  # the newest that has the quorum, though there is a newer head
            refreshed = shown.receipt(reader, 4)
            assert shown.receipt(reader, 4, 8).checkpoint == head(world)
            assert policy.open_checkpoint(refreshed.checkpoint).size == 5
            newest = shown.receipt(reader, 7)
            assert checkpoints.parse(notes.parse(newest.checkpoint).text).size == 8
            both = TrustPolicy(policy.logs, policy.witnesses, (Group("both", 2, ("a", "b")),), "both")
            assert made.kept.accepted(reader, both) is None
            assert PublishedHeads(made.kept, both).newest(reader) == head(world)
            assert PublishedHeads(made.kept, world.policy).newest(reader) == head(world)
        newer = made.cosign_now()
        with world.log.reading() as reader:
            assert shown.newest(reader) == newer
            assert shown.at(reader, 5) == note
            with pytest.raises(NotFound):
                shown.at(reader, 6)


def test_two_processes_that_open_the_file_at_once_make_one(tmp_path: Path) -> None:
    opened = [Witnessed(tmp_path) for _ in range(8)]
    claims: list[object] = []
    threads = [
        threading.Thread(target=lambda each: claims.append(each.claim("http://w", 100.0, 5.0)), args=[each]) for each in opened
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claim is not None for claim in claims) == [False] * 7 + [True]
    assert sum(each.claim("http://w", 105.0, 5.0) is not None for each in opened) == 1
    for each in opened:
        each.close()


def test_a_log_without_witnesses_has_no_file_of_them(world: World) -> None:
    with asking(world, trusted("a", KEYS[0], None)) as made:
        made.start()
        assert made.cosign_now() == head(world)
        assert made.status() == []
        with world.log.reading() as reader:
            assert made.kept.accepted(reader, world.policy) == head(world)
    assert not (world.folder / FILE).exists()
