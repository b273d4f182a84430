"""The witness on HTTP, over real sockets: the statuses of the specification's table, and clients that mean no good."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from inbond.api import deadlines
from inbond.ledger import notes, witness
from inbond.ledger.cosigner import Cosigner
from inbond.ledger.cosigning import Witness
from inbond.ledger.keys import COSIGNATURE_V1, SigningKey
from inbond.ledger.loglist import KnownLog
from inbond.ledger.witness import MAX_REQUEST, AddCheckpoint
from inbond.ledger.witness_state import WitnessState
from inbond.schemas.errors import StoreError
from tests.api.witness_server import listening
from tests.ledger.test_witness import SIGSUM, SIGSUM_KEY, SINCE_THEN, SUMDB
from tests.ledger.witnessed import COSIGNER, KNOWN, ORIGIN, POST_QUANTUM, PlainLog, dialogue

LOG = PlainLog()
HASH = sha256(ORIGIN.encode()).hexdigest()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[WitnessState]:
    made = WitnessState.create(tmp_path / "witness.db")
    yield made
    made.close()


@pytest.fixture
def url(state: WitnessState) -> Iterator[str]:
    with listening(Witness(state, [COSIGNER], KNOWN), body_seconds=0.5) as address:
        yield address


@pytest.fixture
def ask(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        yield client


def add(ask: httpx.Client, body: bytes) -> httpx.Response:
    return ask.post("/add-checkpoint", content=body)


@pytest.mark.parametrize("file", ["add-checkpoint-dialogue.txt", "sumdb-dialogue.txt"])
def test_the_published_dialogues(file: str, tmp_path: Path, shared_vectors: Path) -> None:
    state = WitnessState.create(tmp_path / "published.db")
    cosigner = Cosigner("example.com/witness", COSIGNATURE_V1, bytes(32))
    logs = [KnownLog(SIGSUM, (SIGSUM_KEY,)), SUMDB]
    with listening(Witness(state, [cosigner], logs)) as url, httpx.Client(base_url=url, trust_env=False, timeout=30) as ask:
        for body, status, contains in dialogue(shared_vectors / "witness" / file):
            answer = add(ask, body)
            assert answer.status_code == SINCE_THEN.get((contains, status), status)
            assert answer.text == contains.removeprefix("==") if contains.startswith("==") else contains in answer.text
    state.close()


def test_every_line_of_the_table(ask: httpx.Client) -> None:
    stranger = SigningKey.from_seed(ORIGIN, bytes([9] * 32))
    other = PlainLog(key=SigningKey.from_seed("log.example/two", bytes(32)))
    fork = PlainLog(fork=2)
    table = [
        (b"nonsense", 400), (other.body(0, 1), 404), (AddCheckpoint.make(0, [], LOG.note(1, stranger)).to_bytes(), 403),
        (AddCheckpoint.make(0, [bytes(32)], LOG.note(3)).to_bytes(), 422), (LOG.body(0, 3), 200),
        (LOG.body(3, 3).replace(b"old 3", b"old 4"), 400), (LOG.body(0, 5), 409), (LOG.body(2, 5), 409),
        (LOG.request(3, 5, []).to_bytes(), 422), (fork.body(3, 3), 422), (LOG.body(3, 5), 200), (LOG.body(5, 5), 200),
    ]  # fmt: skip
    for body, status in table:
        answer = add(ask, body)
        assert answer.status_code == status, answer.text
        kind = "text/x.tlog.size" if status == 409 else "text/plain; charset=utf-8"
        assert answer.headers["content-type"] == kind
        assert (answer.content == b"3\n") == (status == 409)
        if status == 200:
            new = witness.parse(body).note
            notes.open_note(new.text + b"\n" + answer.content, [COSIGNER.verifier])


def test_monitors_get_the_cosigned_checkpoint(ask: httpx.Client) -> None:
    assert ask.get(f"/{HASH}/checkpoint").status_code == 404
    lines = add(ask, LOG.body(0, 5)).content
    found = ask.get(f"/{HASH}/checkpoint")
    assert (found.status_code, found.content) == (200, LOG.note(5) + lines)
    assert found.headers["content-type"] == "text/plain; charset=utf-8"
    assert found.headers["cache-control"] == "no-cache"
    head = ask.head(f"/{HASH}/checkpoint")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(found.content)))
    for wrong in (f"/{HASH.upper()}/checkpoint", f"/{HASH[:-1]}/checkpoint", "/x/checkpoint", f"/{'0' * 4000}/checkpoint"):
        assert ask.get(wrong).status_code == 404


def test_other_methods_and_paths(ask: httpx.Client) -> None:
    for method, path, status in [
        ("GET", "/add-checkpoint", 405), ("PUT", "/add-checkpoint", 405), ("POST", f"/{HASH}/checkpoint", 405),
        ("GET", "/", 404), ("POST", "/", 404), ("POST", "/add-checkpoint/x", 404), ("GET", "/schema", 404),
        ("POST", "/sign-subtree", 404),
    ]:  # fmt: skip
        answer = ask.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8"), path
        assert "server" not in answer.headers


def test_two_keys_of_one_witness(tmp_path: Path) -> None:
    state = WitnessState.create(tmp_path / "both.db")
    made = Witness(state, [COSIGNER, POST_QUANTUM], KNOWN)
    with listening(made) as url, httpx.Client(base_url=url, trust_env=False, timeout=30) as ask:
        answer = add(ask, LOG.body(0, 5))
    _, signers = notes.open_note(
        notes.parse(LOG.note(5)).text + b"\n" + answer.content, [COSIGNER.verifier, POST_QUANTUM.verifier]
    )
    assert len(signers) == 2
    state.close()


# Clients that mean no good ---------------------------------------------------------------------------------------------


def connect(url: str) -> socket.socket:
    where = urlsplit(url)
    return socket.create_connection((where.hostname or "", where.port or 0), timeout=20)


def everything(connection: socket.socket) -> bytes:
    found = b""
    try:
        while data := connection.recv(1 << 16):
            found += data
    except ConnectionResetError:
        pass
    return found


def alive(ask: httpx.Client) -> bool:
    return ask.get(f"/{HASH}/checkpoint").status_code in (200, 404)


def test_a_body_that_is_too_long_is_not_read(url: str, ask: httpx.Client) -> None:
    assert add(ask, b"old 0\n\n" + b"x" * MAX_REQUEST).status_code == 413
    with connect(url) as connection:  # announced, and never sent
        connection.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 99999999999\r\n\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413 ")
    assert alive(ask)


def test_a_body_that_never_ends_is_not_read_to_its_end(url: str, ask: httpx.Client) -> None:
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    with connect(url) as connection:
        connection.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = 0
        try:
            while sent < 1 << 30:
                connection.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass
        assert sent < 1 << 27
    assert alive(ask)


def test_a_body_that_comes_too_slowly(url: str, ask: httpx.Client) -> None:
    with connect(url) as connection:
        connection.sendall(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 4000\r\n\r\n")
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.05):
                try:
                    connection.sendall(b"o")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        began = time.monotonic()
        answer = everything(connection)
        stop.set()
        dripping.join()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 5
    assert alive(ask)


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nHost: w\r\n\r\n"])
def test_a_head_that_comes_too_slowly(first: bytes, url: str, ask: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a new connection, and after a request that was answered."""
    monkeypatch.setattr(deadlines.Protocol, "HEAD_SECONDS", 0.4)
    with connect(url) as connection:
        if first:
            connection.sendall(first)
            assert b"404" in connection.recv(1 << 16)
        began = time.monotonic()
        closed = False
        for byte in b"GET / HTTP/1.1\r\nX: " + b"x" * 200:
            try:
                connection.sendall(bytes([byte]))
                time.sleep(0.02)
            except OSError:
                closed = True
                break
        assert closed or everything(connection) == b""
        assert 0.3 < time.monotonic() - began < 10
    assert alive(ask)


def test_a_connection_that_says_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines.Protocol, "HEAD_SECONDS", 0.2)
    with connect(url) as connection:
        assert everything(connection) == b""


def test_a_head_that_never_ends(url: str, ask: httpx.Client) -> None:
    with connect(url) as connection:
        try:
            connection.sendall(b"GET / HTTP/1.1\r\n")
            for i in range(10_000):
                connection.sendall(b"X-%d: %b\r\n" % (i, b"x" * 200))
        except OSError:
            pass
        assert everything(connection)[:13] in (b"HTTP/1.1 400 ", b"")
    assert alive(ask)


def test_a_client_that_leaves_in_the_middle(url: str, ask: httpx.Client) -> None:
    for part in (20, 60, 120):
        with connect(url) as connection:
            body = LOG.body(0, 5)
            head = b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: %d\r\n\r\n" % len(body)
            connection.sendall((head + body)[:part])
    assert alive(ask)
    assert add(ask, LOG.body(0, 5)).status_code == 200


class Slow(Witness):
    """A witness whose disk takes its time, and that counts who is inside."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.go = threading.Event()
        self.inside = threading.Semaphore(0)

    def add_checkpoint(self, body: bytes) -> bytes:
        self.inside.release()
        self.go.wait(60)
        return super().add_checkpoint(body)


def test_more_requests_than_there_is_room_for(state: WitnessState) -> None:
    one = Slow(state, [COSIGNER], KNOWN)
    with listening(one, most=2) as url, ThreadPoolExecutor(2) as pool:

        def send(content: bytes) -> httpx.Response:
            return httpx.post(f"{url}/add-checkpoint", content=content, trust_env=False, timeout=60)

        waiting = [pool.submit(send, LOG.body(0, 5)) for _ in range(2)]
        assert all(one.inside.acquire(timeout=60) for _ in waiting)
        pushed_back = send(b"x")
        assert (pushed_back.status_code, pushed_back.headers["retry-after"]) == (429, "5")
        one.go.set()
        assert sorted(answer.result().status_code for answer in waiting) == [200, 409]


class Failing(Witness):
    """A witness that meets what nobody expected."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def add_checkpoint(self, body: bytes) -> bytes:
        raise self.error


@pytest.mark.parametrize(("error", "status"), [(StoreError("/secret/state: the disk is full"), 503), (ValueError("secret"), 500)])
def test_what_goes_wrong_inside_is_not_told_outside(error: Exception, status: int) -> None:
    with listening(Failing(error)) as url:
        answer = httpx.post(f"{url}/add-checkpoint", content=b"x", trust_env=False, timeout=30)
    assert (answer.status_code, "secret" in answer.text) == (status, False)


def test_a_disk_that_cannot_be_written(state: WitnessState, tmp_path: Path) -> None:
    with listening(Witness(state, [COSIGNER], KNOWN)) as url:
        state.close()
        answer = httpx.post(f"{url}/add-checkpoint", content=LOG.body(0, 5), trust_env=False, timeout=30)
    assert answer.status_code == 503
    again = WitnessState.open(tmp_path / "witness.db")
    assert again.all() == []
    again.close()
