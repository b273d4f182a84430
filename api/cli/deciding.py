"""Decisions: ask, rule, list."""

from typing import TYPE_CHECKING

import click

from inbond.api.cli.commands import Session, command, noun
from inbond.api.cli.dates import expect_date
from inbond.api.cli.output import table, when
from inbond.schemas.errors import InvalidInput

if TYPE_CHECKING:
    from inbond.registry.registry import Registry

RULINGS = ("permit", "refuse")

decide = noun("decide", "Questions to compliance, and its rulings.", "inbond decide list")


@command("ask", "inbond decide ask --student acme/mini --terms openai-terms --grounds research", of=decide)
@click.option("--student", required=True, metavar="STUDENT", help="The student that would learn.")
@click.option("--terms", required=True, metavar="TERMS", help="The document that governs the outputs.")
@click.option("--grounds", required=True, metavar="TEXT", help="Why; kept as an erasable object, not in the ledger.")
@click.option("--until", callback=expect_date, metavar="DATE", help="Until when the answer is wanted (without end unless given).")
def ask(session: Session, student: str, terms: str, grounds: str, until: str | None) -> None:
    """Ask compliance whether a student may learn.

    From outputs under the terms named, with the trainer's key.
    """
    with session.open() as registry:
        recorded = registry.ask(student, terms, grounds, until)
        subjects = _subjects(registry, recorded.ref)
    data = {"ref": recorded.ref, "entry": recorded.seq, "subjects": subjects}
    session.output.answer(data, [f"asked in entry {recorded.seq}: {recorded.ref}", " under ".join(subjects)])
    session.output.say(f"to rule on it: inbond decide rule {recorded.ref.partition(':')[2][:12]} permit|refuse --grounds TEXT")


@command(
    "rule",
    """inbond decide rule 4f2a90c1d3e5 permit --grounds 'order form of 2026-01-15'
    inbond decide rule --student acme/mini --terms tos permit --grounds reviewed""",
    of=decide,
)
@click.argument("words", nargs=-1, required=True, metavar="[ASK] permit|refuse")
@click.option("--student", metavar="STUDENT", help="Instead of ASK, with --terms: the student.")
@click.option("--terms", metavar="TERMS", help="Instead of ASK, with --student: the document.")
@click.option("--grounds", required=True, metavar="TEXT", help="Why; kept as an erasable object, not in the ledger.")
@click.option("--until", callback=expect_date, metavar="DATE", help="Until when the ruling holds (as asked unless given).")
def rule(
    session: Session, words: tuple[str, ...], student: str | None, terms: str | None, grounds: str, until: str | None
) -> None:
    """Rule on an ask, with the compliance key.

    With --student and --terms it rules on their open ask; where there is none, the trainer's key asks first.
    """
    *asks, ruling = words
    if ruling not in RULINGS:
        raise click.UsageError(f"Expected permit or refuse, found {ruling!r}.")
    if len(asks) > 1 or bool(asks) == bool(student) or bool(student) != bool(terms):
        raise click.UsageError("Expected either one ASK, or --student STUDENT and --terms TERMS.")
    from inbond.registry.deciding import settle

    with session.open() as registry:
        if asks:
            asked, ruled = None, registry.rule(asks[0], ruling, grounds, until)
        elif student is not None and terms is not None:
            asked, ruled = settle(registry, student, terms, ruling, grounds, until)
        else:
            raise InvalidInput("expected a student and terms")
        subjects = _subjects(registry, ruled.ref)
    data = {"ref": ruled.ref, "entry": ruled.seq, "ruling": ruling, "asked": asked, "subjects": subjects}
    first = [f"asked in entry {asked.seq} by the trainer's key"] if asked else []
    ruled_on = f"ruled in entry {ruled.seq} by compliance's key: {ruling}"
    session.output.answer(data, [*first, ruled_on, " under ".join(subjects)])


@command("list", "inbond decide list", of=decide)
def list_decisions(session: Session) -> None:
    """List questions to compliance, open ones first."""
    from inbond.registry import listing

    with session.open() as registry:
        found = listing.decisions(registry)
    rows = [
        (each.ref.partition(":")[2], each.subjects, each.ruling or "open", when(each.until or ""), each.entry) for each in found
    ]
    empty = "no questions yet: inbond decide ask --student STUDENT --terms TERMS --grounds TEXT"
    session.output.answer({"decisions": found}, table(("ask", "about", "ruling", "until", "entry"), rows, empty=empty))


def _subjects(registry: "Registry", ref: str) -> list[str]:
    """What people call the things that an ask or a ruling is about, the student first."""
    from sqlalchemy import select

    from inbond.registry import tables as t
    from inbond.registry.listing import names_of

    with registry.reading() as reader:
        query = select(t.decisions.c.subject).where(t.decisions.c.ref == ref).order_by(t.decisions.c.subject)
        called = names_of(reader.connection, reader.connection.execute(query).scalars().all())
    return [called[subject] for subject in sorted(called, key=lambda subject: not subject.startswith("student:"))]


COMMANDS = (decide,)
