"""What the server measures, in the text format that Prometheus reads."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from inbond.api.metrics import Metrics
from inbond.api.tokens import TokenStore
from tests.api.http.samples import as_json
from tests.api.http.serving import Server, problem
from tests.registry.world import student_body


def measured(server: Server) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels; each line must be one that the parser of the format takes."""
    answer = server.get("/metrics", "monitor")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    families = list(text_string_to_metric_families(answer.text))
    return {(each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples}


def of(found: dict[Any, float], name: str, **labels: str) -> float:
    return found.get((name, tuple(sorted(labels.items()))), 0.0)


def test_appends_batches_and_requests_are_counted(server: Server) -> None:
    world, before = server.world, measured(server)
    sent = as_json(world.signed("student", student_body("lab/measured"), "trainer"))
    for status in (201, 200):
        assert server.ask("POST", "/v1/students", "trainer", json=sent).status_code == status
    strange = as_json(world.signed("student", student_body("lab/refused"), "producer"))
    refused = server.ask("POST", "/v1/students", "trainer", json=strange)
    assert refused.status_code == 403
    after = measured(server)

    def grown(name: str, **labels: str) -> float:
        return of(after, name, **labels) - of(before, name, **labels)

    outcomes = {outcome: grown("inbond_appends_total", outcome=outcome) for outcome in ("recorded", "duplicate", "not-permitted")}
    assert outcomes == {"recorded": 1, "duplicate": 1, "not-permitted": 1}
    assert grown("inbond_append_batch_size_count") == grown("inbond_append_commit_seconds_count") == 3
    assert grown("inbond_append_batch_size_sum") == grown("inbond_append_queue_seconds_count") == 3
    assert grown("inbond_append_commit_seconds_sum") > 0
    assert grown("inbond_tree_size") == grown("inbond_published_size") == 1
    assert of(after, "inbond_tree_size") == world.size()
    for status, count in (("201", 1), ("200", 1), ("403", 1)):
        assert grown("inbond_requests_total", method="POST", route="/v1/students", status=status) == count
    assert grown("inbond_requests_total", method="GET", route="/metrics", status="200") == 1
    assert 0 <= of(after, "inbond_head_age_seconds") < 600
    assert not [name for name, _ in after if name.endswith("_created")]


def test_no_client_makes_a_label(server: Server) -> None:
    def labels() -> set[tuple[tuple[str, str], ...]]:
        return {labels for name, labels in measured(server) if name == "inbond_requests_total"}

    server.get("/nowhere")
    server.ask("FROBNICATE", "/v1/students")
    labels()
    before = labels()
    for n in range(5):
        server.get(f"/nowhere/{n}")
        server.get(f"/v1/students/{n:032x}", "auditor")
        server.ask(f"FROBNICATE{n}", "/v1/students")
    new = labels() - before
    assert {dict(each)["route"] for each in new} <= {"/v1/students/{id}"}
    assert not [each for each in labels() if dict(each)["method"].startswith("FROB")]


def test_metrics_are_for_monitors_and_monitors_see_nothing_else(server: Server) -> None:
    problem(server.get("/metrics"), 401, "unauthenticated")
    problem(server.get("/metrics", "auditor"), 403, "not-permitted")
    owner = TokenStore(server.world.folder).add(server.world.registry.operator, ["monitor"])[0]
    headers = {"Authorization": f"Bearer {owner}"}
    assert server.get("/metrics", headers=headers).status_code == 200
    seq = server.json(server.path(server.ref("chat", "dataset")), "auditor")["thing"]["entry"]
    assert server.get(f"/v1/ledger/entries/{seq}", headers=headers).status_code == 403
    assert b"extra" not in server.get(f"/v1/ledger/entries/{seq}/receipt", headers=headers).content
    assert server.get("/v1/students", headers=headers).status_code == 403


def test_two_apps_do_not_mix() -> None:
    Metrics()
    Metrics()
