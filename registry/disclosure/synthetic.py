"""Section 2.5 of the Union's summary: data that models made for the provider, and the models that made it.

2.5.c holds the list of models on the market and links to their own summaries, nothing else; what is known beyond it (roles,
stages, sizes, shares, periods, access, terms) stands in 2.5.e, which the form leaves free.
"""

from shlex import quote

from msgspec import UNSET, UnsetType

from inbond.registry.disclosure.collected import ask_for, collect
from inbond.registry.disclosure.datasets import tick
from inbond.registry.disclosure.document import Item, Listing, Table
from inbond.registry.disclosure.facts import Facts, Given
from inbond.registry.disclosure.general import link
from inbond.registry.disclosure.groups import Group, groups_of, period_of
from inbond.registry.disclosure.ledger import Thing
from inbond.registry.disclosure.openings import Openings
from inbond.registry.disclosure.routes import Routes
from inbond.registry.disclosure.sheet import Sheet
from inbond.registry.disclosure.wording import count, day, is_missing, listed, months, share, short, why_not
from inbond.registry.intake import MAKERS
from inbond.registry.shares import Figures, StageTotal, shares_of
from inbond.schemas.statements import ModelRole, Teacher, Terms, Verdict

Hands = list[tuple[str, str, ModelRole]]
"""(shard, teacher, role)."""

VERDICTS = {
    Verdict.PERMITTED: "permitted",
    Verdict.PERMITTED_WITH_OBLIGATIONS: "permitted with obligations",
    Verdict.NEEDS_AUTHORISATION: "needs authorisation",
    Verdict.PROHIBITED: "prohibited",
    Verdict.UNDETERMINED: "undetermined",
}


def fill(sheet: Sheet, facts: Facts, routes: Routes, openings: Openings) -> None:
    """Fill in 2.5."""
    groups: list[Group] = groups_of(facts, routes.shards_in("2.5"), routes.sources_in("2.5"))
    if not openings.question("2.5.a", bool(groups), "2.5"):
        openings.skip("2.5.a", "2.5.b", "2.5.c", "2.5.d", "2.5.e")
        return _tables(sheet, facts, routes) if routes.maybe else None
    shards = [facts.shards[ref] for ref in routes.shards_in("2.5")]
    sheet.rest_on("2.5.a", "shards.declared", [shard.thing.entry for shard in shards])
    sheet.rest_on("2.5.a", "decisions.route_section", routes.ruled.get("2.5", ()))
    sheet.rest_on("2.5.a", "runs.opened", [run.thing.made for run in facts.runs.values()])
    tick(sheet, "2.5.b", groups)
    teachers = facts.ledger.things(dict.fromkeys(teacher for _, teacher, _ in routes.teachers))
    ordered = sorted(teachers.values(), key=lambda thing: thing.name)
    _on_market(sheet, ordered)
    _others(sheet, facts, ordered)
    ask_for(
        sheet, facts, "2.5.e", "generated", collect(shards, lambda body: body.generated).missing, "when the outputs were made"
    )
    _tables(sheet, facts, routes)


def _tables(sheet: Sheet, facts: Facts, routes: Routes) -> None:
    """What is known of every model whose outputs belong here, or do so if an open question is decided that way."""
    hands = [*routes.teachers, *routes.maybe]
    teachers = facts.ledger.things(dict.fromkeys(teacher for _, teacher, _ in hands))
    ordered = sorted(teachers.values(), key=lambda thing: thing.name)
    if routes.maybe:
        unsure = listed(sorted({facts.ledger.name(teacher) for _, teacher, _ in routes.maybe}))
        sheet.fill("2.5.e", f"Not settled: whether outputs of {unsure} belong to this section. They are counted below.")
    _amounts(sheet, facts, hands)
    _ways(sheet, facts, hands, ordered)
    _documents(sheet, facts, ordered)


def _body(thing: Thing) -> Teacher:
    body: Teacher = thing.body
    return body


def _declare(thing: Thing) -> str:
    return f"inbond declare {short(thing.ref)} --facts FILE"


def _on_market(sheet: Sheet, teachers: list[Thing]) -> None:
    """The list of those on the market with links, and nothing else."""
    items = []
    unsaid = 0
    for thing in teachers:
        body = _body(thing)
        if isinstance(body.eu_market.known, UnsetType):
            unsaid += 1
            sheet.missing("2.5.c", "eu_market", thing.name, "whether the model is available on the market", _declare(thing))
        elif body.eu_market.known.value:
            items.append(Item(text=thing.name, url=link(body.summary)))
            sheet.rest_on("2.5.c", "teachers.declared", [thing.entry])
            if is_missing(body.summary):
                text = "whether its provider has published a summary of its own, and where"
                sheet.missing("2.5.c", "summary", thing.name, text, _declare(thing))
        if not body.version.is_known:
            sheet.missing("2.5.c", "version", thing.name, "which version of the model it was", _declare(thing))
    if items:
        sheet.fill("2.5.c", Listing(items=tuple(items)))
    elif not unsaid:
        sheet.not_applicable("2.5.c", "no model that generated synthetic data is available on the market")


def _others(sheet: Sheet, facts: Facts, teachers: list[Thing]) -> None:
    """Models that are not on the market, with what is known of their training data."""
    markets = [(thing, _body(thing).eu_market.known) for thing in teachers]
    unsaid = [thing.name for thing, market in markets if isinstance(market, UnsetType)]
    others = [thing for thing, market in markets if not isinstance(market, UnsetType) and not market.value]
    for thing in others:
        sheet.rest_on("2.5.d", "teachers.declared", [thing.entry])
        sheet.fill("2.5.d", f"{thing.name}: {_training_of(sheet, facts, thing)}")
    if unsaid:
        sheet.unsettled("2.5.d", f"whether these are on the market is not known (see 2.5.c): {listed(unsaid)}")
    elif not others:
        sheet.not_applicable("2.5.d", "every model that generated synthetic data is available on the market")


def _training_of(sheet: Sheet, facts: Facts, thing: Thing) -> str:
    """What is known of a teacher's own training data: as declared, or as this registry has it on record."""
    body = _body(thing)
    words = []
    if body.base_family.is_known:
        words.append(f"of the family {body.base_family.value_or('')}")
    if body.ancestry.is_known:
        words += [f"{each.edge.value.replace('_', ' ')} {facts.ledger.name(each.model)}" for each in body.ancestry.value_or(())]
    if not isinstance(body.same_as_student, UnsetType):
        learned = shares_of(facts.ledger.reader, body.same_as_student, facts.ledger.size)
        taught = dict.fromkeys(each.teacher for each in learned.shares if each.role in MAKERS)
        rows = sum(stage.rows for stage in learned.stages)
        words.append(
            f"a model of this provider, trained on {count(rows, 'row')} of outputs of {listed(learned.names[t] for t in taught)}"
        )
    note = None if isinstance(body.training_note.known, UnsetType) else facts.ledger.document(body.training_note.known)
    if note:
        words.append(f"training data: {note}")
    elif is_missing(body.training_note) and isinstance(body.same_as_student, UnsetType):
        sheet.missing("2.5.d", "training_note", thing.name, "a general description of its training data", _declare(thing))
    elif body.training_note.unknown is not UNSET:
        words.append(f"training data not known: {why_not(body.training_note)}")
    return "; ".join(words) or "nothing more is on record"


def _amounts(sheet: Sheet, facts: Facts, hands: Hands) -> None:
    """Rows, tokens and samples of each model, role and stage, with shares of what was given in that stage."""
    shards: dict[tuple[str, str], list[str]] = {}
    for ref, teacher, role in hands:
        shards.setdefault((facts.ledger.name(teacher), role.value), []).append(ref)
    rows = []
    for total in facts.shares.stages:
        entries = [seq for run in facts.runs.values() if run.opened.stage.value == total.stage for seq in run.entries]
        for (name, hand), refs in sorted(shards.items()):
            part = facts.figures(refs, total.stage)
            if not part.shards:
                continue
            of = f"{name}, {hand}, {total.stage}"
            sheet.figure("2.5.e", f"rows of {of}", part.rows, "rows", "shares.rows", entries)
            sheet.figure("2.5.e", f"samples of {of}", part.samples, "samples", "shares.samples", entries)
            if part.tokens is not None:
                sheet.figure("2.5.e", f"tokens of {of}", part.tokens, "tokens", "given.tokens", entries)
            rows.append(_amount(name, hand, part, total))
    columns = ("Model", "Stage and role", "Rows", "Share of the stage's rows", "Samples", "Share of samples", "Tokens")
    caption = "How much of each model's outputs the model was trained on"
    sheet.fill(
        "2.5.e",
        Table(caption=caption, columns=columns, rows=tuple(sorted(rows, key=lambda row: row[:2])), numeric=(2, 3, 4, 5, 6)),
    )
    stages = "; ".join(
        f"{total.stage}: {count(total.rows, 'row')}, {count(total.samples, 'sample')}" for total in facts.shares.stages
    )
    sheet.fill(
        "2.5.e",
        f"Shares are of everything given in the same stage ({stages}). A row is one prompt with one answer and counts once; "
        "a sample counts each time it was given. Where several models had a hand in a row, it counts for each of them.",
    )


def _amount(name: str, role: str, part: Figures, total: StageTotal) -> tuple[str | int, ...]:
    return (
        name,
        f"{total.stage}, {role}",
        part.rows if part.rows_at_most is None else f"{part.rows:,} to {part.rows_at_most:,}",
        f"{share(part.rows, total.rows)} of {total.rows:,}",
        part.samples,
        f"{share(part.samples, total.samples)} of {total.samples:,}",
        "not known" if part.tokens is None else part.tokens,
    )


def _ways(sheet: Sheet, facts: Facts, hands: Hands, teachers: list[Thing]) -> None:
    """How and when each model's outputs were obtained, under which terms, and what the gate said."""
    rows = []
    for thing in teachers:
        body, granted = _body(thing), facts.granted.get(thing.ref)
        given = [facts.shards[ref] for ref in dict.fromkeys(ref for ref, teacher, _ in hands if teacher == thing.ref)]
        terms = sorted({ref for each in facts.shares.shares if each.teacher == thing.ref for ref in each.terms})
        verdicts = [VERDICTS[verdict] for verdict in granted.verdicts] if granted else []
        rows.append(
            (
                thing.name,
                _period(given),
                body.access_path.known.value if not isinstance(body.access_path.known, UnsetType) else "not known",
                _market(body),
                listed(sorted(facts.shares.names[ref] for ref in terms)) or "none on record",
                listed(verdicts) or "no grant on record",
            )
        )
        if is_missing(body.access_path):
            sheet.missing("2.5.e", "access_path", thing.name, "how its outputs were obtained", _declare(thing), required=False)
        if not terms:
            supply = f"inbond terms add FILE --teacher {quote(thing.name)} --effective YYYY-MM-DD"
            sheet.missing("2.5.e", "terms", thing.name, "the terms that governed its outputs", supply, required=False)
        if granted:
            sheet.rest_on("2.5.e", "grants.verdict", granted.entries)
            rulings = facts.ledger.things(granted.decisions).values()
            sheet.rest_on("2.5.e", "decisions.authorisation", [ruling.made for ruling in rulings])
        sheet.rest_on("2.5.e", "teachers.declared", [thing.entry])
    columns = ("Model", "Outputs made", "Access", "On the market, own summary", "Terms", "Verdict of the gate")
    caption = "How each model's outputs were obtained"
    sheet.fill("2.5.e", Table(caption=caption, columns=columns, rows=tuple(rows)))


def _period(given: list[Given]) -> str:
    period = period_of(given)
    return months(period[0], period[1], live=period[2]) if period else "not known"


def _market(body: Teacher) -> str:
    if isinstance(body.eu_market.known, UnsetType):
        return "not known"
    market = f"{'yes' if body.eu_market.known.value else 'no'}, as of {day(body.eu_market.known.as_of)}"
    if isinstance(body.summary.known, UnsetType):
        return market
    if isinstance(body.summary.known.url, UnsetType):
        return f"{market}; no summary found on {day(body.summary.known.checked)}"
    return f"{market}; summary linked, checked {day(body.summary.known.checked)}"


def _documents(sheet: Sheet, facts: Facts, teachers: list[Thing]) -> None:
    """The documents of terms that the table before names."""
    wanted = {ref for each in facts.shares.shares for ref in each.terms if each.teacher in {thing.ref for thing in teachers}}
    rows = []
    for thing in sorted(facts.ledger.things(sorted(wanted)).values(), key=lambda thing: thing.name):
        body: Terms = thing.body
        until = f" until {day(body.effective.to.value_or(''))}" if body.effective.to.is_known else ""
        rows.append((thing.name, f"{day(body.effective.from_)}{until}", body.text))
        sheet.rest_on("2.5.e", "terms.applicable", [thing.entry])
    if rows:
        columns = ("Document", "In force from", "Digest of the archived text")
        sheet.fill("2.5.e", Table(caption="The terms that governed the outputs", columns=columns, rows=tuple(rows)))
