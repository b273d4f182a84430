"""Withdrawal: recall."""

from typing import TYPE_CHECKING, Any

import click

from inbond.api.cli.commands import Session, command
from inbond.api.cli.data import dataset
from inbond.api.cli.dates import expect_date
from inbond.api.cli.output import pairs, plural, short, style, table, when

if TYPE_CHECKING:
    from inbond.registry.impact import Affected, Impact
    from inbond.registry.recalling import Recalled

CATEGORIES = ("terms", "personal_data", "illegal", "quality", "security", "other")
ACTIONS = ("stop", "delete", "retrain")
SHOWN = 40


class _Rows(click.ParamType[tuple[int, int]]):
    """FIRST:LAST, the last not included."""

    name = "FIRST:LAST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        first, colon, last = str(value).partition(":")
        if colon and first.isascii() and first.isdigit() and last.isascii() and last.isdigit() and int(first) < int(last) < 2**53:
            return int(first), int(last)
        self.fail(f"expected FIRST:LAST, the last not included, such as 0:100, found {value!r}", param, ctx)


@command(
    "recall",
    """inbond recall chat@1 --category terms --reason 'provider withdrew its consent'
    inbond recall shard:4f2a90c1d3e5 --rows 120:121 --category personal_data --reason 'request 17'""",
)
@click.argument("ref")
@click.option("--category", type=click.Choice(CATEGORIES), metavar="CATEGORY", help=f"Why: {', '.join(CATEGORIES)}.")
@click.option("--reason", required=True, metavar="TEXT", help="Why, in words; kept as an erasable object, not in the ledger.")
@click.option("--rows", type=_Rows(), multiple=True, help="Of a shard these rows only, the last not included; may be repeated.")
@click.option("--action", type=click.Choice(ACTIONS), help="What is asked of those it reaches (stop unless given).")
@click.option("--effective", callback=expect_date, metavar="DATE", help="From when nobody may read it (now unless given).")
@click.option("--deadline", callback=expect_date, metavar="DATE", help="By when the action is to be done.")
@click.option("--replacement", metavar="REF", help="A shard or dataset version to use instead.")
@click.option("--lift", is_flag=True, help="REF is a recall: take it back (compliance).")
def recall(
    session: Session,
    ref: str,
    category: str | None,
    reason: str,
    rows: tuple[tuple[int, int], ...],
    lift: bool,
    **options: str | None,
) -> None:
    """Withdraw a shard, rows of it, a dataset version, or all that a teacher made.

    From then on nobody may read the rows, in whatever dataset version they stand; a running pull stops at its next segment.
    The owner's key signs, or the operator's compliance. It lists whom that reaches: bytes that left stay where they are.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if lift and (category or rows or given):
        raise click.UsageError("--lift goes with REF and --reason alone.")
    if not lift and category is None:
        raise click.UsageError("Missing option '--category'.")
    with session.open() as registry:
        if lift or category is None:
            done = registry.lift_recall(ref, reason=reason)
        else:
            done = registry.recall(ref, reason=reason, category=category, rows=rows, **given)
    impact = done.impact
    first = f"{'lifted' if lift else 'recalled'} in entry {done.recorded.seq}: {done.recorded.ref}"
    what = f"{plural(impact.rows, 'row')} of {plural(impact.shards, 'shard')}"
    facts = pairs([("rows", what), ("category", category), ("action", given.get("action")), ("from", when(done.effective))])
    session.output.answer(_data(done), [first, *(f"  {line}" for line in facts), "", *_reached(impact)])
    if not lift:
        session.output.say("to go on without these rows: inbond dataset trim DATASET, and pull that version")


@command("trim", "inbond dataset trim chat", of=dataset)
@click.argument("name")
def trim(session: Session, name: str) -> None:
    """Make a version of a dataset without withdrawn rows.

    It has the parts of the newest version, but for the rows that a recall withdraws now.
    """
    with session.open() as registry:
        version = registry.trim(name)
        data = {"dataset": version.ref, "name": version.name, "unchanged": not version.is_new}
    told = f"{version.name} on record" if version.is_new else f"{version.name} holds no withdrawn rows: nothing to do"
    session.output.answer(data, [told])


def _reached(impact: "Impact") -> list[str]:
    """Whom and what it reaches, nearest first, and what that means for bytes and for runs."""
    named = impact.names
    rows = [
        (item.kind, named[item.ref], "-" if item.rows is None else _rows(item), item.depth, named[item.owner], item.entry)
        for item in impact.affected[:SHOWN]
    ]
    lines = table(("reaches", "name", "rows", "steps", "of", "entry"), rows, empty="nothing on record was made from these rows")
    if len(impact.affected) > SHOWN:
        lines.append(f"… and {len(impact.affected) - SHOWN:,} more: --json lists them")
    if impact.truncated:
        lines.append(style("this list was cut off: there is more", "yellow"))
    left = sum(item.kind == "delivery" for item in impact.affected)
    if left:
        lines.append(style(f"bytes are out: {plural(left, 'delivery', 'deliveries')}, which nobody here can take back", "yellow"))
    if impact.open_runs:
        names = ", ".join(short(named[run]) for run in impact.open_runs[:3])
        more = f" and {len(impact.open_runs) - 3} more" if len(impact.open_runs) > 3 else ""
        lines.append(f"open runs whose plan holds the rows: {names}{more}")
    return [*lines, style(f"computed at ledger size {impact.tree_size}", dim=True)]


def _rows(item: "Affected") -> str:
    return f"{item.rows:,}" if item.rows_at_most is None else f"{item.rows:,} to {item.rows_at_most:,}"


def _data(done: "Recalled") -> dict[str, Any]:
    import msgspec

    told = msgspec.to_builtins(done.impact)
    return {"ref": done.recorded.ref, "entry": done.recorded.seq, "effective": done.effective, "targets": done.targets, **told}


COMMANDS = (recall,)
