"""Progress on stderr: bars that go when the work is done, on a terminal only."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inbond.api.cli.output import Output

Tell = Callable[[str, int, int], None]
"""Told (what, done, total) as work goes on; a total of 0 is not known."""


def wanted(output: Output) -> bool:
    """Whether anybody would see a bar."""
    return not output.json and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def progress(output: Output, *, show: bool = True) -> Iterator[Tell | None]:
    """What work can tell its progress to; None where nobody looks, so that it costs nothing.

    With `show` false nobody looks: the records themselves go to the terminal.
    """
    if not (show and wanted(output)):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                for task in tasks.values():
                    bars.update(task, visible=False)
                tasks[what] = bars.add_task(what, total=total or None)
            bars.update(tasks[what], completed=done)

        yield tell


def counting(tell: Tell | None, what: str) -> Callable[[int, int], None] | None:
    """`tell` for work that says (done, total) only."""
    return None if tell is None else lambda done, total: tell(what, done, total)
