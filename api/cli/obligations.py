"""What the terms on record ask of a student: verdict, obligations, NOTICE, and what they make of its grants."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inbond.api.cli.catalogue import student
from inbond.api.cli.commands import Session, command
from inbond.api.cli.dates import expect_date
from inbond.api.cli.details import as_of_option
from inbond.api.cli.output import pairs, style, table

if TYPE_CHECKING:
    from inbond.registry.terms.answers import Weighed
    from inbond.registry.terms.question import Obligation


@command(
    "obligations",
    """inbond student obligations acme/mini
    inbond student obligations acme/mini --notice NOTICE
    inbond student obligations acme/mini --dataset chat --at 2027-01-01""",
    of=student,
)
@click.argument("name", metavar="STUDENT")
@click.option("--dataset", "datasets", multiple=True, metavar="DATASET", help="Of these alone (all that its runs were to read).")
@click.option("--at", callback=expect_date, metavar="DATE", help="As if the outputs were used then (now unless given).")
@as_of_option
@click.option(
    "--notice", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write what a release must carry."
)
def obligations(
    session: Session, name: str, datasets: tuple[str, ...], at: str | None, as_of: int | None, notice: Path | None
) -> None:
    """Show what a student owes under the terms of the teachers that it learned from and of the weights that it carries.

    Drawn from readings of terms, which are no legal advice. Nothing is recorded.
    """
    with session.open() as registry:
        weighed = registry.place.terms.weigh(name, list(datasets) or None, at, as_of)
    if notice is not None:
        notice.write_text(weighed.notice, encoding="utf-8")
    owes = owed(weighed.evaluation.obligations, weighed.names)
    lines = [*owed_lines(owes), "", *(f"clash: {each.text}" for each in weighed.clashes)]
    lines += [*pairs([("texts that go with it", weighed.texts or "none")]), *verdict_lines(weighed)]
    data = {
        "student": weighed.name,
        "obligations": owes,
        "clashes": [each.text for each in weighed.clashes],
        "texts": weighed.texts,
        **terms_data(weighed),
    }
    session.output.answer(data, lines)


@command("evaluation", "inbond student evaluation acme/mini\ninbond student evaluation acme/mini --at 2027-01-01", of=student)
@click.argument("name", metavar="STUDENT")
@click.option("--at", callback=expect_date, metavar="DATE", help="As if the outputs were used then (now unless given).")
@as_of_option
def evaluation(session: Session, name: str, at: str | None, as_of: int | None) -> None:
    """Show the verdict that each grant of a student carries, and what the gate says of it now.

    With the rules that shut the gate now and did not then. Nothing is recorded.
    """
    with session.open() as registry:
        found = registry.place.terms.evaluation(name, at, as_of)
    rows = [
        (found.names[each.run], each.mode.value, _words(each.then.value), _words(each.now.value), each.rules or "")
        for each in found.grants
    ]
    lines = table(("run", "mode", "then", "now", "by rule"), rows, empty="no grants yet")
    data = {"student": found.names[found.student], "grants": found.grants, "tree_size": found.tree_size}
    session.output.answer(data, [*lines, "", f"computed at ledger size {found.tree_size}"])


def _words(verdict: str) -> str:
    return verdict.replace("_", " ")


def terms_data(weighed: "Weighed") -> dict[str, Any]:
    """The engine's verdict as --json says it."""
    reasons = [
        {
            "rule": each.rule,
            "verdict": each.verdict.value,
            "text": each.text,
            "model": weighed.names.get(each.model or "", each.model),
            "document": weighed.names.get(each.document or "", each.document),
            "clause": each.clause,
            "fact": each.fact,
            "decision": each.decision,
        }
        for each in weighed.evaluation.reasons
    ]
    found = weighed.evaluation
    return {"verdict": found.verdict.value, "reasons": reasons, "missing": found.missing, "tree_size": weighed.tree_size}


def verdict_lines(weighed: "Weighed") -> list[str]:
    """The engine's verdict with what shuts the gate, for people."""
    from inbond.registry.mentions import called_in

    found = weighed.evaluation
    shut = [
        f"  {each.rule}: {called_in(each.text, weighed.names)}" for each in found.reasons if each.verdict.value != "permitted"
    ]
    missing = [f"  missing in the plan: {', '.join(found.missing)}"] if found.missing else []
    return [
        f"by the terms on record: {_words(found.verdict.value)} · computed at ledger size {weighed.tree_size}",
        *shut,
        *missing,
    ]


def owed(obligations: "Sequence[Obligation]", names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Obligations as --json says them."""
    from inbond.registry.terms.obligations import words

    return [
        {
            "type": each.type,
            "model": names.get(each.model, each.model),
            "document": each.document_name,
            "clause": each.clause,
            "owes": words(each),
            "arguable": each.is_arguable,
            "via": [names.get(one, one) for one in each.via],
        }
        for each in obligations
    ]


def owed_lines(owes: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is owed, for people: by model and document, each in full however narrow the terminal."""
    if not owes:
        return [style("nothing is owed, as far as terms are on record", dim=True)]
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for each in owes:
        by = f" through {', '.join(each['via'])}" if each["via"] else ""
        grouped.setdefault((each["model"], by, each["document"]), []).append(f"{each['clause']}: {each['owes']}")
    lines = []
    for (model, by, document), owed_here in grouped.items():
        lines += [style(f"because of {model}{by}, under {document}", dim=True), *(f"  {each}" for each in owed_here)]
    return lines


COMMANDS: tuple[click.Command, ...] = ()
"""They belong to the noun `student`."""
