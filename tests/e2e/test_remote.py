"""Two machines' worth of processes: a server with its folder, and people who have a URL, a token, keys and a policy.

Nobody but the server ever sees the registry's folder. Each machine has a home, a state and keys of its own: the producer
imports, compliance archives terms and rules, the trainer pulls with verified reads, asks where it came from, and closes.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.registry.places.served import INBOND, Server
from tests.registry.world import messages

ROWS = 30


@dataclass
class Machine:
    """A machine of somebody's: commands run with its home, state, keys and token, in its folder."""

    folder: Path
    environment: dict[str, str]

    def run(self, *line: str, code: int = 0, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(INBOND), *line], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, f"$ inbond {' '.join(line)} ({done.returncode})\n{done.stdout}\n{done.stderr}"
        assert self.environment.get("INBOND_TOKEN", "no token") not in done.stdout + done.stderr
        return done

    def ask(self, *line: str, code: int = 0) -> Any:
        return json.loads(self.run(*line, "--json", code=code).stdout)

    def python(self, text: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", text],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@dataclass
class Place:
    """The server's machine, and how others are made."""

    server: Server
    operator: Machine
    folder: Path

    def machine(self, name: str, *roles: str, keys: tuple[str, ...] = ()) -> Machine:
        """A machine with a token of these roles and the key files of the same names, handed over by the operator."""
        folder = self.folder / name
        for made in (folder, folder / "home", folder / "keys"):
            made.mkdir(mode=0o700)
        for role in keys or roles:
            source = self.server.folder / "keys" / f"{role}.key"
            (folder / "keys" / source.name).write_bytes(source.read_bytes())
            (folder / "keys" / source.name).chmod(0o600)
        (folder / "policy.txt").write_bytes(self.server.policy.read_bytes())
        token = self.operator.ask("token", "add", *(word for role in roles for word in ("--role", role)))["token"]
        own = {
            "HOME": str(folder / "home"),
            "INBOND_STATE": str(folder / "state"),
            "INBOND_REGISTRY": self.server.url,
            "INBOND_TOKEN": token,
            "INBOND_KEYS": str(folder / "keys"),
            "INBOND_POLICY": str(folder / "policy.txt"),
        }
        return Machine(folder, environment(**own))


def environment(**own: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INBOND_")}
    return kept | {"NO_COLOR": "1", "COLUMNS": "200"} | own


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "server"
    folder.mkdir()
    operator = Machine(
        folder, environment(HOME=str(folder), INBOND_STATE=str(folder / "state"), INBOND_REGISTRY=str(folder / "registry"))
    )
    operator.run("init", str(folder / "registry"), "--origin", "example.org/remote", "--operator", "lab")
    server = Server(folder / "registry", folder / "state")
    server.start()
    yield Place(server, operator, tmp_path)
    server.stop()


TRAIN = """
from inbond.registry import Registry
import os
with Registry.open(os.environ["INBOND_REGISTRY"]) as registry:
    for record in registry.pull("chat", student="lab/pupil", run="loop", segment=8):
        print(record.response)
"""


def test_the_main_job_over_http(place: Place) -> None:
    producer = place.machine("producer", "producer")
    compliance = place.machine("compliance", "compliance")
    trainer = place.machine("trainer", "trainer")

    compliance.run("party", "add", "acme")
    messages(producer.folder / "chat.jsonl", "chat", ROWS)
    producer.run("teacher", "add", "acme/base@1")
    imported = producer.ask("import", "messages", "chat.jsonl", "--teacher", "acme/base@1", "--dataset", "chat")
    assert (imported["records"], imported["unchanged"]) == (ROWS, False)
    assert producer.ask("import", "messages", "chat.jsonl", "--teacher", "acme/base@1", "--dataset", "chat")["unchanged"]

    trainer.run("student", "add", "lab/pupil")
    refused = trainer.run("pull", "chat", "--student", "lab/pupil", "--run", "first", code=5)
    assert "no terms are on record" in refused.stderr

    (compliance.folder / "terms.txt").write_text("You may, if asked.\n")
    compliance.run("terms", "add", "terms.txt", "--teacher", "acme/base@1", "--effective", "2026-01-01", "--title", "acme-terms")
    trainer.run("decide", "ask", "--student", "lab/pupil", "--terms", "acme-terms", "--grounds", "lessons")
    trainer.run("decide", "rule", "--student", "lab/pupil", "--terms", "acme-terms", "permit", "--grounds", "me", code=4)
    compliance.run("decide", "rule", "--student", "lab/pupil", "--terms", "acme-terms", "permit", "--grounds", "agreed")
    trainer.run("check", "chat", "--student", "lab/pupil")

    trainer.run("pull", "chat", "--student", "lab/pupil", "--run", "first", "--out", "batch.jsonl")
    records = [json.loads(line) for line in (trainer.folder / "batch.jsonl").read_text().splitlines()]
    assert [record["response"] for record in records] == [f"chat answer {i}" for i in range(ROWS)]
    assert trainer.python(TRAIN).splitlines() == [f"chat answer {i}" for i in range(ROWS)]
    assert trainer.python(TRAIN) == "", "the loop goes on where it ended, which is the end"

    found = trainer.ask("lineage", "lab/pupil")
    assert [(hop["relation"], hop["rows"], hop["basis"]) for hop in found["hops"]] == [
        ("trained_on_outputs_of", ROWS, "recorded")
    ]
    assert "lab/pupil" in trainer.run("used-by", "acme/base@1").stdout
    for run in ("first", "loop"):
        trainer.run("run", "close", run, "--outcome", "kept")
    trainer.run("pull", "chat", "--student", "lab/pupil", "--run", "first", code=8)
    trainer.run("verify", "chat@1", code=6)  # statements and lists are proved; bytes leave against a grant only

    auditor = place.machine("auditor", "auditor", keys=("compliance",))
    assert auditor.ask("lineage", "lab/pupil")["hops"] == found["hops"]
    assert place.operator.run("verify").returncode == 0
    assert sorted(path.name for path in (trainer.folder / "keys" / "runs").iterdir()) == []
    for machine in (producer, compliance, trainer):
        assert not list((machine.folder / "home").rglob("ledger.db"))


def test_bytes_for_a_run_are_delivered_and_checked_by_others_without_the_server(place: Place) -> None:
    trainer = prepared(place, lambda producer: messages(producer.folder / "chat.jsonl", "chat", ROWS), "messages", "chat.jsonl")
    trainer.run("pull", "chat", "--student", "lab/pupil", "--run", "copies", "--to", "copies")
    genesis = place.operator.ask("log", "head")["genesis"]
    place.server.stop()
    verify = [str(INBOND.with_name("inbond-verify")), "--policy", "policy.txt", "--genesis", genesis, "copies"]
    done = subprocess.run(verify, cwd=trainer.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    trainer.run("lineage", "lab/pupil", code=1)


def test_a_wrong_setting_is_a_sentence(place: Place) -> None:
    trainer = place.machine("trainer", "trainer")
    del trainer.environment["INBOND_POLICY"]
    assert "expected INBOND_POLICY to name a tlog-policy file" in trainer.run("student", "list", code=2).stderr
    trainer.environment["INBOND_POLICY"] = str(trainer.folder / "policy.txt")
    assert "INBOND_TOKEN" in without(trainer, "INBOND_TOKEN").run("student", "list", code=4).stderr
    trainer.environment["INBOND_GENESIS"] = "0" * 64
    assert f"expected the registry of genesis {'0' * 64}" in trainer.run("student", "list", code=3).stderr
    del trainer.environment["INBOND_GENESIS"]
    trainer.environment["INBOND_REGISTRY"] = "http://registry.example"
    assert "a token must not travel in clear" in trainer.run("student", "list", code=2).stderr
    trainer.environment["INBOND_REGISTRY"] = "http://127.0.0.1:9"
    assert "could not reach http://127.0.0.1:9" in trainer.run("student", "list", code=1).stderr


def without(machine: Machine, name: str) -> Machine:
    return Machine(machine.folder, {key: value for key, value in machine.environment.items() if key != name})


def prepared(place: Place, fetch: Callable[[Machine], object], format: str, file: str, *options: str) -> Machine:
    """A trainer whose student may learn from `chat`, which the producer has imported from what `fetch` puts on its machine."""
    producer = place.machine("producer", "producer", "compliance")
    fetch(producer)
    producer.run("import", format, file, "--teacher", "acme/base@1", "--dataset", "chat", "--create", *options)
    (producer.folder / "terms.txt").write_text("You may, if asked.\n")
    producer.run("terms", "add", "terms.txt", "--teacher", "acme/base@1", "--effective", "2026-01-01", "--title", "acme-terms")
    trainer = place.machine("trainer", "trainer")
    trainer.run("student", "add", "lab/pupil")
    trainer.run("decide", "ask", "--student", "lab/pupil", "--terms", "acme-terms", "--grounds", "lessons")
    producer.run("decide", "rule", "--student", "lab/pupil", "--terms", "acme-terms", "permit", "--grounds", "agreed")
    return trainer


def test_the_main_job_on_real_outputs(place: Place, shared_data: Path) -> None:
    file = shared_data / "teacher-outputs" / "gpt-4o-2024-05-13.json"
    trainer = prepared(place, lambda _: None, "alpaca-eval", str(file))
    trainer.run("pull", "chat", "--student", "lab/pupil", "--run", "first", "--out", "batch.jsonl")
    records = [json.loads(line) for line in (trainer.folder / "batch.jsonl").read_text().splitlines()]
    assert [record["response"] for record in records] == [item["output"] for item in json.loads(file.read_bytes())]
    [hop] = trainer.ask("lineage", "lab/pupil")["hops"]
    assert (hop["relation"], hop["rows"]) == ("trained_on_outputs_of", len(records))
    trainer.run("run", "close", "first", "--outcome", "kept")
