"""Training: check, pull, run list|close."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from inbond.api.cli.commands import Session, command, noun
from inbond.api.cli.details import listed
from inbond.api.cli.exporting import delivered
from inbond.api.cli.formats import options_of, writing_options
from inbond.api.cli.output import pairs, plural, samples_of, short, style, table
from inbond.api.cli.progress import Tell, progress
from inbond.schemas.errors import Conflict, InvalidInput, StoreError

if TYPE_CHECKING:
    from inbond.registry.gate import Reason
    from inbond.registry.listing import ListedRun
    from inbond.registry.registry import Registry
    from inbond.registry.shards.records import Record

OUTCOMES = ("released", "kept", "abandoned", "failed")
run = noun("run", "Training runs, their state and their end.", "inbond run list")


@command("check", "inbond check chat@1 --student acme/mini")
@click.argument("datasets", nargs=-1, required=True, metavar="DATASET...")
@click.option("--student", required=True, metavar="STUDENT", help="The student that would learn from them.")
def check(session: Session, datasets: tuple[str, ...], student: str) -> None:
    """Ask whether a student may learn from datasets now, and what it would owe.

    By clauses that were read, by rulings, and by recalls; nothing is recorded. Leaves with 0 if it may, with 5 and the commands
    that would settle it if not.
    """
    from inbond.api.cli.obligations import owed, owed_lines
    from inbond.registry.refusing import refusal
    from inbond.schemas.statements import Verdict

    with session.open() as registry:
        ruled = registry.check(datasets, student)
        called, size = ruled.names, ruled.tree_size
        reasons = [
            {
                "teacher": called.get(each.teacher, each.teacher),
                "terms": called.get(each.terms or "", each.terms),
                "verdict": each.verdict.value,
                "decision": each.decision,
                "text": each.text,
                "rule": each.rule,
                "recall": each.recall,
                "shard": each.shard,
                "clause": each.clause,
                "fact": each.fact,
            }
            for each in ruled.reasons
        ]
        rows = [_row(each, said) for each, said in zip(ruled.reasons, reasons, strict=True)]
        owes = owed(ruled.obligations, called)
        data = {
            "verdict": ruled.verdict.value,
            "tree_size": size,
            "reasons": reasons,
            "obligations": owes,
            "clashes": ruled.clashes,
        }
        lines = table(("about", "terms", "clause", "verdict", "rule"), rows, empty="no teachers")
        lines += ["", *owed_lines(owes), *(f"clash: {each}" for each in ruled.clashes)] if owes else []
        session.output.answer(data, [*lines, "", f"{_verdict(ruled.verdict.value)} · computed at ledger size {size}"])
        if ruled.verdict not in (Verdict.PERMITTED, Verdict.PERMITTED_WITH_OBLIGATIONS):
            raise refusal(ruled, ruled.student, called)


def _row(reason: "Reason", said: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """A reason for people: what it is about, the document and its clause, the verdict and the rule."""
    if reason.rule == "recall-1":
        about, under = short(reason.shard or "more shards"), f"withdrawn: {short(reason.recall or 'by recalls')}"
    else:
        about, under = said["teacher"] or "the student", said["terms"] or ""
    return about, under, reason.clause or "", _words(said["verdict"]), reason.rule


@command(
    "pull",
    """inbond pull chat@1 --student acme/mini --run first --out batch.jsonl
    inbond pull chat@1 --student acme/mini --run first | python train.py
    inbond pull chat@1 --student acme/mini --run second --to delivered
    inbond pull chat@1 --student acme/mini --run third --to messages --format messages""",
)
@click.argument("datasets", nargs=-1, required=True, metavar="DATASET...")
@click.option("--student", required=True, metavar="STUDENT", help="The student that learns from them.")
@click.option("--run", "run_name", required=True, metavar="NAME", help="The run, opened if it is new.")
@click.option("--to", type=click.Path(path_type=Path), metavar="DIR", help="Deliver the data to a new folder.")
@writing_options
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write records to a new file (stdout).")
@click.option("--epochs", type=click.IntRange(min=1), default=1, metavar="N", help="Read on until this many epochs (1).")
@click.option("--split", default="train", metavar="NAME", help="The split to read (train).")
def pull(
    session: Session,
    datasets: tuple[str, ...],
    student: str,
    run_name: str,
    to: Path | None,
    out: Path | None,
    epochs: int,
    split: str,
    format: str,
    options: tuple[str, ...],
) -> None:
    """Read datasets into a training run.

    Verified records come as JSON lines, on record before they are handed out. A run that was interrupted goes on where its
    last whole segment ended. With --to the rows leave in files at once, and the run counts as given all of them; a bundle, which
    is written unless --format names another, holds whole shards, so that it counts as given those.
    """
    if to is not None and (out is not None or epochs != 1):
        raise click.UsageError("--to delivers the data to a folder: it goes with neither --out nor --epochs.")
    if to is None and (format != "bundle" or options):
        raise click.UsageError("--format and --option go with --to DIR.")
    if session.output.json and to is None and out is None:
        raise click.UsageError("--json answers with one object: give the records --out FILE, or --to DIR.")
    with session.open() as registry:
        if to is not None:
            how = {"split": split, "format": format, "format_options": options_of(options)}
            return _deliver(session, registry, datasets, student, run_name, to, how)
        if out is not None and out.exists():
            raise Conflict(f"{out} exists: expected a new file, as no record may be lost", hint="give another --out FILE")
        if out is not None and not out.parent.is_dir():
            raise InvalidInput(f"{out}: expected a folder to write in, found none at {out.parent}")
        records = registry.pull(*datasets, student=student, run=run_name, epochs=epochs, split=split)
        before = _state(registry, records.run.ref)
        total = max(0, epochs * len(records) - before.samples)
        count = 0
        with _target(out) as target, progress(session.output, show=not target.isatty()) as tell:
            for segment in records.segments():
                # A segment goes out whole or not at all: one that was cut short comes again with the next pull.
                lines = _lines(_told(segment, tell, count, total))
                target.write(b"".join(lines))
                target.flush()
                count += len(lines)
        after = _state(registry, records.run.ref)
        size = registry.place.head().size
    segments = after.segments - before.segments
    summary = {"run": records.run.ref, "grant": records.grant, "records": count, "segments": segments, "ledger_size": size}
    told = [
        f"{plural(count, 'record')} of run {run_name}: granted and recorded in {plural(segments, 'segment')}, ledger size {size}",
        f"the run is open: inbond run close {run_name} --outcome {'|'.join(OUTCOMES)}",
    ]
    if not count:
        had = f"{plural(epochs, 'epoch')} already, {plural(before.samples, 'sample')}"
        told[0] = f"run {run_name} has read its {had}: --epochs N reads on"
    elif before.samples:
        told[0] += f"; it went on after {plural(before.samples, 'sample')}"
    if out is not None:
        session.output.answer({**summary, "file": str(out)}, pairs([("file", out), ("records", count)]))
    for line in told:
        session.output.say(line)


@command("list", "inbond run list", of=run)
def list_runs(session: Session) -> None:
    """List runs: who read what, and how they ended."""
    from inbond.registry.listing import ListedRun

    with session.open() as registry:
        found = listed(registry, ListedRun)
    rows = [(each.name, each.student, each.datasets, samples_of(each), each.segments, each.outcome or "open") for each in found]
    heads = ("run", "student", "datasets", "samples", "segments", "state")
    session.output.answer({"runs": found}, table(heads, rows, empty="no runs yet: inbond pull DATASET --student S --run NAME"))


def _inputs(given: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for each in given:
        name, equals, rows = each.rpartition("=")
        if not (name and equals and rows.isdecimal()):
            raise click.UsageError(f"--input: expected SOURCE=ROWS, found {each!r}.")
        found[name] = int(rows)
    return found


@command("close", "inbond run close first --outcome kept\ninbond run close first --inputs-complete yes", of=run)
@click.argument("name", metavar="RUN")
@click.option("--outcome", type=click.Choice(OUTCOMES), help="What became of the model; required where the run is open.")
@click.option("--inputs-complete", type=click.Choice(("yes", "no")), help="Whether what is on record is all that it read.")
@click.option("--input", "inputs", multiple=True, metavar="SOURCE=ROWS", help="Rows of a source that it read beside.")
def close_run(session: Session, name: str, outcome: str | None, inputs_complete: str | None, inputs: tuple[str, ...]) -> None:
    """Close a run with the totals of what it was given.

    Its key signs nothing any more. What it read beside that, and whether that was all, can be said later too.
    """
    complete = None if inputs_complete is None else inputs_complete == "yes"
    with session.open() as registry:
        recorded = registry.close_run(name, outcome, complete=complete, inputs=_inputs(inputs))
    data = {"ref": recorded.ref, "entry": recorded.seq, "outcome": outcome}
    done = f"closed in entry {recorded.seq} ({outcome})" if outcome else f"more about it in entry {recorded.seq}"
    session.output.answer(data, [f"run {name} {done}" if outcome else f"run {name}: {done}"])


def _deliver(
    session: Session, registry: "Registry", datasets: tuple[str, ...], student: str, run_name: str, to: Path, how: dict[str, Any]
) -> None:
    with progress(session.output) as tell:
        done = registry.deliver(*datasets, student=student, run=run_name, folder=to, progress=tell, **how)
    session.output.answer(*delivered(done))
    session.output.say(f"run {run_name} counts as exposed to all of it; check the folder: inbond verify {to}")


def _state(registry: "Registry", ref: str) -> "ListedRun":
    from inbond.registry.listing import ListedRun

    [found] = registry.every(ListedRun, ref=ref)
    return found


@contextmanager
def _target(out: Path | None) -> Iterator[IO[bytes]]:
    if out is None:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        file = out.open("xb")
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error.strerror}") from None
    with file:
        yield file


def _told(records: "Iterable[Record]", tell: Tell | None, before: int, total: int) -> "Iterator[Record]":
    for done, record in enumerate(records, before):
        if tell and done % 256 == 0:
            tell("reading", done, total)
        yield record


def _lines(records: "Iterable[Record]") -> list[bytes]:
    import msgspec

    encode = msgspec.json.Encoder().encode
    return [encode(record) + b"\n" for record in records]


def _words(verdict: Any) -> str:
    return str(verdict).replace("_", " ")


def _verdict(verdict: str) -> str:
    return style(_words(verdict), "green" if verdict.startswith("permitted") else "red", bold=True)


COMMANDS = (check, pull, run)
