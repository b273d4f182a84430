"""The report as a document: what a disclosure says, field by field, with what each word and figure rests on.

It is a function of the first `tree_size` entries, the lists they name and the options; its canonical JSON is the report,
and every rendering is made from it alone. Nothing in it comes from a clock or from chance.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from msgspec import UNSET, UnsetType

from inbond.schemas import canonical
from inbond.schemas.scalars import Closed, Ref
from inbond.schemas.statements import Profile, Template

SCHEMA = "urn:inbond:report:v1"
SHOWN_ENTRIES = 12
"""How many entries evidence lists; beyond them it counts."""


class State(StrEnum):
    """What a field says. Unknown is not no, and nothing is ever left blank."""

    FILLED = "filled"
    NOT_APPLICABLE = "not_applicable"
    NOT_KNOWN = "not_known"
    MISSING = "missing"


class Label(StrEnum):
    """Where a statement comes from: entries about what happened, or somebody's word."""

    RECORDED = "recorded"
    CLAIMED = "claimed"


class Evidence(Closed, frozen=True, kw_only=True):
    """What a field rests on: the query (see `Disclosure.queries`), the first entries that it found, and how many in all."""

    query: str
    label: Label
    entries: tuple[int, ...]
    count: int


class Figure(Closed, frozen=True, kw_only=True):
    """A number in a field; `value` is the answer of `query` about the first `tree_size` entries."""

    name: str
    value: int | str
    unit: str
    query: str
    entries: tuple[int, ...]
    count: int
    tree_size: int


class Option(Closed, frozen=True, kw_only=True):
    """A box of the form."""

    label: str
    ticked: bool


class Choice(Closed, frozen=True, kw_only=True, tag_field="as", tag="choice"):
    """Boxes of which some are ticked; `about` says of what where a field has several rows of them."""

    options: tuple[Option, ...]
    about: str | UnsetType = UNSET


class Text(Closed, frozen=True, kw_only=True, tag_field="as", tag="text"):
    """Paragraphs."""

    paragraphs: tuple[str, ...]


class Item(Closed, frozen=True, kw_only=True):
    """An item of a list, with where it leads."""

    text: str
    url: str | UnsetType = UNSET


class Listing(Closed, frozen=True, kw_only=True, tag_field="as", tag="list"):
    """A list."""

    items: tuple[Item, ...]


class Table(Closed, frozen=True, kw_only=True, tag_field="as", tag="table"):
    """A table; the first cell of each row is its head. `numeric` counts the columns at the right that hold figures."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int, ...], ...]
    numeric: tuple[int, ...] = ()


Block = Choice | Text | Listing | Table


class Field(Closed, frozen=True, kw_only=True):
    """A field of the form. `reason` says why it is not filled; blocks may hold a part of the answer all the same."""

    id: str
    title: str
    required: bool
    state: State
    reason: str | UnsetType = UNSET
    blocks: tuple[Block, ...] = ()
    figures: tuple[Figure, ...] = ()
    evidence: tuple[Evidence, ...] = ()


class Section(Closed, frozen=True, kw_only=True):
    """A section of the form; `level` is how deep it lies."""

    id: str
    title: str
    level: int
    fields: tuple[Field, ...]


class Gap(Closed, frozen=True, kw_only=True):
    """A fact that is missing, and the command that supplies it. A report with a required one is a draft."""

    field: str
    fact: str
    about: str
    text: str
    supply: str
    required: bool


class Lint(Closed, frozen=True, kw_only=True):
    """Something in a field that readers of such reports find fault with."""

    field: str
    text: str


class Named(Closed, frozen=True, kw_only=True):
    """A thing by reference and by what people call it."""

    ref: Ref
    name: str


class Query(Closed, frozen=True, kw_only=True):
    """A query that figures and evidence name, in words."""

    name: str
    says: str


class Earlier(Closed, frozen=True, kw_only=True):
    """An earlier version of the same report, and where it was published."""

    version: int
    ref: Ref
    entry: int
    model: str
    url: str | UnsetType = UNSET


class Disclosure(Closed, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """A report model. `time` is that of the last of the `tree_size` entries, `root` theirs; `missing` counts required gaps."""

    schema_: str
    template: Template
    form: str
    profile: Profile
    origin: str
    tree_size: int
    root: str
    time: str
    student: Named
    provider: Named
    version: int
    earlier: tuple[Earlier, ...]
    released: bool
    missing: int
    sections: tuple[Section, ...]
    gaps: tuple[Gap, ...]
    lints: tuple[Lint, ...]
    queries: tuple[Query, ...]

    @property
    def is_draft(self) -> bool:
        """Whether something that the form asks for is missing, or the student is not released."""
        return bool(self.missing) or not self.released

    def fields(self) -> dict[str, Field]:
        """Every field by its id."""
        return {field.id: field for section in self.sections for field in section.fields}


def decode(data: bytes) -> Disclosure:
    """A report model from its canonical bytes. Raises InvalidInput for anything else."""
    return canonical.decode(data, Disclosure, what="report")


def encode(report: Disclosure) -> bytes:
    """The canonical bytes of a report model."""
    return canonical.encode(report)


def by_command(gaps: Iterable[Gap]) -> list[tuple[Gap, list[Gap]]]:
    """Gaps that one command supplies, together: the first of each with all of them, required ones before the others."""
    groups: dict[tuple[bool, str], list[Gap]] = {}
    for gap in gaps:
        groups.setdefault((not gap.required, gap.supply), []).append(gap)
    return [(together[0], together) for _, together in sorted(groups.items(), key=lambda item: item[0][0])]


def yes_no(answer: bool) -> Choice:
    """The two boxes of a question, one of them ticked."""
    return boxes(("Yes", "No"), {"Yes" if answer else "No"})


def boxes(labels: tuple[str, ...], ticked: set[str], about: str | None = None) -> Choice:
    """Boxes in the form's order."""
    options = tuple(Option(label=label, ticked=label in ticked) for label in labels)
    return Choice(options=options, about=about) if about else Choice(options=options)


def plain(report: Disclosure) -> Any:
    """A report model as plain Python, as its JSON has it."""
    return canonical.decode(encode(report), what="report")
