"""Sections 2.3, 2.4 and 2.6 of the Union's summary: what crawlers, users and people gave."""

from collections.abc import Sequence
from typing import Any

from msgspec import UnsetType

from inbond.registry.disclosure.datasets import tick
from inbond.registry.disclosure.document import Item, Listing
from inbond.registry.disclosure.facts import Facts
from inbond.registry.disclosure.groups import Group, groups_of
from inbond.registry.disclosure.openings import Openings
from inbond.registry.disclosure.routes import Routes
from inbond.registry.disclosure.sheet import Sheet
from inbond.registry.disclosure.wording import is_missing, language, listed, months, short, why_not
from inbond.schemas.declared import Declared

TOP = 10
TOP_SMALL, MOST_SMALL = 5, 1000
"""Of the domains crawled, so many per cent must be listed; of a small or medium provider fewer, and at most so many."""


def fill(sheet: Sheet, facts: Facts, routes: Routes, openings: Openings) -> None:
    """Fill in 2.3, 2.4 and 2.6."""
    _crawled(sheet, facts, groups_of(facts, routes.shards_in("2.3"), routes.sources_in("2.3")), openings, routes)
    _users(sheet, groups_of(facts, routes.shards_in("2.4"), routes.sources_in("2.4")), openings, routes)
    _others(sheet, facts, groups_of(facts, routes.shards_in("2.6"), routes.sources_in("2.6")), openings, routes)


def _rest(sheet: Sheet, id: str, groups: Sequence[Group], routes: Routes, section: str) -> None:
    sheet.rest_on(id, "sources.declared", [seq for group in groups if group.source for seq in group.entries])
    sheet.rest_on(id, "shards.declared", [seq for group in groups if not group.source for seq in group.entries])
    sheet.rest_on(id, "decisions.route_section", routes.ruled.get(section, ()))


def _crawled(sheet: Sheet, facts: Facts, groups: list[Group], openings: Openings, routes: Routes) -> None:
    if not openings.question("2.3.a", bool(groups), "2.3"):
        return openings.skip("2.3.a", *(f"2.3.{letter}" for letter in "bcdefghi"))
    _rest(sheet, "2.3.a", groups, routes, "2.3")
    for group in groups:
        if group.source is None:
            supply = "inbond source add NAME --facts FILE, then name it as prompts of the shards with inbond declare"
            sheet.missing("2.3.b", "prompts.source", group.name, "the crawl that these outputs rephrase", supply)
            continue
        ref = group.source.thing.ref
        crawler: Any = group.source.body.crawler.known
        if isinstance(crawler, UnsetType):
            text = "the crawler: name, purpose, behaviour, domains"
            _lacking(sheet, "2.3.b", "crawler", group.name, text, group.source.body.crawler, ref)
        else:
            sheet.fill("2.3.b", Listing(items=(Item(text=crawler.name),)))
            sheet.fill("2.3.c", f"{crawler.name}: {crawler.purpose}")
            sheet.fill("2.3.d", f"{crawler.name}: {crawler.behaviour}")
            _domains(sheet, facts, crawler.name, crawler.domains)
        if group.period:
            sheet.fill("2.3.e", f"{group.name}: {months(group.period[0], group.period[1], live=group.period[2])}")
        else:
            _lacking(sheet, "2.3.e", "collected", group.name, "the period of collection", group.source.body.collected, ref)
        if group.types and group.languages:
            where = f"; regions: {listed(group.regions)}" if group.regions else ""
            tongues = listed(map(language, group.languages))
            sheet.fill("2.3.f", f"{group.name}: {listed(group.types)}; languages: {tongues}{where}")
        else:
            text = "types of content, languages and regions of what was crawled"
            _lacking(sheet, "2.3.f", "content", group.name, text, group.source.body.content, ref)
    for letter in "bcdefh":
        _rest(sheet, f"2.3.{letter}", groups, routes, "2.3")
    tick(sheet, "2.3.g", groups)


def _lacking(sheet: Sheet, id: str, fact: str, about: str, text: str, stated: Declared[Any], ref: str) -> None:
    """What a source does not say: missing, or known to be lost."""
    if stated.is_known or is_missing(stated):
        sheet.missing(id, fact, about, text, f"inbond declare {short(ref)} --facts FILE")
    else:
        sheet.not_known(id, f"{about}: {why_not(stated)}")


def _domains(sheet: Sheet, facts: Facts, crawler: str, digest: str) -> None:
    """The first domains of the list, which has a domain a line, those first of which most was taken."""
    text = facts.ledger.document(digest)
    if text is None:
        sheet.missing(
            "2.3.h", "crawler.domains", crawler, f"the list of domains: object {digest} is not in the store", "inbond doctor"
        )
        return
    domains = [line.split()[0] for line in text.splitlines() if line.strip()]
    operator = facts.operator_body
    small = operator is not None and operator.sme.value_or(False)
    if small:
        most = min(-(-len(domains) * TOP_SMALL // 100), MOST_SMALL)
        says = f"The top {TOP_SMALL} % of domains or {MOST_SMALL:,}, whichever is lower (small or medium enterprise)"
    else:
        most, says = -(-len(domains) * TOP // 100), f"The top {TOP} % of domains"
    sheet.fill("2.3.h", f"{crawler}: {says}: {most:,} of {len(domains):,}; the whole list is object {digest}.")
    sheet.fill("2.3.h", Listing(items=tuple(Item(text=domain) for domain in domains[:most])))


def _users(sheet: Sheet, groups: list[Group], openings: Openings, routes: Routes) -> None:
    """With a service named, the data came from that service; where none applies, from the model itself."""
    of_model = [group for group in groups if group.source and not isinstance(group.source.body.user_service.na, UnsetType)]
    of_services = [group for group in groups if group.source and group.source.body.user_service.is_known]
    unsaid = [group for group in groups if group.source and not isinstance(group.source.body.user_service.unknown, UnsetType)]
    for id, found in (("2.4.a", of_model), ("2.4.b", of_services)):
        if unsaid and not found:
            sheet.unsettled(id, f"user data was trained on, but not of which service: {listed(group.name for group in unsaid)}")
        else:
            openings.question(id, bool(found), "2.4")
        _rest(sheet, id, found, routes, "2.4")
    for group in unsaid:
        if group.source:
            text = "the service that the users' data came from, or that it is this model (na)"
            _lacking(sheet, "2.4.c", "user_service", group.name, text, group.source.body.user_service, group.source.thing.ref)
    if not groups:
        return openings.skip("2.4.b", "2.4.c", "2.4.d", "2.4.e")
    for group in (*of_services, *of_model):
        service = group.source.body.user_service.value_or("the model itself") if group.source else ""
        sheet.fill("2.4.c", f"{service}: {group.description()}")
    _rest(sheet, "2.4.c", groups, routes, "2.4")
    tick(sheet, "2.4.d", groups)


def _others(sheet: Sheet, facts: Facts, groups: list[Group], openings: Openings, routes: Routes) -> None:
    if not openings.question("2.6.a", bool(groups), "2.6"):
        return openings.skip("2.6.a", "2.6.b", "2.6.c")
    for id in ("2.6.a", "2.6.b"):
        _rest(sheet, id, groups, routes, "2.6")
    for group in groups:
        kind = group.source.body.category.value if group.source else "outputs"
        by = "people" if kind == "human" else "no other category"
        sheet.fill("2.6.b", f"{group.name} ({by}): {group.description()}")
        if group.source and is_missing(group.source.body.content):
            ref = group.source.thing.ref
            sheet.missing("2.6.b", "content", group.name, "what it holds", f"inbond declare {short(ref)} --facts FILE")
