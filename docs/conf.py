"""How the pages are built: Sphinx with MyST and furo, and three parts of pages that are made from the code itself."""

import inspect
import re
from collections.abc import Callable
from importlib.metadata import version as version_of

import click
from click.testing import CliRunner
from sphinx.application import Sphinx

from inbond.api.cli.main import cli
from inbond.registry.registry import Registry

project = "inbond"
version = release = version_of("inbond")
extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"inbond {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False


def commands() -> str:
    """Every command with its own `--help`, as it prints it."""
    return "\n".join(_command(("inbond",), cli, 2))


def methods() -> str:
    """Every public method of `Registry` in its own words, and in those of what it says to see."""
    found = [(name, each) for name, each in inspect.getmembers(Registry, callable) if not name.startswith("_")]
    return "\n".join(f"### {name}\n\n{_described(name, each)}" for name, each in found)


def _command(path: tuple[str, ...], command: click.Command, depth: int) -> list[str]:
    shown = CliRunner(env={"NO_COLOR": "1", "COLUMNS": "85"}).invoke(cli, [*path[1:], "--help"]).output
    lines = [line.rstrip() for line in shown.strip().splitlines()]
    page = [f"{'#' * depth} {' '.join(path)}", "", "```text", *lines, "```", ""]
    inner = command.commands if isinstance(command, click.Group) else {}
    return page + [line for name, each in inner.items() for line in _command((*path, name), each, min(depth + 1, 4))]


def _described(name: str, function: Callable[..., object]) -> str:
    said = inspect.getdoc(function) or ""
    page = f"```text\n{name}{_signature(function)}\n```\n\n{said}\n"
    there = vars(inspect.getmodule(function))
    for module, other in re.findall(r"[Ss]ee `(\w+)\.(\w+)`", said):
        seen = getattr(there.get(module), other, None) or there.get(other)
        if inspect.isfunction(seen):
            page += f"\n{_described(other, seen)}"
        elif seen is not None:
            page += f"\n`{other}`: {inspect.getdoc(seen)}\n"
    return page


def _signature(function: Callable[..., object]) -> str:
    """The signature without the object that it is a method of, and without modules' names."""
    text = re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", str(inspect.signature(function)))
    return re.sub(r"^\((?:self|registry: OpenRegistry)(?:, )?", "(", text)


_MADE = {"<!-- made: commands -->": commands, "<!-- made: methods -->": methods}


def _make(app: Sphinx, docname: str, source: list[str]) -> None:
    for mark, maker in _MADE.items():
        if mark in source[0]:
            source[0] = source[0].replace(mark, maker())


def setup(app: Sphinx) -> dict[str, bool]:
    """Let pages hold what is made here, in the place of its mark."""
    app.connect("source-read", _make)
    return {"parallel_read_safe": True}
