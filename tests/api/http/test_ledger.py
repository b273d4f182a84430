"""The log over HTTP: the bytes that an export writes, proofs that verify, entries for those who may see them."""

import base64
from pathlib import Path

import httpx
import pytest

from inbond.ledger import merkle, notes, receipts
from inbond.ledger.checkpoints import open_checkpoint
from inbond.ledger.policy import TrustPolicy
from inbond.schemas.statements import Visibility
from tests.api.http.serving import Server, problem
from tests.registry.world import student_body


def test_every_file_of_an_export_is_served(server: Server, tmp_path: Path) -> None:
    server.world.registry.export_log(tmp_path / "log")
    files = [path for path in (tmp_path / "log").rglob("*") if path.is_file()]
    assert len(files) > 2
    for path in files:
        name = path.relative_to(tmp_path / "log").as_posix()
        answer = server.get(f"/ledger/{name}", "auditor" if "entries" in name else None)
        assert answer.content == path.read_bytes(), name
        kind = "text/plain; charset=utf-8" if name == "checkpoint" else "application/octet-stream"
        assert answer.headers["content-type"] == kind


def test_a_tile_is_as_wide_as_one_asks(server: Server) -> None:
    size = server.world.size()
    whole = server.get(f"/ledger/tile/0/000.p/{size}").content
    assert len(whole) == 32 * size
    for width in (1, 2, size - 1):
        assert server.get(f"/ledger/tile/0/000.p/{width}").content == whole[: 32 * width]


@pytest.mark.parametrize(
    "path",
    [
        "0/000",
        "0/001",
        "0/000.p/256",
        "0/000.p/0",
        "0/000.p/255",
        "0/0",
        "0/x000/000",
        "1/000",
        "1/000.p/1",
        "6/000",
        "00/000.p/1",
    ],
)
def test_tiles_that_are_not_there(server: Server, path: str) -> None:
    answer = server.get(f"/ledger/tile/{path}")
    assert answer.status_code in (400, 404)
    problem(answer, answer.status_code, "not-found" if answer.status_code == 404 else "invalid-input")


def test_no_bundle_beyond_the_head(server: Server) -> None:
    size = server.world.size()
    assert server.get(f"/ledger/tile/entries/000.p/{size}", "auditor").status_code == 200
    problem(server.get(f"/ledger/tile/entries/000.p/{size + 1}", "auditor"), 404, "not-found")


def test_a_proof_of_consistency(server: Server) -> None:
    world = server.world
    for old in (1, 2, 7, world.size()):
        found = server.json(f"/v1/ledger/consistency?old={old}&new={world.size()}")
        with world.registry.reading() as reader:
            roots = reader.root_at(old), reader.root
        proof = [base64.b64decode(value) for value in found["proof"]]
        merkle.verify_consistency(old, world.size(), proof, *roots)
    problem(server.get("/v1/ledger/consistency?old=9&new=3"), 400, "invalid-input")
    problem(server.get(f"/v1/ledger/consistency?old=1&new={world.size() + 1}"), 404, "not-found")
    problem(server.get("/v1/ledger/consistency?old=1"), 400, "invalid-input")


def test_the_head_is_signed_by_the_log(server: Server) -> None:
    registry = server.world.registry
    note = server.get("/ledger/checkpoint").content
    head = open_checkpoint(note, registry.log.keyring.log_keys, registry.origin)
    assert head.size == server.world.size()
    assert notes.parse(note).text == head.text()


def verified(server: Server, answer: httpx.Response, seq: int) -> receipts.Receipt:
    """A receipt that leads from the entry's leaf to a head that the registry's policy accepts."""
    world = server.world
    receipt = receipts.parse(answer.content)
    with world.registry.reading() as reader:
        leaf = merkle.leaf_hash(reader.entry(seq))
    receipts.verify(receipt, leaf, TrustPolicy.parse(world.registry.policy_text.encode()))
    return receipt


def test_receipts_are_for_all_entries_for_some(server: Server) -> None:
    world = server.world
    seq = server.json(server.path(server.ref("chat", "dataset")), "auditor")["thing"]["entry"]
    path = f"/v1/ledger/entries/{seq}"
    with world.registry.reading() as reader:
        data = reader.entry(seq)
    for who in ("auditor", "trainer", "vendor-trainer"):
        assert server.get(path, who).content == data
        assert verified(server, server.get(f"{path}/receipt", who), seq).extra == data
    assert verified(server, server.get(f"{path}/receipt"), seq).extra is None
    assert verified(server, server.get(f"{path}/receipt", "vendor-provider"), seq).extra is None
    problem(server.get(path), 401, "unauthenticated")
    problem(server.get(path, "vendor-provider"), 403, "not-permitted")


def test_a_receipt_under_an_earlier_head(server: Server) -> None:
    answer = server.get("/v1/ledger/entries/0/receipt?size=1")
    assert open_checkpoint_size(server, verified(server, answer, 0)) == 1
    problem(server.get("/v1/ledger/entries/3/receipt?size=2"), 404, "not-found")
    problem(server.get("/v1/ledger/entries/3/receipt?size=999999"), 404, "not-found")


def open_checkpoint_size(server: Server, receipt: receipts.Receipt) -> int:
    registry = server.world.registry
    return open_checkpoint(receipt.checkpoint, registry.log.keyring.log_keys, registry.origin).size


def test_genesis_and_keys_are_public(server: Server) -> None:
    assert server.get("/v1/ledger/entries/0").status_code == 200
    listed = server.json("/v1/keys")["items"]
    producer = next(item for item in listed if item["fingerprint"] == server.world.key("producer").public.fingerprint)
    assert producer["roles"] == ["producer"]
    assert producer["public_key"] == server.world.key("producer").public.base64
    assert producer["revoked"] is None
    assert producer["party"] == server.world.registry.operator
    for seq in producer["entries"]:
        assert verified(server, server.get(f"/v1/ledger/entries/{seq}/receipt"), seq).extra is not None
    assert server.json(f"/v1/keys/{producer['fingerprint']}") == producer
    problem(server.get(f"/v1/keys/{'0' * 64}"), 404, "not-found")
    problem(server.get(f"/v1/keys/{producer['fingerprint'][:10]}"), 400, "invalid-input")


def test_a_revocation_is_told(server: Server) -> None:
    world = server.world
    world.registry.add_key("auditor", public_name="spare")
    fingerprint = world.key("spare").public.fingerprint
    before = server.json(f"/v1/keys/{fingerprint}")
    revoked = world.registry.revoke_key(fingerprint, "retired", 3).seq
    after = server.json(f"/v1/keys/{fingerprint}")
    assert (after["revoked"], after["suspect_from"], after["entries"]) == (revoked, 3, [*before["entries"], revoked])


def test_the_statement_of_a_thing_is_its_receipt(server: Server) -> None:
    for name in ("chat", "lab/pupil", "acme/base@1", "acme-terms", "vendor"):
        ref = server.ref(name, *(["student"] if "pupil" in name else []), *(["party"] if name == "vendor" else []))
        seq = server.json(server.path(ref), "trainer")["thing"]["entry"]
        assert verified(server, server.get(f"{server.path(ref)}/statement", "trainer"), seq).index == seq
        problem(server.get(f"{server.path(ref)}/statement"), 401, "unauthenticated")
    problem(server.get(f"/v1/students/{'0' * 32}/statement", "trainer"), 404, "not-found")


def test_an_internal_entry_is_for_its_party_and_auditors(server: Server) -> None:
    hidden = server.world.put("student", student_body("lab/inner"), "trainer", visibility=Visibility.INTERNAL)
    seq = server.json(server.path(hidden), "trainer")["thing"]["entry"]
    for who, extra in (("trainer", True), ("auditor", True), ("vendor-trainer", False), (None, False)):
        found = verified(server, server.get(f"/v1/ledger/entries/{seq}/receipt", who), seq)
        assert (found.extra is not None) is extra
