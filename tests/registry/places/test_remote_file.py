"""A file read by ranges: the same bytes as on disk, in bounded memory, and an error for whatever else a server sends."""

import io
import os
import random
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

import pytest

from inbond.registry.places.remote_file import CELL, RUN, RemoteFile
from inbond.registry.places.transport import Transport
from inbond.registry.shards.blocks import BLOCK, VerifiedFile, block_hashes, block_root
from inbond.registry.shards.fetched import Fetched
from inbond.schemas.errors import InbondError, InvalidInput, PolicyDenied, StoreError, VerificationError
from tests.registry.places.scripted import Asked, Said, Scripted, serving

SIZE = 18 * CELL + 12_345
DATA = random.Random(7).randbytes(SIZE)
ETAG = '"sha256-' + "ab" * 32 + '"'


def ranged(asked: Asked) -> Said:
    """What a server that does as it should answers."""
    first, _, last = asked.headers["range"].removeprefix("bytes=").partition("-")
    body = DATA[int(first) : int(last) + 1]
    return Said(206, body, {"Content-Range": f"bytes {first}-{last}/{SIZE}", "ETag": ETAG})


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    server = Scripted(ranged)
    with serving(server):
        yield server


@pytest.fixture
def opened(server: Scripted) -> Iterator[Callable[..., RemoteFile]]:
    made, files = list[Transport](), list[RemoteFile]()

    def opened(answering: Callable[[Asked], Said] = ranged, size: int = SIZE) -> RemoteFile:
        server.answering, server.asked = answering, []
        transport = Transport(server.url, patience=0.2)
        made.append(transport)
        files.append(
            RemoteFile(lambda a, b, no: transport.piece("/content", [("grant", "grant:1")], (a, b), size, ETAG, no), size)
        )
        return files[-1]

    yield opened
    for file in files:
        file.close()
    for transport in made:
        transport.close()


def spans(server: Scripted) -> list[tuple[int, int]]:
    found = []
    for asked in server.asked:
        first, _, last = asked.headers["range"].removeprefix("bytes=").partition("-")
        found.append((int(first), int(last) + 1))
    return found


def test_reading_to_the_end_asks_for_every_byte_once_in_long_runs(opened: Callable[..., RemoteFile], server: Scripted) -> None:
    with opened() as file:
        data = b"".join(iter(lambda: file.read(512 * 1024), b""))
    assert data == DATA
    asked = sorted(spans(server))
    assert [first for first, _ in asked] == [0, *(last for _, last in asked[:-1])]
    assert [last - first for first, last in asked] == [CELL, *[RUN * CELL] * 4, CELL + 12_345]
    assert {asked.headers["if-range"] for asked in server.asked} == {ETAG}
    assert {asked.path for asked in server.asked} == {"/content?grant=grant%3A1"}


def test_the_next_run_is_under_way_while_one_is_read(opened: Callable[..., RemoteFile], server: Scripted) -> None:
    gate = threading.Barrier(2, timeout=10)  # two requests must be on their way at once, or this fails

    def together(asked: Asked) -> Said:
        if len(server.asked) <= 2:
            gate.wait()
        return ranged(asked)

    with opened(together) as file:
        assert file.read(10) == DATA[:10]
    with opened(together) as file:
        file.seek(3 * CELL)
        assert file.read(9 * CELL) == DATA[3 * CELL : 12 * CELL], "a long read is asked for in several runs"


def test_reads_anywhere_are_those_of_a_file_on_disk(opened: Callable[..., RemoteFile]) -> None:
    here, chance = io.BytesIO(DATA), random.Random(3)
    with opened() as file:
        assert (file.readable(), file.seekable(), file.size(), file.seek(0, os.SEEK_END)) == (True, True, SIZE, SIZE)
        for _ in range(60):
            whence = chance.choice([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])
            move = {
                os.SEEK_SET: chance.randrange(SIZE),
                os.SEEK_CUR: max(chance.randrange(-CELL, CELL), -here.tell()),
                os.SEEK_END: -chance.randrange(SIZE),
            }[whence]
            assert file.seek(move, whence) == here.seek(move, whence)
            length = chance.choice([0, 1, 100, BLOCK, CELL - 1, CELL, 3 * CELL])
            assert file.read(length) == here.read(length)
            assert file.tell() == here.tell()
        file.seek(SIZE - 5)
        buffer = bytearray(10)
        assert file.readinto(buffer) == 5
        assert bytes(buffer) == DATA[-5:] + bytes(5)
        assert file.read() == b""


def test_a_jump_asks_for_what_it_touches_alone(opened: Callable[..., RemoteFile], server: Scripted) -> None:
    with opened() as file:
        file.seek(-20, os.SEEK_END)
        file.read(20)
        file.seek(4 * CELL + 7)
        file.read(100)
    assert spans(server) == [(18 * CELL, SIZE), (4 * CELL, 5 * CELL)]


def test_memory_is_bounded_whatever_the_size() -> None:
    size, fetched = 200 * CELL, list[int]()

    def fetch(first: int, last: int, unwanted: Callable[[], bool]) -> bytes:
        fetched.append(last - first)
        return bytes(last - first)

    with RemoteFile(fetch, size) as file:
        tracemalloc.start()
        while file.read(CELL):
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert sum(fetched) == size
    assert peak < 20 * CELL, f"{peak >> 20} MiB"


def other(**headers: str) -> Callable[[Asked], Said]:
    def answering(asked: Asked) -> Said:
        said = ranged(asked)
        said.headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        return said

    return answering


def cut(asked: Asked) -> Said:
    said = ranged(asked)
    return Said(206, said.body[:-1], said.headers)


def truncated(asked: Asked) -> Said:
    said = ranged(asked)
    said.only = len(said.body) // 2
    return said


@pytest.mark.parametrize(
    ("answering", "kind", "message"),
    [
        (lambda _: Said(200, DATA, {"ETag": ETAG}), VerificationError, "expected status 206 with bytes 0-"),
        (other(Content_Range=f"bytes 0-9/{SIZE}"), VerificationError, "with bytes 0-9/"),
        (other(Content_Range="bytes 0-1048575/1"), VerificationError, "with bytes 0-1048575/1"),
        (other(ETag='"sha256-00"'), VerificationError, 'of "sha256-00"'),
        (other(ETag="W/" + ETAG), VerificationError, "of W/"),
        (other(Content_Encoding="gzip"), VerificationError, "found them encoded"),
        (cut, VerificationError, f"expected {CELL} bytes, found {CELL - 1}"),
        (truncated, StoreError, "could not reach"),
        (lambda _: Said(206, b"", {"Content-Range": "bytes */9"}), VerificationError, "expected status 206"),
        (lambda _: Said(416, b""), InvalidInput, "found status 416"),
        (lambda _: Said(500, b""), StoreError, "found status 500"),
        (lambda _: Said(drop=True), StoreError, "could not reach"),
    ],
)
def test_anything_but_the_bytes_that_were_asked_for_is_an_error(
    opened: Callable[..., RemoteFile], answering: Callable[[Asked], Said], kind: type[InbondError], message: str
) -> None:
    with opened(answering) as file, pytest.raises(InbondError) as caught:
        file.read(10)
    assert type(caught.value) is kind
    assert message in caught.value.message


def test_a_right_that_ends_in_the_middle_is_a_refusal_and_asking_again_asks_again(
    opened: Callable[..., RemoteFile], server: Scripted
) -> None:
    ended = b'{"type":"urn:inbond:problem:policy-denied","detail":"recalled"}'
    with opened() as file:
        assert file.read(CELL) == DATA[:CELL]
        file.seek(7 * CELL)
        server.answering = lambda _: Said(403, ended)
        with pytest.raises(PolicyDenied, match="recalled"):
            file.read(10)
        server.answering = ranged
        assert file.read(10) == DATA[7 * CELL : 7 * CELL + 10]


def test_under_a_verified_file_one_altered_byte_is_found_in_its_block(opened: Callable[..., RemoteFile]) -> None:
    hashes = block_hashes(io.BytesIO(DATA))
    at = 6 * CELL + 5 * BLOCK + 17

    def altered(asked: Asked) -> Said:
        said = ranged(asked)
        first = int(asked.headers["range"].removeprefix("bytes=").partition("-")[0])
        body = bytearray(said.body)
        if first <= at < first + len(body):
            body[at - first] ^= 1
        return Said(206, bytes(body), said.headers)

    file = VerifiedFile(cast(BinaryIO, opened(altered)), size=SIZE, hashes=hashes, root=block_root(hashes), name="it")
    with file:
        assert file.read_at(0, 6 * CELL) == DATA[: 6 * CELL]
        with pytest.raises(VerificationError, match=f"block {at // BLOCK}"):
            file.read_at(at, 1)
        with Fetched(file, [(0, SIZE)], memoryview(b"")) as whole, pytest.raises(VerificationError, match=f"block {at // BLOCK}"):
            whole.ready()


def test_a_fork_reads_on_by_itself(opened: Callable[..., RemoteFile]) -> None:
    with opened() as file:
        file.read(10)
        process = os.fork()
        if process == 0:
            try:
                os._exit(0 if file.read(CELL) == DATA[10 : CELL + 10] else 1)
            except BaseException:
                os._exit(2)
        assert os.waitpid(process, 0)[1] == 0
        assert file.read(10) == DATA[10:20]


def test_a_closed_file_says_so(opened: Callable[..., RemoteFile]) -> None:
    file = opened()
    file.close()
    with pytest.raises(InvalidInput, match="found it closed"):
        file.read(1)
    assert CELL % BLOCK == 0
