"""What is known of terms: readings of clauses, acceptances, timelines, differences, the catalogue, what changes do."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inbond.api.cli.catalogue import FILE, terms
from inbond.api.cli.commands import Session, command, noun
from inbond.api.cli.dates import expect_date
from inbond.api.cli.details import as_of_option, asked, listed
from inbond.api.cli.output import pairs, table

if TYPE_CHECKING:
    from inbond.registry.terms.answers import FactChange

MEANS = ("click", "contract", "order_form", "licence_by_use", "unknown")

fact = noun("fact", "Readings of clauses: what a document says, as a rule can evaluate it.", "inbond terms fact list")
terms.add_command(fact)


@command(
    "add",
    """inbond terms fact add openai-terms --template > fact.toml
    inbond terms fact add openai-terms --facts fact.toml""",
    of=fact,
)
@click.argument("name", metavar="TERMS")
@click.option("--facts", type=FILE, metavar="TOML", help="The reading: clause, scope, permits_training, conditions and so on.")
@click.option("--template", is_flag=True, help="Print a TOML file to fill in.")
def add_fact(session: Session, name: str, facts: Path | None, template: bool) -> None:
    """Put a reading of one clause on record.

    Each clause is read once for each scope. What was read wrongly is corrected with `inbond declare FACT --facts TOML --correct`.
    """
    if (facts is None) is not template:
        raise click.UsageError("Expected either --facts TOML, or --template alone.")
    from inbond.registry.facts import load_facts
    from inbond.registry.facts import template as template_of
    from inbond.registry.terms.recording import add_fact as add
    from inbond.schemas.statements import TermsFact

    if facts is None:
        text = template_of(TermsFact, ("terms",))
        return session.output.answer({"template": text}, text.splitlines())
    given = load_facts(facts)
    with session.open() as registry:
        recorded = add(registry, name, given)
        called = registry.called([registry.resolve(name, "terms")])
    document = next(iter(called.values()))
    data = {"ref": recorded.ref, "entry": recorded.seq, "terms": document, "clause": given["clause"]}
    session.output.answer(data, [f"reading of clause {given['clause']} of {document} on record in entry {recorded.seq}"])


@command("list", "inbond terms fact list\ninbond terms fact list --terms openai-terms", of=fact)
@click.option("--terms", "name", metavar="TERMS", help="Only readings of this document.")
@as_of_option
def list_facts(session: Session, name: str | None, as_of: int | None) -> None:
    """List readings of clauses; P and F were read in the text, S and M were not and open nothing by themselves."""
    from inbond.registry.listing import ListedFact

    with session.open() as registry:
        found = listed(registry, ListedFact, **asked(terms=name, as_of=as_of))
    rows = [(each.terms, each.clause, each.scope, each.permits, each.grade, each.entry) for each in found]
    heads = ("terms", "clause", "scope", "permits", "grade", "entry")
    empty = "no readings yet: inbond terms fact add TERMS --facts TOML"
    session.output.answer({"facts": found}, table(heads, rows, empty=empty))


@command(
    "accept",
    """inbond terms accept openai-terms --means click --accepted 2026-01-01
    inbond terms accept openai-terms --party contractor --means contract --accepted 2026-01-01""",
    of=terms,
)
@click.argument("name", metavar="TERMS")
@click.option("--party", metavar="PARTY", help="Who is bound (the operator unless given).")
@click.option("--means", type=click.Choice(MEANS), default="unknown", help="How they came to be bound.")
@click.option("--accepted", callback=expect_date, metavar="DATE", help="Since when (not known unless given).")
@click.option("--ended", callback=expect_date, metavar="DATE", help="Until when (it goes on unless given).")
@click.option("--account", metavar="TEXT", help="On which account; kept as an erasable object, not in the ledger.")
@click.option("--order-form", type=FILE, metavar="FILE", help="The order form, which goes into the store.")
def accept(
    session: Session,
    name: str,
    party: str | None,
    means: str,
    accepted: str | None,
    ended: str | None,
    account: str | None,
    order_form: Path | None,
) -> None:
    """Put on record that somebody accepted a document."""
    from inbond.registry.terms.recording import accept as record

    form = None if order_form is None else order_form.read_bytes()
    with session.open() as registry:
        recorded = record(
            registry, name, party=party, means=means, accepted=accepted, ended=ended, account=account, order_form=form
        )
        body: Any = registry.place.statement(recorded.ref).body
        called = registry.called([body.terms, body.party])
    data = {"ref": recorded.ref, "entry": recorded.seq, "terms": called[body.terms], "party": called[body.party]}
    session.output.answer(data, [f"{data['party']} accepted {data['terms']}: on record in entry {recorded.seq}"])


@command("acceptances", "inbond terms acceptances\ninbond terms acceptances --terms openai-terms", of=terms)
@click.option("--terms", "name", metavar="TERMS", help="Only acceptances of this document.")
@as_of_option
def list_acceptances(session: Session, name: str | None, as_of: int | None) -> None:
    """List who accepted which document, how and when."""
    from inbond.registry.listing import ListedAcceptance

    with session.open() as registry:
        found = listed(registry, ListedAcceptance, **asked(terms=name, as_of=as_of))
    rows = [(each.terms, each.party, each.means, each.accepted or "not known", each.ended or "", each.entry) for each in found]
    heads = ("terms", "party", "means", "accepted", "ended", "entry")
    empty = "no acceptances yet: inbond terms accept TERMS --means MEANS --accepted DATE"
    session.output.answer({"acceptances": found}, table(heads, rows, empty=empty))


@command(
    "timeline", "inbond terms timeline openai-terms\ninbond terms timeline openai-terms --at 2026-06-01 --as-of 40", of=terms
)
@click.argument("name", metavar="TERMS")
@click.option("--at", callback=expect_date, metavar="DATE", help="Only what was in force then.")
@as_of_option
def timeline(session: Session, name: str, at: str | None, as_of: int | None) -> None:
    """Show the versions of a document: when each was in force, how often it was read and accepted.

    What changed from one to another is shown by `inbond terms diff`.
    """
    with session.open() as registry:
        found = registry.place.terms.timeline(name, at, as_of)
    rows = [(each.name, each.starts, each.ends or "open", each.readings, each.accepted) for each in found.versions]
    lines = table(("version", "from", "until", "readings", "acceptances"), rows, empty="nothing was in force then")
    data = {"versions": found.versions, "tree_size": found.tree_size}
    session.output.answer(data, [*lines, "", f"computed at ledger size {found.tree_size}"])


@command("diff", "inbond terms diff openai-terms@2025-01-01 openai-terms@2026-01-01", of=terms)
@click.argument("one", metavar="TERMS")
@click.argument("other", metavar="TERMS")
@as_of_option
def diff(session: Session, one: str, other: str, as_of: int | None) -> None:
    """Show what changed from one document to another: in the archived texts, and in what was read of their clauses."""
    with session.open() as registry:
        found = registry.place.terms.difference(one, other, as_of)
    rows = [
        (each.clause, each.scope, field.field, _short(field.before), _short(field.after))
        for each in found.facts
        for field in each.fields
    ]
    rows += [(each.clause, each.scope, "read in", *_sides(each)) for each in found.facts if not each.fields]
    readings = table(("clause", "scope", "what", "before", "now"), rows, empty="no clause was read otherwise")
    lines = [*(found.text or ["the texts are the same"]), "", *readings, "", f"computed at ledger size {found.tree_size}"]
    data = {"one": found.names[found.one], "other": found.names[found.other], "text": found.text, "facts": found.facts}
    session.output.answer({**data, "tree_size": found.tree_size}, lines)


def _short(value: Any) -> str:
    import json

    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _sides(change: "FactChange") -> tuple[str, str]:
    """Whether a clause was read before and now."""
    return "" if change.before is None else "yes", "" if change.after is None else "yes"


@command("catalogue", "inbond terms catalogue\ninbond terms catalogue llama-3.1", of=terms)
@click.argument("id", required=False)
def show_catalogue(session: Session, id: str | None) -> None:
    """Show the readings of others' documents that come with inbond, all or one in full.

    They are readings, and not legal advice. S and M were not read in the full text and open nothing by themselves.
    """
    import msgspec

    from inbond.registry.terms import shelf

    if id is None:
        rows = [(each.id, each.provider, each.access_path.value, len(each.facts), each.grade) for each in shelf.shelf().values()]
        data = [{"id": each.id, "provider": each.provider, "grade": each.grade} for each in shelf.shelf().values()]
        lines = [*table(("row", "provider", "path", "readings", "grade"), rows, empty="none"), "", shelf.ADVICE]
        return session.output.answer({"rows": data, "advice": shelf.ADVICE}, lines)
    row = shelf.row(id)
    head = [
        ("row", row.id), ("document", f"{row.title}, version {row.version}, of {row.provider}"),
        ("in force from", row.effective or "not known"), ("access path", row.access_path.value), ("models", row.models),
        ("source", row.url or "not recorded"), ("read", f"{row.read_on}, grade {row.grade}"), ("note", row.note or ""),
        ("this is", shelf.ADVICE),
    ]  # fmt: skip
    lines = pairs(head)
    for each in row.facts:
        fact = each.fact
        says = f"{fact.scope.value}: {fact.permits_training.value}"
        conditions = ", ".join(f"{item.type.value}{_settings(item.parameters)}" for item in fact.conditions) or "none"
        exceptions = ", ".join(item.type.value for item in fact.exceptions) or "none"
        told = [("says", says), ("reading", each.reading), ("conditions", conditions), ("exceptions", exceptions)]
        lines += ["", *pairs([("clause", each.clause), *told])]
    data_of_row = {"row": row.id, "advice": shelf.ADVICE, "document": msgspec.to_builtins(row)}
    session.output.answer(data_of_row, lines)


@command("impact", "inbond terms impact openai-terms\ninbond terms impact openai-terms --since 40 --at 2027-01-01", of=terms)
@click.argument("name", metavar="TERMS")
@click.option("--since", type=click.IntRange(1), metavar="SIZE", help="Since the ledger had SIZE entries (the newest change).")
@click.option("--at", callback=expect_date, metavar="DATE", help="As if the outputs were used then (now unless given).")
def impact(session: Session, name: str, since: int | None, at: str | None) -> None:
    """Show what a change of a document does: students, grants, releases and reports whose verdict differs.

    Each is evaluated with the terms as they were known before and as they are known now. Nothing is recorded.
    """
    with session.open() as registry:
        found = registry.place.terms.impact(name, since, at)
    rows = [
        (each.ref.partition(":")[0], found.names[each.student], each.before, each.after, each.rules_after)
        for each in found.changed
    ]
    lines = table(("what", "student", "before", "now", "by rule"), rows, empty="no verdict changes")
    told = (
        f"{found.looked_at} looked at · compared with ledger size {found.size_before} · computed at ledger size {found.tree_size}"
    )
    data = {
        "terms": found.names[found.terms],
        "size_before": found.size_before,
        "tree_size": found.tree_size,
        "looked_at": found.looked_at,
        "changed": found.changed,
    }
    session.output.answer(data, [*lines, "", told])


@command("review", "inbond terms review --days 90", of=terms)
@click.option("--days", type=click.IntRange(0), default=90, help="Documents that nobody has read again for so long (90).")
def review(session: Session, days: int) -> None:
    """List the documents in force that want reading again."""
    with session.open() as registry:
        found = registry.place.terms.unread(days)
    rows = [(each.name, each.read_on, each.days) for each in found.unread]
    lines = table(("terms", "read on", "days ago"), rows, empty=f"every document in force was read within {days} days")
    session.output.answer({"unread": found.unread, "tree_size": found.tree_size}, lines)


@command("odrl", "inbond terms odrl openai-terms > policy.json", of=terms)
@click.argument("name", metavar="TERMS")
def odrl(session: Session, name: str) -> None:
    """Print what is known of a document as an ODRL policy, JSON-LD."""
    import json

    with session.open() as registry:
        found = registry.place.terms.odrl(name)
    lines = json.dumps(found.policy, indent=2, ensure_ascii=False).splitlines()
    session.output.answer({"policy": found.policy, "tree_size": found.tree_size}, lines)


def _settings(parameters: dict[str, Any]) -> str:
    return f" ({', '.join(f'{name} {value}' for name, value in parameters.items())})" if parameters else ""


COMMANDS: tuple[click.Command, ...] = ()
"""All of them belong to the noun `terms`."""
