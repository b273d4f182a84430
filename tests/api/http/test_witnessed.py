"""A server whose policy wants witnesses: it asks them by itself, shows what they have seen, and a client believes no more."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from inbond.api.app import create_app
from inbond.api.settings import Settings
from inbond.ledger import checkpoints, notes, receipts
from inbond.ledger.cosigner import Cosigner
from inbond.ledger.cosigning import Witness as WitnessServer
from inbond.ledger.keys import COSIGNATURE_V1
from inbond.ledger.loglist import logs_of
from inbond.ledger.policy import Group, TrustPolicy, Witness
from inbond.ledger.witness_state import WitnessState
from inbond.registry.places import heads
from inbond.registry.registry import Registry
from inbond.schemas.errors import Inconclusive, InvalidInput
from tests.api.cli.shell import ok, run
from tests.api.http.serving import Server, copied, served
from tests.api.witness_server import listening, wait_until
from tests.registry.world import CHAT_ROWS, World

KEYS = [Cosigner(f"witness.example/{n}", COSIGNATURE_V1, bytes([40 + n] * 32)) for n in range(2)]
QUICK = Settings(token_wait=0, witness_every=0.1)


@dataclass
class Scene:
    """A served registry, and the policy that it publishes."""

    server: Server
    policy: TrustPolicy
    machine: Path

    def shown(self) -> bytes:
        return self.server.get("/ledger/checkpoint").content

    def is_witnessed(self) -> bool:
        return accepts(self.policy, self.shown()) and size_of(self.shown()) == self.server.world.size()

    def client(self, **given: Any) -> Registry:
        """A client on another machine, with the trainer's keys."""
        given = {"token": self.server.tokens["compliance"], "policy": self.policy.format()} | given
        return Registry.open(self.server.url, keys=self.server.world.folder / "keys", **given)


def size_of(note: bytes) -> int:
    return checkpoints.parse(notes.parse(note).text).size


def accepts(policy: TrustPolicy, note: bytes) -> bool:
    try:
        policy.open_checkpoint(note)
    except Exception:
        return False
    return True


@pytest.fixture
def scene(lived_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """Two witnesses, both of whom the registry's policy wants; the second can be stopped and started."""
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "world" / "state"))
    for name in ("INBOND_TOKEN", "INBOND_POLICY", "INBOND_GENESIS", "INBOND_KEYS"):
        monkeypatch.delenv(name, raising=False)
    folder = copied(lived_in, tmp_path / "world")
    trusted = TrustPolicy.parse((folder / "policy.txt").read_text())
    with ExitStack() as stack:
        witnesses = []
        for n, key in enumerate(KEYS):
            state = WitnessState.create(tmp_path / f"{n}.db")
            stack.callback(state.close)
            url = stack.enter_context(listening(WitnessServer(state, [key], logs_of(trusted))))
            witnesses.append(Witness(f"w{n}", key.verifier, url))
        policy = TrustPolicy(trusted.logs, tuple(witnesses), (Group("both", 2, ("w0", "w1")),), "both")
        (folder / "policy.txt").write_text(policy.format())
        world = World(folder)
        yield Scene(stack.enter_context(served(world, QUICK)), policy, tmp_path / "machine")
        stack.close()
        world.registry.close()


def test_the_server_asks_its_witnesses_and_shows_what_they_have_seen(scene: Scene) -> None:
    wait_until(scene.is_witnessed)
    found = scene.server.json("/health/ready")
    size = scene.server.world.size()
    assert [(each["name"], each["cosigned"], each["behind"], each["helping"]) for each in found["witnesses"]] == [
        ("w0", size, 0, True), ("w1", size, 0, True)
    ]  # fmt: skip
    assert all(each["at"].endswith("Z") for each in found["witnesses"])
    for seq in (0, size - 1):
        receipt = receipts.parse(scene.server.get(f"/v1/ledger/entries/{seq}/receipt").content)
        assert accepts(scene.policy, receipt.checkpoint)


@contextmanager
def stopped(scene: Scene) -> Iterator[None]:
    """The log goes on, and nobody cosigns: its witnesses are not asked."""
    witnessing = scene.server.app.state["served"].witnessing
    endpoints, witnessing.endpoints = witnessing.endpoints, []
    yield
    witnessing.endpoints = endpoints


def test_a_head_that_lacks_the_quorum_is_not_shown(scene: Scene) -> None:
    wait_until(scene.is_witnessed)
    world, before = scene.server.world, scene.server.world.size()
    with stopped(scene):
        world.student("lab/later")
        assert world.size() == before + 1
        assert size_of(scene.shown()) == before
        early, late = (receipts.parse(scene.server.get(f"/v1/ledger/entries/{seq}/receipt").content) for seq in (1, before))
        assert (size_of(early.checkpoint), size_of(late.checkpoint)) == (before, before + 1)
        assert (accepts(scene.policy, early.checkpoint), accepts(scene.policy, late.checkpoint)) == (True, False)
        assert scene.server.json("/health/ready")["tree_size"] == before + 1
        wait_until(lambda: scene.server.json("/health/ready")["published"] == before)
        lag = 'inbond_witness_lag_entries{witness="w0"} 1.0'
        assert lag not in scene.server.get("/metrics", "monitor").text  # nobody is asked, so nothing is known
        assert scene.server.get(f"/ledger/tile/0/000.p/{before + 1}").status_code == 200  # a signed head covers it
        assert scene.server.get(f"/ledger/tile/0/000.p/{before + 2}").status_code == 404
    wait_until(scene.is_witnessed)
    assert lag.replace(" 1.0", " 0.0") in scene.server.get("/metrics", "monitor").text
    again = receipts.parse(scene.server.get(f"/v1/ledger/entries/{before}/receipt").content)
    assert accepts(scene.policy, again.checkpoint), "refreshed: the same entry under a head that both have cosigned"


def test_a_client_believes_what_the_quorum_has_seen(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_until(scene.is_witnessed)
    monkeypatch.setenv("INBOND_STATE", str(scene.machine))
    monkeypatch.setattr(heads, "PATIENCE", 0.0)
    with scene.client() as client:
        before = int(client.place.head().size)
        assert client.place.remarks() == []
        with stopped(scene):
            added = client.add_party("somebody")
            assert added.seq == before
            [remark] = client.place.remarks()
            assert "not yet witnessed" in remark
            assert f"up to size {before}" in remark
            assert client.place.statement(added.ref).body.aliases == ("somebody",)  # what it has put there itself
            assert client.place.head().size == before
            with scene.client() as other, pytest.raises(Inconclusive, match="quorum 'both' on a head of at least size"):
                other.place.statement(added.ref)
        wait_until(scene.is_witnessed)
        with scene.client() as other:
            assert other.place.statement(added.ref).body.aliases == ("somebody",)
            assert other.place.remarks() == []
        client.place.head()
        assert client.place.remarks() == []


def test_a_run_reads_while_witnesses_come_after(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_until(scene.is_witnessed)
    monkeypatch.setenv("INBOND_STATE", str(scene.machine))
    with scene.client(token=scene.server.tokens["trainer"]) as client:
        assert len(list(client.pull("chat", student="lab/pupil", run="watched"))) == CHAT_ROWS
    with scene.client(token=scene.server.tokens["trainer"]) as client:  # another process, a moment later, waits for them
        ref = client.resolve("watched", "run")
        client.close_run("watched", "kept")
        assert client.place.run(ref).closed is not None


def test_commands_say_what_no_witness_has_seen(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_until(scene.is_witnessed)
    monkeypatch.setenv("INBOND_STATE", str(scene.machine))
    monkeypatch.setenv("INBOND_TOKEN", scene.server.tokens["compliance"])
    monkeypatch.setenv("INBOND_KEYS", str(scene.server.world.folder / "keys"))
    policy = scene.machine.with_name("policy.txt")
    policy.write_text(scene.policy.format())
    monkeypatch.setenv("INBOND_POLICY", str(policy))
    monkeypatch.setattr(heads, "PATIENCE", 0.0)
    there, size = ("--registry", scene.server.url), scene.server.world.size()
    assert "remarks" not in ok(*there, "log", "head", "--json").json
    with stopped(scene):
        added = ok(*there, "party", "add", "one", "--json").json
        assert added["remarks"] == [
            f"not yet witnessed: this rests on the log's signature alone for entry {size}; the quorum 'both' of the "
            f"policy is met up to size {size}"
        ]
        assert "note: not yet witnessed" in ok(*there, "party", "add", "two").err
        unseen = run(*there, "log", "show", size)
        assert (unseen.code, "expected cosignatures that meet the policy's quorum 'both'" in unseen.err) == (6, True)
        assert ok(*there, "log", "show", "0").err == ""
    wait_until(scene.is_witnessed)
    assert ok(*there, "log", "show", size).err == ""


def test_a_client_whose_witnesses_have_not_seen_the_log_stops_at_the_door(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_until(scene.is_witnessed)
    monkeypatch.setenv("INBOND_STATE", str(scene.machine))
    monkeypatch.setattr(heads, "PATIENCE", 0.0)
    stranger = Cosigner("witness.example/other", COSIGNATURE_V1, bytes([60] * 32))
    policy = TrustPolicy(scene.policy.logs, (Witness("other", stranger.verifier),), (), "other")
    with pytest.raises(Inconclusive, match="quorum 'other'"):
        scene.client(policy=policy.format())
    with scene.client(policy=TrustPolicy(scene.policy.logs).format()) as client:  # and who wants none needs none
        client.place.head()


def test_a_policy_that_cannot_be_read_stops_the_server(scene: Scene) -> None:
    folder = scene.server.world.folder
    (folder / "policy.txt").write_text("witness w nonsense\n")
    with (
        Registry.open(folder) as registry,
        pytest.raises(InvalidInput, match=r"policy.txt: expected the registry's trust policy"),
    ):
        create_app(registry)
