"""Running command lines in this process, and something to import."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from inbond.api.cli.main import cli

TEACHER = "openai/gpt-4o@2024-05-13"


@dataclass
class Done:
    """What a command line left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def problem(self) -> Any:
        return json.loads(self.err)


def run(*words: object) -> Done:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    return Done(result.exit_code, result.stdout, result.stderr)


def ok(*words: object) -> Done:
    done = run(*words)
    assert done.code == 0, done
    return done


def write_chats(path: Path, count: int, start: int = 0) -> Path:
    lines = []
    for at in range(start, start + count):
        turns = [{"role": "user", "content": f"What is {at} + 1?"}, {"role": "assistant", "content": f"It is {at + 1}."}]
        lines.append(json.dumps({"messages": turns}) + "\n")
    path.write_text("".join(lines))
    return path
