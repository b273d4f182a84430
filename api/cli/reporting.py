"""Disclosures: report new|check|verify|list|show."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inbond.api.cli.commands import Session, command, noun
from inbond.api.cli.details import listed
from inbond.api.cli.output import facts, pairs, plural, short, style, table, when

if TYPE_CHECKING:
    from inbond.registry.disclosure.document import Disclosure

TEMPLATES = ("eu-summary", "ca-ab2013")
INCOMPLETE = 6

report = noun("report", "Reports: disclosures made from the ledger.", "inbond report list")


def _template(function: Any) -> Any:
    help = f"The form: {' or '.join(TEMPLATES)}."
    return click.option("--template", required=True, type=click.Choice(TEMPLATES), help=help)(function)


def _as_of(function: Any) -> Any:
    help = "As of this ledger size (the newest unless given)."
    return click.option("--as-of", type=click.IntRange(min=1), metavar="SIZE", help=help)(function)


@command("new", "inbond report new acme/mini --template eu-summary --out disclosure", of=report)
@click.argument("student")
@_template
@click.option("--profile", type=click.Choice(("public",)), default="public", help="For whom it is made (public).")
@_as_of
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The folder that its files go to.")
def new(session: Session, student: str, template: str, profile: str, as_of: int | None, out: Path) -> None:
    """Make a report about a student and put it on record.

    With the compliance key. DIR gets report.json, report.html and the statement's receipt. A report that lacks facts says
    so on every page, and lists how to supply them.
    """
    from inbond.registry.disclosure.recording import make

    with session.open() as registry:
        made = make(registry, student, template, out, profile=profile, as_of=as_of)
    found = made.report
    data = {
        "ref": made.recorded.ref,
        "entry": made.recorded.seq,
        "version": found.version,
        "tree_size": found.tree_size,
        "draft": found.is_draft,
        "missing": found.missing,
        "gaps": found.gaps,
        "lints": found.lints,
        "files": [str(path) for path in made.files],
    }
    head = [
        ("report", f"{found.student.name}, {template}, version {found.version}"),
        ("entry", f"{made.recorded.seq}, from ledger size {found.tree_size}"),
        ("state", _state(found)),
        ("page", str(out / "report.html")),
    ]
    session.output.answer(data, [*pairs(head, whole=True), *_gaps(found)])
    session.output.say(f"to check it again: inbond report verify {out / 'report.html'}")


@command("check", "inbond report check acme/mini --template eu-summary", of=report)
@click.argument("student")
@_template
@_as_of
@click.pass_context
def check(context: click.Context, session: Session, student: str, template: str, as_of: int | None) -> None:
    """List what a report would lack; nothing is recorded.

    Missing facts with the commands that supply them, and what readers would find fault with. Exit code 6 when facts that
    the form requires are missing.
    """
    from inbond.registry.disclosure.document import decode
    from inbond.registry.disclosure.recording import model_of

    with session.open() as registry:
        found = decode(model_of(registry, student, template, "public", as_of))
    states: dict[str, int] = {}
    for field in found.fields().values():
        states[field.state.value] = states.get(field.state.value, 0) + 1
    data = {
        "student": found.student.ref,
        "template": template,
        "tree_size": found.tree_size,
        "complete": not found.is_draft,
        "missing": found.missing,
        "fields": states,
        "gaps": found.gaps,
        "lints": found.lints,
    }
    counted = ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in states.items())
    head = [("student", found.student.name), ("fields", counted), ("state", _state(found))]
    lints = [f"{style(lint.field, bold=True)}  {lint.text}" for lint in found.lints]
    session.output.answer(data, [*pairs(head), *_gaps(found), *(["", "readers will find fault with:", *lints] if lints else [])])
    context.exit(INCOMPLETE if found.is_draft else 0)


@command("verify", "inbond report verify disclosure/report.html", of=report)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_context
def verify(context: click.Context, session: Session, file: Path) -> None:
    """Verify a report file: signature, every figure, every byte.

    FILE is report.json or report.html. The statement about it is proved to be in the log, the report is computed again from
    the ledger at its size, and the first difference is said. Exit code 3 when something differs.
    """
    from inbond.registry.disclosure.verifying import verify as verified

    with session.open() as registry:
        found = verified(registry, file)
    data = {
        "verdict": found.verdict,
        "ref": found.ref,
        "entry": found.entry,
        "student": found.report.student.ref,
        "template": found.report.template.id,
        "version": found.report.version,
        "tree_size": found.report.tree_size,
        "latest": found.latest,
        "draft": found.report.is_draft,
        "proved": found.proved,
        "recorded": found.recorded,
        "unchecked": found.unchecked,
    }
    head = f"{found.report.student.name}, {found.report.template.id}, version {found.report.version}, entry {found.entry}"
    lines = [head, *(f"  {style('proved', 'green')}     {line}" for line in found.proved)]
    lines += [f"  {style('recorded', 'yellow')}   {line}" for line in found.recorded]
    lines += [f"  {style('unchecked', 'yellow')}  {line}" for line in found.unchecked]
    if not found.latest:
        lines.append(style("a newer version of this report is on record: inbond report list", "yellow"))
    session.output.answer(data, lines)
    context.exit(INCOMPLETE if found.unchecked else 0)


@command("list", "inbond report list acme/mini", of=report)
@click.argument("student", required=False)
def list_reports(session: Session, student: str | None) -> None:
    """List reports, of one student or all."""
    from inbond.registry.listing import ListedReport

    with session.open() as registry:
        wanted = {"student": registry.resolve(student, "student")} if student else {}
        found = listed(registry, ListedReport, **wanted)
    replaced = {item.supersedes for item in found}
    rows = [
        (
            item.student,
            item.template,
            item.profile,
            item.tree_size,
            "replaced" if item.ref in replaced else "newest",
            item.entry,
            item.ref.partition(":")[2],
        )
        for item in found
    ]
    heads = ("student", "template", "profile", "size", "state", "entry", "id")
    empty = "no reports yet: inbond report new STUDENT --template TEMPLATE --out DIR"
    session.output.answer({"reports": found}, table(heads, rows, empty=empty))


@command("show", "inbond report show report:4f2a90c1d3e5", of=report)
@click.argument("ref", metavar="REPORT")
def show(session: Session, ref: str) -> None:
    """Show a report's statement."""
    from inbond.api.cli.details import shown

    with session.open() as registry:
        detail = shown(registry, registry.resolve(ref, "report"))
    head = [("report", short(detail.ref)), ("entry", f"{detail.entry} of {when(detail.time)}")]
    session.output.answer(detail.data(), [*pairs(head), "", *facts(detail.body, detail.called)])


def _state(found: "Disclosure") -> str:
    if not found.is_draft:
        return "complete"
    lacking = [f"{plural(found.missing, 'fact')} missing"] if found.missing else []
    return f"draft: {', '.join([*lacking, *([] if found.released else ['the student is not released'])])}"


def _gaps(found: "Disclosure") -> list[str]:
    """What is missing, then what may be added: a command and what it supplies."""
    from inbond.registry.disclosure.document import by_command

    lines: list[str] = []
    for title, required in (("missing:", True), ("may be added:", False)):
        groups = by_command(gap for gap in found.gaps if gap.required is required)
        lines += ["", title] if groups else []
        for first, gaps in groups:
            lines.append(f"  {style(first.supply, 'cyan')}  {style(f'({first.about})', dim=True)}")
            lines += [f"    {style(gap.field, bold=True)}  {gap.text}  {style(gap.fact, dim=True)}" for gap in gaps]
    return lines


COMMANDS = (report,)
