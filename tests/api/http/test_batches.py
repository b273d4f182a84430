"""Many statements in one request: each on its own, in order, with what its own request would have had."""

import secrets
from typing import Any

import pytest

from inbond.api.appending import MAX_BATCH
from inbond.ledger import dsse
from inbond.ledger.entries import parse_entry
from inbond.schemas import statement
from inbond.schemas.entry import Envelope
from tests.api.http.samples import as_json
from tests.api.http.serving import Server, problem
from tests.api.http.test_statements import check_receipt, party, post
from tests.registry.world import student_body


def send(server: Server, envelopes: list[Envelope], who: str) -> list[Any]:
    """What became of each statement of a batch."""
    answer = server.ask("POST", "/v1/batches", who, json={"statements": [as_json(each) for each in envelopes]})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    results: list[Any] = answer.json()["results"]
    return results


def test_statements_are_put_on_record_in_order(server: Server) -> None:
    envelopes, size = [party(server) for _ in range(20)], server.world.size()
    results = send(server, envelopes, "compliance")
    assert [(each["status"], each["seq"]) for each in results] == [(201, size + i) for i in range(20)]
    for posted, envelope in zip(results, envelopes, strict=True):
        check_receipt(server, posted, envelope)
        assert "problem" not in posted
    again = send(server, [*envelopes, party(server)], "compliance")
    assert [each["status"] for each in again] == [200] * 20 + [201]
    assert [each["ref"] for each in again[:20]] == [each["ref"] for each in results]
    check_receipt(server, again[3], envelopes[3])


def test_a_statement_may_refer_to_one_before_it(server: Server) -> None:
    made = party(server)
    ref = statement.read(dsse.payload_of(made)).ref
    terms = server.world.changed(server.ref("acme-terms"), party=ref, title=secrets.token_hex(8))
    results = send(server, [made, server.world.signed("terms", terms, "compliance")], "compliance")
    assert [each["status"] for each in results] == [201, 201]


def test_what_is_refused_has_its_problem_in_its_place(server: Server) -> None:
    world, size = server.world, server.world.size()
    fine = party(server)
    wrong = Envelope(fine.payload, fine.payload_type, party(server).signatures)
    other = world.signed("student", student_body(f"lab/{secrets.token_hex(8)}"), "trainer")
    nothing = Envelope("e30=", fine.payload_type, fine.signatures)
    results = send(server, [wrong, other, fine, nothing, fine], "compliance")
    assert [each["status"] for each in results] == [422, 403, 201, 400, 200]
    for each in (results[0], results[1], results[3]):
        assert each["problem"]["status"] == each["status"]
        assert each["problem"]["instance"].startswith("urn:inbond:request:")
        assert "seq" not in each
    assert "expected a token of one of the roles trainer, found compliance" in results[1]["problem"]["detail"]
    assert results[2]["seq"] == results[4]["seq"] == size
    assert world.size() == size + 1


@pytest.mark.parametrize("kind", ["grant", "genesis"])
def test_what_the_registry_signs_has_another_way(server: Server, kind: str) -> None:
    with server.world.registry.reading() as reader:
        _, data = next(iter(reader.entries(kinds=(kind,))))
    [result] = send(server, [parse_entry(data).dsse], "trainer")
    assert result["status"] == 400
    assert f"found a {kind} statement" in result["problem"]["detail"]


def test_a_batch_is_bounded(server: Server) -> None:
    body = as_json(party(server))
    size = server.world.size()
    for statements in ([], [body] * (MAX_BATCH + 1)):
        problem(server.ask("POST", "/v1/batches", "compliance", json={"statements": statements}), 400, "invalid-input")
    huge = server.ask(
        "POST", "/v1/batches", "compliance", content=b" " * (17 << 20), headers={"content-type": "application/json"}
    )
    problem(huge, 413, "too-large")
    assert server.world.size() == size


def test_a_batch_and_single_statements_are_one_history(server: Server) -> None:
    one = party(server)
    first = post(server, "parties", one, "compliance").json()
    [same, _] = send(server, [one, party(server)], "compliance")
    assert (same["status"], same["seq"], same["ref"]) == (200, first["seq"], first["ref"])
