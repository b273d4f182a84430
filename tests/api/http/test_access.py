"""Who may call what: the table of routes, each route in each role, and HEAD and OPTIONS, which never pass where GET does not."""

from typing import Any

import httpx
import pytest
from litestar import Litestar, Response, get, put

from inbond.api.app import create_app
from inbond.api.auth import PUBLIC, Rule, table
from inbond.api.tokens import TokenStore
from tests.api.http.samples import sample
from tests.api.http.serving import ROLES, Server, problem

SECRET = "a" * 43
MEMBERS = {"producer", "trainer", "compliance", "auditor", "admin"}
KNOWN = MEMBERS | {"provider"}
LINEAGE = ("students", "teachers", "shards", "datasets", "runs", "releases", "parties", "terms")
POSTS = {
    "parties": {"compliance"}, "terms": {"compliance"}, "teachers": {"producer"}, "datasets": {"producer"},
    "shards": {"producer"}, "students": {"trainer"}, "runs": {"trainer"}, "grants": {"trainer"},
    "consumptions": {"trainer"}, "deliveries": {"trainer", "producer", "compliance"}, "releases": {"trainer"},
    "recalls": {"producer", "trainer", "compliance"}, "decisions": KNOWN, "sources": {"producer"}, "keys": {"admin"},
    "facts": {"compliance"}, "acceptances": {"compliance"},
    "reports": {"compliance"}, "operators": {"compliance"},
}  # fmt: skip
EXPECTED: dict[tuple[str, str], set[str] | None] = {
    ("GET", "/health/live"): None,
    ("GET", "/health/ready"): None,
    ("GET", "/metrics"): {"monitor"},
    ("GET", "/v1/registry"): None,
    ("GET", "/v1/schema/openapi.json"): None,
    ("GET", "/ledger/checkpoint"): None,
    ("GET", "/ledger/tile/{level}/{number}"): None,
    ("GET", "/ledger/tile/entries/{number}"): {"auditor"},
    ("GET", "/v1/ledger/consistency"): None,
    ("GET", "/v1/ledger/entries/{seq}"): None,
    ("GET", "/v1/ledger/entries/{seq}/receipt"): None,
    ("GET", "/v1/keys"): None,
    ("GET", "/v1/keys/{fingerprint}"): None,
    ("GET", "/v1/resolve"): KNOWN,
    ("GET", "/v1/things"): KNOWN,
    ("GET", "/v1/students/{id}/teachers"): MEMBERS,
    ("GET", "/v1/students/{id}/obligations"): MEMBERS,
    ("GET", "/v1/students/{id}/terms-evaluation"): MEMBERS,
    ("GET", "/v1/policy/check"): MEMBERS,
    ("POST", "/v1/policy/release"): MEMBERS,
    ("POST", "/v1/policy/dataset"): MEMBERS,
    ("GET", "/v1/terms/{id}/timeline"): MEMBERS,
    ("GET", "/v1/terms/{id}/diff/{other}"): MEMBERS,
    ("GET", "/v1/terms/{id}/odrl"): MEMBERS,
    ("GET", "/v1/terms/{id}/terms-impact"): MEMBERS,
    ("GET", "/v1/terms/review"): MEMBERS,
    ("GET", "/v1/students/{id}/reports/{template}"): {"compliance", "auditor"},
    ("GET", "/v1/teachers/{id}/students"): KNOWN,
    ("GET", "/v1/parties/{id}/students"): KNOWN,
    ("GET", "/v1/records/{record}"): MEMBERS,
    ("GET", "/v1/imports/{identity}"): {"producer", "auditor", "compliance"},
    ("GET", "/v1/datasets/{id}/doubled"): {"producer", "auditor", "compliance"},
    ("GET", "/v1/runs/{id}/state"): MEMBERS,
    ("GET", "/v1/runs/{id}/inputs"): MEMBERS,
    ("GET", "/v1/shards/{id}/blocks"): MEMBERS,
    ("GET", "/v1/shards/{id}/content"): MEMBERS,
    ("GET", "/v1/objects/{digest}"): KNOWN,
    ("PUT", "/v1/objects/{digest}"): {"producer", "trainer", "compliance", "admin"},
    ("POST", "/v1/batches"): KNOWN,
    **{("POST", f"/v1/{name}"): roles for name, roles in POSTS.items()},
    **{("GET", f"/v1/{name}"): KNOWN for name in POSTS if name != "keys"},
    **{("GET", f"/v1/{name}/{{id}}"): KNOWN for name in POSTS if name != "keys"},
    **{("GET", f"/v1/{name}/{{id}}/statement"): None for name in POSTS},
    **{("GET", f"/v1/{name}/{{id}}/lineage"): MEMBERS for name in LINEAGE},
    **{("GET", f"/v1/{name}/{{id}}/impact"): MEMBERS for name in ("shards", "datasets", "teachers", "recalls")},
}
"""Every route, and the roles of those who may call it; None: anybody."""

ROUTES = sorted(EXPECTED)
GETS = [path for method, path in ROUTES if method == "GET"]


def refused(response: Any) -> bool:
    """Whether the route itself refuses who asks, whatever it is asked about."""
    return response.status_code in (401, 403) and response.json()["detail"].startswith("expected a ")


def test_the_table_is_what_was_agreed(server: Server) -> None:
    found = {(rule.method, rule.path): rule.access.roles and set(rule.access.roles) for rule in table(server.app)}
    assert found == EXPECTED


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_in_every_role(server: Server, method: str, path: str) -> None:
    wanted, roles = sample(server, method, path), EXPECTED[method, path]
    anybody = server.ask(method, wanted.path, **wanted.options)
    if roles is None:
        assert not refused(anybody)
        assert anybody.status_code < 500
    else:
        problem(anybody, 401, "unauthenticated")
        assert anybody.headers["www-authenticate"].startswith("Bearer")
    for role in ROLES:
        answer = server.ask(method, wanted.path, role, **wanted.options)
        assert answer.status_code < 500 or "report" in path, answer.text
        assert answer.status_code != 401
        if roles is None or role in roles:
            assert not refused(answer), f"{role}: {answer.text}"
        else:
            assert "expected a token of one of the roles" in problem(answer, 403, "not-permitted")["detail"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_revoked_token_is_nobodys(server: Server, method: str, path: str) -> None:
    wanted = sample(server, method, path)
    store = TokenStore(server.world.folder)
    text, made = store.add(server.world.registry.operator, ROLES)
    store.revoke(made.id)
    answer = server.ask(method, wanted.path, headers={"Authorization": f"Bearer {text}"}, **wanted.options)
    assert "was revoked at" in problem(answer, 401, "unauthenticated")["detail"]


def test_a_token_of_nobody_is_refused_and_never_repeated(server: Server) -> None:
    text = server.tokens["auditor"]
    other_secret = text[:-1] + ("a" if text[-1] != "a" else "b")
    for shown in (f"inb_00000000_{SECRET}", other_secret, "inb_1", "x" * 10_000):
        answer = server.get("/v1/students", headers={"Authorization": f"Bearer {shown}"})
        assert shown not in str(problem(answer, 401, "unauthenticated"))


def test_an_expired_token_is_nobodys(server: Server) -> None:
    store = TokenStore(server.world.folder)
    text, made = store.add(server.world.registry.operator, ROLES, days=1)
    headers = {"Authorization": f"Bearer {text}"}
    assert server.get("/v1/students", headers=headers).status_code == 200
    with store._engine.connect() as connection:  # a day later
        connection.exec_driver_sql(f"UPDATE tokens SET expires = '2026-01-01T00:00:00.000Z' WHERE id = '{made.id}'")
    found = problem(server.get("/v1/students", headers=headers), 401, "unauthenticated")
    assert "expired at 2026-01-01" in found["detail"]


@pytest.mark.parametrize(
    "header",
    [
        "Basic dXNlcjpwYXNz",
        "Bearer",
        "bearer: x",
        "Token inb_00000000_" + "a" * 43,
        "Bearer inb_0000000G_" + "a" * 43,
    ],
)
def test_other_credentials_are_refused(server: Server, header: str) -> None:
    problem(server.get("/v1/students", headers={"Authorization": header}), 401, "unauthenticated")


def test_two_credentials_are_refused(server: Server) -> None:
    token = f"Bearer {server.tokens['auditor']}"
    headers = [("Authorization", token), ("Authorization", token)]
    problem(httpx.get(f"{server.url}/v1/students", headers=headers), 400, "invalid-input")


def test_the_scheme_is_read_in_any_case(server: Server) -> None:
    headers = {"Authorization": f"bEARER {server.tokens['auditor']}"}
    assert server.get("/v1/students", headers=headers).status_code == 200


@pytest.mark.parametrize("path", GETS)
def test_head_is_get_without_its_body(server: Server, path: str) -> None:
    wanted = sample(server, "GET", path)
    for who in (None, "auditor"):
        got, head = (server.ask(method, wanted.path, who, **wanted.options) for method in ("GET", "HEAD"))
        assert head.status_code == got.status_code
        assert head.content == b""
        varying = {"date", "x-request-id"} | ({"content-length", "etag"} if _is_of_this_moment(path, got) else set())
        assert {k: v for k, v in head.headers.items() if k not in varying} == {
            k: v for k, v in got.headers.items() if k not in varying
        }


def _is_of_this_moment(path: str, response: Any) -> bool:
    """Problems name their request, lineage about the newest state says when, and the state of the server changes."""
    return response.status_code >= 400 or path.endswith("/lineage") or path in ("/metrics", "/health/ready")


@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES}))
def test_options_is_for_those_who_may_use_the_route(server: Server, path: str) -> None:
    methods = {method for method, each in ROUTES if each == path}
    every = [EXPECTED[method, path] for method in methods]
    wanted = sample(server, sorted(methods)[0], path)
    for who in (None, *ROLES):
        answer = server.ask("OPTIONS", wanted.path, who)
        if any(roles is None or who in roles for roles in every):
            assert answer.status_code == 204
            allowed = set(answer.headers["allow"].split(", "))
            assert allowed == methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
            assert answer.content == b""
        else:
            problem(answer, *((401, "unauthenticated") if who is None else (403, "not-permitted")))


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "TRACE", "PUT", "FROBNICATE"])
def test_other_methods_are_405(server: Server, method: str) -> None:
    answer = server.ask(method, "/v1/students", "trainer")
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert server.line(answer)["method"] in (method, "other")


def test_a_route_without_a_rule_stops_the_app(server: Server) -> None:
    @get("/v1/forgotten", sync_to_thread=False)
    def forgotten() -> Response[str]:
        return Response("")

    with pytest.raises(TypeError, match=r"GET /v1/forgotten: expected a rule who may call it"):
        create_app(server.world.registry, more=[forgotten])


def test_a_route_with_a_rule_is_in_the_table(server: Server) -> None:
    @put("/v1/more", sync_to_thread=False, opt=PUBLIC.opt, operation_id="more")
    def more() -> Response[str]:
        return Response("")

    app: Litestar = create_app(server.world.registry, more=[more])
    assert Rule("PUT", "/v1/more", "more", PUBLIC) in table(app)
