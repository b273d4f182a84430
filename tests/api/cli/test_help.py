import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from inbond.api.cli.main import cli
from tests.api.cli.shell import run

HEAVY = ("litestar", "numpy", "polars", "pyarrow", "sqlalchemy", "sqlmodel")
COMMANDS = [
    "backup", "check", "database-check", "database-downgrade", "database-upgrade", "dataset-derive", "dataset-export",
    "dataset-list", "dataset-show", "dataset-trim", "decide-ask", "decide-list", "decide-rule", "declare", "demo", "doctor",
    "import", "init", "inspect", "key-add", "key-list", "key-record", "key-revoke", "key-rotate", "key-sign", "lineage",
    "log-audit", "log-export", "log-head", "log-prove", "log-refresh", "log-show", "log-watch", "operator-set",
    "operator-show", "party-add", "party-list", "prove-record", "pull", "rebuild", "recall", "report-check", "report-list",
    "report-new", "report-show", "report-verify", "restore", "run-close", "run-list", "serve", "source-add", "source-list",
    "student-add", "student-evaluation", "student-list", "student-obligations", "student-release", "student-show",
    "teacher-add", "teacher-list", "teacher-show", "terms-accept", "terms-acceptances", "terms-add", "terms-catalogue",
    "terms-diff", "terms-fact-add", "terms-fact-list", "terms-impact", "terms-list", "terms-odrl", "terms-review",
    "terms-show", "terms-timeline", "token-add", "token-list", "token-revoke", "used-by", "verify", "witness-key",
    "witness-serve", "witness-status",
]  # fmt: skip


def walk(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from walk(command, (*path, name))


LEAVES = [(path, command) for path, command in walk() if not isinstance(command, click.Group)]


def test_these_are_the_commands() -> None:
    assert sorted("-".join(path) for path, _ in LEAVES) == COMMANDS


def test_every_command_stands_in_a_panel_of_the_first_screen() -> None:
    shown = run("--help").out
    assert "Commands:" not in shown  # where rich-click puts those that have no panel
    for name in cli.commands:
        assert f"  {name} " in shown
    assert all(len(line.rstrip()) <= 80 for line in shown.splitlines())


@pytest.mark.parametrize(("path", "command"), list(walk()), ids=lambda value: "-".join(value) if isinstance(value, tuple) else "")
def test_every_command_explains_itself(path: tuple[str, ...], command: click.Command) -> None:
    done = run(*path, "--help")
    assert done.code == 0
    assert (command.help or "").partition("\n")[0].endswith(".")
    assert f"Example:\n  inbond {path[0]}" in done.out
    assert "--json" in done.out
    assert "--registry" in done.out
    assert "[dim]" not in done.out


def test_a_noun_alone_shows_its_commands() -> None:
    done = run("log")
    assert done.code == 2
    assert "audit" in done.out


def test_help_imports_nothing_heavy() -> None:
    lines = [[*path, "--help"] for path, _ in walk()] + [["--help"], ["improt"], ["import"]]
    program = (
        "import json, sys\n"
        "from inbond.api.cli.main import cli\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    cli.run(words)\n"
        f"print('loaded:', sorted(set(sys.modules) & set({HEAVY!r})))\n"
        "from inbond.registry.registry import Registry\n"
        f"print('loaded:', sorted(set(sys.modules) & set({HEAVY!r})))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, json.dumps(lines)], capture_output=True, text=True, check=True)
    help, opened = done.stdout.splitlines()[-2:]
    assert help == "loaded: []"
    assert opened == "loaded: ['sqlalchemy', 'sqlmodel']"  # what reads no shard does not load what does


def test_the_command_itself_runs_anywhere(tmp_path: Path) -> None:
    inbond = Path(sys.executable).with_name("inbond")
    done = subprocess.run([inbond, "--version"], capture_output=True, text=True, cwd=tmp_path, env=os.environ, check=True)
    assert done.stdout.startswith("inbond ")
