"""sigsum-witness, a witness of other people, cosigns our checkpoints, and our client verifies what it says.

It knows one log, whose origin it derives from the log's key: `sigsum.org/v1/tree/` and the key's hash.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from inbond.ledger import notes
from inbond.ledger.keys import COSIGNATURE_V1, SigningKey, VerifierKey
from inbond.ledger.witness import AddCheckpoint
from inbond.ledger.witness_client import Answer, Cosigned, Elsewhere, Refused, ask, new_client
from tests.ledger.witnessed import PlainLog

LOG_SEED, WITNESS_SEED = bytes([41] * 32), bytes([42] * 32)
PATIENCE = 60.0


@dataclass
class Asked:
    """A running sigsum-witness, asked as our log asks."""

    url: str
    key: VerifierKey

    def ask(self, request: AddCheckpoint) -> Answer:
        async def one() -> Answer:
            async with new_client() as client:
                return await ask(client, self.url, request, [self.key], time.time(), PATIENCE)

        return asyncio.run(one())


@pytest.fixture(scope="module")
def log() -> PlainLog:
    public = SigningKey.from_seed("x", LOG_SEED).public.raw
    return PlainLog(key=SigningKey.from_seed(f"sigsum.org/v1/tree/{sha256(public).hexdigest()}", LOG_SEED))


@pytest.fixture
def witness(log: PlainLog, tmp_path: Path) -> Iterator[Asked]:
    program = shutil.which("sigsum-witness")
    if program is None:
        pytest.skip("sigsum-witness is not there: apt-get install -t bookworm-backports sigsum-go")
    private = Ed25519PrivateKey.from_private_bytes(WITNESS_SEED)
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    (tmp_path / "witness").write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    (tmp_path / "witness").chmod(0o600)
    public = Ed25519PublicKey.from_public_bytes(log.key.public.raw)
    (tmp_path / "log.pub").write_bytes(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["-k", tmp_path / "witness", "--log-key", tmp_path / "log.pub", "--state-file", tmp_path / "state"]
    # Debian builds it for an older Go, whose router would not understand its routes.
    process = subprocess.Popen([program, *arguments, f"127.0.0.1:{port}"], env=os.environ | {"GODEBUG": "httpmuxgo121=0"})
    try:
        _wait_for(port, process)
        name = f"sigsum.org/v1/witness/{sha256(raw).hexdigest()}"
        yield Asked(f"http://127.0.0.1:{port}", VerifierKey(name, COSIGNATURE_V1, raw))
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert process.poll() is None, "sigsum-witness has ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("sigsum-witness does not listen")


def test_it_cosigns_a_log_that_grows(witness: Asked, log: PlainLog) -> None:
    for old, new in [(0, 1), (1, 7), (7, 33), (33, 33), (33, 40)]:
        answer = witness.ask(log.request(old, new))
        assert isinstance(answer, Cosigned), answer
        [signature] = answer.signatures
        note = notes.parse(log.note(new))
        signed = notes.Note(note.text, (*note.signatures, signature)).to_bytes()
        assert notes.open_note(signed, [witness.key])[1] == (witness.key,)


def test_it_says_where_it_is(witness: Asked, log: PlainLog) -> None:
    assert isinstance(witness.ask(log.request(0, 7)), Cosigned)
    assert witness.ask(log.request(3, 9)) == Elsewhere(7)


def test_it_refuses_another_history(witness: Asked, log: PlainLog) -> None:
    assert isinstance(witness.ask(log.request(0, 7)), Cosigned)
    answer = witness.ask(PlainLog(fork=5, key=log.key).request(7, 9))
    assert isinstance(answer, Refused)
    assert answer.status == 422
