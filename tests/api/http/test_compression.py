"""Entry bundles in gzip, and a log whose entries are for everybody."""

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbond.api.compression import accepts_gzip, encoded
from inbond.api.settings import Settings
from inbond.ledger import receipts
from tests.api.http.serving import Server, copied, served
from tests.registry.world import World

ASKING = [
    "gzip",
    "gzip, identity",
    "br;q=1.0, gzip;q=0.8",
    "*",
    "x-gzip",
    "GZIP",
    "identity;q=0, gzip;q=0.001",
    " gzip ; q=1.000",
]
NOT_ASKING = [
    "",
    "identity",
    "br",
    "gzip;q=0",
    "gzip;q=0.000",
    "*;q=0",
    "gzip;q=0, *",
    "gzip;q=2",
    "gzip;level=9",
    "gzipped",
    "gz ip",
]


def bundle(
    server: Server, accept: str | None, who: str | None = "auditor", method: str = "GET", **headers: str
) -> tuple[bytes, dict[str, str], int]:
    """Body as it was sent, headers, and status."""
    path = f"/ledger/tile/entries/000.p/{server.world.size()}"
    token = {} if who is None else {"Authorization": f"Bearer {server.tokens[who]}"}
    with server.client.stream(method, path, headers={"Accept-Encoding": accept} | headers | token) as answer:
        return b"".join(answer.iter_raw()), dict(answer.headers), answer.status_code


@pytest.mark.parametrize("accept", [*ASKING, *NOT_ASKING])
def test_who_asks_for_gzip(accept: str) -> None:
    assert accepts_gzip(accept) is (accept in ASKING)
    assert not accepts_gzip(None)


@given(st.text())
def test_any_header_can_be_read(text: str) -> None:
    assert accepts_gzip(text) in (True, False)


def test_what_does_not_get_shorter_stays_as_it_is() -> None:
    assert encoded(b"x", "gzip") == (b"x", {"vary": "accept-encoding"})
    data, headers = encoded(b"x" * 1000, "gzip")
    assert (gzip.decompress(data), headers["content-encoding"]) == (b"x" * 1000, "gzip")
    assert encoded(b"x" * 1000, "gzip")[0] == data


def test_a_bundle_in_gzip_is_the_same_bundle_under_a_tag_of_its_own(server: Server) -> None:
    plain, headers, _ = bundle(server, "identity")
    assert "content-encoding" not in headers
    short, packed, _ = bundle(server, "gzip, identity")
    assert len(short) < len(plain) / 2
    assert gzip.decompress(short) == plain
    assert packed["content-encoding"] == "gzip"
    assert packed["content-length"] == str(len(short))
    assert headers["vary"] == packed["vary"] == "accept-encoding"
    assert headers["content-type"] == packed["content-type"] == "application/octet-stream"
    for data, sent in ((plain, headers), (short, packed)):
        assert sent["etag"] == f'"sha256-{hashlib.sha256(data).hexdigest()}"'
        assert sent["cache-control"] == "private, max-age=31536000, immutable"
    for accept, sent in (("identity", headers), ("gzip", packed)):
        body, again, status = bundle(server, accept, **{"If-None-Match": sent["etag"]})
        assert (body, status, again["etag"], again["vary"]) == (b"", 304, sent["etag"], "accept-encoding")
        assert "content-encoding" not in again
        body, head, status = bundle(server, accept, method="HEAD")
        assert (body, status) == (b"", 200)
        assert {name: head.get(name) for name in ("content-length", "etag", "content-encoding")} == {
            name: sent.get(name) for name in ("content-length", "etag", "content-encoding")
        }


def test_hashes_are_sent_as_they_are(server: Server) -> None:
    answer = server.get(f"/ledger/tile/0/000.p/{server.world.size()}", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    assert "vary" not in answer.headers


@pytest.fixture(scope="module")
def public(lived_in: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the setting that opens the entries."""
    folder = tmp_path_factory.mktemp("public") / "world"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        world = World(copied(lived_in, folder))
        with served(world, Settings(token_wait=0, public_entries=True)) as found:
            yield found
        world.registry.close()


def test_one_setting_opens_the_entries(public: Server) -> None:
    size = public.world.size()
    data, headers, status = bundle(public, "identity", who=None)
    assert (status, headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    seq = public.json(public.path(public.ref("chat", "dataset")), "auditor")["thing"]["entry"]
    with public.world.registry.reading() as reader:
        entry = reader.entry(seq)
    assert entry in data
    assert public.get(f"/v1/ledger/entries/{seq}").content == entry
    assert receipts.parse(public.get(f"/v1/ledger/entries/{seq}/receipt").content).extra == entry
    assert public.get(f"/ledger/tile/entries/000.p/{size + 1}").status_code == 404
    assert public.get("/v1/datasets").status_code == 401, "and nothing else"
