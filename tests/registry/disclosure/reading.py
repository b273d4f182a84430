"""Reading report models in tests: a report of a world, a field's words, its gaps."""

from typing import Any

import msgspec

from inbond.registry.disclosure.document import Choice, Disclosure, Field, Gap, Listing, State, Table, Text, decode
from tests.registry.world import World


def report(world: World, template: str = "eu-summary", size: int | None = None, student: str = "lab/pupil") -> Disclosure:
    return decode(world.registry.place.report_model(student, template, {}, size or world.size()))


def field(found: Disclosure, id: str) -> Field:
    return found.fields()[id]


def says(found: Disclosure, id: str) -> list[str]:
    """The words of a field: paragraphs, items with their addresses, ticked boxes, cells of tables."""
    words: list[str] = []
    for block in field(found, id).blocks:
        if isinstance(block, Text):
            words += block.paragraphs
        elif isinstance(block, Listing):
            words += [item.text if item.url is msgspec.UNSET else f"{item.text} <{item.url}>" for item in block.items]
        elif isinstance(block, Choice):
            words += [f"[{option.label}]" for option in block.options if option.ticked]
        elif isinstance(block, Table):
            words += [" | ".join(map(str, row)) for row in block.rows]
    return words


def table(found: Disclosure, id: str, caption: str) -> list[tuple[Any, ...]]:
    """The rows of the table in a field whose caption begins so."""
    tables = [block for block in field(found, id).blocks if isinstance(block, Table)]
    return [row for block in tables if block.caption.startswith(caption) for row in block.rows]


def figures(found: Disclosure, id: str) -> dict[str, int | str]:
    return {each.name: each.value for each in field(found, id).figures}


def gaps(found: Disclosure, id: str) -> list[Gap]:
    return [gap for gap in found.gaps if gap.field == id and gap.required]


def states(found: Disclosure, state: State) -> set[str]:
    return {id for id, each in found.fields().items() if each.state is state}
