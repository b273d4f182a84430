"""Lints: what readers of such reports find fault with, looked for before the report is made."""

import re

from inbond.registry.disclosure.document import Field, Item, Lint, Listing, Section, Text

LISTS = frozenset({"1.2.a", "1.2.b", "2.1.c", "2.2.2.c", "2.3.b", "2.5.c"})
"""Fields that must hold a list, and nothing that leaves it open."""

_HEDGES = re.compile(
    r"\b(may|might|could|including|such as|among others|e\.g\.|etc|various|a variety of|some of)\b", re.IGNORECASE
)
_GENERIC = re.compile(r"\b(info|contact|hello|mail|office|support|sales)@", re.IGNORECASE)
_VERSIONED = re.compile(r"@\S|\d")


def lints(sections: tuple[Section, ...]) -> tuple[Lint, ...]:
    """Everything to find fault with, in the form's order."""
    return tuple(lint for section in sections for field in section.fields for lint in _of(field))


def _of(field: Field) -> list[Lint]:
    found = []
    for item in _items(field):
        if field.id in LISTS and (hedge := _HEDGES.search(item.text)):
            found.append(f"it says {hedge[0]!r}, which leaves the list open: {item.text}")
        if field.id in LISTS and not _VERSIONED.search(item.text):
            found.append(f"it names no version: {item.text}")
        if field.id in ("2.1.c", "2.2.2.c") and not isinstance(item.url, str):
            found.append(f"it has no link: {item.text}")
    if field.id == "1.1.a" and any(_GENERIC.search(line) for line in _lines(field)):
        found.append("the contact is a general address: expected a point for questions about this summary")
    if field.id in LISTS:
        found += [f"a list says {hedge[0]!r} beside its items" for line in _lines(field) if (hedge := _HEDGES.search(line))]
    return [Lint(field=field.id, text=text) for text in dict.fromkeys(found)]


def _items(field: Field) -> list[Item]:
    return [item for block in field.blocks if isinstance(block, Listing) for item in block.items]


def _lines(field: Field) -> list[str]:
    return [line for block in field.blocks if isinstance(block, Text) for line in block.paragraphs]
