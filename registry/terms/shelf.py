"""The catalogue that ships: what others' documents say, read in our own words, one TOML file a provider.

A row is a reading of a document, and not legal advice. It holds no text of the document: whoever is bound by one archives a
copy of their own and binds the row to it (`bind`), which puts the document and its readings on record with the grade that
the row has. A grade below F (the full text was read) opens nothing by itself; see engine.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from inbond.registry import catalogue
from inbond.registry.facts import fill, load_toml
from inbond.registry.listing import ListedFact, ListedTerms
from inbond.registry.opened import OpenRegistry
from inbond.registry.place import Recorded
from inbond.registry.terms.conditions import check_conditions
from inbond.registry.terms.recording import add_fact
from inbond.registry.words import word
from inbond.schemas.errors import Conflict, InvalidInput, NotFound
from inbond.schemas.scalars import AccessPath
from inbond.schemas.statements import Grade, Terms, TermsFact

ADVICE = "a reading in our own words, and not legal advice"
READER = "catalogue of inbond"

_NOWHERE = "terms:" + "0" * 32
_HEAD = {"provider", "party", "title", "version", "access_path", "models", "language", "grade", "read_on"}
_MAY_HAVE = {"effective", "url", "note", "facts"}
_DEFAULTS = {"temporal_reach": "unstated", "output_ownership": "unstated", "student_is_derivative": "no"}


@dataclass(frozen=True, slots=True)
class ShelfFact:
    """A reading of a clause: `given` as `recording.add_fact` takes it, checked, and the reading in words."""

    clause: str
    reading: str
    given: Mapping[str, Any]
    fact: TermsFact


@dataclass(frozen=True, slots=True)
class Row:
    """A document of the catalogue. `effective` and `url` are None where they were not found; `party` is its usual short name."""

    id: str
    provider: str
    party: str
    title: str
    version: str
    effective: str | None
    access_path: AccessPath
    models: tuple[str, ...]
    url: str | None
    language: str
    grade: Grade
    read_on: str
    note: str | None
    facts: tuple[ShelfFact, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """A row that is on record over an operator's own copy: the document, whether it was there before, and the new readings."""

    terms: str
    name: str
    was_there: bool
    facts: tuple[Recorded, ...]


@cache
def shelf() -> Mapping[str, Row]:
    """Every row by its id, in the order of the files. Raises InvalidInput, naming row and field, for one not well made."""
    rows: dict[str, Row] = {}
    for file in sorted(files(__package__).joinpath("catalogue").iterdir(), key=lambda each: each.name):
        if file.name.endswith(".toml"):
            for id, given in read(file.read_text(encoding="utf-8"), file.name).items():
                if id in rows:
                    raise InvalidInput(f"{file.name}: {id}: expected an id that no other row has")
                rows[id] = given
    return rows


def row(id: str) -> Row:
    """The row called `id`."""
    found = shelf().get(id)
    if found is None:
        raise NotFound(f"the catalogue has no row {id!r}", hint="inbond terms catalogue")
    return found


def read(text: str, name: str) -> dict[str, Row]:
    """The rows in the text of a file called `name`; see `shelf`."""
    return {id: _row(id, given, f"{name}: {id}") for id, given in load_toml(text, name).items()}


def bind(
    registry: OpenRegistry,
    id: str,
    text: bytes,
    *,
    party: str | None = None,
    effective: str | None = None,
    models: tuple[str, ...] = (),
    access_path: str | None = None,
) -> Bound:
    """Archive `text` as the document of row `id`, and put it and the row's readings on record; what is there already stays.

    `party`, `effective`, `models` and `access_path` stand in for what the row says, or does not.
    """
    found = row(id)
    starts = effective or found.effective
    if starts is None:
        raise InvalidInput(f"{id}: expected the day from which it is in force, which is not known", hint="--effective DATE")
    provider = _provider(registry, found, party)
    name = f"{found.title}@{found.version}"
    on_record = [each.ref for each in registry.every(ListedTerms, party=provider, name=name)]
    if on_record:
        terms = on_record[0]
        _expect_same_text(registry, terms, name, text)
    else:
        facts = {"url": found.url} if found.url else {}
        terms = catalogue.add_terms(
            registry, text, party=provider, title=found.title, version=found.version, effective=starts, facts=facts,
            models=models or found.models, access_path=access_path or found.access_path, language=found.language,
        ).ref  # fmt: skip
    read_already = {(each.clause, each.scope) for each in registry.every(ListedFact, terms=terms)}
    new = [each for each in found.facts if (each.clause, each.fact.scope.value) not in read_already]
    return Bound(terms, name, bool(on_record), tuple(add_fact(registry, terms, each.given) for each in new))


def _provider(registry: OpenRegistry, found: Row, party: str | None) -> str:
    try:
        return registry.resolve(party or found.party, "party")
    except NotFound as error:
        if party is not None:
            raise
        hint = f"inbond party add {found.party}\nor --party NAME, where {found.provider} has another name here"
        raise NotFound(f"{found.id}: {error.message}", hint=hint) from None


def _expect_same_text(registry: OpenRegistry, terms: str, name: str, text: bytes) -> None:
    body: Terms = registry.newest(terms).body
    digest = f"sha256:{registry.place.objects.put_bytes(text)}"
    if body.text != digest:
        raise Conflict(f"terms {name} are on record with another text: expected {body.text}, found {digest}")


def _row(id: str, given: Any, where: str) -> Row:
    if not isinstance(given, Mapping):
        raise InvalidInput(f"{where}: expected a table, found {given!r}")
    if missing := sorted(_HEAD - given.keys()):
        raise InvalidInput(f"{where}: expected {', '.join(missing)}, found none")
    if strange := sorted(given.keys() - _HEAD - _MAY_HAVE):
        raise InvalidInput(f"{where}: expected no {', '.join(strange)}")
    if not given.get("facts"):
        raise InvalidInput(f"{where}: expected at least one fact, found none")
    grade = word(Grade, given["grade"], f"{where}: grade")
    facts = tuple(_fact(each, grade, given["read_on"], where) for each in given["facts"])
    seen = [(each.clause, each.fact.scope) for each in facts]
    if len(set(seen)) != len(seen):
        raise InvalidInput(f"{where}: expected each clause once for each scope, found {seen}")
    return Row(
        id, given["provider"], given["party"], given["title"], given["version"], given.get("effective"),
        word(AccessPath, given["access_path"], f"{where}: access_path"), tuple(given["models"]), given.get("url"),
        given["language"], grade, given["read_on"], given.get("note"), facts,
    )  # fmt: skip


def _fact(given: Mapping[str, Any], grade: Grade, read_on: str, where: str) -> ShelfFact:
    stated = {**_DEFAULTS, "grade": grade.value, "reader": READER, "read_on": read_on, **given}
    reading = stated.pop("reading", "")
    if not reading:
        raise InvalidInput(f"{where}: expected a reading in words of clause {given.get('clause')}, found none")
    fact = fill(TermsFact, stated, fixed={"terms": _NOWHERE}, where=where)
    check_conditions(fact.conditions, where)
    return ShelfFact(fact.clause, reading, stated, fact)
