"""Bytes of shards: under whose grant, which range of them, and who gets none."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from inbond.registry.listing import ListedDelivery, ListedGrant
from inbond.schemas.statements import GrantMode
from tests.api.http.serving import Server, problem
from tests.registry.world import LONG_AGO


@dataclass
class File:
    """A shard's file, and where and how it is got."""

    server: Server
    path: str
    grant: str
    data: bytes

    @property
    def tag(self) -> str:
        return f'"sha256-{hashlib.sha256(self.data).hexdigest()}"'

    def get(self, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.server.get(self.path, "trainer", params={"grant": self.grant}, headers=named)


@pytest.fixture(scope="module")
def file(server: Server) -> File:
    """A shard that a run of the operator may read."""
    world = server.world
    run, key = world.run(server.ref("lab/pupil", "student"), "by-http", server.ref("chat", "dataset"))
    parts = world.parts("chat")
    grant = world.grant(run, key, parts)
    body = world.body(parts[0][0])
    data = world.registry.store.get(body.file)
    return File(server, f"{server.path(parts[0][0])}/content", grant, data)


def test_the_whole_file(file: File) -> None:
    answer = file.get()
    assert answer.status_code == 200
    assert answer.content == file.data
    assert answer.headers["etag"] == file.tag
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-length"] == str(len(file.data))
    assert "content-encoding" not in file.get(accept_encoding="gzip, br").headers


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, None),
        ("bytes=10-19", 10, 20),
        ("bytes=-1", -1, None),
        ("bytes=-8", -8, None),
        ("bytes=5-99999999", 5, None),
        ("bytes=-99999999", 0, None),
        ("bytes= 3-4", 3, 5),
    ],
)
def test_a_range(file: File, asked: str, first: int, last: int | None) -> None:
    answer = file.get(range=asked)
    size = len(file.data)
    begin, end = range(size)[first], size if last is None else last
    assert answer.status_code == 206
    assert answer.content == file.data[begin:end]
    assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{size}"
    assert answer.headers["content-length"] == str(end - begin)
    assert answer.headers["etag"] == file.tag


def test_the_last_byte(file: File) -> None:
    size = len(file.data)
    assert file.get(range=f"bytes={size - 1}-{size - 1}").content == file.data[-1:]
    assert file.get(range=f"bytes={size - 1}-").content == file.data[-1:]


@pytest.mark.parametrize("beyond", [0, 1, 10**18])
def test_a_range_that_begins_beyond_the_end_is_416(file: File, beyond: int) -> None:
    answer = file.get(range=f"bytes={len(file.data) + beyond}-")
    problem(answer, 416, "range-not-satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(file.data)}"


def test_no_bytes_from_the_end_is_416(file: File) -> None:
    problem(file.get(range="bytes=-0"), 416, "range-not-satisfiable")


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,4-5", "bytes=5-2", "items=0-1", "bytes=a-b", "bytes=", "bytes=-", "bytes=0-1x", f"bytes={'9' * 40}-"]
)
def test_several_ranges_and_what_is_none_are_ignored(file: File, asked: str) -> None:
    answer = file.get(range=asked)
    assert answer.status_code == 200
    assert answer.content == file.data


def test_if_range_compares_strongly(file: File) -> None:
    assert file.get(range="bytes=0-3", if_range=file.tag).status_code == 206
    for other in (f"W/{file.tag}", '"sha256-00"', "Sat, 21 Nov 2026 00:00:00 GMT", ""):
        assert file.get(range="bytes=0-3", if_range=other).status_code == 200


def test_what_the_client_has_is_not_sent_again(file: File) -> None:
    for known in (file.tag, f"W/{file.tag}", f'"other", {file.tag}', "*"):
        answer = file.get(if_none_match=known, range="bytes=0-3")
        assert answer.status_code == 304
        assert answer.content == b""
        assert answer.headers["etag"] == file.tag
    assert file.get(if_none_match='"other"').status_code == 200


def test_head_says_what_get_would(file: File) -> None:
    answer = file.server.ask("HEAD", file.path, "trainer", params={"grant": file.grant}, headers={"Range": "bytes=2-5"})
    assert answer.status_code == 206
    assert answer.headers["content-length"] == "4"
    assert answer.content == b""


def test_a_shard_is_not_for_others_than_the_grants_party(file: File) -> None:
    params = {"grant": file.grant}
    found = problem(file.server.get(file.path, "vendor-trainer", params=params), 403, "not-permitted")
    assert file.server.world.registry.operator in found["detail"]
    problem(file.server.get(file.path, params=params), 401, "unauthenticated")
    problem(file.server.get(file.path, "provider", params=params), 403, "not-permitted")


def test_no_bytes_without_a_grant(file: File) -> None:
    problem(file.server.get(file.path, "trainer"), 400, "invalid-input")
    both = {"grant": file.grant, "delivery": f"delivery:{'0' * 32}"}
    problem(file.server.get(file.path, "trainer", params=both), 400, "invalid-input")
    problem(file.server.get(file.path, "trainer", params={"grant": f"grant:{'0' * 32}"}), 404, "not-found")
    other_kind = {"grant": file.server.ref("lab/pupil", "student")}
    problem(file.server.get(file.path, "trainer", params=other_kind), 400, "invalid-input")


def test_a_grant_that_ended_gives_nothing(file: File) -> None:
    server, world = file.server, file.server.world
    run, key = world.run(server.ref("lab/pupil", "student"), "expired-by-http", server.ref("chat", "dataset"))
    expired = world.grant(run, key, world.parts("chat"), expires=LONG_AGO)
    found = problem(server.get(file.path, "trainer", params={"grant": expired}), 403, "policy-denied")
    assert "expired" in found["detail"]
    closed = next(
        item for item in world.registry.place.page(ListedGrant, run=server.ref("lessons", "run")).items if item.mode == "stream"
    )
    found = problem(server.get(file.path, "trainer", params={"grant": closed.ref}), 403, "policy-denied")
    assert "closed" in found["detail"]


def test_a_grant_gives_what_it_covers(file: File) -> None:
    other = f"{file.server.path(file.server.world.parts('beta')[0][0])}/content"
    found = problem(file.server.get(other, "trainer", params={"grant": file.grant}), 403, "policy-denied")
    assert "does not cover" in found["detail"]


def test_a_refusal_of_compliance_ends_a_grant(file: File) -> None:
    server, world = file.server, file.server.world
    student = world.student("lab/refused-later")
    terms = server.ref("acme-terms")
    world.permit(student, terms)
    run, key = world.run(student, "refused", server.ref("chat", "dataset"))
    grant = world.grant(run, key, world.parts("chat"))
    assert server.get(file.path, "trainer", params={"grant": grant}).status_code == 200
    world.permit(student, terms, ruling="refuse")
    found = problem(server.get(file.path, "trainer", params={"grant": grant}), 403, "policy-denied")
    assert "compliance has ruled: refuse" in found["detail"]


def test_a_delivery_is_for_its_recipient_and_the_owner(file: File) -> None:
    server, world = file.server, file.server.world
    [delivery] = world.registry.place.page(ListedDelivery, channel="export").items
    assert delivery.recipient == server.ref("vendor", "party")
    shard = world.parts("code")[0][0]
    path, params = f"{server.path(shard)}/content", {"delivery": delivery.ref}
    for who in ("vendor-trainer", "vendor-compliance", "producer"):
        answer = server.get(path, who, params=params)
        assert hashlib.sha256(answer.content).hexdigest() == world.body(shard).file.removeprefix("sha256:")
    found = problem(server.get(file.path, "producer", params=params), 403, "policy-denied")
    assert "covers" in found["detail"]


def test_a_delivery_of_rows_is_for_whoever_writes_them(file: File) -> None:
    server, world = file.server, file.server.world
    shard = world.parts("code")[0][0]
    path, body = (
        f"{server.path(shard)}/content",
        {"object": world.ref("code", "dataset"), "recipient": server.ref("vendor", "party")},
    )
    posted = server.ask("POST", "/v1/deliveries", "producer", json={**body, "extent": "rows"}).json()
    params = {"delivery": posted["deliveries"][0]["ref"]}
    assert server.get(path, "producer", params=params).status_code == 200
    assert "is for" in problem(server.get(path, "vendor-trainer", params=params), 403, "not-permitted")["detail"]


def test_a_delivery_under_a_grant_ends_with_it(file: File) -> None:
    server, world = file.server, file.server.world
    run, key = world.run(server.ref("lab/pupil", "student"), "exported-by-http", server.ref("chat", "dataset"))
    world.grant(run, key, world.parts("chat"), mode=GrantMode.EXPORT)
    grant = world.registry.place.page(ListedGrant, run=run).items[0].ref
    [delivery] = world.registry.place.deliver(grant=grant)
    params = {"delivery": delivery.ref}
    assert server.get(file.path, "trainer", params=params).content == file.data
    world.registry.close_run(run, "kept")
    assert "closed" in problem(server.get(file.path, "trainer", params=params), 403, "policy-denied")["detail"]


def test_block_hashes(file: File) -> None:
    server, world = file.server, file.server.world
    shard = world.parts("chat")[0][0]
    answer = server.get(f"{server.path(shard)}/blocks", "producer")
    assert answer.content == world.registry.store.get_blocks(world.body(shard).file)
    assert answer.headers["content-type"] == "application/octet-stream"


def test_a_shard_whose_file_has_gone_is_told(file: File, tmp_path: Path) -> None:
    server, world = file.server, file.server.world
    shard = world.parts("chat")[2][0]
    path = world.registry.store.path(world.body(shard).file)
    path.rename(tmp_path / "gone")
    try:
        found = problem(server.get(f"{server.path(shard)}/content", "trainer", params={"grant": file.grant}), 404, "not-found")
        assert str(world.folder) not in str(found)
    finally:
        (tmp_path / "gone").rename(path)
