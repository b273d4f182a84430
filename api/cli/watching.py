"""`inbond log watch`: a monitor of anybody's logs."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inbond.api.cli.commands import Session, command
from inbond.api.cli.output import style
from inbond.schemas.errors import InvalidInput

if TYPE_CHECKING:
    from inbond.ledger.watch import Finding

_EXIT = {"ok": 0, "inconclusive": 6, "evidence": 3}
_COLOURS = {"ok": "green", "inconclusive": "yellow", "evidence": "red"}


@command(
    "watch",
    "inbond log watch https://registry.example.org --policy policy.txt --once\ninbond log watch --policy policy.txt --every 300",
)
@click.argument("urls", nargs=-1, metavar="[URL]…")
@click.option("--policy", type=click.Path(path_type=Path), metavar="FILE", help="Logs and witnesses to trust (or INBOND_POLICY).")
@click.option("--once", is_flag=True, help="Look once, and leave with what was found.")
@click.option(
    "--every", type=click.FloatRange(0.1), default=60.0, show_default=True, metavar="SECONDS", help="From one look to the next."
)
@click.option("--for", "lasting", type=click.FloatRange(0), metavar="SECONDS", help="Stop after this time (never).")
@click.option("--max-age", type=click.FloatRange(0), metavar="SECONDS", help="An older newest head is inconclusive.")
@click.option(
    "--timeout", type=click.FloatRange(0.1), default=20.0, show_default=True, metavar="SECONDS", help="For one file of a log."
)
@click.option("--state", type=click.Path(path_type=Path), metavar="FILE", help="What it remembers (in the state folder).")
@click.option("--evidence", type=click.Path(path_type=Path), metavar="DIR", help="Where evidence goes (in the state folder).")
@click.pass_context
def watch(
    context: click.Context,
    session: Session,
    urls: tuple[str, ...],
    policy: Path | None,
    once: bool,
    every: float,
    lasting: float | None,
    max_age: float | None,
    timeout: float,
    state: Path | None,
    evidence: Path | None,
) -> None:
    """Watch logs from outside, yours or other people's.

    Follows each log's checkpoint and what its witnesses show, and checks that each head continues those seen before, from tiles
    that it fetches itself. Without a URL, the logs that the policy gives addresses for. Says what changes.
    Leaves with 3 at two histories of one log, whose evidence it writes out, and with 6 where a log is silent, lags, or is not
    witnessed as the policy wants.
    """
    from inbond.ledger.highwater import state_folder
    from inbond.ledger.watch import Watch
    from inbond.registry.places.environment import policy_of

    if once and lasting is not None:
        raise InvalidInput("watch: expected --once or --for, found both")
    state = state or state_folder() / "watched.db"
    watching = Watch(urls, policy_of(policy), state, evidence or state_folder() / "evidence", max_age=max_age, seconds=timeout)
    with watching:
        context.exit(_watch(session, watching.round, every, 0.0 if once else lasting))


def _watch(session: Session, look: Any, every: float, lasting: float | None) -> int:
    """Look again and again for `lasting` seconds, and tell what changed; the exit code of the last look."""
    end = None if lasting is None else time.monotonic() + lasting
    before: Sequence[Finding] = ()
    while True:
        began = time.monotonic()
        found: Sequence[Finding] = look()
        worst = max((each.verdict for each in found), key=lambda verdict: ["ok", "inconclusive", "evidence"].index(verdict))
        if changed := [each for each in found if each not in before]:
            session.output.answer({"verdict": worst, "logs": [_row(each) for each in found]}, [_line(each) for each in changed])
        before = found
        pause = max(0.0, began + every - time.monotonic())
        if worst == "evidence" or (end is not None and time.monotonic() + pause > end):
            return _EXIT[worst]
        time.sleep(pause)


def _row(each: "Finding") -> dict[str, Any]:
    evidence = None if each.evidence is None else str(each.evidence)
    whole = {"url": each.url, "origin": each.origin, "size": each.size, "verdict": each.verdict}
    return whole | {"text": each.text, "evidence": evidence}


def _line(each: "Finding") -> str:
    named = each.url if each.origin is None else f"{each.url} ({each.origin}, size {each.size:,})"
    return f"{style(each.verdict, _COLOURS[each.verdict], bold=True)}  {named}: {each.text}"
