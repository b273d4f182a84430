"""A small registry, made once by commands, and copied for each test that wants one."""

import shutil
from pathlib import Path

import pytest

from tests.api.cli.shell import TEACHER, ok, write_chats


@pytest.fixture(autouse=True)
def _no_registry_near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("INBOND_REGISTRY", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry in which a student has pulled a dataset of 20 records and was released."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INBOND_STATE", str(folder / "state"))
        patch.chdir(folder)
        chats = write_chats(folder / "chat.jsonl", 20)
        (folder / "tos.txt").write_text("Train if we say so.\n")
        (folder / "weights.bin").write_bytes(b"weights")
        ok("init", "warehouse", "--origin", "example.org/warehouse")
        patch.chdir(folder / "warehouse")
        ok("import", "messages", chats, "--teacher", TEACHER, "--create")
        ok("student", "add", "acme/mini")
        ok("terms", "add", folder / "tos.txt", "--teacher", TEACHER, "--effective", "2024-01-31")
        ok("decide", "rule", "--student", "acme/mini", "--terms", "tos", "permit", "--grounds", "reviewed")
        ok("pull", "chat", "--student", "acme/mini", "--run", "first", "--out", folder / "batch.jsonl")
        ok("run", "close", "first", "--outcome", "released")
        ok("student", "release", "acme/mini", folder / "weights.bin")
    return folder


@pytest.fixture
def warehouse(_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that registry, which is the current folder; its files lie beside it."""
    for item in _made.iterdir():
        if item.is_dir():
            shutil.copytree(item, tmp_path / item.name)
        else:
            shutil.copy(item, tmp_path)
    monkeypatch.chdir(tmp_path / "warehouse")
    return tmp_path / "warehouse"
