"""The real server in a real process: how it begins, how it ends, and what survives when it is shot."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import httpx
import pytest

from inbond.api.tokens import TokenStore
from inbond.ledger import dsse
from inbond.ledger.entries import parse_entry
from inbond.schemas import statement
from tests.api.http.samples import as_json
from tests.api.http.serving import copied
from tests.registry.world import World

INBOND = str(Path(sys.executable).with_name("inbond"))
CLIENTS = 16


@dataclass
class Process:
    """`inbond serve` in a process of its own."""

    process: subprocess.Popen[bytes]
    address: str
    host: str
    port: int


@contextmanager
def serve(folder: Path, *words: str) -> Iterator[Process]:
    words = (INBOND, "--registry", str(folder), "serve", "--port", "0", *words)
    log = (folder.parent / f"log-{secrets.token_hex(4)}").open("wb")
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, env=os.environ)
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert line.startswith("listening on http://"), line
        address = line.split()[-1].replace("0.0.0.0", "127.0.0.1")
        yield Process(process, address, "127.0.0.1", int(address.rpartition(":")[2]))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
        log.close()


@pytest.fixture
def world(lived_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "world" / "state"))
    made = World(copied(lived_in, tmp_path / "world"))
    yield made
    made.registry.close()


@dataclass
class Writer:
    """A client that posts one statement after the other, and notes what was acknowledged."""

    server: Process
    token: str
    bodies: list[tuple[str, bytes]]
    acknowledged: dict[str, int] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)

    def run(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection = HTTPConnection(self.server.host, self.server.port, timeout=30)
        try:
            for id, body in self.bodies:
                self.sent.append(id)
                connection.request("POST", "/v1/parties", body, headers)
                answer = connection.getresponse()
                said = answer.read()
                self.statuses.add(answer.status)
                if answer.status in (200, 201):
                    self.acknowledged[id] = json.loads(said)["seq"]
        except (OSError, HTTPException, ValueError):
            return  # the server has gone
        finally:
            connection.close()


def statements(world: World, count: int) -> list[tuple[str, bytes]]:
    made = []
    for _ in range(count):
        envelope = world.party(secrets.token_hex(8))
        id = statement.read(dsse.payload_of(envelope)).header.id
        made.append((id, json.dumps(as_json(envelope)).encode()))
    return made


def on_record(world: World) -> list[str]:
    """The header id of every entry, in order."""
    with world.registry.reading() as reader:
        return [statement.read(dsse.payload_of(parse_entry(data).dsse)).header.id for _, data in reader.entries()]


def test_acknowledged_statements_survive_a_kill(world: World) -> None:
    token = TokenStore(world.folder).add(world.registry.operator, ["compliance"])[0]
    batches = [statements(world, 20) for _ in range(CLIENTS)]
    with serve(world.folder) as server:
        writers = [Writer(server, token, bodies) for bodies in batches]
        threads = [threading.Thread(target=writer.run) for writer in writers]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60
        while sum(len(writer.acknowledged) for writer in writers) < 60 and time.monotonic() < deadline:
            time.sleep(0.005)
        server.process.kill()
        for thread in threads:
            thread.join(60)
    acknowledged = {id: seq for writer in writers for id, seq in writer.acknowledged.items()}
    assert 60 <= len(acknowledged) < 20 * CLIENTS
    with serve(world.folder) as server:  # the clients come again, with everything
        again = [Writer(server, token, bodies) for bodies in batches]
        threads = [threading.Thread(target=writer.run) for writer in again]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert all(writer.statuses <= {200, 201} for writer in again)
        assert httpx.get(f"{server.address}/health/ready").status_code == 200
    found = on_record(world)
    assert len(found) == len(set(found))
    for id, seq in acknowledged.items():
        assert found[seq] == id
    assert {id for bodies in batches for id, _ in bodies} <= set(found)
    assert world.registry.audit().verdict == "clean"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_stop_finishes_what_it_began(world: World, how: signal.Signals) -> None:
    token = TokenStore(world.folder).add(world.registry.operator, ["compliance"])[0]
    with serve(world.folder) as server:
        writers = [Writer(server, token, statements(world, 60)) for _ in range(8)]
        threads = [threading.Thread(target=writer.run) for writer in writers]
        for thread in threads:
            thread.start()
        while sum(len(writer.acknowledged) for writer in writers) < 20:
            time.sleep(0.005)
        server.process.send_signal(how)
        for thread in threads:
            thread.join(60)
        assert server.process.wait(30) == 0
    found = on_record(world)
    acknowledged = {id: seq for writer in writers for id, seq in writer.acknowledged.items()}
    for id, seq in acknowledged.items():
        assert found[seq] == id
    # What got as far as the log was answered: nothing is on record that nobody heard of.
    told = {id for id in found if any(id in writer.sent for writer in writers)}
    assert told == set(acknowledged)
    assert all(writer.statuses <= {201, 503} for writer in writers)


def test_the_address_comes_first_with_warnings_beside_it_then_lines_of_json(world: World) -> None:
    (world.folder / "keys" / "log.key").unlink()
    with serve(world.folder, "--host", "0.0.0.0") as server:  # where others than this machine may come
        assert httpx.get(f"{server.address}/v1/nothing\u00a0", headers={"X-Request-Id": "job-1"}).status_code == 404
        assert httpx.get(f"{server.address}/health/live").json() == {"status": "ok"}
        server.process.terminate()
        assert server.process.wait(30) == 0
    [log] = world.folder.parent.glob("log-*")
    said = log.read_text().splitlines()
    lines = [json.loads(line) for line in said if line.startswith("{")]
    assert [line["status"] for line in lines] == [404, 200]
    assert lines[0]["request"] == "job-1"
    warned = " ".join(line for line in said if not line.startswith("{"))
    assert "put a proxy with TLS in front" in warned
    assert "this registry can be read only, nothing will be put on record" in warned


def test_a_port_that_is_taken_is_told(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = [INBOND, "--registry", str(world.folder), "serve", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "cannot be listened on" in done.stderr
    assert done.stdout == ""


def test_two_servers_share_a_registry(world: World) -> None:
    token = TokenStore(world.folder).add(world.registry.operator, ["compliance"])[0]
    with serve(world.folder) as one, serve(world.folder) as other:
        writers = [Writer(server, token, statements(world, 8)) for server in (one, other) for _ in range(4)]
        threads = [threading.Thread(target=writer.run) for writer in writers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert all(len(writer.acknowledged) == 8 for writer in writers)
        sizes = [httpx.get(f"{server.address}/v1/registry").json()["tree_size"] for server in (one, other)]
    assert sizes == [world.size()] * 2
    assert world.registry.audit().verdict == "clean"
