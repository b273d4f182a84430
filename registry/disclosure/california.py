"""California's documentation of training data (Civil Code § 3111, AB 2013): its twelve items, filled in."""

from collections.abc import Callable, Sequence
from shlex import quote

from msgspec import UnsetType

from inbond.ledger.entries import parse_entry
from inbond.registry.disclosure.collected import Collected, ask_for, collect
from inbond.registry.disclosure.document import Earlier, Item, Listing, Table, yes_no
from inbond.registry.disclosure.facts import Facts, Given
from inbond.registry.disclosure.groups import period_of
from inbond.registry.disclosure.sheet import Asked, Form, Part, Sheet
from inbond.registry.disclosure.wording import count, day, is_missing, listed, months, short, why_not
from inbond.registry.intake import MAKERS
from inbond.schemas.declared import Declared
from inbond.schemas.statements import Flag, Flags, Party, Release, Teacher, UseKind

FORM = Form(
    id="ca-ab2013",
    version="1",
    title="Documentation of Training Data",
    follows="the items of California Civil Code section 3111(a)",
    parts=(
        Part("0", "Developer and system", 1, (
            Asked("developer", "Developer"),
            Asked("system", "System or service, with its releases"),
            Asked("update", "Last update"),
        )),
        Part("a", "Datasets used in development", 1, (
            Asked("(a)(1)", "Sources or owners of the datasets"),
            Asked("(a)(2)", "How the datasets further the intended purpose"),
            Asked("(a)(3)", "Number of data points"),
            Asked("(a)(4)", "Types of data points"),
            Asked("(a)(5)", "Data protected by copyright, trademark or patent"),
            Asked("(a)(6)", "Datasets purchased or licensed"),
            Asked("(a)(7)", "Personal information"),
            Asked("(a)(8)", "Aggregate consumer information"),
            Asked("(a)(9)", "Cleaning, processing or other modification"),
            Asked("(a)(10)", "Time period of collection"),
            Asked("(a)(11)", "Dates the datasets were first used"),
            Asked("(a)(12)", "Synthetic data generation"),
        )),
        Part("b", "Exemptions", 1, (Asked("(b)", "Exemption claimed", optional=True),)),
    ),
)  # fmt: skip

USES = {
    UseKind.SFT: "supervised fine-tuning on responses",
    UseKind.KD_LOGITS: "distillation on log-probabilities",
    UseKind.PREFERENCE: "preference training",
    UseKind.REWARD: "training of a reward",
    UseKind.REPHRASE: "training on rephrased content",
    UseKind.JUDGE: "judging",
    UseKind.OTHER: "other use",
}


def fill(sheet: Sheet, facts: Facts, earlier: Sequence[Earlier]) -> None:
    """Fill the form in from the facts."""
    by: dict[str, list[Given]] = {}
    for shard in facts.shards.values():
        by.setdefault(facts.ledger.name(shard.datasets[0]) if shard.datasets else shard.thing.ref, []).append(shard)
    datasets = dict(sorted(by.items()))
    _head(sheet, facts, earlier)
    if not datasets:
        text = "training data: nothing is on record as given to a run of this model"
        sheet.missing(
            "(a)(3)", "run", facts.student.name, text, f"inbond pull DATASET --student {quote(facts.student.name)} --run NAME"
        )
    _owners(sheet, facts, datasets)
    _purpose(sheet, facts, datasets)
    _numbers(sheet, facts, datasets)
    _types(sheet, facts)
    _rights(sheet, facts)
    _licensed(sheet, facts)
    _flag(sheet, facts, "(a)(7)", "personal", "personal information", lambda flags: flags.personal)
    _flag(sheet, facts, "(a)(8)", "consumer", "aggregate consumer information", lambda flags: flags.consumer)
    _processing(sheet, facts)
    _period(sheet, facts, datasets)
    _first_used(sheet, facts, datasets)
    _synthetic(sheet, facts)
    sheet.not_applicable("(b)", "no exemption is on record")


def _head(sheet: Sheet, facts: Facts, earlier: Sequence[Earlier]) -> None:
    party: Party = facts.provider.body
    sheet.fill("developer", party.legal_name.value_or(facts.provider.name))
    sheet.rest_on("developer", "party.declared", [facts.provider.entry])
    if is_missing(party.legal_name):
        sheet.missing("developer", "party.legal_name", facts.provider.name, "the legal name", "inbond operator set --facts FILE")
    items = [Item(text=facts.student.name)]
    for thing in facts.releases:
        body: Release = thing.body
        items.append(Item(text=f"{body.actual.name.value_or(facts.student.name)}, released {day(body.released)}"))
    sheet.fill("system", Listing(items=tuple(items)))
    sheet.rest_on("system", "releases.declared", [thing.entry for thing in facts.releases])
    sheet.fill("update", f"{day(facts.ledger.time)}, version {len(earlier) + 1}")
    sheet.rest_on("update", "head.time", [facts.ledger.size - 1])


def _owners(sheet: Sheet, facts: Facts, datasets: dict[str, list[Given]]) -> None:
    """For each dataset whose models made it, who supplied it, and where its prompts came from."""
    items = []
    for name, shards in datasets.items():
        makers = dict.fromkeys(model.teacher for shard in shards for model in shard.body.models if model.role in MAKERS)
        made = []
        for thing in sorted(facts.ledger.things(makers).values(), key=lambda thing: thing.name):
            teacher: Teacher = thing.body
            owner = (
                facts.ledger.name(teacher.party.known) if not isinstance(teacher.party.known, UnsetType) else "a party not known"
            )
            made.append(f"{thing.name} of {owner}")
            sheet.rest_on("(a)(1)", "teachers.declared", [thing.entry])
            if is_missing(teacher.party):
                sheet.missing(
                    "(a)(1)", "party", thing.name, "whose model it is", f"inbond declare {short(thing.ref)} --facts FILE"
                )
        words = [f"{name}: outputs of {listed(made)}"]
        suppliers = sorted({facts.ledger.name(ref) for shard in shards if (ref := shard.body.supplier.value_or(""))})
        if suppliers:
            words.append(f"supplied by {listed(suppliers)}")
        urls = sorted({public.url for shard in shards if not isinstance(public := shard.body.public.known, UnsetType)})
        items.append(Item(text=", ".join(words), url=urls[0]) if len(urls) == 1 else Item(text=", ".join(words)))
    for source in facts.sources.values():
        owner = source.body.owner.value_or("")
        of = f", of {facts.ledger.name(owner)}" if owner else ", whose owner is not on record"
        items.append(Item(text=f"{source.thing.name}{of} (prompts or other data)"))
        sheet.rest_on("(a)(1)", "sources.declared", source.entries)
    if items:
        sheet.fill("(a)(1)", Listing(items=tuple(items)))


def _purpose(sheet: Sheet, facts: Facts, datasets: dict[str, list[Given]]) -> None:
    purpose = facts.body.purpose
    if not isinstance(purpose.known, UnsetType):
        sheet.fill("(a)(2)", f"Intended purpose: {purpose.known}")
        sheet.rest_on("(a)(2)", "student.declared", [facts.student.entry])
    elif is_missing(purpose):
        supply = f"inbond declare {short(facts.student.ref)} --facts FILE"
        sheet.missing("(a)(2)", "purpose", facts.student.name, "the intended purpose of the system", supply)
    else:
        sheet.not_known("(a)(2)", why_not(purpose))
    for name, shards in datasets.items():
        uses = sorted({USES[facts.runs[run].opened.use_kind] for shard in shards for run in shard.runs})
        if uses:
            sheet.fill("(a)(2)", f"{name} served {listed(uses)}.")
    sheet.rest_on("(a)(2)", "runs.opened", [run.thing.made for run in facts.runs.values()])


def _numbers(sheet: Sheet, facts: Facts, datasets: dict[str, list[Given]]) -> None:
    rows = []
    for name, shards in datasets.items():
        sums = facts.figures(shard.thing.ref for shard in shards)
        most = f" to {sums.rows_at_most:,}" if sums.rows_at_most else ""
        rows.append((name, f"{sums.rows:,}{most}" if most else sums.rows, "not known" if sums.tokens is None else sums.tokens))
        entries = sorted({seq for shard in shards for run in shard.runs for seq in facts.runs[run].entries})
        sheet.figure("(a)(3)", f"rows of {name}", sums.rows, "rows", "given.rows", entries)
    if rows:
        columns = ("Dataset", "Data points (a prompt with an answer)", "Tokens")
        sheet.fill("(a)(3)", Table(caption="Data points given to training", columns=columns, rows=tuple(rows), numeric=(1, 2)))


def _types(sheet: Sheet, facts: Facts) -> None:
    roles = sorted({model.role.value for shard in facts.shards.values() for model in shard.body.models})
    if roles:
        sheet.fill("(a)(4)", f"Text: prompts with answers of models. Hands of models in them: {listed(roles)}.")
        sheet.rest_on("(a)(4)", "shards.measured", [shard.thing.made for shard in facts.shards.values()])
    found = collect(facts.shards.values(), lambda body: body.content)
    types = sorted({each for _, content in found.known for each in content.types})
    if types:
        sheet.fill("(a)(4)", f"Content: {listed(types)}.")
        sheet.rest_on("(a)(4)", "shards.declared", found.entries)
    ask_for(sheet, facts, "(a)(4)", "content.types", found.missing, "the general characteristics of the data points")


def _rights(sheet: Sheet, facts: Facts) -> None:
    flags: tuple[tuple[str, Callable[[Flags], Declared[Flag]]], ...] = (
        ("copyright", lambda flags: flags.copyright),
        ("trademark", lambda flags: flags.trademark),
        ("patent", lambda flags: flags.patent),
    )
    for name, flag in flags:
        _flag(sheet, facts, "(a)(5)", name, f"data protected by {name}", flag)


def _flag(sheet: Sheet, facts: Facts, id: str, name: str, what: str, flag: Callable[[Flags], Declared[Flag]]) -> None:
    """Yes where any shard is found to have it, No where all are found to have none; else what is missing."""
    found: Collected = collect(facts.shards.values(), lambda body: flag(body.flags))
    sheet.rest_on(id, "shards.declared", found.entries)
    has = any(value.value for _, value in found.known)
    sheet.fill(id, f"Do the datasets include {what}?")
    if has or (found.is_whole and facts.shards):
        sheet.fill(id, yes_no(has))
    else:
        ask_for(sheet, facts, id, f"flags.{name}", found.missing, f"whether the datasets include {what}")
        for reason, shards in sorted(found.lost.items()):
            sheet.not_known(id, f"of {count(len(shards), 'shard')} nobody can say whether there is {what}: {reason}")
    tools = sorted({f"{value.tool} on {day(value.date)}" for _, value in found.known})
    if tools:
        looked = f"{len(found.known)} of {count(len(facts.shards), 'shard')} looked through"
        sheet.fill(id, f"{looked}, by {listed(tools)}: {'some' if has else 'none'} found.")


def _licensed(sheet: Sheet, facts: Facts) -> None:
    """Terms on record are licences; that money was paid no statement says."""
    terms = sorted({ref for each in facts.shares.shares for ref in each.terms})
    without = sorted({facts.shares.names[each.teacher] for each in facts.shares.shares if not each.terms})
    if terms:
        sheet.fill(
            "(a)(6)", yes_no(True), f"Outputs were obtained under: {listed(sorted(facts.shares.names[ref] for ref in terms))}."
        )
        sheet.rest_on("(a)(6)", "terms.applicable", [thing.entry for thing in facts.ledger.things(terms).values()])
    for name in without:
        supply = f"inbond terms add FILE --teacher {quote(name)} --effective YYYY-MM-DD"
        sheet.missing("(a)(6)", "terms", name, "the terms or licence under which its outputs were obtained", supply)


def _processing(sheet: Sheet, facts: Facts) -> None:
    found = collect(facts.shards.values(), lambda body: body.processing)
    steps = sorted({(step.step, step.tool, step.purpose) for _, said in found.known for step in said})
    rejected = sum(sum(shard.body.counts.rejected.values()) for shard in facts.shards.values())
    if steps:
        sheet.fill("(a)(9)", yes_no(True))
        items = tuple(Item(text=f"{step} with {tool}; purpose: {purpose}") for step, tool, purpose in steps)
        sheet.fill("(a)(9)", Listing(items=items))
    elif found.is_whole and facts.shards:
        sheet.fill("(a)(9)", yes_no(bool(rejected)))
    if rejected:
        sheet.fill("(a)(9)", f"On import {count(rejected, 'malformed record')} were left out.")
        sheet.rest_on("(a)(9)", "shards.measured", [shard.thing.made for shard in facts.shards.values()])
    sheet.rest_on("(a)(9)", "shards.declared", found.entries)
    ask_for(sheet, facts, "(a)(9)", "processing", found.missing, "whether the data was cleaned or modified, and to what end")


def _period(sheet: Sheet, facts: Facts, datasets: dict[str, list[Given]]) -> None:
    for name, shards in datasets.items():
        period = period_of(shards)
        if period:
            sheet.fill("(a)(10)", f"{name}: {months(period[0], period[1], live=period[2])}")
            sheet.rest_on("(a)(10)", "shards.declared", [shard.thing.entry for shard in shards])
            continue
        found = collect(shards, lambda body: body.generated)
        ask_for(sheet, facts, "(a)(10)", "generated", found.missing, "when the outputs were made, and whether they still are")
        if not found.missing:
            sheet.fill("(a)(10)", f"{name}: not known")


def _first_used(sheet: Sheet, facts: Facts, datasets: dict[str, list[Given]]) -> None:
    """The first entry that gave a run anything of a dataset."""
    for name, shards in datasets.items():
        starts = [shard.start for shard in shards if shard.start >= 0]
        if not starts:
            continue
        first = min(starts)
        used = day(parse_entry(facts.ledger.reader.entry(first)).time)
        sheet.fill("(a)(11)", f"{name}: {used}")
        sheet.figure("(a)(11)", f"first use of {name}", used, "day", "given.first", [first])
        sheet.rest_on("(a)(11)", "given.first", [first])


def _synthetic(sheet: Sheet, facts: Facts) -> None:
    if not facts.shards:
        return
    makers = {model.teacher for shard in facts.shards.values() for model in shard.body.models if model.role in MAKERS}
    sheet.fill("(a)(12)", yes_no(True))
    uses = sorted({USES[run.opened.use_kind] for run in facts.runs.values()})
    sheet.fill("(a)(12)", f"Outputs of {count(len(makers), 'model')} were used for {listed(uses)}.")
    sheet.rest_on("(a)(12)", "given.rows", facts.entries)
