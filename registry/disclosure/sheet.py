"""A form and the sheet that it is filled in on: every field ends in a state, with what it rests on and what it lacks."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET

from inbond.registry.disclosure.document import (
    SHOWN_ENTRIES,
    Block,
    Evidence,
    Field,
    Figure,
    Gap,
    Label,
    Query,
    Section,
    State,
    Text,
)
from inbond.registry.disclosure.queries import CLAIMS, QUERIES
from inbond.schemas.statement import digest_of


@dataclass(frozen=True, slots=True)
class Asked:
    """A field of a form; `optional` where the form leaves it to whoever fills it in."""

    id: str
    title: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A section of a form, at a level of headings."""

    id: str
    title: str
    level: int
    fields: tuple[Asked, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """A form as this package knows it: `follows` says which text its fields are those of."""

    id: str
    version: str
    title: str
    follows: str
    parts: tuple[Part, ...]

    def place(self, id: str) -> int:
        """The place of a field among all fields."""
        return [asked.id for part in self.parts for asked in part.fields].index(id)

    @property
    def digest(self) -> str:
        """The digest of everything that the form asks, and of the words in which it asks."""
        parts = [
            [part.id, part.title, part.level, [[asked.id, asked.title, asked.optional] for asked in part.fields]]
            for part in self.parts
        ]
        return digest_of({"id": self.id, "version": self.version, "title": self.title, "follows": self.follows, "parts": parts})


@dataclass
class _Entered:
    blocks: list[Block] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    evidence: dict[str, set[int]] = field(default_factory=dict)
    state: State | None = None
    reason: str = ""


class Sheet:
    """A form that is being filled in from the first `tree_size` entries."""

    def __init__(self, form: Form, tree_size: int) -> None:
        self.form, self.tree_size = form, tree_size
        self.gaps: list[Gap] = []
        self.remarks: list[tuple[str, str]] = []
        self._entered = {asked.id: _Entered() for part in form.parts for asked in part.fields}
        self._queries: set[str] = set()

    def fill(self, id: str, *blocks: Block | str) -> None:
        """Write into a field; a string is a paragraph."""
        self._entered[id].blocks += [Text(paragraphs=(block,)) if isinstance(block, str) else block for block in blocks]

    def rest_on(self, id: str, query: str, entries: Iterable[int]) -> None:
        """Say what a field rests on: a query and the entries that it found, none of them twice."""
        if listed := set(entries):
            self._entered[id].evidence.setdefault(self._query(query), set()).update(listed)

    def figure(self, id: str, name: str, value: int | str, unit: str, query: str, entries: Iterable[int]) -> None:
        """Put a figure in a field, with the entries that it is counted from."""
        listed = sorted(set(entries))
        self._entered[id].figures.append(
            Figure(
                name=name,
                value=value,
                unit=unit,
                query=self._query(query),
                entries=tuple(listed[:SHOWN_ENTRIES]),
                count=len(listed),
                tree_size=self.tree_size,
            )
        )

    def not_applicable(self, id: str, reason: str) -> None:
        """Say that a field does not apply, and why."""
        self._entered[id].state, self._entered[id].reason = State.NOT_APPLICABLE, reason

    def not_known(self, id: str, reason: str) -> None:
        """Say that what a field asks for is recorded as not known, and why; it stays so where nothing is missing."""
        self._entered[id].state, self._entered[id].reason = State.NOT_KNOWN, reason

    def unsettled(self, id: str, reason: str) -> None:
        """Say that a field cannot be answered while facts are missing that other fields list."""
        self._entered[id].state, self._entered[id].reason = State.MISSING, reason

    def missing(self, id: str, fact: str, about: str, text: str, supply: str, *, required: bool = True) -> None:
        """Put a fact on the list of what is missing, with the command that supplies it."""
        gap = Gap(field=id, fact=fact, about=about, text=text, supply=supply, required=required)
        if gap not in self.gaps:
            self.gaps.append(gap)

    def sections(self) -> tuple[Section, ...]:
        """The form, filled in."""
        return tuple(
            Section(id=part.id, title=part.title, level=part.level, fields=tuple(self._field(asked) for asked in part.fields))
            for part in self.form.parts
        )

    def queries(self) -> tuple[Query, ...]:
        """The queries that the sheet names, in words."""
        return tuple(Query(name=name, says=QUERIES[name]) for name in sorted(self._queries))

    def _query(self, name: str) -> str:
        if name not in QUERIES:
            raise KeyError(name)
        self._queries.add(name)
        return name

    def _field(self, asked: Asked) -> Field:
        entered = self._entered[asked.id]
        lacking = sum(gap.required and gap.field == asked.id for gap in self.gaps)
        state, reason = entered.state, entered.reason
        if lacking:
            state, reason = State.MISSING, f"{lacking} fact is missing" if lacking == 1 else f"{lacking} facts are missing"
        elif state is None and entered.blocks:
            state = State.FILLED
        elif state is None:
            state, reason = (
                State.NOT_APPLICABLE,
                "optional; nothing on record" if asked.optional else "nothing on record asks for it",
            )
        fields: dict[str, Any] = {"reason": reason or UNSET}
        return Field(
            id=asked.id,
            title=asked.title,
            required=not asked.optional,
            state=state,
            blocks=tuple(entered.blocks),
            figures=tuple(entered.figures),
            evidence=tuple(_evidence(query, seqs) for query, seqs in sorted(entered.evidence.items()) if seqs),
            **fields,
        )


def _evidence(query: str, entries: set[int]) -> Evidence:
    listed = sorted(entries)
    label = Label.CLAIMED if query in CLAIMS else Label.RECORDED
    return Evidence(query=query, label=label, entries=tuple(listed[:SHOWN_ENTRIES]), count=len(listed))
