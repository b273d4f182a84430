"""Questions: lineage, used-by, inspect."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inbond.api.cli.commands import Session, command
from inbond.api.cli.home import maybe_home
from inbond.api.cli.output import pairs, plural, short, style, table

if TYPE_CHECKING:
    from inbond.registry.lineage import Answer, Hop

_UP = {"made_by": "made by", "provided_by": "provided by", "same_as": "is the student"}
_DOWN = {
    "trained_on_outputs_of": "taught",
    "trained_on": "was read by",
    "initialised_from": "gave its weights to",
    "same_as": "became the teacher",
    "provided_by": "provides",
    "governed_by": "governs",
    "trained_by": "trained",
    "release_of": "was released as",
    "merged_from": "was merged into",
    "corrects": "was corrected as",
    "corrected_by": "corrects",
}


@command("lineage", "inbond lineage acme/mini\ninbond lineage openai --down --as-of 120")
@click.argument("ref")
@click.option("--up", "direction", flag_value="up", default="up", help="What it came from (unless --down is given).")
@click.option("--down", "direction", flag_value="down", help="What it led to.")
@click.option("--depth", type=click.IntRange(min=1), metavar="N", help="At most N levels (all unless given).")
@click.option("--as-of", type=click.IntRange(min=1), metavar="SIZE", help="As of this ledger size (the newest unless given).")
def lineage(session: Session, ref: str, direction: str, depth: int | None, as_of: int | None) -> None:
    """Show what a thing came from, or led to.

    Over weights and over outputs. `recorded` hops follow from what the registry delivered; `claimed` ones somebody declared.
    """
    with session.open() as registry:
        answer = registry.lineage(ref, direction=direction, depth=depth, as_of=as_of)
    lines = [style(answer.names.get(answer.start, answer.start), bold=True), *_tree(answer)]
    if not answer.hops:
        lines.append(f"  nothing on record {'above' if direction == 'up' else 'below'} it")
    session.output.answer(_data(answer), [*lines, "", *_footer(answer, depth)])


@command("used-by", "inbond used-by openai/gpt-4o\ninbond used-by chat@1 --as-of 120")
@click.argument("ref")
@click.option("--as-of", type=click.IntRange(min=1), metavar="SIZE", help="As of this ledger size (the newest unless given).")
def used_by(session: Session, ref: str, as_of: int | None) -> None:
    """List the students that learned from a thing.

    From a party, teacher, terms, dataset or shard, directly or through others.
    """
    with session.open() as registry:
        answer = registry.lineage(ref, direction="down", as_of=as_of)
    named = answer.names
    hops = [hop for hop in answer.hops if hop.src.startswith("student:")]
    rows = [
        (
            named[hop.src],
            named[hop.dst],
            hop.relation.replace("_", " "),
            "-" if hop.rows is None else _rows(hop),
            [named.get(run, run) for run in hop.runs] or "-",
            hop.basis,
        )
        for hop in hops
    ]
    heads = ("student", "from", "how", "rows", "runs", "basis")
    empty = f"no student is on record as having learned from {named.get(answer.start, ref)}"
    session.output.answer(_data(answer, hops), [*table(heads, rows, empty=empty), "", *_footer(answer, None)])


@command("inspect", "inbond inspect shard.parquet")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
def inspect(session: Session, file: Path) -> None:
    """Say what a file is, and where it is on record.

    A shard, a receipt, a bundle, a checkpoint, a proof, a file that was imported.
    """
    from inbond.api.cli.inspecting import inspected
    from inbond.registry.registry import Registry

    home = maybe_home(session.registry)
    if home is None:
        found = inspected(file, None)
    else:
        with Registry.open(home) as registry:
            found = inspected(file, registry)
    where = found.on_record or ("nowhere here" if home else "no registry is near to look in: --registry DIR")
    data = {"file": str(file), "is": found.what, "on_record": list(found.refs), **found.data}
    items: list[tuple[str, Any]] = [("is", found.what), *((name, value) for name, value in found.data.items())]
    session.output.answer(data, [str(file), *(f"  {line}" for line in pairs([*items, ("on record", where)], whole=True))])


def _tree(answer: "Answer") -> list[str]:
    """The walk as a tree: a thing that was met before is not unfolded again."""
    nearer, further = ("src", "dst") if answer.direction == "up" else ("dst", "src")
    below: dict[str, list[Hop]] = {}
    for hop in answer.hops:
        below.setdefault(getattr(hop, nearer), []).append(hop)
    lines: list[str] = []
    unfolded = {answer.start}

    def unfold(ref: str, indent: str) -> None:
        hops = below.get(ref, [])
        for at, hop in enumerate(hops):
            last = at + 1 == len(hops)
            end = getattr(hop, further)
            again = end in unfolded
            words = (_UP if answer.direction == "up" else _DOWN).get(hop.relation, hop.relation.replace("_", " "))
            name = style(short(answer.names.get(end, end)), bold=True)
            basis = style(hop.basis, "green" if hop.basis == "recorded" else "yellow")
            more = " (above)" if again and below.get(end) else ""
            lines.append(f"{indent}{'└─' if last else '├─'} {words} {name} · {basis}{more}")
            inner = indent + ("   " if last else "│  ")
            detail = _detail(hop, answer)
            if detail:
                bar = "│" if below.get(end) and not again else " "
                lines.append(f"{inner}{bar}  {style(detail, dim=True)}")
            if not again:
                unfolded.add(end)
                unfold(end, inner)

    unfold(answer.start, "")
    return lines


def _detail(hop: "Hop", answer: "Answer") -> str:
    named = answer.names
    parts = []
    if hop.rows is not None:
        of = f" of {plural(hop.shards, 'shard')}" if hop.shards else ""
        parts.append(f"{_rows(hop)} {'row' if hop.rows == 1 else 'rows'}{of}")
    if hop.datasets:
        parts.append("in " + _some([named.get(each, each) for each in hop.datasets]))
    if hop.runs:
        parts.append("by run " + _some([named.get(each, each) for each in hop.runs]))
    return ", ".join(parts)


def _rows(hop: "Hop") -> str:
    if hop.rows_at_most is not None:
        return f"{hop.rows:,} to {hop.rows_at_most:,}"
    return f"{hop.rows:,}"


def _some(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(short(name) for name in names[:most]) + more


def _footer(answer: "Answer", depth: int | None) -> list[str]:
    lines = [style(f"computed at ledger size {answer.tree_size}", dim=True)]
    if any(hop.rows_at_most is not None for hop in answer.hops):
        lines.append("a range of rows: reporting time passed and the run is not closed, so it is up to all that was granted")
    if answer.truncated:
        why = f"--depth {depth}" if depth else "its size"
        lines.append(style(f"this answer was cut off by {why}: there is more", "yellow"))
    return lines


def _data(answer: "Answer", hops: "list[Hop] | None" = None) -> dict[str, Any]:
    import msgspec

    return {
        "start": answer.start,
        "direction": answer.direction,
        "tree_size": answer.tree_size,
        "truncated": answer.truncated,
        "hops": msgspec.to_builtins(answer.hops if hops is None else hops),
        "names": answer.names,
    }


COMMANDS = (lineage, used_by, inspect)
