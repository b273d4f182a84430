"""Objects: put with their digest or not at all, got by whoever may see a statement that names them."""

import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from inbond.api.settings import Settings
from inbond.schemas.scalars import ObjectList
from inbond.schemas.statements import Visibility
from tests.api.http.serving import Server, copied, problem, served
from tests.registry.scene import close_body
from tests.registry.world import World

MANY = bytes(range(256)) * (5 << 12)  # 5 MiB: several pieces


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(server: Server, data: bytes, who: str = "producer", of: bytes | None = None) -> httpx.Response:
    return server.ask("PUT", f"/v1/objects/{digest(data if of is None else of)}", who, content=data)


def scratch(server: Server) -> list[Path]:
    return list((server.world.folder / "objects" / "scratch").iterdir())


@pytest.mark.parametrize("data", [b"", b"x", b"one piece", MANY], ids=len)
def test_what_is_put_is_kept_once(server: Server, data: bytes) -> None:
    there = server.world.registry.store.has(digest(data))
    first = put(server, data)
    assert first.status_code == (200 if there else 201)
    assert first.json() == {"digest": digest(data), "size": len(data)}
    assert server.world.registry.store.get(digest(data)) == data
    again = server.ask("PUT", f"/v1/objects/sha256:{digest(data)}", "trainer", content=data)
    assert (again.status_code, again.json()) == (200, first.json())
    assert scratch(server) == []


def test_other_bytes_than_the_digests_are_not_kept(server: Server) -> None:
    found = problem(put(server, b"altered", of=b"original"), 422, "verification-failed")
    assert digest(b"original") in found["detail"]
    assert digest(b"altered") in found["detail"]
    assert not server.world.registry.store.has(digest(b"original"))
    assert not server.world.registry.store.has(digest(b"altered"))
    assert scratch(server) == []


def test_an_upload_without_a_length_is_streamed(server: Server) -> None:
    data = b"chunked " * 100_000
    pieces = (data[at : at + 10_000] for at in range(0, len(data), 10_000))
    answer = server.ask("PUT", f"/v1/objects/{digest(data)}", "producer", content=pieces)
    assert answer.status_code == 201
    assert server.world.registry.store.get(digest(data)) == data


def test_an_upload_that_breaks_off_leaves_nothing(server: Server) -> None:
    data = b"half " * 400_000
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"PUT /v1/objects/{digest(data)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n"
        connection.sendall(f"{head}Authorization: Bearer {server.tokens['producer']}\r\n\r\n".encode() + data[:1_500_000])
        wait_for(lambda: len(scratch(server)) == 1)
    wait_for(lambda: scratch(server) == [])
    assert not server.world.registry.store.has(digest(data))
    wait_for(lambda: b'"status":499' in server.lines[-1])


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def small(lived_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with small limits and no patience."""
    folder = tmp_path_factory.mktemp("small") / "world"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        world = World(copied(lived_in, folder))
        with served(world, Settings(max_upload=100_000, body_wait=0.3, token_wait=0)) as found:
            yield found
        world.registry.close()


def test_an_upload_over_the_limit_is_refused(small: Server) -> None:
    assert put(small, b"x" * 100_000).status_code == 201
    problem(put(small, b"x" * 100_001), 413, "too-large")
    pieces = (b"x" * 50_000 for _ in range(3))  # of a length that nobody knows before
    problem(small.ask("PUT", f"/v1/objects/{digest(b'x' * 150_000)}", "producer", content=pieces), 413, "too-large")
    assert scratch(small) == []


def test_an_upload_that_stops_is_given_up(small: Server) -> None:
    host, port = small.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"PUT /v1/objects/{digest(b'slow')} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
        connection.sendall(f"{head}Authorization: Bearer {small.tokens['producer']}\r\n\r\nsl".encode())
        connection.settimeout(10)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in answer
    wait_for(lambda: scratch(small) == [])


# -- getting ---------------------------------------------------------------------------------------------------------------


def test_a_list_is_for_whoever_may_see_the_statement(server: Server) -> None:
    chat = server.ref("chat", "dataset")
    named = server.world.body(chat).parts.digest
    for who in ("producer", "vendor-trainer", "auditor"):
        answer = server.get(f"/v1/objects/{named}", who, params={"of": chat})
        assert f"sha256:{digest(answer.content)}" == named
        assert answer.headers["etag"] == f'"sha256-{named.removeprefix("sha256:")}"'
        assert "immutable" in answer.headers["cache-control"]
    problem(server.get(f"/v1/objects/{named}", params={"of": chat}), 401, "unauthenticated")
    problem(server.get(f"/v1/objects/{named}", "vendor-provider", params={"of": chat}), 403, "not-permitted")
    problem(server.get(f"/v1/objects/{named}", "producer"), 400, "invalid-input")


def test_a_text_in_pieces_and_ranges(server: Server) -> None:
    terms = server.world.registry.add_terms(MANY, party="acme", title="long-terms", effective="2026-01-01").ref
    path, params = f"/v1/objects/{digest(MANY)}", {"of": terms}
    assert server.get(path, "trainer", params=params).content == MANY
    middle = server.get(path, "trainer", params=params, headers={"Range": f"bytes=1000000-{4 << 20}"})
    assert (middle.status_code, middle.content) == (206, MANY[1_000_000 : (4 << 20) + 1])
    problem(server.get(path, "trainer", params=params, headers={"Range": "bytes=99999999-"}), 416, "range-not-satisfiable")


def test_a_statement_that_does_not_name_it_gives_nothing(server: Server) -> None:
    chat, code = server.ref("chat", "dataset"), server.ref("code", "dataset")
    named = server.world.body(chat).parts.digest
    problem(server.get(f"/v1/objects/{named}", "producer", params={"of": code}), 404, "not-found")
    problem(server.get(f"/v1/objects/{'0' * 64}", "producer", params={"of": code}), 404, "not-found")
    problem(server.get(f"/v1/objects/{named}", "producer", params={"of": f"dataset:{'0' * 32}"}), 404, "not-found")


def test_a_shards_file_is_not_an_object(server: Server) -> None:
    world = server.world
    shard = world.parts("chat")[0][0]
    named = world.body(shard).file
    for who in ("producer", "compliance", "auditor"):
        problem(server.get(f"/v1/objects/{named}", who, params={"of": shard}), 403, "not-permitted")
    # Nor does another statement that names it make it one: whoever reads the terms would get past the gate.
    terms = world.changed(world.ref("acme-terms"), title="not-terms", text=named)
    stolen = world.put("terms", terms, "vendor-compliance")
    problem(server.get(f"/v1/objects/{named}", "vendor-compliance", params={"of": stolen}), 403, "not-permitted")


def test_salted_texts_are_for_few(server: Server) -> None:
    world = server.world
    ask = world.registry.ask("lab/other", "acme-terms", "because we must").ref
    named = world.body(ask).grounds
    for who in ("trainer", "compliance", "auditor", "vendor-compliance"):
        answer = server.get(f"/v1/objects/{named}", who, params={"of": ask})
        assert answer.content.endswith(b"because we must")
    problem(server.get(f"/v1/objects/{named}", "vendor-trainer", params={"of": ask}), 403, "not-permitted")


def test_a_list_that_its_signer_could_not_know_is_not_handed_out(server: Server) -> None:
    """A digest is no secret, so naming it must not open what is behind it."""
    world = server.world
    grounds = world.body(world.registry.ask("lab/other", "acme-terms", "for few eyes").ref).grounds
    mini = world.ref("vendor/mini", "student")
    run, _ = world.run(mini, "thief", world.ref("chat", "dataset"), trainer="vendor-trainer")
    named = ObjectList(digest=grounds, root=f"sha256:{'1' * 64}", count=1)
    closed = world.put("run", msgspec.structs.replace(close_body(mini, run), inputs=named), "vendor-trainer")
    problem(server.get(f"/v1/objects/{grounds}", "vendor-trainer", params={"of": closed}), 422, "verification-failed")


def test_what_is_internal_is_for_its_party_and_auditors(server: Server) -> None:
    world = server.world
    body = world.changed(world.ref("acme-terms"), title="inner-terms")
    inner = world.put("terms", body, "compliance", visibility=Visibility.INTERNAL)
    for who in ("trainer", "auditor"):
        assert server.get(f"/v1/objects/{body.text}", who, params={"of": inner}).status_code == 200
    problem(server.get(f"/v1/objects/{body.text}", "vendor-compliance", params={"of": inner}), 403, "not-permitted")
