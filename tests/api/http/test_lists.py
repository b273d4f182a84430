"""Pages, names and references; and who sees what of them."""

from typing import Any

import pytest

from inbond.schemas.statements import Visibility
from tests.api.http.serving import Server, problem
from tests.registry.world import student_body

COLLECTIONS = (
    "parties", "terms", "teachers", "datasets", "shards", "students", "runs", "grants", "consumptions", "deliveries",
    "releases", "decisions", "sources", "keys", "reports", "operators", "recalls",
)  # fmt: skip

OWNED = COLLECTIONS[:12]


def every(server: Server, path: str, who: str | None, **params: Any) -> list[Any]:
    """All items of a list, page by page."""
    items: list[Any] = []
    after: str | None = None
    while True:
        page = server.json(path, who, params={**params, **({"after": after} if after else {})})
        assert len(page["items"]) <= params.get("limit", 100)
        items += page["items"]
        after = page["next"]
        if after is None:
            return items
        assert page["items"]


@pytest.mark.parametrize("name", COLLECTIONS)
def test_pages_of_any_length_make_the_same_list(server: Server, name: str) -> None:
    whole = every(server, f"/v1/{name}", "auditor", limit=1000)
    assert [item["entry"] for item in whole] == sorted(item["entry"] for item in whole)
    for limit in (1, 2, 7):
        assert every(server, f"/v1/{name}", "auditor", limit=limit) == whole


def test_a_list_is_of_the_size_that_it_says(server: Server) -> None:
    page = server.json("/v1/shards", "auditor")
    assert page["tree_size"] == server.world.size()
    assert page["next"] is None
    named = {ref for item in page["items"] for ref in item["teachers"]}
    assert named <= page["names"].keys()
    assert page["names"][server.ref("acme/base@1")] == "acme/base@1"


def test_a_token_is_for_its_own_list(server: Server) -> None:
    token = server.json("/v1/shards", "auditor", params={"limit": 1})["next"]
    assert server.json("/v1/shards", "auditor", params={"limit": 5, "after": token})["items"]
    for path, params in (("/v1/teachers", {}), ("/v1/shards", {"teacher": server.ref("acme/base@1")})):
        found = problem(server.get(path, "auditor", params={"after": token, **params}), 400, "invalid-input")
        assert "after" in found["detail"]
    for forged in (token[:-1], token + "A", token[:4] + "zz" + token[6:], "", "AAAA"):
        assert server.get("/v1/shards", "auditor", params={"after": forged}).status_code == 400


def test_filters_take_names_and_references(server: Server) -> None:
    by_name = server.json("/v1/shards", "auditor", params={"teacher": "acme/base@1"})["items"]
    assert by_name == server.json("/v1/shards", "auditor", params={"teacher": server.ref("acme/base@1")})["items"]
    assert len(by_name) == 3
    problem(server.get("/v1/shards", "auditor", params={"teacher": "nobody"}), 404, "not-found")


def test_a_thing_with_its_body(server: Server) -> None:
    ref = server.ref("chat", "dataset")
    found = server.json(server.path(ref), "trainer")
    assert found["thing"]["ref"] == ref
    assert found["thing"]["name"] == "chat@1"
    assert found["body"]["name"] == "chat"
    assert found["tree_size"] == server.world.size()
    teacher = server.json(server.path(server.ref("acme/base@1")), "trainer")
    assert teacher["names"][teacher["body"]["party"]["known"]] == "acme"


def test_references(server: Server) -> None:
    refs = [server.ref("lab/pupil", "student"), server.ref("chat", "dataset"), f"student:{'0' * 32}"]
    found = server.json("/v1/things", "trainer", params=[("ref", ref) for ref in refs])["things"]
    assert [thing["ref"] for thing in found] == refs[:2]
    many = [("ref", f"student:{number:032x}") for number in range(101)]
    problem(server.get("/v1/things", "trainer", params=many), 400, "invalid-input")
    assert server.json("/v1/things", "trainer", params=many[:100])["things"] == []


def test_names(server: Server) -> None:
    ref = server.ref("lab/pupil", "student")
    for params in ([("name", "lab/pupil"), ("kind", "student")], [("name", ref)], [("name", ref[8:20])]):
        assert server.json("/v1/resolve", "trainer", params=params) == {"ref": ref}
    found = problem(server.get("/v1/resolve", "trainer", params={"name": "lab/pupli"}), 404, "not-found")
    assert "lab/pupil" in found["detail"]
    problem(server.get("/v1/resolve", "trainer", params={"name": "x", "kind": "unicorn"}), 400, "invalid-input")
    early = [("name", "lab/pupil"), ("as_of", "3")]
    assert "is not on record at size 3" in problem(server.get("/v1/resolve", "trainer", params=early), 404, "not-found")["detail"]


# -- who sees what ---------------------------------------------------------------------------------------------------------


def test_a_provider_sees_what_is_its_own(server: Server) -> None:
    world, vendor = server.world, server.ref("vendor", "party")
    world.registry.add_teacher("vendor/model@1", facts={"access_path": "api"})
    world.registry.add_terms(b"Ours.\n", party="vendor", title="vendor-terms", effective="2026-01-01")
    model, terms = server.ref("vendor/model@1"), server.ref("vendor-terms")
    seen = {name: [item["ref"] for item in every(server, f"/v1/{name}", "vendor-provider", limit=3)] for name in OWNED}
    assert seen["teachers"] == [model]
    assert seen["terms"] == [terms]
    assert seen["parties"] == [world.registry.operator, vendor]  # the operator stands in genesis, which is public
    assert seen["students"] == [server.ref("vendor/mini", "student")]
    assert seen["shards"] == seen["datasets"] == seen["runs"] == seen["grants"] == seen["decisions"] == []
    assert [server.world.body(ref).recipient.known for ref in seen["deliveries"]] == [vendor]
    assert server.json(server.path(model), "vendor-provider")["thing"]["ref"] == model
    for hidden in (server.ref("acme/base@1"), server.ref("lab/pupil", "student")):
        problem(server.get(server.path(hidden), "vendor-provider"), 403, "not-permitted")
        problem(server.get(f"{server.path(hidden)}/statement", "vendor-provider"), 403, "not-permitted")
        assert server.json("/v1/things", "vendor-provider", params={"ref": hidden})["things"] == []
        found = problem(server.get("/v1/resolve", "vendor-provider", params={"name": hidden}), 404, "not-found")
        assert "no thing that you may see" in found["detail"]
    found = problem(server.get("/v1/resolve", "vendor-provider", params={"name": "lab/pupli"}), 404, "not-found")
    assert "lab/pupil" not in str(found)


def test_a_provider_asks_who_learned_from_its_own(server: Server) -> None:
    server.world.registry.add_teacher("vendor/asked@1", facts={"access_path": "api"})
    own = server.json(f"{server.path(server.ref('vendor/asked@1'))}/students", "vendor-provider")
    assert own["students"] == []
    assert server.json(f"{server.path(server.ref('vendor', 'party'))}/students", "vendor-provider")["about"]
    for other in (server.ref("acme/base@1"), server.ref("acme", "party")):
        problem(server.get(f"{server.path(other)}/students", "vendor-provider"), 403, "not-permitted")
        assert server.json(f"{server.path(other)}/students", "trainer")["students"]


def test_what_is_internal_is_for_its_party_and_auditors(server: Server) -> None:
    hidden = server.world.put("student", student_body("lab/hidden"), "trainer", visibility=Visibility.INTERNAL)
    for who, may in (("trainer", True), ("auditor", True), ("vendor-trainer", False), ("vendor-provider", False)):
        refs = [item["ref"] for item in every(server, "/v1/students", who)]
        assert (hidden in refs) is may
        for path in ("", "/statement", "/lineage", "/teachers"):
            answer = server.get(server.path(hidden) + path, who)
            assert (answer.status_code == 200) is may, (who, path)
    problem(server.get(f"{server.path(hidden)}/statement"), 401, "unauthenticated")


def test_what_is_public_is_for_all(server: Server) -> None:
    shown = server.world.put("student", student_body("lab/shown"), "trainer", visibility=Visibility.PUBLIC)
    assert server.get(f"{server.path(shown)}/statement").status_code == 200
    for who in ("vendor-provider", "provider", "vendor-trainer"):
        assert shown in [item["ref"] for item in every(server, "/v1/students", who)]


NAMING = [
    ("runs", "student"), ("runs", "dataset"), ("students", "owner"), ("students", "ref"), ("teachers", "party"),
    ("terms", "party"), ("shards", "teacher"), ("shards", "dataset"), ("datasets", "shard"), ("decisions", "student"),
    ("decisions", "terms"), ("recalls", "dataset"), ("grants", "run"), ("deliveries", "recipient"), ("keys", "party"),
]  # fmt: skip
"""Filters whose values mean things by name."""


@pytest.mark.parametrize(("name", "by"), NAMING)
def test_a_filter_tells_nobody_what_things_are_called(server: Server, name: str, by: str) -> None:
    """A name that is, one that is not, and one that is nearly one, are answered alike to whoever sees none of them."""
    hidden = {"student": "lab/pupil", "dataset": "chat", "teacher": "acme/base@1", "terms": "acme-terms", "run": "lessons"}
    called = hidden.get(by, "lab/pupil" if by == "ref" else server.world.parts("chat")[0][0][6:16] if by == "shard" else "acme")
    for who in ("vendor-provider", *([None] if name == "keys" else [])):
        said = {}
        for text in (called, f"{called[:-1]}", f"no{called}", called[:2]):
            found = problem(server.get(f"/v1/{name}", who, params={by: text}), 404, "not-found")
            said[found["detail"].replace(repr(text), "NAME")] = found.get("hint")
        assert said == {"no thing that you may see is called NAME": None}
    assert server.get(f"/v1/{name}", "auditor", params={by: called}).status_code == 200
    own = server.ref("vendor", "party")
    if by in ("owner", "party", "recipient"):
        named, by_ref = (server.json(f"/v1/{name}", "vendor-provider", params={by: text}) for text in ("vendor", own))
        assert named == by_ref


def test_members_of_others_hear_no_names_of_what_is_internal(server: Server) -> None:
    server.world.put("student", student_body("lab/unheard"), "trainer", visibility=Visibility.INTERNAL)
    for path, by in (("/v1/runs", "student"), ("/v1/resolve", "name")):
        found = problem(server.get(path, "vendor-trainer", params={by: "lab/unherd"}), 404, "not-found")
        assert "unheard" not in str(found)
        assert "did you mean lab/unheard@1" in server.get(path, "trainer", params={by: "lab/unherd"}).json()["detail"]


def test_a_name_that_one_may_not_see_is_not_told(server: Server) -> None:
    """An answer may mention what is internal to another party, by its reference."""
    world = server.world
    acme = world.changed(server.ref("acme/base@1"), model=world.body(server.ref("acme/base@1")).model)
    secret = world.put("teacher", acme, "producer", visibility=Visibility.INTERNAL)
    found = server.json(f"{server.path(server.ref('acme', 'party'))}/lineage?direction=down", "auditor")
    assert found["names"][secret] != secret
    found = server.json(f"{server.path(server.ref('acme', 'party'))}/lineage?direction=down", "vendor-trainer")
    assert found["names"].get(secret, secret) == secret
