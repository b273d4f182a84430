"""Blocks of README and docs as something that runs: shell sessions with what they print, and files that they name."""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from click.testing import CliRunner

from inbond.api.cli.main import cli

FENCE = re.compile(r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<kind>\S+)\n(?P<text>.*?)```", re.DOTALL)

Execute = Callable[[str, Path], tuple[int, str]]
"""(command, folder) → exit code, and what was printed to both streams."""

_COMMAND = re.compile(r"(?m)^\$ ")
_EXIT = re.compile(r"\s+# exit (\d+)$")
_OF_THE_SHELL = set("|&;<>()$`*?#~=\n")


def fences(text: str) -> Iterator[re.Match[str]]:
    """Every fenced block of a page: `kind`, `text`, and `file` where a comment before it names the file that it is."""
    return FENCE.finditer(text)


@dataclass
class Shell:
    """Commands of a page, one after the other, in `environment`; `ran` counts them.

    `cd` moves `here`, `export` changes the environment, and what ends in `&` runs until `close`; a server among those is
    waited for.
    """

    here: Path
    executing: Callable[[Mapping[str, str]], Execute]
    environment: dict[str, str]
    ran: int = 0
    _beside: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def session(self, text: str) -> None:
        """Run each `$ command`, and raise AssertionError where its exit code (`# exit N`) or what it prints is another.

        `…` in the expected text stands for anything; a line of it, for any number of lines.
        """
        for part in _COMMAND.split(text)[1:]:
            line, _, expected = part.partition("\n")
            command = _EXIT.sub("", line)
            wanted = int(match[1]) if (match := _EXIT.search(line)) else 0
            self.ran += 1
            if command.startswith("cd "):
                self.here = (self.here / command[3:]).resolve()
            elif command.startswith("export "):
                self._export(command)
            elif command.endswith("&"):
                self._start(command)
            else:
                code, found = self.executing(self.environment)(command, self.here)
                assert code == wanted, f"$ {command}\nexpected exit code {wanted}, found {code}\n{found}"
                assert is_like(found, expected), f"$ {command}\nexpected:\n{expected}\nfound:\n{found}"

    def close(self) -> None:
        """End what still runs."""
        for process in self._beside:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)

    def _export(self, command: str) -> None:
        done = subprocess.run(
            ["bash", "-c", f"{command}; env -0"], cwd=self.here, env=self.environment, capture_output=True, check=True, timeout=30
        )
        self.environment = dict(item.split("=", 1) for item in done.stdout.decode().rstrip("\0").split("\0"))

    def _start(self, command: str) -> None:
        process = subprocess.Popen(
            ["bash", "-c", command.removesuffix("&")], cwd=self.here, env=self.environment, start_new_session=True
        )
        self._beside.append(process)
        if match := re.search(r"> (\S+) 2>&1", command):
            log, ends = self.here / match[1], time.monotonic() + 60
            while "listening on" not in (log.read_text() if log.exists() else ""):
                assert time.monotonic() < ends, f"$ {command}\nexpected it to listen, found {log.read_text()}"
                assert process.poll() is None, f"$ {command}\nended with {process.returncode}: {log.read_text()}"
                time.sleep(0.1)


def is_like(found: str, expected: str) -> bool:
    """Whether `expected`, in which `…` stands for anything, fits `found`."""
    pattern = "".join(r"[\s\S]*?" if piece == "…" else re.escape(piece) for piece in re.split("(…)", expected.strip()))
    return re.search(pattern, re.sub(r"[ \t]+\n", "\n", found)) is not None


def in_bash(environment: Mapping[str, str]) -> Execute:
    """Every command in a shell of its own, as somebody types it."""

    def execute(command: str, here: Path) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-c", f"{command} 2>&1"], cwd=here, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        return done.returncode, done.stdout

    return execute


def in_process(environment: Mapping[str, str]) -> Execute:
    """As `in_bash`, but `inbond` without anything of the shell runs in this process, which saves a second each time."""
    shell = in_bash(environment)

    def execute(command: str, here: Path) -> tuple[int, str]:
        if not command.startswith("inbond ") or _OF_THE_SHELL & set(command):
            return shell(command, here)
        with contextlib.chdir(here):
            result = CliRunner(env=dict(environment)).invoke(cli, shlex.split(command)[1:])
        return result.exit_code, result.output

    return execute


def environment_of(folder: Path, bin_folder: Path) -> dict[str, str]:
    """The environment of a page's commands: our programs on the PATH, state under `folder`, no registry named yet."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INBOND_")}
    return kept | {"PATH": f"{bin_folder}:{kept['PATH']}", "INBOND_STATE": str(folder / "state"), "NO_COLOR": "1"}


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
