"""Questions about terms over HTTP: answered as the folder answers them, refused with what was expected, and never in part."""

from typing import Any

import msgspec
import pytest

from inbond.schemas.statements import Visibility
from tests.api.http.serving import Server, problem
from tests.registry.terms.facts import reading
from tests.registry.world import student_body

NONE = "0" * 32


def plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def path(server: Server, name: str, rest: str) -> str:
    return f"{server.path(server.ref(name, 'student' if name.startswith('lab/') else 'terms'))}/{rest}"


def plan(server: Server) -> Any:
    return plain(server.world.body(server.ref("lab/grandpupil", "student")).release_plan)


def test_answers_are_those_of_the_folder(server: Server) -> None:
    desk, grand = server.world.registry.place.terms, server.ref("lab/grandpupil", "student")
    size = server.world.size()
    read = server.world.registry.place.things([server.ref("lab-terms")])[server.ref("lab-terms")].entry + 1
    for rest, params, expected in (
        ("timeline", {}, desk.timeline("lab-terms")),
        ("timeline", {"at": "2025-12-31"}, desk.timeline("lab-terms", "2025-12-31")),
        ("timeline", {"at": "2026-01-01T00:00:00.000Z", "as_of": read}, desk.timeline("lab-terms", "2026-01-01", read)),
        ("odrl", {"as_of": size}, desk.odrl("lab-terms")),
        ("terms-impact", {"since": read, "at": "2026-11-20"}, desk.impact("lab-terms", read, "2026-11-20")),
        (f"diff/{server.ref('acme-terms').partition(':')[2]}", {}, desk.difference("lab-terms", "acme-terms")),
    ):
        assert server.json(path(server, "lab-terms", rest), "trainer", params=params) == plain(expected), rest
    assert [each.readings for each in desk.timeline("lab-terms", size=read).versions] == [0]
    assert [each.readings for each in desk.timeline("lab-terms").versions] == [1]
    assert desk.timeline("lab-terms", "2025-12-31").versions == ()
    found = server.json(path(server, "lab/grandpupil", "obligations"), "compliance", params={"as_of": size - 3})
    assert found == plain(desk.weigh(grand, size=size - 3))
    assert found["notice"].startswith("NOTICE for lab/grandpupil@1")
    found = server.json(path(server, "lab/grandpupil", "terms-evaluation"), "auditor")
    assert found == plain(desk.evaluation(grand))
    assert {(each["then"], each["now"]) for each in found["grants"]} == {("permitted", "undetermined")}  # it was read since
    asked = {"student": grand, "actual": plan(server), "at": "2026-11-20"}
    answer = server.ask("POST", "/v1/policy/release", "trainer", json=asked)
    assert answer.status_code == 200
    body = server.world.body(grand).release_plan
    assert answer.json() == plain(desk.release(grand, body, "2026-11-20"))
    assert server.world.size() == size


def test_documents_in_force_are_listed(server: Server) -> None:
    def listed(day: str) -> set[str]:
        return {each["name"] for each in server.json("/v1/terms", "trainer", params={"in_force": day})["items"]}

    assert listed("2025-12-31") == set()
    assert "lab-terms@2026-01-01" in listed("2026-01-01")
    [item] = server.json("/v1/terms", "trainer", params={"ref": server.ref("lab-terms")})["items"]
    assert (item["starts"], item["ends"]) == ("2026-01-01", None)
    found = problem(server.get("/v1/terms", "trainer", params={"in_force": "2026-01-01T00:00:00"}), 400, "invalid-input")
    assert "in_force: expected a day (2026-01-31) or an instant" in found["detail"]


def test_what_was_known_of_terms_then_is_listed(server: Server) -> None:
    """In force at a time, as the first so many entries say: a version that came later had not ended the one before yet."""
    registry = server.world.registry
    registry.add_terms(b"first", party="acme", title="two-clocks", effective="2024-01-01", models=("*",))
    old, size = registry.resolve("two-clocks"), server.world.size()
    registry.add_terms(b"later", party="acme", title="two-clocks", effective="2025-01-01", models=("*",))
    fact = reading(old, clause="9", permits_training="yes")
    read = registry.record("terms_fact", fact, "compliance").ref
    registry.declare(read, {"permits_training": "no"}, correct=True)

    def listed(collection: str, **params: object) -> list[dict[str, Any]]:
        found = server.json(f"/v1/{collection}", "trainer", params=params)
        assert found["tree_size"] == params.get("as_of", server.world.size())
        return [each for each in found["items"] if each["ref"] == old or each.get("terms") == old]

    assert [each["ends"] for each in listed("terms", party="acme")] == ["2025-01-01"]
    assert [each["ends"] for each in listed("terms", party="acme", as_of=size)] == [None]
    assert listed("terms", in_force="2025-06-01") == []
    assert [each["ref"] for each in listed("terms", in_force="2025-06-01", as_of=size)] == [old]
    assert listed("terms", as_of=size - 1) == []
    assert [each["permits"] for each in listed("facts", terms=old)] == ["no"]
    assert [each["permits"] for each in listed("facts", terms=old, as_of=server.world.size() - 1)] == ["yes"]
    assert listed("facts", terms=old, as_of=server.world.size() - 2) == []
    for wrong in (0, server.world.size() + 1, "now"):
        problem(server.get("/v1/terms", "trainer", params={"as_of": wrong}), 400, "invalid-input")
    assert problem(server.get("/v1/students", "trainer", params={"as_of": 3}), 400, "invalid-input")


@pytest.mark.parametrize("rest", ["timeline", "odrl"])
def test_an_answer_that_has_not_changed_is_not_sent_again(server: Server, rest: str) -> None:
    first = server.get(path(server, "lab-terms", rest), "trainer")
    again = server.get(path(server, "lab-terms", rest), "trainer", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("name", "rest", "params", "status"),
    [
        (f"terms/{NONE}", "timeline", {}, 404),
        (f"terms/{NONE}", "odrl", {}, 404),
        (f"terms/{NONE}", "terms-impact", {}, 404),
        (f"students/{NONE}", "obligations", {}, 404),
        (f"students/{NONE}", "terms-evaluation", {}, 404),
        ("lab-terms", f"diff/{NONE}", {}, 404),
        ("lab-terms", "diff/lab-terms", {}, 400),
        ("lab-terms", "timeline", {"at": "2026-01-01T00:00:00"}, 400),
        ("lab-terms", "timeline", {"at": "2026-02-30"}, 400),
        ("lab-terms", "timeline", {"as_of": 2**40}, 400),
        ("lab-terms", "timeline", {"when": "now"}, 400),
        ("lab-terms", "terms-impact", {"since": 2**40}, 400),
        ("lab-terms", "terms-impact", {"at": "2026-01-01 00:00"}, 400),
        ("lab/grandpupil", "obligations", {"dataset": f"dataset:{NONE}"}, 404),
        ("lab/grandpupil", "obligations", {"dataset": f"student:{NONE}"}, 400),
        ("lab-terms", "terms-impact", {"at": "2026-02-30"}, 400),
        ("lab/grandpupil", "obligations", {"at": "tomorrow"}, 400),
        ("lab/grandpupil", "obligations", {"at": "2026-02-30"}, 400),
        ("lab/grandpupil", "terms-evaluation", {"as_of": 0}, 400),
    ],
)  # fmt: skip
def test_a_wrong_question_is_refused(server: Server, name: str, rest: str, params: dict[str, Any], status: int) -> None:
    where = f"/v1/{name}/{rest}" if NONE in name else path(server, name, rest)
    answer = server.get(where, "trainer", params=params)
    assert "expected" in problem(answer, status, {400: "invalid-input", 404: "not-found"}[status])["detail"] or status == 404
    problem(server.get(where, "vendor-provider", params=params), 403, "not-permitted")
    problem(server.get(where, params=params), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"student": f"student:{NONE}"}, 404),
        ({"student": f"terms:{NONE}"}, 400),
        ({"at": "2026-11-20T12:00:00"}, 400),
        ({"at": None}, 400),
        ({"actual": {}}, 400),
        ({"when": "now"}, 400),
    ],
)  # fmt: skip
def test_a_wrong_release_is_refused(server: Server, changes: dict[str, Any], status: int) -> None:
    asked = {"student": server.ref("lab/grandpupil", "student"), "actual": plan(server), "at": "2026-11-20"} | changes
    answer = server.ask("POST", "/v1/policy/release", "trainer", json=asked)
    problem(answer, status, {400: "invalid-input", 404: "not-found"}[status])


def test_an_answer_is_given_whole_or_not_at_all(server: Server) -> None:
    """A reading that only our own may see: another party gets no answer that names it, nor one with it left out."""
    world = server.world
    other = server.ref("acme-terms").partition(":")[2]
    questions = [path(server, "lab-terms", f"diff/{other}"), path(server, "lab-terms", "odrl")]
    for where in questions:
        assert server.get(where, "vendor-trainer").status_code == 200
    fact = reading(server.ref("lab-terms"), clause="2")
    world.put("terms_fact", fact, "compliance", visibility=Visibility.INTERNAL)
    for where in questions:
        found = problem(server.get(where, "vendor-trainer"), 403, "not-permitted")
        assert found["detail"].startswith("this answer rests on 1 statements that are not for party ")
        assert server.get(where, "trainer").status_code == 200
    inner = world.put("student", student_body("lab/inner"), "trainer", visibility=Visibility.INTERNAL)
    params = {"student": inner, "dataset": server.ref("chat", "dataset")}
    asked = {"student": inner, "actual": plan(server), "at": "2026-11-20"}
    for who, status in (("trainer", 200), ("vendor-trainer", 403)):
        assert server.get("/v1/policy/check", who, params=params).status_code == status
        assert server.get(f"{server.path(inner)}/obligations", who).status_code == status
        assert server.ask("POST", "/v1/policy/release", who, json=asked).status_code == status
    chat = msgspec.structs.replace(world.body(server.ref("chat", "dataset")), version="inner")
    data = world.put("dataset", chat, "producer", visibility=Visibility.INTERNAL)
    pupil = server.ref("lab/pupil", "student")
    for who, status in (("trainer", 200), ("vendor-trainer", 403)):
        assert server.get("/v1/policy/check", who, params={"student": pupil, "dataset": data}).status_code == status
        assert server.get(f"{server.path(pupil)}/obligations", who, params={"dataset": data}).status_code == status


def test_documents_to_read_again_are_those_that_may_be_seen(server: Server) -> None:
    ours = {each["terms"] for each in server.json("/v1/terms/review", "trainer", params={"days": 0})["unread"]}
    assert {server.ref("lab-terms"), server.ref("acme-terms")} <= ours
    world = server.world
    hidden = msgspec.structs.replace(world.body(server.ref("acme-terms")), title="inner")
    ref = world.put("terms", hidden, "compliance", visibility=Visibility.INTERNAL)
    assert server.json("/v1/terms/review", "vendor-trainer", params={"days": 0})["unread"] != []
    for who, seen in (("trainer", True), ("vendor-trainer", False)):
        found = {each["name"] for each in server.json("/v1/terms/review", who, params={"days": 0})["unread"]}
        assert ("inner@2026-01-01" in found) is seen, ref
    problem(server.get("/v1/terms/review", "trainer", params={"days": -1}), 400, "invalid-input")
