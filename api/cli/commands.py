"""How a command is declared: a docstring, an example, and --registry and --json in any place of the line.

Nothing here or in the modules of commands imports the registry before a command runs, so that `--help` is quick.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click
from rich_click import RichCommand, RichGroup, RichHelpConfiguration

from inbond.api.cli.home import find_home
from inbond.api.cli.output import Output

if TYPE_CHECKING:
    from inbond.registry.registry import Registry

HELP = RichHelpConfiguration(
    max_width=100,
    show_arguments=True,
    text_markup="ansi",
    theme="default-slim",
    style_helptext="",
    command_groups={
        "inbond": [
            {"name": "Start", "commands": ["init", "demo", "serve"]},
            {"name": "Use", "commands": ["import", "declare", "check", "pull", "recall"]},
            {"name": "Ask", "commands": ["lineage", "used-by", "inspect"]},
            {"name": "Disclose", "commands": ["report", "operator", "source"]},
            {"name": "Prove", "commands": ["verify", "prove-record", "log", "witness"]},
            {"name": "Manage", "commands": ["party", "teacher", "terms", "dataset", "student", "run", "decide", "key", "token"]},
            {"name": "Look after", "commands": ["doctor", "backup", "restore", "rebuild", "database"]},
        ]
    },
)
CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "rich_help_config": HELP}


@dataclass
class Session:
    """What one line of the shell asks for beside its command: which registry, and which form of answer."""

    registry: str | None = None
    accept_clock: bool = False
    output: Output = field(default_factory=Output)

    @contextmanager
    def open(self) -> Iterator["Registry"]:
        """The registry that the line means, closed at the end. Raises NotFound when there is none."""
        from inbond.registry.registry import Registry

        with Registry.open(find_home(self.registry), accept_clock=self.accept_clock) as registry:
            self.output.remarks = registry.place.remarks
            yield registry


class _Everywhere:
    """Adds the options that every command and group takes."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        params: list[click.Parameter] = super().get_params(ctx)  # type: ignore[misc]
        *own, helping = params if params and params[-1].name == "help" else (*params, None)
        return [*own, *_options(), *([helping] if helping else [])]

    def format_epilog(self, ctx: click.Context, formatter: Any) -> None:
        """Write the example as it stands: lines of a shell must not be wrapped into each other."""
        from rich.text import Text

        formatter.write(Text("Example:", style="bold"))
        for line in inspect.cleandoc(self.epilog or "").splitlines():  # type: ignore[attr-defined]
            formatter.write(Text(f"  {line}", no_wrap=True, overflow="ignore"))


class Command(_Everywhere, RichCommand):
    """A command."""


class Group(_Everywhere, RichGroup):  # type: ignore[misc]  # rich-click's own bases disagree
    """A noun with commands."""


def command(name: str, example: str, *, of: click.Group | None = None) -> Callable[[Callable[..., None]], click.Command]:
    """Declare a command: its docstring is the help, `example` one or more lines of a shell below it.

    The function gets the Session first, then its parameters. `of` is the noun that the command belongs to.
    """

    def declare(function: Callable[..., None]) -> click.Command:
        made = click.command(name, cls=Command, epilog=example, context_settings=CONTEXT)(click.pass_obj(function))
        if of is not None:
            of.add_command(made)
        return made

    return declare


def noun(name: str, help: str, example: str) -> click.Group:
    """A group of commands."""
    return Group(name=name, help=help, epilog=example, context_settings=CONTEXT)


def _options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--registry"],
            metavar="DIR_OR_URL",
            expose_value=False,
            callback=_set_registry,
            help="The registry (or INBOND_REGISTRY, or nearest above).",
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_set_json,
            help="Answer with one JSON object.",
        ),
        click.Option(
            ["--accept-clock"],
            is_flag=True,
            expose_value=False,
            hidden=True,
            callback=_set_accept_clock,
            help="Write although the clock reads more than an hour before the newest entry.",
        ),
    ]


def _set_registry(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    session = ctx.ensure_object(Session)
    if value is not None:
        session.registry = value


def _set_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    session = ctx.ensure_object(Session)
    session.output.json = session.output.json or value


def _set_accept_clock(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    session = ctx.ensure_object(Session)
    session.accept_clock = session.accept_clock or value
