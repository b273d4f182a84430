"""Formats that commands read and write: their options on the line, and their descriptions."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from inbond.api.cli.output import style

if TYPE_CHECKING:
    from inbond.registry.exporters import Exporter
    from inbond.registry.importers import Importer

F = TypeVar("F", bound=Callable[..., None])


def writing_options(function: F) -> F:
    """The options of a command that can write data in a format of others."""
    function = click.option("--option", "options", multiple=True, metavar="K=V", help="An option of the format.")(function)
    text = "bundle, or a format of others: inbond dataset export --list (bundle)."
    return click.option("--format", default="bundle", metavar="NAME", help=text)(function)


def options_of(given: tuple[str, ...]) -> dict[str, str]:
    """Options of a format, each K=V."""
    options = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals:
            raise click.UsageError(f"--option: expected NAME=VALUE, found {item!r}.")
        options[name] = value
    return options


def described(formats: "Iterable[Importer | Exporter]") -> list[dict[str, Any]]:
    """Formats as --json has them."""
    return [
        {
            "name": each.name,
            "version": each.version,
            "describes": each.describes,
            "example": each.example,
            "options": each.options,
        }
        for each in formats
    ]


def described_in_lines(formats: "Iterable[Importer | Exporter]") -> list[str]:
    """Formats for people: what each is, an example, and its options."""
    lines: list[str] = []
    for each in formats:
        lines += [f"{style(each.name, bold=True)}  {each.describes}", "    " + each.example.replace("\n", "\n    ")]
        for option in each.options:
            default = f"; {option.default} unless given" if option.default else ""
            values = f" ({' or '.join(option.values)}{default})" if option.values else ""
            lines.append(f"    --option {option.name}=…  {option.describes}{values}")
    return lines
