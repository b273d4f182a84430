"""A registry behind a server of its own, for pages that talk to one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from inbond.api.tokens import TokenStore
from inbond.registry import Registry

TEACHER = "openai/gpt-4o@2024-05-13"
CHATS = [("What is a bond?", "A warehouse under seal."), ("Who opens it?", "Two keys and an entry.")]


@dataclass(frozen=True)
class Serving:
    """Where a server is, and a token for it with the roles of all members."""

    folder: Path
    address: str
    token: str


@pytest.fixture
def serving(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    """A server, in a process of its own, whose registry has a student that has read two records."""
    folder = tmp_path_factory.mktemp("served")
    state = str(folder / "state")  # as on a machine of its own
    monkeypatch.setenv("INBOND_STATE", state)
    with Registry.init(folder / "warehouse", "example.org/warehouse") as registry:
        _fill(registry, folder)
        token, _ = TokenStore(registry.folder).add(
            registry.operator, ("producer", "trainer", "compliance", "auditor", "admin"), name="docs"
        )
    process = subprocess.Popen(
        [Path(sys.executable).with_name("inbond"), "--registry", folder / "warehouse", "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"INBOND_STATE": state},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on "), line
        yield Serving(folder / "warehouse", line.removeprefix("listening on ").strip(), token)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _fill(registry: Registry, folder: Path) -> None:
    turns = [[{"role": "user", "content": question}, {"role": "assistant", "content": answer}] for question, answer in CHATS]
    (folder / "chat.jsonl").write_text("".join(json.dumps({"messages": each}) + "\n" for each in turns))
    registry.import_files("messages", [folder / "chat.jsonl"], teacher=TEACHER, dataset="chat", create=True)
    registry.add_terms(b"You may.\n", party="openai", title="terms", effective="2024-05-14", access_path="unknown")
    for student in ("acme/mini", "acme/large"):
        registry.add_student(student)
    asked = registry.ask("acme/mini", "terms", "lessons")
    registry.rule(asked.ref, "permit", "agreed")
    assert len(list(registry.pull("chat", student="acme/mini", run="first"))) == len(CHATS)
