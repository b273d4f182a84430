"""The head and section 1 of the Union's summary: who, which model, and the training data as a whole."""

from collections.abc import Sequence
from shlex import quote
from typing import Any

from msgspec import UNSET, UnsetType

from inbond.registry.disclosure import sizes
from inbond.registry.disclosure.collected import ask_for, collect, lost
from inbond.registry.disclosure.document import Earlier, Item, Listing, boxes, yes_no
from inbond.registry.disclosure.facts import Facts
from inbond.registry.disclosure.ledger import Thing
from inbond.registry.disclosure.sheet import Sheet
from inbond.registry.disclosure.wording import (
    EU_MEMBERS,
    count,
    day,
    is_missing,
    languages,
    listed,
    month,
    short,
    why_not,
)
from inbond.schemas.declared import Declared
from inbond.schemas.scalars import Modality
from inbond.schemas.statements import Party, Release, Shard, Summary, Teacher

MODALITIES = {
    Modality.TEXT: "Text",
    Modality.IMAGE: "Image",
    Modality.AUDIO: "Audio",
    Modality.VIDEO: "Video",
    Modality.OTHER: "Other",
}
OPERATOR = "inbond operator set --facts FILE"


def fill(sheet: Sheet, facts: Facts, earlier: Sequence[Earlier]) -> None:
    """Fill in the head and section 1."""
    _version(sheet, facts, earlier)
    _provider(sheet, facts)
    _representative(sheet, facts)
    _names(sheet, facts)
    _dependencies(sheet, facts)
    _market(sheet, facts)
    sources = [source for source in facts.sources.values() if source.in_training]
    ticked = modalities(facts, facts.shards).union(*map(sizes.modalities_of, sources))
    sheet.fill("1.3.a", boxes(tuple(MODALITIES.values()), ticked))
    sheet.rest_on("1.3.a", "shards.measured", [shard.thing.made for shard in facts.shards.values()])
    sheet.rest_on("1.3.a", "sources.declared", [seq for source in sources for seq in source.entries])
    sizes.fill(sheet, facts, ticked)
    _types(sheet, facts, ticked)
    _latest(sheet, facts)
    _languages(sheet, facts)
    _regions(sheet, facts)
    _comments(sheet, facts)


def modalities(facts: Facts, shards: Any) -> set[str]:
    """The modalities of shards: text, which is what the registry's files hold, and whatever else is declared."""
    found = {MODALITIES[Modality.TEXT]} if shards else set()
    for ref in shards:
        content = facts.shards[ref].body.content.known
        if not isinstance(content, UnsetType):
            found |= {MODALITIES[each] for each in content.modalities}
    return found


def link(summary: Declared[Summary]) -> str | UnsetType:
    """Where a provider's own summary is, UNSET where none is known."""
    return UNSET if isinstance(summary.known, UnsetType) else summary.known.url


def _version(sheet: Sheet, facts: Facts, earlier: Sequence[Earlier]) -> None:
    sheet.fill("0.a", f"Version {len(earlier) + 1}")
    if earlier:
        items = [
            Item(text=f"Version {each.version}, entry {each.entry}, {each.model}", url=each.url) for each in reversed(earlier)
        ]
        sheet.fill("0.a", "Earlier versions:", Listing(items=tuple(items)))
        sheet.rest_on("0.a", "reports.earlier", [each.entry for each in earlier])
    else:
        sheet.fill("0.a", "There is no earlier version.")
    sheet.fill("0.b", day(facts.ledger.time))
    sheet.rest_on("0.b", "head.time", [facts.ledger.size - 1])


def _provider(sheet: Sheet, facts: Facts) -> None:
    _party(sheet, facts, "1.1.a", facts.provider, OPERATOR)


def _party(sheet: Sheet, facts: Facts, id: str, thing: Thing, supply: str) -> None:
    """A party's legal name and contact."""
    body: Party = thing.body
    sheet.rest_on(id, "party.declared", [thing.entry])
    if isinstance(body.legal_name.known, UnsetType):
        sheet.fill(id, thing.name)
        sheet.missing(id, "party.legal_name", thing.name, "the legal name", supply)
    else:
        sheet.fill(id, body.legal_name.known)
    contact = None if isinstance(body.contact, UnsetType) else facts.ledger.document(body.contact, salted=True)
    if contact:
        sheet.fill(id, *contact.splitlines())
    else:
        sheet.missing(id, "party.contact", thing.name, "contact details, of a point for questions about this summary", supply)


def _representative(sheet: Sheet, facts: Facts) -> None:
    body: Party = facts.provider.body
    domicile = body.domicile.value_or("")
    if domicile[:2] in EU_MEMBERS or domicile == "EU":
        sheet.not_applicable("1.1.b", f"the provider is established in the Union ({domicile})")
        sheet.rest_on("1.1.b", "party.declared", [facts.provider.entry])
        return
    if not domicile:
        text = "where the provider is established: outside the Union a representative must be named"
        sheet.missing("1.1.b", "party.domicile", facts.provider.name, text, OPERATOR)
    operator = facts.operator_body
    if operator is None or is_missing(operator.eu_representative):
        if domicile:
            text = "the authorised representative, as the provider is established outside the Union"
            sheet.missing("1.1.b", "eu_representative", facts.provider.name, text, OPERATOR)
    elif isinstance(operator.eu_representative.known, UnsetType):
        reason = f"no authorised representative: {why_not(operator.eu_representative)}"
        (sheet.not_known if isinstance(operator.eu_representative.na, UnsetType) else sheet.not_applicable)("1.1.b", reason)
    else:
        named = facts.ledger.thing(operator.eu_representative.known)
        _party(sheet, facts, "1.1.b", named, f"inbond declare {short(named.ref)} --facts FILE")


def _names(sheet: Sheet, facts: Facts) -> None:
    items = [Item(text=facts.student.name)]
    for thing in facts.releases:
        body: Release = thing.body
        called = body.actual.name.value_or(facts.student.name)
        items.append(Item(text=f"{called}, released {day(body.released)}, weights {body.weights}"))
    sheet.fill("1.2.a", Listing(items=tuple(items)))
    sheet.rest_on("1.2.a", "student.declared", [facts.student.entry])
    sheet.rest_on("1.2.a", "releases.declared", [thing.entry for thing in facts.releases])


def _dependencies(sheet: Sheet, facts: Facts) -> None:
    """Models that the weights start from; models whose outputs were trained on stand in 2.5 and nowhere here."""
    sheet.rest_on("1.2.b", "ancestry.weights", [facts.student.entry])
    on_market, others = [], []
    for origin in facts.body.initialised_from:
        model = facts.ledger.thing(origin.model)
        teacher = model.body if isinstance(model.body, Teacher) else None
        market = origin.eu_market if origin.eu_market.is_known or teacher is None else teacher.eu_market
        summary = origin.summary if origin.summary.is_known or teacher is None else teacher.summary
        sheet.rest_on("1.2.b", "weights.declared", [model.entry])
        if isinstance(market.known, UnsetType):
            text = "whether the model whose weights it starts from is on the Union market"
            supply = f"inbond declare {short(model.ref if teacher else facts.student.ref)} --facts FILE"
            sheet.missing("1.2.b", "eu_market", model.name, text, supply)
            others.append(f"{model.name} ({origin.relation.value}): whether it is on the Union market is not known")
        elif market.known.value:
            if is_missing(summary):
                supply = f"inbond declare {short(model.ref)} --facts FILE"
                sheet.missing("1.2.b", "summary", model.name, "whether it has a public summary, and where", supply)
            on_market.append(Item(text=f"{model.name} ({origin.relation.value})", url=link(summary)))
        else:
            on = day(market.known.as_of)
            others.append(f"{model.name} ({origin.relation.value}) was not on the Union market when checked on {on}")
    if on_market:
        sheet.fill("1.2.b", Listing(items=tuple(on_market)))
    elif not any(gap.field == "1.2.b" for gap in sheet.gaps):
        sheet.fill("1.2.b", "None")
    sheet.fill("1.2.b", *others)


def _market(sheet: Sheet, facts: Facts) -> None:
    sheet.rest_on("1.2.c", "releases.declared", [thing.entry for thing in facts.releases])
    if not facts.releases:
        text = "a release with the date on which it was placed on the Union market: the model is not released"
        command = f"inbond student release {quote(facts.student.name)} WEIGHTS --facts FILE"
        sheet.missing("1.2.c", "eu_market", facts.student.name, text, command)
    for thing in facts.releases:
        body: Release = thing.body
        called = body.actual.name.value_or(facts.student.name)
        if not isinstance(body.eu_market.known, UnsetType):
            sheet.fill("1.2.c", f"{called}: {day(body.eu_market.known)}")
        elif is_missing(body.eu_market):
            text = f"the date of placement on the Union market of the release of {day(body.released)}"
            sheet.missing("1.2.c", "eu_market", called, text, f"inbond declare {short(thing.ref)} --facts FILE")
        else:
            sheet.fill("1.2.c", f"{called}: not known, {why_not(body.eu_market)}")


def _types(sheet: Sheet, facts: Facts, ticked: set[str]) -> None:
    found = collect(facts.shards.values(), lambda body: body.content)
    types = sorted({each for _, content in found.known for each in content.types})
    if types:
        sheet.fill("1.3.c", f"{listed(sorted(ticked))}: {listed(types)}")
    sheet.rest_on("1.3.c", "shards.declared", found.entries)
    without = found.missing + [shard for shard, content in found.known if not content.types]
    ask_for(sheet, facts, "1.3.c", "content.types", without, "the types of content")
    if found.lost:
        sheet.fill("1.3.c", lost(found))


def _latest(sheet: Sheet, facts: Facts) -> None:
    """The latest day on which data was made or had, and whether training goes on after it."""

    def latest(body: Shard) -> list[str]:
        generated = body.generated.known
        made = [] if isinstance(generated, UnsetType) else [generated.last]
        return made + ([] if isinstance(body.acquired.known, UnsetType) else [body.acquired.known])

    days = {ref: max(found) for ref, shard in facts.shards.items() if (found := latest(shard.body))}
    for source in facts.sources.values():
        if source.in_training:
            collected, acquired = source.body.collected.known, source.body.acquired.known
            found = [*([] if isinstance(collected, UnsetType) else [collected.to]), *([acquired] if acquired else [])]
            days.update({source.thing.ref: max(map(str, found))} if found else {})
    without = [shard for ref, shard in facts.shards.items() if ref not in days]
    open_ = [shard for shard in without if is_missing(shard.body.generated) or is_missing(shard.body.acquired)]
    ask_for(sheet, facts, "1.3.d", "generated", open_, "when the outputs were made (generated) or had (acquired)")
    if days and not without:
        sheet.fill("1.3.d", month(max(days.values())))
    elif days:
        sheet.fill("1.3.d", f"{month(max(days.values()))} at the earliest; not known of {count(len(without), 'shard')}")
    elif without and not open_:
        sheet.not_known("1.3.d", "no date is on record, and it is recorded that none can be had")
    sheet.rest_on("1.3.d", "shards.declared", [shard.thing.entry for ref, shard in facts.shards.items() if ref in days])
    if facts.releases:
        newest: Release = facts.releases[-1].body
        if isinstance(newest.continuous.known, UnsetType):
            command = f"inbond declare {short(facts.releases[-1].ref)} --facts FILE"
            sheet.missing("1.3.d", "continuous", facts.student.name, "whether it is trained on new data after that date", command)
        else:
            sheet.fill("1.3.d", "Is the model continuously trained on new or dynamic data after that date?")
            sheet.fill("1.3.d", yes_no(newest.continuous.known))
            sheet.rest_on("1.3.d", "releases.declared", [facts.releases[-1].entry])


def _languages(sheet: Sheet, facts: Facts) -> None:
    found = collect(facts.shards.values(), lambda body: body.content)
    union, others = languages(tag for _, content in found.known for tag in content.languages)
    if union:
        sheet.fill("1.3.e", f"Official languages of the Union: {listed(union)}")
    if others:
        sheet.fill("1.3.e", f"Other languages: {listed(others)}")
    sheet.rest_on("1.3.e", "shards.declared", found.entries)
    without = found.missing + [shard for shard, content in found.known if not content.languages]
    ask_for(sheet, facts, "1.3.e", "content.languages", without, "the languages")
    if found.lost:
        sheet.fill("1.3.e", lost(found))


def _regions(sheet: Sheet, facts: Facts) -> None:
    found = collect(facts.shards.values(), lambda body: body.content)
    regions = sorted({region for _, content in found.known for region in content.regions})
    if regions:
        sheet.fill("1.3.f", f"Regions: {listed(regions)}")
        sheet.rest_on("1.3.f", "shards.declared", found.entries)


def _comments(sheet: Sheet, facts: Facts) -> None:
    tokenizers = {each.tokenizer for each in facts.measured.values() if each.tokens is not None}
    named = sorted(facts.ledger.name(each) if each.startswith("teacher:") else each for each in tokenizers)
    if named:
        sheet.fill("1.3.g", f"Where tokens are stated, they are counted with the tokenizer of {listed(named)}.")
        sheet.rest_on("1.3.g", "shards.measured", [shard.thing.made for shard in facts.shards.values()])
    ended = [run for run in facts.runs.values() if run.closed and run.closed.body.outcome.value in ("abandoned", "failed")]
    if ended:
        names = listed(run.thing.name for run in ended)
        sheet.fill("1.3.g", f"The data of runs that were abandoned or failed is counted too: {names}.")
        sheet.rest_on("1.3.g", "runs.closed", [run.closed.entry for run in ended if run.closed])
