"""Questions over HTTP are answered as the folder answers them."""

from typing import Any

import msgspec
import pytest

from inbond.registry.listing import ListedShard
from tests.api.http.serving import Server, problem


def plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def without_time(answer: Any) -> Any:
    return {name: value for name, value in answer.items() if name != "time"}


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("name", ["lab/grandpupil", "lab/pupil@1", "acme/base@1", "chat", "acme", "acme-terms", "lessons"])
def test_lineage(server: Server, name: str, direction: str) -> None:
    place = server.world.registry.place
    kinds = {"lab/grandpupil": ["student"], "lab/pupil@1": ["student"], "acme": ["party"], "lessons": ["run"]}.get(name, [])
    ref = server.ref(name, *kinds)
    for depth in (None, 0, 1):
        params = {"direction": direction} | ({} if depth is None else {"depth": depth})
        found = server.json(f"{server.path(ref)}/lineage", "trainer", params=params)
        assert without_time(found) == without_time(plain(place.lineage(ref, direction, depth)))
    size = server.world.size() - 3
    found = server.json(f"{server.path(ref)}/lineage", "trainer", params={"direction": direction, "as_of": size})
    assert found == plain(place.lineage(ref, direction, None, size))
    assert found["tree_size"] == size


def test_shares(server: Server) -> None:
    ref = server.ref("lab/pupil", "student")
    found = server.json(f"{server.path(ref)}/teachers", "trainer")
    assert found == plain(server.world.registry.place.shares(ref))
    assert {share["teacher"] for share in found["shares"]} == {server.ref("acme/base@1"), server.ref("acme/coder@2")}
    early = server.json(f"{server.path(ref)}/teachers", "trainer", params={"as_of": 25})
    assert (early["tree_size"], early["shares"]) == (25, [])


@pytest.mark.parametrize("clock", ["generated", "acquired", "consumed", "released"])
@pytest.mark.parametrize(("name", "kind"), [("acme/base@1", "teacher"), ("acme", "party")])
def test_learners(server: Server, name: str, kind: str, clock: str) -> None:
    place, ref = server.world.registry.place, server.ref(name, kind)
    path = f"{server.path(ref)}/students"
    assert server.json(path, "trainer", params={"clock": clock}) == plain(place.learners(ref, clock=clock))
    params = {"clock": clock, "since": "2026-01-01", "until": "2026-12-31T00:00:00.000Z"}
    expected = place.learners(ref, clock=clock, since=params["since"], until=params["until"])
    assert server.json(path, "auditor", params=params) == plain(expected)
    problem(server.get(path, "trainer", params={"clock": "sundial"}), 400, "invalid-input")
    problem(server.get(path, "trainer", params={"since": "yesterday"}), 400, "invalid-input")


@pytest.mark.parametrize("name", ["acme/base@1", "chat"])
def test_impact(server: Server, name: str) -> None:
    ref = server.ref(name)
    found = server.json(f"{server.path(ref)}/impact", "compliance")
    assert found == plain(server.world.registry.place.impact(ref))
    assert {item["kind"] for item in found["affected"]} >= {"student", "run"}


def test_records(server: Server) -> None:
    shard = server.world.parts("chat")[0][0]
    by_place = server.json(f"/v1/records/{shard}:3", "trainer")
    [row] = by_place["found"]
    assert (row["shard"], row["row"]) == (shard, 3)
    assert row["students"]
    by_id = server.json(f"/v1/records/{row['record_id']}", "trainer")
    assert row in by_id["found"]
    assert server.json(f"/v1/records/{'0' * 64}", "trainer")["found"] == []
    problem(server.get(f"/v1/records/shard:{'0' * 32}:0", "trainer"), 404, "not-found")


def test_the_gate(server: Server) -> None:
    student, chat, beta = server.ref("lab/pupil", "student"), server.ref("chat", "dataset"), server.ref("beta", "dataset")
    path, size = "/v1/policy/check", server.world.size()
    found = server.json(path, "trainer", params={"student": student, "dataset": chat})
    assert found["verdict"] == "permitted"
    assert found["names"][server.ref("acme/base@1")] == "acme/base@1"
    found = server.json(path, "trainer", params=[("student", student), ("dataset", chat), ("dataset", beta), ("split", "train")])
    assert found["verdict"] == "undetermined"
    assert {reason["teacher"] for reason in found["reasons"]} == {server.ref("acme/base@1"), server.ref("beta/chat@1")}
    assert server.world.size() == size
    for wrong, status, type in (
        ({"dataset": f"dataset:{'0' * 32}"}, 404, "not-found"),
        ({"dataset": student}, 400, "invalid-input"),
        ({"dataset": chat, "student": chat}, 400, "invalid-input"),
        ({}, 400, "invalid-input"),
    ):
        problem(server.get(path, "trainer", params={"student": student, **wrong}), status, type)
    assert (
        "found no query parameter dataset"
        in problem(server.get(path, "trainer", params={"student": student}), 400, "invalid-input")["detail"]
    )


def test_runs(server: Server) -> None:
    place = server.world.registry.place
    for name in ("lessons", "second-lessons"):
        ref = server.ref(name, "run")
        assert server.json(f"{server.path(ref)}/state", "trainer") == plain(place.run(ref))
        assert server.json(f"{server.path(ref)}/inputs", "trainer") == {"rows": place.inputs(ref)}
    assert server.json(f"{server.path(server.ref('lessons', 'run'))}/state", "trainer")["closed"] is not None


def test_imports(server: Server) -> None:
    place, world = server.world.registry.place, server.world
    shards = place.page(ListedShard, dataset=server.ref("chat", "dataset")).items
    found = server.json(f"/v1/imports/{shards[0].import_identity}", "producer")["shards"]
    assert {int(at): shard["ref"] for at, shard in found.items()} == {shard.ordinal: shard.ref for shard in shards}
    assert server.json(f"/v1/imports/sha256:{'0' * 64}", "producer") == {"shards": {}}
    digest = world.registry.store.read_lines(*_inputs(world, shards[0].ref))[0]["digest"]
    path = f"{server.path(server.ref('chat', 'dataset'))}/doubled"
    params = [("teacher", server.ref("acme/base@1")), ("input", digest), ("input", f"sha256:{'0' * 64}")]
    assert server.json(path, "producer", params=params)["shards"] == sorted(shard.ref for shard in shards)
    params[0] = ("teacher", server.ref("beta/chat@1"))
    assert server.json(path, "producer", params=params)["shards"] == []


def _inputs(world: Any, shard: str) -> tuple[str, str, int]:
    named = world.body(shard).inputs
    return named.digest, named.root, int(named.count)


def test_reports(server: Server) -> None:
    student = server.ref("lab/pupil", "student")
    place = server.world.registry.place
    path = f"{server.path(student)}/reports/eu-summary"
    answer = server.get(path, "compliance", params={"profile": "public", "as_of": server.world.size()})
    assert answer.content == place.report_model(student, "eu-summary", {"profile": "public"}, server.world.size())
    again = server.get(path, "auditor", params={"profile": "public", "as_of": server.world.size()})
    assert again.content == answer.content
    problem(server.get(f"{server.path(student)}/reports/nonsense", "compliance"), 404, "not-found")
    problem(server.get(path, "compliance", params={"profile": "gossip"}), 400, "invalid-input")


def test_questions_about_nothing(server: Server) -> None:
    for path in ("students/{}/lineage", "students/{}/teachers", "teachers/{}/impact", "runs/{}/state", "parties/{}/students"):
        problem(server.get(f"/v1/{path.format('0' * 32)}", "trainer"), 404, "not-found")
