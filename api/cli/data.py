"""Data: import, dataset list|show."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inbond.api.cli.commands import Session, command, noun
from inbond.api.cli.details import Part, listed, shown
from inbond.api.cli.formats import described, described_in_lines, options_of
from inbond.api.cli.output import facts, pairs, plural, table, when
from inbond.api.cli.progress import progress
from inbond.schemas.errors import Conflict

if TYPE_CHECKING:
    from inbond.registry.importers import Rejected
    from inbond.registry.importing import ImportResult
    from inbond.registry.observing import Keeping

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

dataset = noun("dataset", "Dataset versions: immutable lists of rows of shards.", "inbond dataset list")


@command(
    "import",
    """inbond import messages chat.jsonl --teacher openai/gpt-4o@2024-05-13 --create
    inbond import --facts-template > facts.toml
    inbond import alpaca more.json --teacher openai/gpt-4o --facts facts.toml""",
)
@click.argument("format", required=False)
@click.argument("files", nargs=-1, type=FILE, metavar="FILE...")
@click.option("--teacher", metavar="TEACHER", help="Whose outputs these are: PARTY/MODEL@VERSION.")
@click.option("--dataset", metavar="NAME", help="The dataset that gets a new version (the first file's stem unless given).")
@click.option("--append", is_flag=True, help="Add to a dataset that exists, as a new version of it.")
@click.option("--create", is_flag=True, help="Put the teacher and its party on record where they are missing.")
@click.option("--facts", type=FILE, metavar="TOML", help="Declared facts; what it leaves out is recorded as not known.")
@click.option("--on-error", type=click.Choice(("fail", "skip")), default="fail", help="What a malformed record does (fail).")
@click.option("--rejects", type=click.Path(path_type=Path), metavar="FILE", help="Write skipped records' reasons as JSON lines.")
@click.option("--option", "options", multiple=True, metavar="K=V", help="An option of the format; --list shows them.")
@click.option(
    "--logits", type=click.Choice(("exact", "compact", "none")), default="exact", help="How log-probabilities are kept (exact)."
)
@click.option("--tokenizer", metavar="FILE", help="The tokenizer (or its sha256:…) whose ids log-probabilities are about.")
@click.option("--vocabulary", type=click.IntRange(1), metavar="N", help="The model's vocabulary, if not its tokenizer's.")
@click.option(
    "--logprobs", type=click.Choice(("raw", "processed", "unknown")), default="unknown", help="Did sampling settings change them?"
)
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Processes that convert (one a core; 1: this one alone).")
@click.option("--list", "list_formats", is_flag=True, help="Describe the formats, and stop.")
@click.option("--facts-template", is_flag=True, help="Print a TOML file of all facts that can be declared, and stop.")
def import_(
    session: Session,
    format: str | None,
    files: tuple[Path, ...],
    teacher: str | None,
    dataset: str | None,
    create: bool,
    append: bool,
    facts: Path | None,
    on_error: str,
    rejects: Path | None,
    options: tuple[str, ...],
    logits: str,
    tokenizer: str | None,
    vocabulary: int | None,
    logprobs: str,
    jobs: int | None,
    list_formats: bool,
    facts_template: bool,
) -> None:
    """Import files of one teacher's outputs.

    They become signed shards and a dataset version. The same import again changes nothing; an interrupted one goes on.
    """
    if list_formats:
        return _formats(session)
    if facts_template:
        from inbond.registry.import_said import facts_template as template

        return session.output.answer({"template": template()}, template().splitlines())
    if format is None or not files:
        raise click.UsageError("Expected a FORMAT (inbond import --list) and at least one FILE.")
    if teacher is None:
        raise click.UsageError("Missing option '--teacher': whose outputs are these? PARTY/MODEL@VERSION.")
    if rejects is not None and on_error == "fail":
        raise click.UsageError("--rejects goes with --on-error skip.")
    from inbond.registry.facts import load_facts

    declared = load_facts(facts) if facts else None
    with session.open() as registry, progress(session.output) as tell, _rejecting(on_error, rejects) as on_reject:
        result = registry.import_files(
            format,
            files,
            teacher=teacher,
            dataset=dataset or files[0].stem,
            create=create,
            append=append,
            facts=declared,
            options=options_of(options),
            keeping=_keeping(logits, tokenizer, vocabulary, logprobs),
            on_reject=on_reject,
            progress=tell,
            jobs=jobs,
        )
    session.output.answer(_summary(result), _imported(result))
    if result.not_known:
        session.output.say(
            f"{plural(len(result.not_known), 'fact is', 'facts are')} recorded as not known; to declare them: "
            f"inbond declare {result.name} --template > facts.toml"
        )


@command("list", "inbond dataset list", of=dataset)
def list_datasets(session: Session) -> None:
    """List dataset versions."""
    from inbond.registry.listing import ListedDataset

    with session.open() as registry:
        found = listed(registry, ListedDataset)
    rows = [
        (
            item.name,
            item.records,
            item.shards,
            [*item.teachers, *([] if item.all_teachers else ["…"])],
            item.entry,
            item.ref.partition(":")[2],
        )
        for item in found
    ]
    empty = "no datasets yet: inbond import FORMAT FILE --teacher TEACHER --create"
    session.output.answer(
        {"datasets": found}, table(("dataset", "records", "shards", "teachers", "entry", "id"), rows, empty=empty)
    )


@command("show", "inbond dataset show chat@1", of=dataset)
@click.argument("dataset")
def show(session: Session, dataset: str) -> None:
    """Show a dataset version: parts, teachers, declared facts."""
    import msgspec

    from inbond.registry.derivations import derivation_of
    from inbond.registry.versions import parts_of

    with session.open() as registry:
        ref = registry.resolve(dataset, "dataset")
        detail = shown(registry, ref)
        parts = [Part(part.shard, *rows, part.split) for part in parts_of(registry, ref) for rows in part.rows]
        made = registry.lineage(ref, depth=1)
        derived = derivation_of(registry, ref)
        derivation = None if derived is None else msgspec.to_builtins(derived)
        called = registry.called([derived.source]) if derived else {}
    makers = [(made.names[hop.dst], hop.rows, hop.role) for hop in made.hops if hop.relation == "made_by"]
    lines = [
        *pairs([("dataset", detail.name), ("ref", ref), ("entry", f"{detail.entry} of {when(detail.time)}")]),
        "",
        *facts(detail.body, detail.called),
        "",
        *(["derived:", *(f"  {line}" for line in facts(derivation, called)), ""] if derivation else []),
        *table(("teacher", "records", "role"), makers, empty="no teachers"),
        "",
        *table(("shard", "first", "last", "split"), [(p.shard, p.first, p.last, p.split) for p in parts[:20]], empty="no parts"),
        *([f"and {len(parts) - 20:,} more parts (--json lists all)"] if len(parts) > 20 else []),
    ]
    teachers = [{"teacher": name, "records": count, "role": role} for name, count, role in makers]
    session.output.answer({**detail.data(), "derivation": derivation, "teachers": teachers, "parts": parts}, lines)


def _formats(session: Session) -> None:
    from inbond.registry.importers import IMPORTERS

    formats = IMPORTERS.values()
    session.output.answer({"formats": described(formats)}, described_in_lines(formats))


def _keeping(logits: str, tokenizer: str | None, vocabulary: int | None, logprobs: str) -> "Keeping":
    from inbond.registry.observing import Keeping
    from inbond.registry.shards.logits import Level
    from inbond.schemas.statements import LogprobKind

    level = None if logits == "none" else Level(logits)
    return Keeping(level=level, tokenizer=tokenizer, vocabulary=vocabulary, kind=LogprobKind(logprobs))


@contextmanager
def _rejecting(on_error: str, path: Path | None) -> "Iterator[Callable[[Rejected], None] | None]":
    """What takes rejected records: nothing (they fail the import), nobody, or a file of JSON lines."""
    if on_error == "fail":
        yield None
    elif path is None:
        yield lambda _rejected: None
    else:
        import msgspec

        try:
            file = path.open("xb")
        except FileExistsError:
            raise Conflict(f"{path} exists: expected a new file", hint="give another --rejects FILE") from None
        except OSError as error:
            raise click.UsageError(f"--rejects: {path} cannot be written: {error.strerror}.") from None
        with file:

            def keep(rejected: "Rejected") -> None:
                file.write(msgspec.json.encode(rejected) + b"\n")

            yield keep


def _summary(result: "ImportResult") -> dict[str, Any]:
    return {
        "dataset": result.dataset,
        "name": result.name,
        "shards": result.shards,
        "shards_written": result.written,
        "records": result.records,
        "empty_responses": result.empty,
        "rejected": result.rejected,
        "duplicate_ids": result.duplicate_ids,
        "unanswered": result.unanswered,
        "not_known": result.not_known,
        "unchanged": result.unchanged,
    }


def _imported(result: "ImportResult") -> list[str]:
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(result.rejected.items()))
    rejected = f"{sum(result.rejected.values()):,} ({reasons})" if reasons else "0"
    lines = [f"{result.name} is on record already; nothing was written"] if result.unchanged else []
    shards = plural(len(result.shards), "shard")
    already = len(result.shards) - result.written
    unanswered = [("unanswered", plural(result.unanswered, "request"))] if result.unanswered else []
    return lines + pairs(
        [
            ("dataset", result.name),
            ("shards", shards if not already or result.unchanged else f"{shards}, {already:,} of them on record before"),
            ("records", result.records),
            ("empty responses", f"{result.empty:,} (kept)" if result.empty else "0"),
            ("rejected", rejected),
            ("duplicate ids", f"{result.duplicate_ids:,} (kept)" if result.duplicate_ids else "0"),
            *unanswered,
        ]
    )


COMMANDS = (import_, dataset)
