"""Statements over HTTP: on record once, refused with a reason, many at the same time."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from inbond.ledger import dsse, merkle, receipts
from inbond.ledger.keys import SigningKey
from inbond.ledger.policy import TrustPolicy
from inbond.registry.lists import layout_of, sources_of
from inbond.registry.training.layout import part_lines
from inbond.schemas import canonical
from inbond.schemas.entry import Envelope
from inbond.schemas.statements import REQUEST_TYPE, GrantMode, GrantRequest
from tests.api.http.samples import as_json
from tests.api.http.serving import Server, problem
from tests.registry.world import consume_body, student_body


def post(server: Server, collection: str, envelope: Envelope, who: str) -> httpx.Response:
    return server.ask("POST", f"/v1/{collection}", who, json=as_json(envelope))


def check_receipt(server: Server, posted: Any, envelope: Envelope) -> None:
    """The receipt shows the very envelope under a head that the registry's policy accepts."""
    receipt = receipts.parse(posted["receipt"].encode())
    assert receipt.index == posted["seq"]
    assert receipt.extra is not None
    policy = TrustPolicy.parse(server.world.registry.policy_text.encode())
    receipts.verify(receipt, merkle.leaf_hash(receipt.extra), policy)
    assert dsse.envelope_bytes(envelope) in receipt.extra


def party(server: Server) -> Envelope:
    return server.world.party(secrets.token_hex(8))


def test_a_statement_is_put_on_record(server: Server) -> None:
    envelope, size = party(server), server.world.size()
    answer = post(server, "parties", envelope, "compliance")
    posted = answer.json()
    assert answer.status_code == 201
    assert posted["seq"] == size
    assert answer.headers["location"] == server.path(posted["ref"])
    check_receipt(server, posted, envelope)
    assert server.json(answer.headers["location"], "auditor")["thing"]["ref"] == posted["ref"]


def test_the_same_statement_again_is_the_same(server: Server) -> None:
    envelope = party(server)
    first = post(server, "parties", envelope, "compliance").json()
    post(server, "parties", party(server), "compliance")
    again = post(server, "parties", envelope, "compliance")
    assert again.status_code == 200
    assert (again.json()["ref"], again.json()["seq"]) == (first["ref"], first["seq"])
    check_receipt(server, again.json(), envelope)


def test_another_statement_under_the_same_id_is_a_conflict(server: Server) -> None:
    world, id = server.world, secrets.token_hex(16)
    body = world.body(world.ref("vendor", "party"))
    one = world.signed("party", world.changed(world.ref("vendor", "party"), aliases=("one",)), "compliance", id=id)
    assert body.aliases == ("vendor",)
    other = world.signed("party", world.changed(world.ref("vendor", "party"), aliases=("other",)), "compliance", id=id)
    assert post(server, "parties", one, "compliance").status_code == 201
    problem(post(server, "parties", other, "compliance"), 409, "conflict")


def test_a_statement_of_another_kind_has_another_route(server: Server) -> None:
    size = server.world.size()
    envelope = server.world.signed("student", student_body("lab/misplaced"), "trainer")
    found = problem(post(server, "parties", envelope, "compliance"), 400, "invalid-input")
    assert "expected a party statement, found a student statement" in found["detail"]
    assert server.world.size() == size


def test_a_wrong_signature_is_refused(server: Server) -> None:
    envelope = as_json(party(server))
    envelope["signatures"][0]["sig"] = as_json(party(server))["signatures"][0]["sig"]
    problem(server.ask("POST", "/v1/parties", "compliance", json=envelope), 422, "verification-failed")


def test_an_unknown_key_is_refused(server: Server) -> None:
    stranger = SigningKey.generate("stranger")
    known = party(server)
    envelope = dsse.sign(dsse.payload_of(known), [stranger])
    problem(post(server, "parties", envelope, "compliance"), 403, "not-permitted")


def test_a_key_in_another_role_is_refused(server: Server) -> None:
    """A token lets a statement in; what it may say, its key decides."""
    payload = dsse.payload_of(party(server))
    envelope = dsse.sign(payload, [server.world.key("trainer")])
    problem(post(server, "parties", envelope, "compliance"), 403, "not-permitted")


def test_a_statement_of_one_party_does_not_come_with_the_token_of_another(server: Server) -> None:
    envelope = server.world.signed("student", student_body("lab/intercepted"), "trainer")
    found = problem(post(server, "students", envelope, "vendor-trainer"), 403, "not-permitted")
    assert server.ref("vendor", "party") in found["detail"]
    assert post(server, "students", envelope, "trainer").status_code == 201
    own = server.world.signed("student", student_body("vendor/own"), "vendor-trainer")
    assert post(server, "students", own, "vendor-trainer").status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"payload": "e30=", "payloadType": "application/vnd.in-toto+json"},
        {"payload": "e30=", "payloadType": "application/vnd.in-toto+json", "signatures": []},
        {"payload": 1, "payloadType": "application/vnd.in-toto+json", "signatures": []},
        {"payload": "e30=", "payloadType": "text/plain", "signatures": [{"keyid": "0" * 64, "sig": ""}]},
        {"payload": "!", "payloadType": "application/vnd.in-toto+json", "signatures": [{"keyid": "0" * 64, "sig": ""}]},
        {"payload": "e30=", "payloadType": "application/vnd.in-toto+json", "signatures": [{"keyid": "x", "sig": ""}]},
        {"payload": "e30=", "payloadType": "a", "signatures": [{"keyid": "0" * 64, "sig": ""}], "more": 1},
        [],
        None,
        "text",
    ],
)
def test_what_is_no_envelope_is_refused(server: Server, body: Any) -> None:
    answer = server.ask("POST", "/v1/parties", "compliance", json=body)
    assert answer.status_code in (400, 422)
    problem(answer, answer.status_code, "invalid-input" if answer.status_code == 400 else "verification-failed")


def test_many_clients_at_once(server: Server) -> None:
    """Every statement stands once, with its own receipt, and what is refused in between takes nothing with it."""
    envelopes = [party(server) for _ in range(96)]
    broken = as_json(envelopes[5]) | {"payload": "e30="}
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {server.tokens['compliance']}"}) as client:

        def send(at: int) -> httpx.Response:
            return client.post("/v1/parties", json=broken if at % 8 == 5 else as_json(envelopes[at]))

        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(send, range(96)))
    seqs = []
    for at, answer in enumerate(answers):
        if at % 8 == 5:
            problem(answer, 400, "invalid-input")
        else:
            assert answer.status_code == 201
            check_receipt(server, answer.json(), envelopes[at])
            seqs.append(answer.json()["seq"])
    assert len(set(seqs)) == len(seqs)


# -- grants and deliveries -------------------------------------------------------------------------------------------------


def request(server: Server, run: str, key: SigningKey, mode: GrantMode = GrantMode.STREAM) -> Envelope:
    """A request for a grant of all that a run's plan reads."""
    world = server.world
    with world.registry.reading() as reader:
        layout = layout_of(reader.connection, sources_of(reader.connection, run))
    parts = world.registry.store.put_lines(part_lines(layout))
    wanted = GrantRequest(
        registry=world.registry.origin, id=secrets.token_hex(16), run=run, columns=("response",), mode=mode, parts=parts
    )
    return dsse.sign(canonical.encode(wanted), [key], REQUEST_TYPE)


def test_a_grant_is_asked_for_with_the_runs_key(server: Server) -> None:
    world = server.world
    run, key = world.run(server.ref("lab/pupil", "student"), "asks", server.ref("chat", "dataset"))
    envelope = request(server, run, key)
    answer = post(server, "grants", envelope, "trainer")
    assert answer.status_code == 201
    granted = answer.json()
    assert granted["ref"].startswith("grant:")
    assert world.body(granted["ref"]).run == run
    again = post(server, "grants", envelope, "trainer")
    assert (again.status_code, again.json()["ref"]) == (200, granted["ref"])
    segment = world.signed("consume", consume_body(run, granted["ref"], 0, 10), key, party=world.registry.operator)
    assert post(server, "consumptions", segment, "trainer").status_code == 201
    problem(post(server, "grants", request(server, run, key), "vendor-trainer"), 403, "not-permitted")


def test_a_shut_gate_says_what_would_open_it(server: Server) -> None:
    student = server.world.student("lab/unruled")
    run, key = server.world.run(student, "shut", server.ref("chat", "dataset"))
    found = problem(post(server, "grants", request(server, run, key), "trainer"), 403, "policy-denied")
    assert found["verdict"] == "needs_authorisation"
    assert "inbond decide rule --student lab/unruled@1" in found["hint"]


def test_a_request_by_another_key_is_refused(server: Server) -> None:
    run, _ = server.world.run(server.ref("lab/pupil", "student"), "other-key", server.ref("chat", "dataset"))
    envelope = request(server, run, SigningKey.generate("other"))
    problem(post(server, "grants", envelope, "trainer"), 403, "not-permitted")


def test_a_grant_is_not_posted_as_a_statement(server: Server) -> None:
    run, key = server.world.run(server.ref("lab/pupil", "student"), "forged", server.ref("chat", "dataset"))
    body = server.world.grant_body(run, key, server.world.parts("chat"))
    problem(post(server, "grants", server.world.signed("grant", body, "registry"), "trainer"), 400, "invalid-input")


def test_deliveries_of_an_export_grant(server: Server) -> None:
    world = server.world
    run, key = world.run(server.ref("lab/pupil", "student"), "exports", server.ref("chat", "dataset"))
    grant = post(server, "grants", request(server, run, key, GrantMode.EXPORT), "trainer").json()["ref"]
    problem(server.ask("POST", "/v1/deliveries", "vendor-trainer", json={"grant": grant}), 403, "not-permitted")
    problem(server.ask("POST", "/v1/deliveries", "producer", json={"grant": grant}), 403, "not-permitted")
    answer = server.ask("POST", "/v1/deliveries", "trainer", json={"grant": grant})
    assert answer.status_code == 201
    [delivery] = answer.json()["deliveries"]
    assert world.body(delivery["ref"]).object == server.ref("chat", "dataset")
    assert receipts.parse(delivery["receipt"].encode()).index == delivery["seq"]
    again = server.ask("POST", "/v1/deliveries", "trainer", json={"grant": grant})
    assert (again.status_code, again.json()["deliveries"][0]["ref"]) == (200, delivery["ref"])


def test_a_delivery_of_an_object_is_its_owners_to_make(server: Server) -> None:
    chat, vendor = server.ref("chat", "dataset"), server.ref("vendor", "party")
    wanted = {"object": chat, "recipient": vendor}
    problem(server.ask("POST", "/v1/deliveries", "vendor-producer", json=wanted), 403, "not-permitted")
    problem(server.ask("POST", "/v1/deliveries", "trainer", json=wanted), 403, "not-permitted")
    for who, recipient in (("producer", vendor), ("compliance", None)):
        answer = server.ask("POST", "/v1/deliveries", who, json={"object": chat, "recipient": recipient})
        assert answer.status_code == 201
        body = server.world.body(answer.json()["deliveries"][0]["ref"])
        assert (body.object, body.recipient.value_or(None)) == (chat, recipient)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"grant": None},
        {"grant": f"grant:{'0' * 32}", "object": f"dataset:{'0' * 32}"},
        {"grant": f"grant:{'0' * 32}", "recipient": f"party:{'0' * 32}"},
        {"grant": f"grant:{'0' * 32}"},
        {"grant": "x"},
        {"object": 1},
        {"object": f"dataset:{'0' * 32}", "more": 1},
    ],
)
def test_what_is_no_delivery_is_refused(server: Server, body: Any) -> None:
    answer = server.ask("POST", "/v1/deliveries", "trainer", json=body)
    assert answer.status_code in (400, 404)
