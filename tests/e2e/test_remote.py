"""Two machines' worth of processes: a server with its folder, and people who have a URL, a token, keys and a policy.

Nobody but the server ever sees the registry's folder. Scripts and what says `alone` are processes; other commands run in
this one, with the environment of their machine. Each machine has a home, a state and keys of its own: compliance
archives terms and rules, the producer imports, the trainer pulls with verified reads, asks where it came from, and closes.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from inbond.api.cli.main import cli
from inbond.registry.registry import Registry
from tests.api.cli.shell import Done
from tests.registry.places.served import INBOND, Server
from tests.registry.world import messages

ROWS = 30
OPEN = "import os\nfrom inbond.registry import Registry\nregistry = Registry.open(os.environ['INBOND_REGISTRY'])\n"


@dataclass
class Machine:
    """A machine of somebody's: commands run with its home, state, keys and token, in its folder."""

    folder: Path
    environment: dict[str, str]

    def run(self, *line: str, code: int = 0, alone: bool = False) -> Done:
        """An `inbond` command, which leaves with `code` and shows nobody the token; in a process of its own if `alone`."""
        done = self._alone(line) if alone else self._here(line)
        assert done.code == code, f"$ inbond {' '.join(line)} ({done.code})\n{done.out}\n{done.err}"
        assert (self.environment["INBOND_TOKEN"] or "no token") not in done.out + done.err
        return done

    def ask(self, *line: str) -> Any:
        return self.run(*line, "--json").json

    def python(self, text: str) -> str:
        """A script, after `registry` was opened from the environment."""
        done = self._process([sys.executable, "-c", f"{OPEN}{text}\nregistry.close()\n"])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _alone(self, line: Sequence[str]) -> Done:
        done = self._process([str(INBOND), *line])
        return Done(done.returncode, done.stdout, done.stderr)

    def _here(self, line: Sequence[str]) -> Done:
        unset: dict[str, str | None] = {name: None for name in os.environ if name.startswith("INBOND_")}
        with contextlib.chdir(self.folder):
            result = CliRunner(env=unset | self.environment).invoke(cli, line)
        return Done(result.exit_code, result.stdout, result.stderr)

    def _process(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )


@dataclass
class Place:
    """The server's machine, and how others are made."""

    server: Server
    folder: Path

    def machine(self, name: str, *roles: str) -> Machine:
        """A machine with a token of these roles and the key files of the same names, handed over by the operator."""
        folder = self.folder / name
        for made in (folder, folder / "home", folder / "keys"):
            made.mkdir(mode=0o700)
        for role in roles:
            source = self.server.folder / "keys" / f"{role}.key"
            if source.exists():
                (folder / "keys" / source.name).write_bytes(source.read_bytes())
                (folder / "keys" / source.name).chmod(0o600)
        (folder / "policy.txt").write_bytes(self.server.policy.read_bytes())
        own = {
            "HOME": str(folder / "home"),
            "INBOND_STATE": str(folder / "state"),
            "INBOND_REGISTRY": self.server.url,
            "INBOND_TOKEN": self.server.token(*roles),
            "INBOND_KEYS": str(folder / "keys"),
            "INBOND_POLICY": str(folder / "policy.txt"),
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("INBOND_")}
        return Machine(folder, kept | {"NO_COLOR": "1", "COLUMNS": "200"} | own)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "server" / "state"))
    server = Server(tmp_path / "server" / "registry", tmp_path / "server" / "state")
    Registry.init(server.folder, "example.org/remote", "lab").close()
    server.start()
    yield Place(server, tmp_path)
    server.stop()


TERMS = """
registry.add_party("acme")
registry.add_terms(b"You may, if asked.", party="acme", title="acme-terms", effective="2026-01-01", access_path="api")
"""
IMPORT = """
if {create}:
    registry.add_teacher("acme/base@1", facts={{"access_path": "api"}})
done = registry.import_files({format!r}, [{file!r}], teacher="acme/base@1", dataset="chat", max_rows={rows})
print(done.records, done.unchanged)
"""
ASK = """
registry.add_student("lab/pupil")
registry.ask("lab/pupil", "acme-terms", "lessons")
"""
RULE = ("decide", "rule", "--student", "lab/pupil", "--terms", "acme-terms", "permit", "--grounds", "agreed")
LOOP = 'for record in registry.pull("chat", student="lab/pupil", run="loop", segment=8): print(record.response)'


def test_the_main_job_over_http(place: Place) -> None:
    compliance, producer, trainer = (place.machine(role, role) for role in ("compliance", "producer", "trainer"))
    truth = [f"chat answer {i}" for i in range(ROWS)]

    compliance.python(TERMS)
    file = str(messages(producer.folder / "chat.jsonl", "chat", ROWS))
    assert producer.python(IMPORT.format(format="messages", file=file, create=True, rows=12)) == f"{ROWS} False\n"
    assert producer.python(IMPORT.format(format="messages", file=file, create=False, rows=12)).endswith("True\n")

    trainer.python(ASK)
    refused = trainer.run("pull", "chat", "--student", "lab/pupil", "--run", "first", code=5)
    assert "no decision of compliance is in force" in refused.err
    assert "compliance" in trainer.run(*RULE, code=4).err, "a trainer has no key to rule with"
    compliance.run(*RULE)

    trainer.run("pull", "chat", "--student", "lab/pupil", "--run", "first", "--out", "batch.jsonl", alone=True)
    records = [json.loads(line) for line in (trainer.folder / "batch.jsonl").read_text().splitlines()]
    assert [record["response"] for record in records] == truth
    assert trainer.python(LOOP).splitlines() == truth
    assert trainer.python(LOOP) == "", "the loop goes on where it ended, which is the end"
    trainer.run("pull", "chat", "--student", "lab/pupil", "--run", "copies", "--to", "copies")

    [hop] = trainer.ask("lineage", "lab/pupil")["hops"]
    assert (hop["relation"], hop["rows"], hop["basis"]) == ("trained_on_outputs_of", ROWS, "recorded")
    trainer.run("run", "close", "loop", "--outcome", "kept", alone=True)
    assert len(list((trainer.folder / "keys" / "runs").iterdir())) == 2, "the key of a closed run is gone"
    trainer.run("pull", "chat", "--student", "lab/pupil", "--run", "loop", code=8)

    with Registry.open(place.server.folder) as registry:
        assert registry.verify().verdict == "proved"
        assert registry.audit().verdict == "clean"
        genesis = registry.place.genesis.hex()
    place.server.stop()
    verify = [str(INBOND.with_name("inbond-verify")), "--policy", "policy.txt", "--genesis", genesis, "copies"]
    done = subprocess.run(verify, cwd=trainer.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "could not reach" in trainer.run("lineage", "lab/pupil", code=1).err
    for machine in (producer, compliance, trainer):
        assert not list(machine.folder.rglob("ledger.db"))


def test_the_main_job_on_real_outputs(place: Place, shared_data: Path) -> None:
    file = shared_data / "teacher-outputs" / "gpt-4o-2024-05-13.json"
    compliance, producer, trainer = (place.machine(role, role) for role in ("compliance", "producer", "trainer"))
    compliance.python(TERMS)
    producer.python(IMPORT.format(format="alpaca-eval", file=str(file), create=True, rows=300))
    trainer.python(ASK)
    compliance.run(*RULE)
    trainer.run("pull", "chat", "--student", "lab/pupil", "--run", "first", "--out", "batch.jsonl")
    records = [json.loads(line) for line in (trainer.folder / "batch.jsonl").read_text().splitlines()]
    assert [record["response"] for record in records] == [item["output"] for item in json.loads(file.read_bytes())]


def test_a_wrong_setting_is_a_sentence(place: Place) -> None:
    trainer = place.machine("trainer", "trainer")
    for changed, code, text in (
        ({"INBOND_POLICY": ""}, 2, "expected INBOND_POLICY to name a tlog-policy file"),
        ({"INBOND_GENESIS": "0" * 64}, 3, f"expected the registry of genesis {'0' * 64}"),
    ):
        done = Machine(trainer.folder, trainer.environment | changed).run("student", "list", code=code, alone=code == 2)
        assert text in done.err
        assert "Traceback" not in done.err
