"""What reports need to know: operator set|show, source add|list."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from inbond.api.cli.commands import Session, command, noun
from inbond.api.cli.details import listed
from inbond.api.cli.output import facts as fact_lines
from inbond.api.cli.output import pairs, table, when
from inbond.schemas.errors import NotFound

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
CATEGORIES = ("public", "licensed", "private", "crawl", "user", "human", "synthetic", "other")
_FACTS = "Declared facts; what it leaves out is recorded as not known."

operator = noun("operator", "The operator: what it is as a provider of models.", "inbond operator show")
source = noun("source", "Sources: where prompts and other data come from.", "inbond source list")


@command("set", "inbond operator set --facts-template > operator.toml\ninbond operator set --facts operator.toml", of=operator)
@click.option("--facts", type=FILE, metavar="TOML", help="What is to be said; facts that it leaves out stay as they are.")
@click.option("--facts-template", is_flag=True, help="Print a TOML file of all facts that can be said, and stop.")
def set_operator(session: Session, facts: Path | None, facts_template: bool) -> None:
    """Say what you are as a provider of models, once or anew.

    With the compliance key, about its party: representative, measures, policies; in the table party legal name, domicile
    and contact. Reports take them from here.
    """
    from inbond.registry.facts import load_facts
    from inbond.registry.operator import operator_template
    from inbond.registry.operator import set_operator as put

    if facts_template:
        return session.output.answer({"template": operator_template()}, operator_template().splitlines())
    if facts is None:
        raise click.UsageError("Missing option '--facts' (--facts-template prints a file to fill in).")
    given = load_facts(facts)
    with session.open() as registry:
        done = put(registry, given, facts.parent)
    said = [(name, item.seq) for name, item in (("operator", done.operator), ("party", done.party)) if item]
    data = {"ref": done.ref, "operator": done.operator and done.operator.seq, "party": done.party and done.party.seq}
    lines = [f"{name} on record in entry {seq}" for name, seq in said] or ["all of it is on record already"]
    session.output.answer(data, lines)


@command("show", "inbond operator show", of=operator)
def show_operator(session: Session) -> None:
    """Show what the operator says of itself."""
    from inbond.api.cli.details import shown
    from inbond.registry.operator import operator_of

    with session.open() as registry:
        ref = operator_of(registry, registry.operator)
        if ref is None:
            raise NotFound("the operator has said nothing of itself yet", hint="inbond operator set --facts FILE")
        detail = shown(registry, ref)
    head = [("operator", detail.name), ("ref", ref), ("entry", f"{detail.entry} of {when(detail.time)}")]
    session.output.answer(detail.data(), [*pairs(head), "", *fact_lines(detail.body, detail.called)])


@command(
    "add",
    """inbond source add user-prompts --category user --facts source.toml
    inbond source add --facts-template > source.toml""",
    of=source,
)
@click.argument("name", required=False)
@click.option("--category", type=click.Choice(CATEGORIES), help="Where it comes from, as the official summary divides it.")
@click.option("--facts", type=FILE, metavar="TOML", help=_FACTS)
@click.option("--facts-template", is_flag=True, help="Print a TOML file of all facts that can be declared, and stop.")
def add_source(session: Session, name: str | None, category: str | None, facts: Path | None, facts_template: bool) -> None:
    """Put a source on record: prompts that teachers were asked, or data that was trained on beside their outputs.

    Shards name their sources in the fact prompts.
    """
    from inbond.registry.facts import load_facts
    from inbond.registry.operator import add_source as put
    from inbond.registry.operator import source_template

    if facts_template:
        return session.output.answer({"template": source_template()}, source_template().splitlines())
    if name is None or category is None:
        raise click.UsageError("Expected a NAME and --category CATEGORY.")
    given: dict[str, Any] = load_facts(facts) if facts else {}
    with session.open() as registry:
        recorded = put(registry, name, category, given, facts.parent if facts else Path())
    data = {"ref": recorded.ref, "entry": recorded.seq, "name": name}
    session.output.answer(data, [f"source {name} on record in entry {recorded.seq}: {recorded.ref}"])


@command("list", "inbond source list", of=source)
def list_sources(session: Session) -> None:
    """List sources."""
    from inbond.registry.listing import ListedSource

    with session.open() as registry:
        found: Sequence[Any] = listed(registry, ListedSource)
    rows = [(item.name, item.category, item.entry, item.ref.partition(":")[2]) for item in found]
    empty = "no sources yet: inbond source add NAME --category CATEGORY"
    session.output.answer({"sources": found}, table(("source", "category", "entry", "id"), rows, empty=empty))


COMMANDS = (operator, source)
