"""A server in a process of its own, and what a client on another machine has: a URL, a token, keys, a policy."""

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inbond.api.tokens import TokenStore
from inbond.registry.registry import Registry

INBOND = Path(sys.executable).parent / "inbond"


@dataclass
class Server:
    """A registry's folder and the process that serves it."""

    folder: Path
    state: Path
    url: str = ""
    process: subprocess.Popen[str] | None = None
    log: Path = Path()

    @property
    def policy(self) -> Path:
        return self.folder / "policy.txt"

    def token(self, *roles: str, party: str | None = None) -> str:
        """A new token, of the operator's party unless one is named."""
        with Registry.open(self.folder) as registry:
            who = registry.operator if party is None else registry.resolve(party, "party")
        return TokenStore(self.folder).add(who, roles)[0]

    def start(self, port: int = 0) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        self.log = self.state / "server.log"
        command = [str(INBOND), "--registry", str(self.folder), "serve", "--port", str(port)]
        environment = os.environ | {"INBOND_STATE": str(self.state)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 60)
        line = self.process.stdout.readline() if ready else ""
        assert line.startswith("listening on "), f"expected an address, found {line!r}: {self.log.read_text()[-2000:]}"
        self.url = line.removeprefix("listening on ").strip()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None


@contextmanager
def serving_folder(folder: Path, state: Path) -> Iterator[Server]:
    """Serve the registry in `folder`, on a free port, until the end of the block."""
    server = Server(folder, state)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def client_machine(folder: Path, server: Server, *roles: str) -> Path:
    """A folder as another machine would have: key files of some roles, the policy, a state of its own."""
    keys = folder / "keys"
    keys.mkdir(parents=True, mode=0o700)
    for role in roles:
        shutil.copy2(server.folder / "keys" / f"{role}.key", keys / f"{role}.key")
    shutil.copy2(server.policy, folder / "policy.txt")
    return folder
