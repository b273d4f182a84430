"""The demonstration's server, in another process on a free loopback port, and questions put to the socket itself."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import msgspec

from inbond.api.tokens import TokenStore
from inbond.registry.registry import Registry
from inbond.schemas.errors import InbondError

_SECONDS = 30


@dataclass(frozen=True)
class Socket:
    """A running server. `ask` and `text` are plain HTTP: no code of inbond between the question and its answer."""

    address: str
    pid: int

    def ask(self, path: str, token: str) -> Any:
        """The JSON answer to a question."""
        return msgspec.json.decode(self._get(path, token))

    def text(self, path: str, token: str | None = None) -> bytes:
        """The bytes of an answer."""
        return self._get(path, token)

    def _get(self, path: str, token: str | None) -> bytes:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with urlopen(Request(self.address + path, headers=headers), timeout=_SECONDS) as answer:
            return bytes(answer.read())


@contextmanager
def served(folder: Path, log: Path) -> Iterator[Socket]:
    """Serve the registry in `folder` from a process of its own until the end; its log lines go to the file `log`."""
    command = [sys.executable, "-c", "from inbond.api.cli.main import main; main()", "--registry", str(folder)]
    with log.open("wb") as lines:
        process = subprocess.Popen([*command, "serve", "--port", "0"], stdout=subprocess.PIPE, stderr=lines, text=True)
        try:
            first = process.stdout.readline() if process.stdout else ""
            if not first.startswith("listening on "):
                raise InbondError(f"inbond serve: expected an address, found {first!r}; it said: {log.read_text()[-500:]}")
            yield Socket(first.split()[2], process.pid)
        finally:
            process.terminate()
            process.wait(timeout=_SECONDS)
            if process.stdout:
                process.stdout.close()


def token_for(registry: Registry, party: str, role: str) -> str:
    """A token that ends tomorrow, for `party` to ask as `role`."""
    text, _ = TokenStore(registry.local.folder).add(registry.resolve(party, "party"), (role,), days=1, name="demonstration")
    return text


def trainer(registry: Registry, folder: Path) -> Path:
    """A folder with what a trainer on another machine is given: one key file."""
    folder.mkdir(mode=0o700)
    shutil.copyfile(registry.keys.folder / "trainer.key", folder / "trainer.key")
    os.chmod(folder / "trainer.key", 0o600)
    return folder
