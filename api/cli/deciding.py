"""Decisions: ask, rule, list."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inbond.api.cli.commands import Session, command, noun
from inbond.api.cli.dates import expect_date
from inbond.api.cli.details import listed
from inbond.api.cli.output import table, when

if TYPE_CHECKING:
    from inbond.registry.registry import Registry

RULINGS = ("permit", "refuse")

decide = noun("decide", "Questions to compliance, and its rulings.", "inbond decide list")


SECTIONS = "a section of the public summary (2.1, 2.2.1, 2.2.2, 2.3 to 2.6), several with commas between, or none"


def _about(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of questions about sections."""
    model = click.option("--model", metavar="TEACHER", help="With --about: only what this model did, such as judge or filter.")
    about = "A dataset, shard or source of which a section of the public summary is in question."
    return click.option("--about", multiple=True, metavar="REF", help=about)(model(function))


def _authorised(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of an authorisation or exception that somebody outside has given."""
    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    options = (
        click.option("--exception", is_flag=True, help="With --terms: whether an exception of the terms holds."),
        click.option("--scope", metavar="TEXT", help="For what it is given, in a line."),
        click.option("--authoriser", metavar="PARTY", help="The party outside that gave leave."),
        click.option(
            "--evidence", type=file, multiple=True, metavar="FILE", help="An order form, letter or text; it goes into the store."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@command(
    "ask",
    """inbond decide ask --student acme/mini --terms openai-terms --grounds research
    inbond decide ask --student acme/mini --terms tos --evidence order-form.pdf --until 2027-01-01 --grounds 'order form'
    inbond decide ask --student acme/mini --about chat@1 --grounds 'a model chose the samples'""",
    of=decide,
)
@click.option("--student", required=True, metavar="STUDENT", help="The student that would learn, or has learned.")
@click.option("--terms", metavar="TERMS", help="The document that governs the outputs.")
@_about
@click.option("--grounds", required=True, metavar="TEXT", help="Why; kept as an erasable object, not in the ledger.")
@click.option("--until", callback=expect_date, metavar="DATE", help="Until when the answer is wanted (without end unless given).")
@_authorised
def ask(
    session: Session,
    student: str,
    terms: str | None,
    about: tuple[str, ...],
    model: str | None,
    grounds: str,
    until: str | None,
    **given: Any,
) -> None:
    """Ask compliance, with the trainer's key.

    Whether a student may learn from outputs under the terms named; with --about, to which section of the public summary
    things belong that it learned from.
    """
    if (terms is None) is not bool(about) or (model and not about):
        raise click.UsageError("Expected either --terms TERMS, or --about REF.")
    _expect_terms(given, terms is not None)
    from inbond.registry.deciding import ask_section

    with session.open() as registry:
        if terms is not None:
            recorded = registry.ask(student, terms, grounds, until, **given)
        else:
            recorded = ask_section(registry, student, about, model, grounds, until)
        subjects = _subjects(registry, recorded.ref)
    data = {"ref": recorded.ref, "entry": recorded.seq, "subjects": subjects}
    session.output.answer(data, [f"asked in entry {recorded.seq}: {recorded.ref}", _told(subjects, terms is None)])
    ruling = "permit|refuse" if terms else "--section SECTION"
    session.output.say(f"to rule on it: inbond decide rule {recorded.ref.partition(':')[2][:12]} {ruling} --grounds TEXT")


@command(
    "rule",
    """inbond decide rule 4f2a90c1d3e5 permit --grounds 'order form of 2026-01-15'
    inbond decide rule --student acme/mini --terms tos permit --grounds reviewed
    inbond decide rule --student acme/mini --about chat@1 --section 2.5 --grounds 'made for us'""",
    of=decide,
)
@click.argument("words", nargs=-1, metavar="[ASK] [permit|refuse]")
@click.option("--student", metavar="STUDENT", help="Instead of ASK, with --terms or --about: the student.")
@click.option("--terms", metavar="TERMS", help="Instead of ASK, with --student: the document.")
@_about
@click.option("--section", metavar="SECTION", help=f"For --about, instead of permit or refuse: {SECTIONS}.")
@click.option("--grounds", required=True, metavar="TEXT", help="Why; kept as an erasable object, not in the ledger.")
@click.option("--until", callback=expect_date, metavar="DATE", help="Until when the ruling holds (as asked unless given).")
@_authorised
def rule(
    session: Session,
    words: tuple[str, ...],
    student: str | None,
    terms: str | None,
    about: tuple[str, ...],
    model: str | None,
    section: str | None,
    grounds: str,
    until: str | None,
    **given: Any,
) -> None:
    """Rule on an ask, with the compliance key.

    With --student and --terms, or --about, it rules on their open ask; where there is none, the trainer's key asks first.
    Order forms and letters of consent are evidence of an authorisation; --exception rules that an exception of the terms
    holds, which wants its evidence. A ruling that has ended opens nothing.
    """
    asks, ruling = (words, section) if section else (words[:-1], words[-1] if words else "nothing")
    if not section and ruling not in RULINGS:
        raise click.UsageError(f"Expected permit, refuse or --section SECTION, found {ruling!r}.")
    by_ask = len(asks) == 1 and not (student or terms or about or model)
    by_subject = not asks and student and (about and not terms if section else terms and not about and not model)
    if not (by_ask or by_subject):
        raise click.UsageError(
            "Expected one ASK, or --student STUDENT with --terms TERMS permit|refuse, or with --about REF --section SECTION."
        )
    _expect_terms(given, not section)
    if asks and given.pop("exception"):
        raise click.UsageError("Expected --exception with --student and --terms: an ASK says what it asks for.")
    from inbond.registry.deciding import rule_section, settle, settle_section

    asked = None
    with session.open() as registry:
        if asks:
            ruled = (
                rule_section(registry, asks[0], section, grounds, until)
                if section
                else registry.rule(asks[0], ruling, grounds, until, **given)
            )
        elif section:
            asked, ruled = settle_section(registry, str(student), about, model, section, grounds, until)
        else:
            asked, ruled = settle(registry, str(student), str(terms), ruling, grounds, until, **given)
        subjects = _subjects(registry, ruled.ref)
    first = {"ref": asked.ref, "seq": asked.seq} if asked else None
    data = {"ref": ruled.ref, "entry": ruled.seq, "ruling": ruling, "asked": first, "subjects": subjects}
    told = [f"asked in entry {asked.seq} by the trainer's key"] if asked else []
    ruled_on = f"ruled in entry {ruled.seq} by compliance's key: {f'section {section}' if section else ruling}"
    session.output.answer(data, [*told, ruled_on, _told(subjects, bool(section))])


@command("list", "inbond decide list", of=decide)
def list_decisions(session: Session) -> None:
    """List questions to compliance, open ones first."""
    from inbond.registry.listing import ListedDecision

    with session.open() as registry:
        found = sorted(listed(registry, ListedDecision), key=lambda each: each.ruling is not None)
    rows = [
        (each.ref.partition(":")[2], each.subjects, each.ruling or "open", when(each.until or ""), each.entry) for each in found
    ]
    empty = "no questions yet: inbond decide ask --student STUDENT --terms TERMS --grounds TEXT"
    session.output.answer({"decisions": found}, table(("ask", "about", "ruling", "until", "entry"), rows, empty=empty))


def _expect_terms(given: dict[str, Any], about_terms: bool) -> None:
    """Raise UsageError for options of an authorisation where a section is in question."""
    if strange := [name for name, value in given.items() if value and not about_terms]:
        raise click.UsageError(f"Expected --{strange[0]} with --terms alone.")


def _told(subjects: list[str], section: bool) -> str:
    """What an ask or a ruling is about, the student first."""
    return f"{subjects[0]}: {', '.join(subjects[1:])}" if section else " under ".join(subjects)


def _subjects(registry: "Registry", ref: str) -> list[str]:
    """What people call the things that an ask or a ruling is about, the student first."""
    subjects = sorted(registry.place.statement(ref).body.subjects, key=lambda subject: not subject.startswith("student:"))
    called = registry.called(subjects)
    return [called[subject] for subject in subjects]


COMMANDS = (decide,)
