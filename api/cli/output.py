"""What commands print: answers to stdout, messages to stderr, the same facts as one JSON object with --json.

Whatever comes from a statement or a file is shown with its control characters escaped: a name cannot move the cursor.
"""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import click

from inbond.schemas.errors import InbondError, PolicyDenied

if TYPE_CHECKING:
    from inbond.registry.listing import ListedRun

SHORT = 12
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass
class Output:
    """Where a command's answer and messages go; `json` says in which form."""

    json: bool = False
    remarks: Callable[[], list[str]] = field(default=list)
    """What must be said beside an answer when it is given, such as that no witness has seen yet what it rests on."""

    def answer(self, data: Mapping[str, Any], lines: Iterable[str]) -> None:
        """Print an answer: `data` as one JSON object that names its schema, or `lines` for people."""
        if self.json:
            import msgspec

            path = click.get_current_context().command_path.split()[1:]
            whole = {"schema": f"urn:inbond:cli:{'-'.join(path)}:v1", **data}
            if remarks := self.remarks():
                whole["remarks"] = remarks
            echo(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode())
            return
        for line in lines:
            echo(line)
        for remark in self.remarks():
            echo(f"{style('note:', 'yellow', err=True)} {remark}", err=True)

    def say(self, message: str) -> None:
        """Tell people something beside the answer; silent with --json."""
        if not self.json:
            echo(message, err=True)


def error_lines(error: InbondError) -> list[str]:
    """An error for people: what is wrong, then what to try."""
    message = error.message
    if isinstance(error, PolicyDenied) and "; " in message:  # one line for each reason, as there may be many
        message = message.replace(": ", ":\n", 1).replace("; ", "\n")
    first, *more = message.split("\n")
    lines = [f"{style('error:', 'red', err=True)} {first}", *(f"  {line}" for line in more)]
    return lines + [f"  {style('try:', 'cyan', err=True)} {line}" for line in (error.hint or "").splitlines()]


def problem(error: InbondError) -> dict[str, Any]:
    """An error as an RFC 9457 problem."""
    own = {"type": error.type, "title": error.title, "status": error.status, "detail": error.message}
    hint = {"hint": error.hint} if error.hint else {}
    return {name: _plain(value) for name, value in {**error.members, **own, **hint}.items()}


def echo(text: str, *, err: bool = False) -> None:
    """Print a line, with what a terminal might obey escaped. Styles come from `style` alone."""
    stream: IO[str] = sys.stderr if err else sys.stdout
    pieces = re.split(r"(\x1b\[[0-9;]*m)", text) if coloured(err=err) else [text]
    clean = "".join(piece if at % 2 else _CONTROLS.sub(_escaped, piece) for at, piece in enumerate(pieces))
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(clean.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        if not err:
            stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        error.filename = error.filename or "standard output"
        raise


def coloured(*, err: bool = False) -> bool:
    """Whether styles are shown: on a terminal that has them, unless NO_COLOR says no."""
    stream = sys.stderr if err else sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def style(text: str, colour: str | None = None, *, bold: bool = False, dim: bool = False, err: bool = False) -> str:
    """`text` in a colour, where colours are shown."""
    text = _CONTROLS.sub(_escaped, text)
    return click.style(text, fg=colour, bold=bold or None, dim=dim or None) if coloured(err=err) else text


def short(value: str) -> str:
    """A reference, digest or other hex, cut to what people can compare: its first 12 digits."""
    kind, colon, rest = value.rpartition(":")
    if not re.fullmatch("[0-9a-f]{32,64}", rest):
        return value
    return f"{kind}{colon}{rest[:SHORT]}"


def when(moment: str) -> str:
    """A time of a statement, to the minute."""
    return f"{moment[:10]} {moment[11:16]} UTC" if len(moment) > 10 else moment


def samples_of(run: "ListedRun") -> int | str:
    """How much a run read, as lists show it: what was delivered to it in files is counted in no samples."""
    if not run.delivered:
        return run.samples
    return f"{run.samples:,} and files" if run.samples else "in files"


def plural(count: int, word: str, many: str | None = None) -> str:
    """`1 record`, `2,000 records`."""
    return f"{count:,} {word if count == 1 else many or word + 's'}"


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> list[str]:
    """Columns as lines; numbers to the right. On a terminal that is too narrow the widest column is cut."""
    if not rows:
        return [style(empty, dim=True)]
    cells = [[_cell(value) for value in row] for row in rows]
    right = [all(isinstance(value, int) for value in column) for column in zip(*rows, strict=True)]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    if sys.stdout.isatty():
        excess = sum(widths) + 2 * (len(widths) - 1) - shutil.get_terminal_size().columns
        while excess > 0 and max(widths) > 12:
            widest = widths.index(max(widths))
            widths[widest] -= 1
            excess -= 1
    lines = [style(_row([head.upper() for head in heads], widths, right), dim=True)]
    return lines + [_row(row, widths, right) for row in cells]


def pairs(items: Iterable[tuple[str, object]], *, whole: bool = False) -> list[str]:
    """Names and values, one pair a line; None and empty values are left out. Digests are cut, unless `whole`."""
    most = 999 if whole else 63
    shown = [(name, _cell(value, most=most)) for name, value in items if value is not None and value not in ("", (), [])]
    width = max((len(name) for name, _ in shown), default=0)
    return [f"{style(name.ljust(width), dim=True)}  {value}" for name, value in shown]


def facts(body: Any, called: Mapping[str, str] | None = None) -> list[str]:
    """A statement's body for people: what is known, a line each; then what is not. `called` names references."""
    stated: list[tuple[str, object]] = []
    missing: list[str] = []
    _facts(body, "", stated, missing)
    named = called or {}
    lines = pairs((name, _called(value, named)) for name, value in stated)
    if missing:
        text = f"not known ({len(missing)}): " + ", ".join(missing)
        columns = min(shutil.get_terminal_size().columns, 100)
        lines += [style(line, dim=True) for line in textwrap.wrap(text, columns, subsequent_indent="  ")]
    return lines


def _called(value: object, named: Mapping[str, str]) -> object:
    if isinstance(value, list | tuple):
        return [_called(each, named) for each in value]
    return f"{named[value]} ({short(value)})" if isinstance(value, str) and value in named else value


def _facts(value: Any, path: str, stated: list[tuple[str, object]], missing: list[str]) -> None:
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("known", "na", "unknown"):
        name, inner = next(iter(value.items()))
        if name == "known":
            _facts(inner, path, stated, missing)
        elif name == "unknown":
            missing.append(path if inner == "not_declared" else f"{path} ({inner.replace('_', ' ')})")
        else:
            stated.append((path, f"not applicable ({inner.replace('_', ' ')})"))
    elif isinstance(value, dict) and set(value) == {"digest", "root", "count"}:
        stated.append((path, f"{value['count']:,} in list {short(value['digest'])}"))
    elif isinstance(value, dict) and value:
        for name, inner in value.items():
            _facts(inner, f"{path}.{name}" if path else name, stated, missing)
    elif isinstance(value, list | tuple) and any(isinstance(each, dict) for each in value):
        for at, each in enumerate(value):
            _facts(each, f"{path}[{at}]", stated, missing)
    elif value not in ([], {}, ()):
        stated.append((path, value))


def _cell(value: object, *, most: int = 0) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(each, most=most) for each in value) or "-"
    text = str(value).replace("\n", " ")
    return text if len(text) <= most else short(text)


def _row(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cut = [cell if len(cell) <= width else cell[: width - 1] + "…" for cell, width in zip(cells, widths, strict=True)]
    padded = [cell.rjust(width) if number else cell.ljust(width) for cell, width, number in zip(cut, widths, right, strict=True)]
    return "  ".join(padded).rstrip()


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _plain(value: Any) -> Any:
    if isinstance(value, int | float | bool | list | dict | None):
        return value
    return str(value).encode(errors="backslashreplace").decode()  # a path may hold bytes that are no UTF-8
