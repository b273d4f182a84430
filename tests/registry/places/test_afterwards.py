"""Over HTTP too: facts that are declared later, withdrawal and whom that reaches, data that leave."""

from collections.abc import Callable
from pathlib import Path

import pytest

from inbond.ledger import verify
from inbond.registry.declaring import facts_template
from inbond.registry.proving import write_proof
from inbond.registry.registry import Registry
from inbond.registry.terms import shelf
from inbond.registry.terms.recording import accept
from inbond.registry.versions import parts_of
from inbond.schemas.declared import known
from inbond.schemas.errors import Conflict, InvalidInput, PolicyDenied
from inbond.schemas.statements import Verdict
from tests.registry.places.conftest import Client
from tests.registry.places.served import Server
from tests.registry.terms.test_gathering import MADE, PLAN
from tests.registry.world import CHAT_ROWS, PART_SIZES, messages

Connect = Callable[..., Client]


def test_facts_are_declared_over_http(connect: Connect) -> None:
    client = connect(patience=10.0)
    registry = client.registry
    file = messages(client.machine / "told.jsonl", "told", 20)
    found = registry.import_files("messages", [file], teacher="acme/base@1", dataset="told", max_rows=12)
    done = registry.declare_shards("told", {"acquired": "2026-01-05"}, reason="the invoice")
    assert [each.ref for each in done] == found.shards
    assert [registry.newest(shard).body.acquired for shard in found.shards] == [known("2026-01-05")] * 2
    assert "#acquired = " not in facts_template(registry, "told")
    assert "#generated.first = " in facts_template(registry, "told")
    registry.declare("vendor", {"domicile": "DE"})
    with pytest.raises(Conflict, match="domicile is DE, not FR"):
        registry.declare("vendor", {"domicile": "FR"})
    assert registry.declare("vendor", {"domicile": "FR"}, correct=True).corrected[0].was == "DE"
    assert registry.newest(registry.resolve("vendor", "party")).body.domicile == known("FR")


def test_a_correction_of_a_reading_reaches_the_pulls_that_rest_on_it(connect: Connect) -> None:
    client = connect(patience=10.0)
    registry, pulls = client.registry, []
    registry.add_student("lab/taught", facts={"release_plan": PLAN})
    for name, row in (("one", "deepseek-open-platform-2026-04-29"), ("two", "mistral-commercial-2026-09-25")):
        registry.add_teacher(f"{name}/chat@1", create=True, facts={"access_path": "api"})
        bound = shelf.bind(registry, row, row.encode(), party=name, effective="2021-01-01", models=("*",))
        for fact in bound.facts:
            registry.declare(fact.ref, {"grade": "P"}, correct=True)
        accept(registry, bound.terms, accepted="2021-01-01")
        file = messages(client.machine / f"{name}.jsonl", name, 30)
        done = registry.import_files("messages", [file], teacher=f"{name}/chat@1", dataset=name, facts=MADE, max_rows=12)
        assert registry.place.statement(done.dataset).body.policy.known.verdict is Verdict.PERMITTED
        pulls.append((registry.pull(name, student="lab/taught", run=name, segment=10), bound))
    (one, bound), (two, _) = pulls
    segments, others = one.segments(), two.segments()
    assert (len(list(next(segments))), len(list(next(others)))) == (10, 10)
    shard = parts_of(registry, registry.resolve("one", "dataset"))[-1].shard
    raw, _ = client.place.shard_file(shard, client.place.statement(shard).body, one.grant)
    registry.declare(bound.facts[0].ref, {"permits_training": "no"}, correct=True)
    told = r"DeepSeek Open Platform Terms of Service@2026-04-29, clause 4\.2\(3\) forbids training.*\(clause-2\)"
    with raw, pytest.raises(PolicyDenied, match=told):
        raw.read(10)
    with pytest.raises(PolicyDenied, match=f"no longer permitted: {told}"):
        next(segments)
    assert [len(list(each)) for each in others] == [10, 10]


def test_rows_are_withdrawn_trimmed_and_given_back_over_http(
    connect: Connect, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(patience=10.0)
    registry, place = client.registry, client.place
    file = messages(client.machine / "back.jsonl", "back", 20)
    [first, second] = registry.import_files("messages", [file], teacher="acme/base@1", dataset="back", max_rows=12).shards
    list(registry.pull("back", student="lab/pupil", run="back"))
    done = registry.recall(first, rows=[(0, 3)], reason="not ours", category="terms")
    assert (done.impact.rows, done.impact.shards) == (3, 1)
    assert {item.kind for item in done.impact.affected} == {"dataset", "run", "student"}
    record = place.trace(f"{first}:1")
    assert record.found[0].recalls == (done.recorded.ref,)
    assert place.trace(str(record.found[0].record_id)).found == record.found
    with pytest.raises(PolicyDenied, match="withdraws rows"):
        registry.pull("back", student="lab/pupil", run="again")
    assert registry.trim("back").name == "back@2"
    texts = [record.response for record in registry.pull("back", student="lab/pupil", run="rest")]
    assert texts == [f"back answer {i}" for i in range(3, 20)]
    with monkeypatch.context() as patch:
        patch.setenv("INBOND_STATE", str(server.state))
        with Registry.open(server.folder) as here:
            for ref in (done.recorded.ref, first, "back", "acme/base@1"):
                assert place.impact(ref) == here.place.impact(ref)
            for clock in ("generated", "acquired", "consumed", "released"):
                assert place.learners("acme", clock=clock) == here.place.learners("acme", clock=clock)
    registry.lift_recall(done.recorded.ref, reason="it was ours")
    assert registry.check(["back@1"], "lab/pupil").verdict is Verdict.PERMITTED
    everything = registry.recall("acme/base@1", reason="terms ended", category="terms", effective="2099-01-01")
    assert {first, second} <= set(everything.targets)


def test_data_leave_a_server_in_a_format_of_others_and_a_record_is_proved(
    connect: Connect, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(patience=10.0)
    done = client.registry.export_dataset("chat", tmp_path / "out", format="messages")
    assert (done.records, done.files) == (CHAT_ROWS, len(PART_SIZES))
    with monkeypatch.context() as patch:
        patch.setenv("INBOND_STATE", str(server.state))
        with Registry.open(server.folder) as here:
            here.export_dataset("chat", tmp_path / "here", format="messages")
    for path in sorted((tmp_path / "out" / "data").iterdir()):
        assert path.read_bytes() == (tmp_path / "here" / "data" / path.name).read_bytes()
    shard = parts_of(client.registry, client.registry.resolve("chat", "dataset"))[1].shard
    with pytest.raises(InvalidInput, match="expected a grant or a delivery"):
        client.registry.prove_record(shard, 3)
    proved = client.registry.prove_record(shard, 3, under=done.deliveries[0])
    write_proof(client.registry, proved, tmp_path / "proof")
    pins = ["--policy", str(server.policy), "--genesis", client.registry.place.genesis.hex(), "--json"]
    assert verify.main([*pins, "--without-shards", str(tmp_path / "proof")]) == 0
    with pytest.raises(InvalidInput, match="this needs the registry's folder"):
        client.registry.derive("chat", "some", sample=3)


def test_a_run_is_given_rows_over_http_and_closes_with_them(
    connect: Connect, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("INBOND_STATE", str(server.state))
        with Registry.open(server.folder) as here:
            here.derive("chat", "parted", split={"train": "0.5", "test": "0.5"})
    registry = connect(patience=10.0).registry
    done = registry.deliver("parted", student="lab/pupil", run="rows", folder=tmp_path / "out", format="messages")
    run = registry.resolve("rows", "run")
    assert 0 < sum(registry.place.inputs(run).values()) == done.records < CHAT_ROWS
    registry.close_run(run, "kept")
    with pytest.raises(PolicyDenied, match="was closed by entry"):
        registry.prove_record(next(iter(registry.place.inputs(run))), 0, under=done.deliveries[0])
