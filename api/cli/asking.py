"""Questions: lineage, used-by, inspect."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inbond.api.cli.commands import Session, command
from inbond.api.cli.home import expect_file_or_folder, maybe_home
from inbond.api.cli.output import pairs, plural, short, style, table, when
from inbond.schemas.errors import InvalidInput

if TYPE_CHECKING:
    from inbond.registry.learners import Learner, Learners
    from inbond.registry.lineage import Answer, Hop

CLOCKS = ("consumed", "generated", "acquired", "released")

SHOWN_DEPTH = 40
_UP = {"made_by": "made by", "logits_of": "log-probabilities of", "provided_by": "provided by", "same_as": "is the student"}
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
    "derived_from": "was made into",
    "logits_of": "was scored in",
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


@command(
    "used-by", "inbond used-by openai/gpt-4o\ninbond used-by openai --clock released --since 2026-08-02\ninbond used-by chat@1"
)
@click.argument("ref")
@click.option(
    "--clock", type=click.Choice(CLOCKS), metavar="CLOCK", help=f"Of which time to speak: {', '.join(CLOCKS)} (consumed)."
)
@click.option("--since", metavar="TIME", help="Only what was then or later, or whose time is not known.")
@click.option("--until", metavar="TIME", help="Only what was then or before, or whose time is not known.")
@click.option("--as-of", type=click.IntRange(min=1), metavar="SIZE", help="As of this ledger size (the newest unless given).")
def used_by(session: Session, ref: str, clock: str | None, since: str | None, until: str | None, as_of: int | None) -> None:
    """List the students that learned from a thing.

    From a party or teacher, by one of several clocks; from terms, a dataset or a shard. Directly or through others. The
    basis is that of the whole way to the student: `claimed` as soon as one hop was declared.
    """
    with session.open() as registry:
        start = registry.resolve(ref, size=as_of)
        if start.startswith(("party:", "teacher:")):
            found = registry.learners(start, since=since, until=until, clock=clock or "consumed", as_of=as_of)
            session.output.answer(*_learners(found))
            return
        if clock or since or until:
            raise InvalidInput(f"used-by: expected a party or teacher with --clock, --since or --until, found {ref}")
        answer = registry.lineage(start, direction="down", as_of=as_of)
    session.output.answer(*_readers(answer))


def _learners(found: "Learners") -> tuple[dict[str, Any], list[str]]:
    named = found.names
    rows = [
        (
            short(named[each.student]),
            short(named[each.teacher]),
            "directly" if each.depth == 1 else "through " + _some([named.get(ref, ref) for ref in each.through]),
            "-" if each.rows is None else _rows(each),
            ("" if each.complete else "≥ " if each.first else "not known") + (when(each.first) if each.first else ""),
            [short(named.get(run, run)) for run in each.runs] or "-",
            each.basis,
        )
        for each in found.students
    ]
    heads = ("student", "from", "how", "rows", found.clock, "runs", "basis")
    empty = f"no student is on record as having learned from {named.get(found.about, found.about)}"
    lines = [*table(heads, rows, empty=empty), "", style(f"computed at ledger size {found.tree_size}", dim=True)]
    if found.truncated:
        lines.append(style("this answer was cut off by its size: there is more", "yellow"))
    return _plain(found), lines


def _readers(answer: "Answer") -> tuple[dict[str, Any], list[str]]:
    named = answer.names
    basis = _weakest(answer)
    hops = [hop for hop in answer.hops if hop.src.startswith("student:")]
    rows = [
        (
            named[hop.src],
            named[hop.dst],
            hop.relation.replace("_", " "),
            "-" if hop.rows is None else _rows(hop),
            [named.get(run, run) for run in hop.runs] or "-",
            basis(hop),
        )
        for hop in hops
    ]
    heads = ("student", "from", "how", "rows", "runs", "basis")
    empty = f"no student is on record as having learned from {named.get(answer.start, answer.start)}"
    students = [
        {"student": hop.src, "from": hop.dst, "relation": hop.relation, "rows": hop.rows, "runs": hop.runs, "basis": basis(hop)}
        for hop in hops
    ]
    return {**_data(answer), "students": students}, [*table(heads, rows, empty=empty), "", *_footer(answer, None)]


@command("inspect", "inbond inspect shard.parquet")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
def inspect(session: Session, file: Path) -> None:
    """Say what a file is, and where it is on record.

    A shard, with its lineage, columns, sizes and a few records; a receipt, a bundle, a checkpoint, a proof, a file that was
    imported.
    """
    from inbond.api.cli.inspecting import inspected
    from inbond.registry.registry import Registry

    expect_file_or_folder(file)
    home = maybe_home(session.registry)
    if home is None:
        found = inspected(file, None)
    else:
        with Registry.open(home) as registry:
            found = inspected(file, registry)
    where = found.on_record or ("nowhere here" if home else "no registry is near to look in: --registry DIR_OR_URL")
    data = {"file": str(file), "is": found.what, "on_record": list(found.refs), **found.data}
    told = found.data.keys() if found.told is None else found.told
    items = [("is", found.what), *((name.replace("_", " "), found.data[name]) for name in told if name in found.data)]
    about = pairs([*items, ("on record", where)], whole=True)
    session.output.answer(data, [str(file), *(f"  {line}" for line in about), *found.lines])


def _tree(answer: "Answer") -> list[str]:
    """The walk as a tree: a thing that was met before is not unfolded again, nor what lies deeper than a screen is wide."""
    nearer, further = ("src", "dst") if answer.direction == "up" else ("dst", "src")
    below: dict[str, list[Hop]] = {}
    for hop in answer.hops:
        below.setdefault(getattr(hop, nearer), []).append(hop)
    lines: list[str] = []
    unfolded = {answer.start}
    cut = False
    waiting = [_branch(below, answer.start, "", 0)]  # a stack: a chain may be longer than calls may be nested
    while waiting:
        step = next(waiting[-1], None)
        if step is None:
            waiting.pop()
            continue
        hop, last, indent, depth = step
        end = getattr(hop, further)
        again, more = end in unfolded, ""
        if below.get(end) and again:
            more = " (above)"
        elif below.get(end) and depth == SHOWN_DEPTH:
            more, cut = " …", True
        deeper = not (again or more)
        words = (_UP if answer.direction == "up" else _DOWN).get(hop.relation, hop.relation.replace("_", " "))
        name = style(short(answer.names.get(end, end)), bold=True)
        basis = style(hop.basis, "green" if hop.basis == "recorded" else "yellow")
        lines.append(f"{indent}{'└─' if last else '├─'} {words} {name} · {basis}{more}")
        inner = indent + ("   " if last else "│  ")
        detail = _detail(hop, answer)
        if detail:
            lines.append(f"{inner}{'│' if deeper and below.get(end) else ' '}  {style(detail, dim=True)}")
        if deeper:
            unfolded.add(end)
            waiting.append(_branch(below, end, inner, depth))
    if cut:
        lines += ["", style(f"… what lies more than {SHOWN_DEPTH} hops away is not shown: --json lists it", "yellow")]
    return lines


def _branch(below: "dict[str, list[Hop]]", ref: str, indent: str, depth: int) -> "Iterator[tuple[Hop, bool, str, int]]":
    """The hops below a thing at a depth, each with whether it is the last, its indentation and its own depth."""
    hops = below.get(ref, [])
    return ((hop, at + 1 == len(hops), indent, depth + 1) for at, hop in enumerate(hops))


def _weakest(answer: "Answer") -> "Callable[[Hop], str]":
    """The basis of the whole way from the start down to a hop's student: recorded if one such way is recorded throughout."""
    below: dict[str, list[Hop]] = {}
    for hop in answer.hops:
        below.setdefault(hop.dst, []).append(hop)
    recorded, waiting = {answer.start}, [answer.start]
    while waiting:
        for hop in below.get(waiting.pop(), ()):
            if hop.basis == "recorded" and hop.src not in recorded:
                recorded.add(hop.src)
                waiting.append(hop.src)
    return lambda hop: hop.basis if hop.dst in recorded else "claimed"


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


def _rows(hop: "Hop | Learner") -> str:
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


def _plain(answer: Any) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(answer)
    return plain


def _data(answer: "Answer") -> dict[str, Any]:
    import msgspec

    return {
        "start": answer.start,
        "direction": answer.direction,
        "tree_size": answer.tree_size,
        "truncated": answer.truncated,
        "hops": msgspec.to_builtins(answer.hops),
        "names": answer.names,
    }


COMMANDS = (lineage, used_by, inspect)
