"""Section 3 of the Union's summary: what the provider declares of its measures."""

from msgspec import UnsetType

from inbond.registry.disclosure.document import Item, Listing, yes_no
from inbond.registry.disclosure.facts import Facts
from inbond.registry.disclosure.general import OPERATOR
from inbond.registry.disclosure.sheet import Sheet
from inbond.registry.disclosure.wording import count, is_missing, why_not
from inbond.schemas.declared import Declared


def fill(sheet: Sheet, facts: Facts) -> None:
    """Fill in section 3."""
    operator, name = facts.operator_body, facts.provider.name
    if operator is None:
        for id, fact, text in (
            ("3.1.a", "code_of_practice_signatory", "whether the provider is a signatory"),
            ("3.1.b", "opt_out_measures", "the measures, as a document"),
            ("3.2.a", "illegal_content_measures", "the measures, as a document"),
        ):
            sheet.missing(id, fact, name, text, OPERATOR)
    else:
        seqs = [facts.operator.entry] if facts.operator else []
        signatory = operator.code_of_practice_signatory
        if not isinstance(signatory.known, UnsetType):
            sheet.fill("3.1.a", yes_no(signatory.known))
        elif is_missing(signatory):
            sheet.missing("3.1.a", "code_of_practice_signatory", name, "whether the provider is a signatory", OPERATOR)
        else:
            sheet.not_known("3.1.a", why_not(signatory))
        _document(sheet, facts, "3.1.b", "opt_out_measures", operator.opt_out_measures)
        _document(sheet, facts, "3.2.a", "illegal_content_measures", operator.illegal_content_measures)
        if operator.policies:
            items = tuple(Item(text=policy.name, url=policy.url) for policy in operator.policies)
            sheet.fill("3.1.c", Listing(items=items))
        for id in ("3.1.a", "3.1.b", "3.1.c", "3.2.a"):
            sheet.rest_on(id, "operator.declared", seqs)
    steps = [step for shard in facts.shards.values() for step in shard.body.processing.value_or(())]
    if steps:
        removed: dict[tuple[str, str, str], int] = {}
        for step in steps:
            key = step.step, step.tool, step.purpose
            removed[key] = removed.get(key, 0) + step.removed
        items = tuple(
            Item(text=f"{step} with {tool}: {purpose}; {count(gone, 'record')} removed")
            for (step, tool, purpose), gone in sorted(removed.items())
        )
        sheet.fill("3.3.a", Listing(items=items))
        sheet.rest_on("3.3.a", "shards.declared", [s.thing.entry for s in facts.shards.values() if s.body.processing.is_known])


def _document(sheet: Sheet, facts: Facts, id: str, fact: str, stated: Declared[str]) -> None:
    """A document of the provider, in full."""
    if isinstance(stated.known, UnsetType):
        if is_missing(stated):
            sheet.missing(id, fact, facts.provider.name, "the measures, as a document", OPERATOR)
        else:
            sheet.not_known(id, why_not(stated))
        return
    text = facts.ledger.document(stated.known)
    if text:
        sheet.fill(id, *[part.strip() for part in text.split("\n\n") if part.strip()])
    else:
        sheet.missing(id, fact, facts.provider.name, f"a text: object {stated.known} holds none that can be read", OPERATOR)
