"""Sections 2.1 and 2.2 of the Union's summary: datasets of third parties, public and private."""

from collections.abc import Sequence

from inbond.registry.disclosure.collected import ask_for
from inbond.registry.disclosure.document import Item, Listing, Table, boxes
from inbond.registry.disclosure.facts import Facts
from inbond.registry.disclosure.general import MODALITIES
from inbond.registry.disclosure.groups import Group, groups_of
from inbond.registry.disclosure.openings import Openings
from inbond.registry.disclosure.routes import Routes
from inbond.registry.disclosure.sheet import Sheet
from inbond.registry.disclosure.wording import is_missing, share, short
from inbond.registry.intake import MAKERS

LARGE = 3
"""A public dataset is large where it is more than so many per cent."""


def fill(sheet: Sheet, facts: Facts, routes: Routes, openings: Openings) -> None:
    """Fill in 2.1 and 2.2."""
    _public(sheet, facts, routes, openings)
    licensed = _section(facts, routes, "2.2.1")
    if openings.question("2.2.1.a", bool(licensed), "2.2.1"):
        tick(sheet, "2.2.1.b", licensed)
        _rest_on(sheet, "2.2.1.a", licensed, routes, "2.2.1")
    else:
        openings.skip("2.2.1.a", "2.2.1.b")
    _private(sheet, facts, routes, openings)


def tick(sheet: Sheet, id: str, groups: Sequence[Group]) -> None:
    """The modalities of groups; one of which they are not known is missing."""
    sheet.fill(id, boxes(tuple(MODALITIES.values()), {each for group in groups for each in group.modalities}))
    sheet.rest_on(id, "shards.declared", [seq for group in groups if not group.source for seq in group.entries])
    sheet.rest_on(id, "sources.declared", [seq for group in groups if group.source for seq in group.entries])
    for group in groups:
        if not group.modalities and group.source:
            supply = f"inbond declare {short(group.source.thing.ref)} --facts FILE"
            sheet.missing(id, "content.modalities", group.name, "the modality of what came from it", supply)


def _section(facts: Facts, routes: Routes, section: str) -> list[Group]:
    return groups_of(facts, routes.shards_in(section), routes.sources_in(section))


def _rest_on(sheet: Sheet, id: str, groups: Sequence[Group], routes: Routes, section: str) -> None:
    sheet.rest_on(id, "shards.declared", [seq for group in groups if not group.source for seq in group.entries])
    sheet.rest_on(id, "sources.declared", [seq for group in groups if group.source for seq in group.entries])
    sheet.rest_on(id, "decisions.route_section", routes.ruled.get(section, ()))


def _public(sheet: Sheet, facts: Facts, routes: Routes, openings: Openings) -> None:
    groups = _section(facts, routes, "2.1")
    if not openings.question("2.1.a", bool(groups), "2.1"):
        return openings.skip("2.1.a", "2.1.b", "2.1.c", "2.1.d", "2.1.e")
    for id in ("2.1.a", "2.1.c", "2.1.d"):
        _rest_on(sheet, id, groups, routes, "2.1")
    tick(sheet, "2.1.b", groups)
    sizes = _Sizes(facts, groups)
    large = [group for group in groups if sizes.is_large(group)]
    others = [group for group in groups if group not in large]
    if large:
        sheet.fill("2.1.c", Listing(items=tuple(group.item() for group in large)))
        sheet.rest_on("2.1.c", "given.rows", facts.entries)
    else:
        sheet.not_applicable("2.1.c", f"no public dataset is more than {LARGE} % by either measure (see 2.1.e)")
    if others:
        items = tuple(Item(text=f"{group.name}: {group.description()}") for group in others)
        sheet.fill("2.1.d", Listing(items=items))
    else:
        sheet.not_applicable("2.1.d", "every public dataset is listed above")
    for group in groups:
        shards = [shard for shard in group.shards if is_missing(shard.body.content)]
        ask_for(
            sheet,
            facts,
            "2.1.d" if group in others else "2.1.e",
            "content",
            shards,
            "what a public dataset holds",
            required=False,
        )
    rows = tuple(sizes.row(group, group in large) for group in groups)
    columns = ("Dataset", sizes.unit.capitalize(), "Of all training data", "Of all public datasets", "Listed")
    sheet.fill(
        "2.1.e", Table(caption="Sizes after pre-processing, as given to training", columns=columns, rows=rows, numeric=(1, 2, 3))
    )
    sheet.fill("2.1.e", sizes.says)
    for group in groups:
        if (size := sizes.of(group)) is not None:
            sheet.figure("2.1.e", f"{sizes.unit} of {group.name}", size, sizes.unit, f"given.{sizes.unit}", sizes.entries(group))
    sheet.figure("2.1.e", f"{sizes.unit} of all training data", sizes.whole, sizes.unit, f"given.{sizes.unit}", facts.entries)
    sheet.figure("2.1.e", f"{sizes.unit} of all public datasets", sizes.public, sizes.unit, f"given.{sizes.unit}", facts.entries)
    _makers(sheet, facts, routes)


def _makers(sheet: Sheet, facts: Facts, routes: Routes) -> None:
    """Whose outputs public datasets hold: the form does not ask it of data that others made, but a reader will."""
    by: dict[str, list[str]] = {}
    for ref in routes.shards_in("2.1"):
        maker = next(model.teacher for model in facts.shards[ref].body.models if model.role in MAKERS)
        by.setdefault(maker, []).append(ref)
    if not by:
        return
    whole = facts.figures(facts.shards).rows
    rows = []
    for thing in sorted(facts.ledger.things(by).values(), key=lambda thing: (thing.name, thing.ref)):
        part = facts.figures(by[thing.ref])
        entries = sorted({seq for ref in by[thing.ref] for run in facts.shards[ref].runs for seq in facts.runs[run].entries})
        sheet.figure("2.1.e", f"rows of public datasets by {thing.name}", part.rows, "rows", "given.rows", entries)
        rows.append((thing.name, part.rows, f"{share(part.rows, whole)} of {whole:,}"))
    columns = ("Model", "Rows", "Of all training data")
    caption = "Models whose outputs these datasets hold"
    sheet.fill("2.1.e", Table(caption=caption, columns=columns, rows=tuple(rows), numeric=(1, 2)))


class _Sizes:
    """How large public datasets are by two measures, as texts differ on which one is meant; one above either is listed.

    In tokens where those of all data are known in one tokenizer, else in rows.
    """

    def __init__(self, facts: Facts, groups: Sequence[Group]) -> None:
        self._facts = facts
        everything = facts.figures(facts.shards)
        beside = [source for source in facts.sources.values() if source.in_training and not source.shards]
        plain = not beside and not any(group.source for group in groups)
        self.unit = "tokens" if everything.tokens and plain else "rows"
        rows = everything.rows + sum(each.rows or 0 for each in beside)
        self.whole = everything.tokens if everything.tokens and plain else rows
        # Prompts lie in rows that are counted already: they add to the public data, not to the whole.
        self.public = sum(self.of(group) or 0 for group in groups)
        self.says = (
            f"A dataset is listed in 2.1.c where its {self.unit} are more than {LARGE} % of those of all training data of the "
            f"modality ({self.whole:,}) or of those of all public datasets ({self.public:,}); both are printed here."
        )

    def of(self, group: Group) -> int | None:
        """A group's size; None where it is not known."""
        return group.tokens if self.unit == "tokens" else group.rows

    def is_large(self, group: Group) -> bool:
        """Whether it is large by either measure, or its size is not known."""
        size = self.of(group)
        return size is None or any(size * 100 > LARGE * whole for whole in (self.whole, self.public))

    def row(self, group: Group, large: bool) -> tuple[str | int, ...]:
        """A group as a row of the table of sizes."""
        size = self.of(group)
        if size is None:
            return group.name, "not known", "not known", "not known", "yes, as its size is not known"
        by = [name for name, whole in (("of all", self.whole), ("of public", self.public)) if size * 100 > LARGE * whole]
        listed = f"yes, by share {' and '.join(by)}" if large else "no"
        of_all, of_public = (f"{share(size, whole)} of {whole:,}" for whole in (self.whole, self.public))
        return group.name, size, of_all, of_public, listed

    def entries(self, group: Group) -> list[int]:
        """The entries that a group's size is counted from."""
        if group.source:
            return list(group.source.entries)
        runs = {run for shard in group.shards for run in shard.runs}
        return sorted({seq for run in runs for seq in self._facts.runs[run].entries})


def _private(sheet: Sheet, facts: Facts, routes: Routes, openings: Openings) -> None:
    groups = _section(facts, routes, "2.2.2")
    if not openings.question("2.2.2.a", bool(groups), "2.2.2"):
        return openings.skip("2.2.2.a", "2.2.2.b", "2.2.2.c", "2.2.2.d", "2.2.2.e")
    for id in ("2.2.2.a", "2.2.2.c", "2.2.2.d"):
        _rest_on(sheet, id, groups, routes, "2.2.2")
    tick(sheet, "2.2.2.b", groups)
    named = [group for group in groups if group.url]
    others = [group for group in groups if not group.url]
    if named:
        sheet.fill("2.2.2.c", Listing(items=tuple(group.item() for group in named)))
    else:
        sheet.not_applicable("2.2.2.c", "none of them is publicly known, as far as is on record")
    if others:
        items = tuple(Item(text=f"Dataset {at}: {group.description()}") for at, group in enumerate(others, 1))
        sheet.fill("2.2.2.d", Listing(items=items))
        for group in others:
            shards = [shard for shard in group.shards if is_missing(shard.body.content)]
            ask_for(sheet, facts, "2.2.2.d", "content", shards, "what a private dataset holds")
    else:
        sheet.not_applicable("2.2.2.d", "all of them are publicly known and listed above")
