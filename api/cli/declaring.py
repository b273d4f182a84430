"""Facts declared later: declare."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inbond.api.cli.commands import Session, command
from inbond.api.cli.output import plural, style

if TYPE_CHECKING:
    from inbond.registry.declaring import Declaration

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@command(
    "declare",
    """inbond declare chat@1 --template > facts.toml
    inbond declare chat@1 --facts facts.toml""",
)
@click.argument("ref")
@click.option("--facts", type=FILE, metavar="TOML", help="What is known now; the rest stays as it is on record.")
@click.option("--template", is_flag=True, help="Print a TOML file of what is not known yet, to fill in.")
@click.option("--correct", is_flag=True, help="Let the file change facts that are known already, as they were wrong.")
@click.option("--reason", metavar="TEXT", help="Why; kept as an erasable object, not in the ledger.")
def declare(session: Session, ref: str, facts: Path | None, template: bool, correct: bool, reason: str | None) -> None:
    """Declare facts that were not known when something was put on record.

    Of a party, the operator, a teacher, terms, a source, a shard (with a dataset: of every shard in it), a student or a
    release. They count from their entry on; every answer as of an earlier size stays what it was.
    """
    if (facts is None) is not template or (template and (correct or reason)):
        raise click.UsageError("Expected either --facts TOML, or --template alone.")
    from inbond.registry.current import FIXED
    from inbond.registry.declaring import facts_template
    from inbond.registry.facts import load_facts

    if facts is None:
        with session.open() as registry:
            text = facts_template(registry, ref)
        return session.output.answer({"template": text}, text.splitlines())
    given = load_facts(facts)
    with session.open() as registry:
        found = registry.resolve(ref, *FIXED, "dataset")
        if found.startswith("dataset:"):
            every = registry.declare_shards(found, given, correct=correct, reason=reason)
            data: dict[str, Any] = {"ref": found, "shards": [_data(done) for done in every]}
            return session.output.answer(data, [line for done in every for line in _lines(done)])
        done = registry.declare(found, given, correct=correct, reason=reason)
    session.output.answer(_data(done), _lines(done))


def _data(done: "Declaration") -> dict[str, Any]:
    entry = done.recorded.seq if done.recorded else None
    return {"ref": done.ref, "entry": entry, "filled": done.filled, "corrected": done.corrected, "missing": done.missing}


def _lines(done: "Declaration") -> list[str]:
    if done.recorded is None:
        return [f"{done.ref}: all of it is on record already"]
    count = len(done.filled) + len(done.corrected)
    lines = [f"{done.ref}: {plural(count, 'fact')} declared in entry {done.recorded.seq}"]
    lines += [f"  {change.path}: {_text(change.now)}" for change in done.filled]
    lines += [f"  {change.path}: {_text(change.now)} (was {_text(change.was)})" for change in done.corrected]
    return [*lines, style(f"  not known still: {plural(len(done.missing), 'fact')}", dim=True)]


def _text(value: Any) -> str:
    import msgspec

    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


COMMANDS = (declare,)
