"""How a verdict is shown, and with which status a command leaves."""

from inbond.api.cli.output import style

EXIT = {"proved": 0, "clean": 0, "ok": 0, "differs": 3, "FAILED": 3, "inconclusive": 6}


def verdict_lines(verdict: str, problems: list[str], unchecked: list[str]) -> list[str]:
    """What differs, what was not checked, and the verdict as the last line."""
    lines = [f"{style('differs:', 'red', bold=True)} {problem}" for problem in problems]
    lines += [f"{style('not checked:', 'yellow')} {text}" for text in unchecked]
    return [*lines, verdict_line(verdict)]


def verdict_line(verdict: str) -> str:
    """The verdict, in its colour."""
    return style(verdict, {0: "green", 3: "red"}.get(EXIT[verdict], "yellow"), bold=True)
