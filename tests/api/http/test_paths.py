"""Paths, names and headers that mean harm: they reach neither files nor the log, and every answer is a problem."""

import json
import socket

import pytest

from tests.api.http.serving import Server, problem

EVIL = [
    "..", ".", "%2e%2e", "%2e", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f", "..%5c..", "%00", "%0a", "%0d%0aX-Evil:%201", "%1b[31m",
    "%c0%ae%c0%ae", "%ff", "%", "%zz", "~root", "*", "'", '"', "<script>", "a b", "%20", "{id}", "$(id)", "`id`", ";", "|",
    "\u202e", "%e2%80%ae", "x" * 10_000, ".hidden", "con", "sha256:", "-", "_", "0" * 31, "0" * 33, "G" * 32, "\uff10" * 32,
]  # fmt: skip
PLACES = [
    "/v1/students/{}", "/v1/students/{}/statement", "/v1/students/{}/lineage", "/v1/objects/{}", "/v1/keys/{}",
    "/v1/records/{}", "/v1/imports/{}", "/ledger/tile/0/{}", "/ledger/tile/{}/000", "/ledger/tile/entries/{}",
    "/v1/ledger/entries/{}", "/v1/ledger/entries/{}/receipt", "/v1/{}", "/{}", "/v1/shards/{}/content", "/v1/schema/{}",
]  # fmt: skip


def raw_get(server: Server, target: bytes, headers: bytes = b"") -> tuple[int, bytes]:
    """The status and all of the answer to a request whose target is sent as it stands."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.settimeout(10)
        token = server.tokens["auditor"].encode()
        connection.sendall(
            b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + b"\r\n" + headers
            + b"Connection: close\r\n\r\n"
        )  # fmt: skip
        said = b""
        while piece := connection.recv(65536):
            said += piece
    return int(said.split()[1]), said


@pytest.mark.parametrize("place", PLACES)
def test_no_path_gets_anywhere(server: Server, place: str) -> None:
    for text in EVIL:
        target = place.format(text).encode()
        status, said = raw_get(server, target) if b" " not in target else (404, b"")
        if status == 200:  # what a server that drops dot segments would find
            raise AssertionError(f"{target!r}: {said[:300]!r}")
        assert status in (400, 401, 403, 404), (target, said[:300])
        if said:
            assert b"application/problem+json" in said
            assert b"X-Evil" not in said.partition(b"\r\n\r\n")[0]
            assert b"Traceback" not in said
            assert b"root:" not in said
            assert str(server.world.folder).encode() not in said


@pytest.mark.parametrize(
    "target",
    [
        "/v1//students", "/v1/students/", "//v1/students", "/v1/./students", "/v1/../v1/students", "/v1/students%2f",
        "/v1%2fstudents", "/%76%31/students/", "/V1/students", "/v1/students;x=1", "/v1/students.json", "*", "v1/students",
        "http://x/v1/students",
    ],
)  # fmt: skip
def test_there_is_one_way_to_write_a_path(server: Server, target: str) -> None:
    status, said = raw_get(server, target.encode())
    assert status in (400, 404), said[:300]
    assert b"application/problem+json" in said


def test_a_path_may_be_percent_encoded(server: Server) -> None:
    assert raw_get(server, b"/v1/%73tudents")[0] == 200
    chat = server.ref("chat", "dataset")
    named = server.world.body(chat).parts.digest.replace(":", "%3A")
    assert raw_get(server, f"/v1/objects/{named}?of={chat}".encode())[0] == 200


@pytest.mark.parametrize(
    "query",
    [
        "unknown=1", "limit=1&limit=2", "limit=0", "limit=1001", "limit=x", "limit=", "limit=1.5", "limit=%00",
        "name=%0aX", "name=", "name=%ff%fe%00", "after=x", "after=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "ref=..%2f..", "%00=1",
        "LIMIT=1", "limit%5b%5d=1", "&&&=", "as_of=5",
    ],
)  # fmt: skip
def test_queries_are_what_the_route_knows(server: Server, query: str) -> None:
    status, said = raw_get(server, f"/v1/students?{query}".encode())
    if status == 200:  # a filter that nothing fits
        assert json.loads(said.partition(b"\r\n\r\n")[2])["items"] == []
        assert query.startswith(("name", "ref", "&"))
    else:
        assert status in (400, 404), said[:300]
        assert b"application/problem+json" in said


@pytest.mark.parametrize(
    "name", ["as_of=0", "as_of=-1", "as_of=99999999", "as_of=1e3", "depth=-1", "depth=x", "direction=sideways"]
)
def test_questions_out_of_bounds(server: Server, name: str) -> None:
    path = f"{server.path(server.ref('lab/pupil', 'student'))}/lineage?{name}"
    problem(server.get(path, "trainer"), 400, "invalid-input")


@pytest.mark.parametrize("ours", ["job-7", "a" * 64, "A.b_c-9"])
def test_a_request_keeps_the_id_that_the_client_gave(server: Server, ours: str) -> None:
    answer = server.get("/health/live", headers={"X-Request-Id": ours})
    assert answer.headers["x-request-id"] == ours
    assert server.line(answer)["status"] == 200


@pytest.mark.parametrize("theirs", ["", "a" * 65, "a b", "a,b", '"', "{", ".hidden", "\u00e9".encode("latin-1"), "x\ty"])
def test_another_id_is_replaced(server: Server, theirs: str) -> None:
    answer = server.get("/health/live", headers={"X-Request-Id": theirs})
    id = answer.headers["x-request-id"]
    assert len(id) == 32
    assert int(id, 16) >= 0
    assert server.line(answer)["status"] == 200


def test_headers_cannot_be_written_into(server: Server) -> None:
    status, said = raw_get(server, b"/v1/students", b"X-Request-Id: a\x0bInjected: 1\r\n")
    assert status in (200, 400)
    assert b"Injected" not in said


def test_the_log_says_what_happened_and_nothing_that_was_asked(server: Server) -> None:
    secret = "what-is-asked-stays-unwritten"
    chat = server.ref("chat", "dataset")
    headers = {"User-Agent": secret, "Referer": secret, "Content-Type": "application/json"}
    asked = server.get(server.path(chat), "trainer", params={secret: secret}, headers=headers)
    server.line(server.get(f"/v1/resolve?name={secret}", "trainer"))
    nowhere = server.line(server.get(f"/v1/{secret}"))
    server.line(server.ask("POST", "/v1/parties", "compliance", content=secret, headers=headers))
    found = server.line(asked)
    everything = b"".join(server.lines)
    assert secret.encode() not in everything
    assert not any(token.encode() in everything or token[13:].encode() in everything for token in server.tokens.values())
    assert all(line.count(b"\n") == 1 for line in server.lines)
    assert set(found) == {"time", "level", "request", "method", "route", "status", "ms", "token", "party"}
    assert (found["method"], found["route"], found["status"]) == ("GET", "/v1/datasets/{id}", 400)
    assert found["token"] == server.tokens["trainer"][4:12]
    assert found["party"] == server.world.registry.operator
    assert found["ms"] >= 0
    assert found["time"].endswith("Z")
    assert (nowhere["route"], nowhere["token"]) == (None, None)


@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/v1", "/", "/ledger", "/ledger/tile", "/v1/schema", "/favicon.ico"])
def test_where_no_route_is_there_is_a_problem(server: Server, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        problem(server.ask(method, path, "trainer"), 404, "not-found")
    head = server.ask("HEAD", path)
    assert (head.status_code, head.content) == (404, b"")
    problem(server.ask("OPTIONS", path), 404, "not-found")
