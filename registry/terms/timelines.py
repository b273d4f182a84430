"""The timeline of a document, and what changed from one version to another: in its text, and in what was read of it."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from inbond.ledger.reader import LedgerReader
from inbond.registry.current import newest
from inbond.registry.names import names_of
from inbond.registry.objects import ObjectStore
from inbond.registry.terms.answers import Difference, FactChange, FieldChange, Odrl, Timeline, Version
from inbond.registry.terms.known import Document, Reading, documents
from inbond.registry.terms.odrl import policy_of
from inbond.schemas.errors import InvalidInput
from inbond.schemas.statements import Terms, TermsFact

MAX_COMPARED = 4 << 20
"""The longest text, in bytes, of which differences are looked for."""

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ABOUT = ("terms", "clause", "scope", "modality", "reader", "read_on")


def timeline_of(reader: LedgerReader, ref: str, at: str | None = None, size: int | None = None) -> Timeline:
    """The versions of the document that `ref` is one of, as the first `size` entries say; with `at`, those in force then."""
    every = documents(reader.connection, [ref], size)
    versions = tuple(_version(reader, each, size) for each in every if at is None or each.in_force(at))
    return Timeline(ref, versions, names_of(reader.connection, [ref], size), reader.size if size is None else size)


def difference(reader: LedgerReader, store: ObjectStore, one: str, other: str, size: int | None = None) -> Difference:
    """What changed from document `one` to `other`, which may be of different timelines; see `Difference`.

    Raises InvalidInput for a text that is longer than `MAX_COMPARED`.
    """
    known = {each.ref: each for each in documents(reader.connection, [one, other], size)}
    before, after = known[one], known[other]
    old, new = (_lines(store.get(each.text), each.name) for each in (before, after))
    lines = difflib.unified_diff(old, new, before.name, after.name, before.starts, after.starts, lineterm="")
    names = names_of(reader.connection, [one, other], size)
    changes = tuple(_fact_changes(before.readings, after.readings))
    return Difference(one, other, tuple(lines), changes, names, reader.size if size is None else size)


def odrl_of(reader: LedgerReader, ref: str, size: int | None = None) -> Odrl:
    """The ODRL policy of one version of a document, as the first `size` entries say."""
    [document] = [each for each in documents(reader.connection, [ref], size) if each.ref == ref]
    return Odrl(ref, policy_of(document), reader.size if size is None else size)


def _version(reader: LedgerReader, document: Document, size: int | None) -> Version:
    body: Terms = newest(reader.connection, document.ref, size)[1]
    return Version(
        document.ref, document.name, document.version, document.starts, document.ends, document.stated_end,
        body.language, body.retrieved, document.text, len(document.readings), len(document.accepted),
    )  # fmt: skip


def _lines(data: bytes, name: str) -> list[str]:
    if len(data) > MAX_COMPARED:
        raise InvalidInput(f"{name}: expected a text of at most {MAX_COMPARED:,} bytes to compare, found {len(data):,}")
    return [_CONTROLS.sub("\N{REPLACEMENT CHARACTER}", line) for line in data.decode(errors="backslashreplace").splitlines()]


def _fact_changes(before: Iterable[Reading], after: Iterable[Reading]) -> Iterable[FactChange]:
    """The clauses that were read otherwise, in their order in `before`, then those that were read in `after` alone."""
    old, new = ({_place(each.fact): each for each in readings} for readings in (before, after))
    for clause, scope, modality in dict.fromkeys([*old, *new]):
        one, other = old.get((clause, scope, modality)), new.get((clause, scope, modality))
        fields = () if one is None or other is None else tuple(_field_changes(one.fact, other.fact))
        if fields or one is None or other is None:
            yield FactChange(
                clause, scope, modality, None if one is None else one.ref, None if other is None else other.ref, fields
            )


def _place(fact: TermsFact) -> tuple[str, str, str | None]:
    modality = None if isinstance(fact.modality, msgspec.UnsetType) else str(fact.modality)
    return fact.clause, fact.scope.value, modality


def _field_changes(one: TermsFact, other: TermsFact) -> Iterable[FieldChange]:
    before, after = _plain(one), _plain(other)
    for name in TermsFact.__struct_fields__:
        if name not in _ABOUT and before.get(name) != after.get(name):
            yield FieldChange(name, before.get(name), after.get(name))


def _plain(fact: TermsFact) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(fact)
    return found
