"""ETags and 304, for every answer to GET that is JSON or text."""

import hashlib

import pytest

from tests.api.http.serving import Server

PATHS = (
    "/health/live", "/v1/registry", "/ledger/checkpoint", "/ledger/tile/0/000.p/5", "/v1/keys", "/v1/students",
    "/v1/shards?limit=2",
    "/v1/ledger/entries/3", "/v1/ledger/entries/3/receipt", "/v1/ledger/consistency?old=1&new=5", "/v1/schema/openapi.json",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_is_tagged_with_its_digest(server: Server, path: str) -> None:
    answer = server.get(path, "auditor")
    tag = answer.headers["etag"]
    assert tag == f'"sha256-{hashlib.sha256(answer.content).hexdigest()}"'
    for known in (tag, f"W/{tag}", "*", f'"x" , {tag}'):
        again = server.get(path, "auditor", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers.get("cache-control") == answer.headers.get("cache-control")
        assert "content-type" not in again.headers
        assert again.headers["x-request-id"] != answer.headers["x-request-id"]
        head = server.ask("HEAD", path, "auditor", headers={"If-None-Match": known})
        assert (head.status_code, head.headers["etag"]) == (304, tag)
    for other in ('"x"', tag.strip('"'), f'{tag[:-1]}0"', ""):
        assert server.get(path, "auditor", headers={"If-None-Match": other}).status_code == 200


def test_who_asks_is_asked_before_what_they_know(server: Server) -> None:
    tag = server.get("/v1/students", "auditor").headers["etag"]
    assert server.get("/v1/students", headers={"If-None-Match": tag}).status_code == 401
    assert server.get("/v1/students", headers={"If-None-Match": "*"}).status_code == 401


def test_problems_are_not_tagged(server: Server) -> None:
    answer = server.get("/v1/students?limit=0", "auditor", headers={"If-None-Match": "*"})
    assert answer.status_code == 400
    assert "etag" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


def test_answers_for_some_are_not_kept_for_others(server: Server) -> None:
    assert "private" in server.get("/v1/students", "auditor").headers["cache-control"]
    assert "private" in server.get("/v1/ledger/entries/3", "auditor").headers["cache-control"]
    assert server.get("/ledger/tile/0/000.p/5").headers["cache-control"].startswith("public, max-age=")
    assert server.get("/ledger/checkpoint").headers["cache-control"] == "no-cache"
