"""Derivation: dataset derive."""

import click

from inbond.api.cli.commands import Session, command
from inbond.api.cli.data import dataset
from inbond.api.cli.output import pairs
from inbond.api.cli.progress import progress


@command(
    "derive",
    """inbond dataset derive chat@1 chat-long --where "finish_reason = 'stop'"
    inbond dataset derive chat@1 chat-tenth --dedup --sample 10% --seed 7
    inbond dataset derive chat@1 chat-split --split train=0.9 --split test=0.1""",
    of=dataset,
)
@click.argument("source")
@click.argument("name", metavar="NAME[@VERSION]")
@click.option("--where", metavar="SQL", help="Keep records for which this is true of their columns.")
@click.option("--dedup", is_flag=True, help="Of records of equal content keep the first.")
@click.option("--sample", metavar="N", help="Keep so many records, or a fraction (0.1, 10%), by lot.")
@click.option("--split", "splits", multiple=True, metavar="NAME=FRACTION", help="Splits, whose fractions sum to 1, by lot.")
@click.option("--seed", type=click.IntRange(min=0), default=0, metavar="N", help="The seed of the lots (0).")
def derive(
    session: Session,
    source: str,
    name: str,
    where: str | None,
    dedup: bool,
    sample: str | None,
    splits: tuple[str, ...],
    seed: int,
) -> None:
    """Make a dataset version of some rows of another.

    Its parts are rows of the same shards, so that teachers, terms and recalls stay theirs. The steps are taken in the order of
    the options below, and are on record with the version. Lots follow from the content of a record and the seed: it has the
    same fate, and the same split, in every version. The same derivation again changes nothing.
    """
    with session.open() as registry, progress(session.output) as tell:
        done = registry.derive(
            source, name, where=where, dedup=dedup, sample=sample, split=_fractions(splits), seed=seed, progress=tell
        )
    version = done.version
    data = {"dataset": version.ref, "name": version.name, "records": done.rows, "of": done.seen, "splits": done.splits}
    lines = [] if version.is_new else [f"{version.name} is on record already; nothing was written"]
    counts = [f"{split} {count:,}" for split, count in done.splits.items()]
    lines += pairs([("dataset", version.name), ("records", f"{done.rows:,} of {done.seen:,}"), ("splits", counts)])
    session.output.answer({**data, "unchanged": not version.is_new}, lines)


def _fractions(given: tuple[str, ...]) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for each in given:
        name, equals, fraction = each.partition("=")
        if not (name and equals and fraction) or name in found:
            raise click.UsageError(f"--split: expected NAME=FRACTION, each name once, found {each!r}.")
        found[name] = fraction
    return found or None


COMMANDS: tuple[click.Command, ...] = ()
