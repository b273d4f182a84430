"""Facts declared later: declare."""

from pathlib import Path
from typing import Any

import click

from inbond.api.cli.commands import Session, command
from inbond.api.cli.output import plural, style

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@command(
    "declare",
    """inbond declare shard:4f2a90c1d3e5 --template > facts.toml
    inbond declare shard:4f2a90c1d3e5 --facts facts.toml""",
)
@click.argument("ref")
@click.option("--facts", type=FILE, metavar="TOML", help="What is known now; the rest stays as it is on record.")
@click.option("--template", is_flag=True, help="Print a TOML file of what is not known yet, to fill in.")
@click.option("--correct", is_flag=True, help="Let the file change facts that are known already, as they were wrong.")
@click.option("--reason", metavar="TEXT", help="Why; kept as an erasable object, not in the ledger.")
def declare(session: Session, ref: str, facts: Path | None, template: bool, correct: bool, reason: str | None) -> None:
    """Declare facts that were not known when something was put on record.

    Of a party, the operator, a teacher, terms, a source, a shard, a student or a release. The newest statement counts from
    its entry on; every answer as of an earlier size stays what it was.
    """
    if (facts is None) is not template or (template and (correct or reason)):
        raise click.UsageError("Expected either --facts TOML, or --template alone.")
    from inbond.registry.declaring import facts_template
    from inbond.registry.facts import load_facts

    if facts is None:
        with session.open() as registry:
            text = facts_template(registry, ref)
        return session.output.answer({"template": text}, text.splitlines())
    given = load_facts(facts)
    with session.open() as registry:
        done = registry.declare(ref, given, correct=correct, reason=reason)
    entry = done.recorded.seq if done.recorded else None
    data = {"ref": done.ref, "entry": entry, "filled": done.filled, "corrected": done.corrected, "missing": done.missing}
    if entry is None:
        return session.output.answer(data, [f"{done.ref}: all of it is on record already"])
    lines = [f"{done.ref}: {plural(len(done.filled) + len(done.corrected), 'fact')} declared in entry {entry}"]
    lines += [f"  {change.path}: {_text(change.now)}" for change in done.filled]
    lines += [f"  {change.path}: {_text(change.now)} (was {_text(change.was)})" for change in done.corrected]
    session.output.answer(data, [*lines, style(f"not known still: {plural(len(done.missing), 'fact')}", dim=True)])


def _text(value: Any) -> str:
    import msgspec

    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


COMMANDS = (declare,)
