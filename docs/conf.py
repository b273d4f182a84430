"""How the pages are built: Sphinx with MyST and furo, and three parts of pages that are made from the code itself."""

import inspect
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
    """Every public method of `Registry` with its own first words."""
    found = [(name, each) for name, each in inspect.getmembers(Registry, callable) if not name.startswith("_")]
    return "\n".join(_method(name, each) for name, each in found)


def _command(path: tuple[str, ...], command: click.Command, depth: int) -> list[str]:
    shown = CliRunner(env={"NO_COLOR": "1", "COLUMNS": "85"}).invoke(cli, [*path[1:], "--help"]).output
    lines = [line.rstrip() for line in shown.strip().splitlines()]
    page = [f"{'#' * depth} {' '.join(path)}", "", "```text", *lines, "```", ""]
    inner = command.commands if isinstance(command, click.Group) else {}
    return page + [line for name, each in inner.items() for line in _command((*path, name), each, min(depth + 1, 4))]


def _method(name: str, method: Callable[..., object]) -> str:
    said = inspect.getdoc(method) or ""
    return f"### {name}\n\n```text\n{name}{inspect.signature(method)}\n```\n\n{said}\n"


_MADE = {"<!-- made: commands -->": commands, "<!-- made: methods -->": methods}


def _make(app: Sphinx, docname: str, source: list[str]) -> None:
    for mark, maker in _MADE.items():
        if mark in source[0]:
            source[0] = source[0].replace(mark, maker())


def setup(app: Sphinx) -> dict[str, bool]:
    """Let pages hold what is made here, in the place of its mark."""
    app.connect("source-read", _make)
    return {"parallel_read_safe": True}
