"""Bodies that are too long, too slow, too deep, or not what they say they are; and requests that are none."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inbond.api.settings import Settings
from tests.api.http.serving import Server, copied, problem, served
from tests.registry.world import World


def raw(server: Server, data: bytes, *, then: float = 0, more: bytes = b"") -> bytes:
    """All that the server says to these bytes, until it closes or has been quiet for a while."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.settimeout(2)
        connection.sendall(data)
        if more:
            time.sleep(then)
            connection.sendall(more)
        said = b""
        try:
            while piece := connection.recv(65536):
                said += piece
        except TimeoutError:
            pass
        return said


def head(server: Server, length: object, *, method: str = "POST", path: str = "/v1/parties", more: str = "") -> bytes:
    token = server.tokens["compliance"]
    return (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n{more}\r\n"
    ).encode()


def test_a_body_over_the_limit_is_refused(server: Server) -> None:
    text = json.dumps({"payload": "A" * (128 * 1024)})
    found = problem(server.ask("POST", "/v1/parties", "compliance", content=text, headers=JSON), 413, "too-large")
    assert found["limit"] == 128 * 1024


JSON = {"Content-Type": "application/json"}


def test_a_body_over_the_limit_is_refused_before_it_is_sent(server: Server) -> None:
    assert raw(server, head(server, 10**12)).startswith(b"HTTP/1.1 413 ")


def test_a_body_over_the_limit_is_refused_where_nobody_knew_its_length(server: Server) -> None:
    pieces = (b" " * 10_000 for _ in range(20))
    problem(server.ask("POST", "/v1/parties", "compliance", content=pieces, headers=JSON), 413, "too-large")


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "1, 2", "", "9" * 400])
def test_a_length_that_is_none_is_no_request(server: Server, length: str) -> None:
    said = raw(server, head(server, length) + b"{}")
    assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 "))
    assert b"application/problem+json" in said


def test_a_body_longer_than_it_said_is_the_next_request(server: Server) -> None:
    said = raw(server, head(server, 2) + b"{}GARBAGE\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 400 ") == 2


@pytest.mark.parametrize(
    "order", [("Transfer-Encoding: chunked", "Content-Length: 5"), ("Content-Length: 3", "Transfer-Encoding: chunked")]
)
def test_a_body_of_two_lengths_ends_the_connection(server: Server, order: tuple[str, str]) -> None:
    """What a proxy may have taken for the body's end is for us not the beginning of somebody else's request."""
    lines = ["POST /v1/parties HTTP/1.1", "Host: x", f"Authorization: Bearer {server.tokens['compliance']}", *order]
    smuggled = b"0\r\n\r\nGET /v1/registry HTTP/1.1\r\nHost: x\r\n\r\n"
    said = raw(server, "\r\n".join([*lines, "", ""]).encode() + smuggled)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert b"urn:inbond:problem:bad-framing" in said
    assert said.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("fields", [{"X-Long": "a" * 33_000}, {f"X-{n}": "a" * 60 for n in range(600)}], ids=["long", "many"])
def test_a_head_that_is_too_long_is_431(server: Server, fields: dict[str, str]) -> None:
    problem(server.ask("GET", "/v1/registry", headers=fields), 431, "head-too-large")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" * 50_000 + "]" * 50_000,
        '{"payload":' * 10_000 + "1" + "}" * 10_000,
        '{"payload": "e30=", "payloadType": "a", "signatures": ' + "[" * 60_000,
        "[" + "0," * 60_000 + "0]",
        '{"a":1' + ',"a":1' * 20_000 + "}",
        "9" * 100_000,
        '"' + "\\u0000" * 20_000 + '"',
        "{",
        "",
        " ",
        "\ufeff{}",
        "NaN",
        "{} {}",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_json_bombs_are_refused_at_once(server: Server, text: str) -> None:
    began = time.monotonic()
    answer = server.ask("POST", "/v1/parties", "compliance", content=text.encode(), headers=JSON)
    problem(answer, 400, "invalid-input")
    assert time.monotonic() - began < 2
    assert len(answer.content) < 4000


def test_bytes_that_are_no_text_are_refused(server: Server) -> None:
    problem(server.ask("POST", "/v1/parties", "compliance", content=b"\xff\xfe{}", headers=JSON), 400, "invalid-input")


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "a", "application/xml"]
)
def test_another_media_type_is_refused(server: Server, media: str) -> None:
    answer = server.ask("POST", "/v1/parties", "compliance", content=b"{}", headers={"Content-Type": media})
    problem(answer, 415, "wrong-media-type")


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "APPLICATION/JSON"])
def test_the_media_type_is_read_as_it_should_be(server: Server, media: str) -> None:
    answer = server.ask("POST", "/v1/parties", "compliance", content=b"{}", headers={"Content-Type": media})
    problem(answer, 400, "invalid-input")


@pytest.fixture(scope="module")
def hasty(lived_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without patience."""
    folder = tmp_path_factory.mktemp("hasty") / "world"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        world = World(copied(lived_in, folder))
        with served(world, Settings(body_wait=0.3, token_wait=0)) as found:
            yield found
        world.registry.close()


def test_a_slow_body_is_given_up(hasty: Server) -> None:
    began = time.monotonic()
    said = raw(hasty, head(hasty, 100) + b'{"payload":')
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"urn:inbond:problem:too-slow" in said
    assert time.monotonic() - began < 2


def test_a_body_in_drops_is_given_up(hasty: Server) -> None:
    """Each piece is in time, all of them are not."""
    host, port = hasty.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.settimeout(0.1)
        connection.sendall(head(hasty, 1000))
        began = time.monotonic()
        said = b""
        while not said and time.monotonic() - began < 5:
            try:
                connection.sendall(b" ")
                said = connection.recv(65536)
            except TimeoutError:
                continue
    assert said.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
def test_what_is_no_request_is_told_so(server: Server, data: bytes) -> None:
    said = raw(server, data)
    assert said == b"" or said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 "))
    assert b"Traceback" not in said


def test_a_request_for_another_protocol_is_an_ordinary_one(server: Server) -> None:
    upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n"
    said = raw(server, f"GET /health/live HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n".encode())
    assert said.startswith(b"HTTP/1.1 200 ")
