"""Data that leaves: dataset export."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inbond.api.cli.commands import Session, command
from inbond.api.cli.data import dataset
from inbond.api.cli.formats import described, described_in_lines, options_of, writing_options
from inbond.api.cli.output import plural, style
from inbond.api.cli.progress import progress

if TYPE_CHECKING:
    from inbond.registry.delivering import Delivered

_BUNDLE = "whole shards as they are, with all that inbond-verify needs; what is written unless another is named"


@command(
    "export",
    """inbond dataset export chat@1 chat-bundle --to acme
    inbond dataset export chat@1 chat-messages --format messages
    inbond dataset export --list""",
    of=dataset,
)
@click.argument("name", metavar="DATASET", required=False)
@click.argument("dir", type=click.Path(path_type=Path), required=False)
@click.option("--to", "recipient", metavar="PARTY", help="Who gets it (recorded as not known unless given).")
@writing_options
@click.option("--split", metavar="NAME", help="The split to write (all); a bundle holds all.")
@click.option("--list", "list_formats", is_flag=True, help="Describe the formats, and stop.")
def export(
    session: Session,
    name: str | None,
    dir: Path | None,
    recipient: str | None,
    format: str,
    options: tuple[str, ...],
    split: str | None,
    list_formats: bool,
) -> None:
    """Write a dataset version to DIR with its evidence, for others.

    Exporting records a delivery in the ledger, before the first byte leaves. A bundle holds whole shards; it can be checked by
    `inbond-verify` with your policy.txt and genesis hash alone. In other formats trainers read the rows at once: lineage.json
    says what they are made of, and receipts prove what it says of shards, teachers and terms.
    """
    if list_formats:
        return _formats(session)
    if name is None or dir is None:
        raise click.UsageError("Expected a DATASET (inbond dataset list) and a DIR to write.")
    with session.open() as registry, progress(session.output) as tell:
        done = registry.export_dataset(
            name, dir, recipient=recipient, progress=tell, format=format, format_options=options_of(options), split=split
        )
        genesis = registry.place.genesis.hex()
    data, lines = delivered(done)
    session.output.answer({**data, "genesis": genesis}, lines)
    session.output.say(f"the delivery is on record; check it: inbond verify {dir}")


def delivered(done: "Delivered") -> tuple[dict[str, Any], list[str]]:
    """What a folder holds that was delivered, as data and as lines."""
    data = {"folder": str(done.folder), "deliveries": done.deliveries, "objects": done.objects, "receipts": done.receipts}
    beside = f"{plural(done.objects, 'object')}, {plural(done.receipts, 'receipt')} in {done.folder}"
    if not done.files:
        return {**data, "shards": done.shards}, [f"{plural(done.shards, 'shard')}, {beside}"]
    lines = [f"{plural(done.records, 'record')} in {plural(done.files, 'file')}, {beside}"]
    lines += [f"left out: {plural(count, 'record')} ({reason})" for reason, count in sorted(done.left_out.items())]
    return {**data, "files": done.files, "records": done.records, "left_out": done.left_out}, lines


def _formats(session: Session) -> None:
    from inbond.registry.exporters import EXPORTERS

    formats = EXPORTERS.values()
    lines = [f"{style('bundle', bold=True)}  {_BUNDLE}", *described_in_lines(formats)]
    session.output.answer({"formats": [{"name": "bundle", "describes": _BUNDLE}, *described(formats)]}, lines)


COMMANDS: tuple[click.Command, ...] = ()
