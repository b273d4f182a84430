"""A server whose log's key was rotated: clients with the policy that was published since, and those with the one before."""

import signal
from pathlib import Path

import pytest

from inbond.ledger import checkpoints
from inbond.ledger.keys import read_key
from inbond.registry.places.server import ServerPlace
from inbond.registry.registry import Registry
from inbond.schemas.errors import NotPermitted, VerificationError
from tests.registry.places.served import client_machine, serving_folder


def test_clients_after_a_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, server_state = tmp_path / "registry", tmp_path / "state"
    monkeypatch.setenv("INBOND_STATE", str(server_state))
    Registry.init(folder, "example.org/rotated").close()
    with serving_folder(folder, server_state) as server:
        token = server.token("compliance")
        machine = client_machine(tmp_path / "machine", server, "compliance")
        before = (machine / "policy.txt").read_text()

        def client(policy: str) -> Registry:
            monkeypatch.setenv("INBOND_STATE", str(tmp_path / "machine" / "state"))
            return Registry.open(server.url, token=token, keys=machine / "keys", policy=policy)

        with client(before) as there:
            there.add_party("first")
        monkeypatch.setenv("INBOND_STATE", str(server_state))
        with Registry.open(folder) as here:
            here.rotate_log_key()
            here.add_party("second")
            after = here.policy_text
        with client(after) as there:  # what was signed since can be read; the server has the old key alone, and says so
            assert there.place.head().size == 7
            with pytest.raises(NotPermitted, match="nothing can be signed"):
                there.add_party("third")
        server.stop(signal.SIGTERM)
        server.start()
        with client(after) as there:
            there.add_party("third")
            assert there.place.statement(there.resolve("first", "party")).kind == "party"
            assert there.place.head().size == 8
            assert isinstance(there.place, ServerPlace)
            assert there.place.key("0" * 64) is None  # which asks for the newest list of keys
            [replaced] = (folder / "keys").glob("log-replaced-*.key")
            head = there.place._trust.heads.newest()
            with pytest.raises(VerificationError, match="by a key that it has replaced"):
                there.place._trust.heads.accept(checkpoints.sign(head, [read_key(replaced)]))
        with pytest.raises(VerificationError, match="note: expected a signature by"):
            client(before)
