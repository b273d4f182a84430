"""What reports need to know of the provider, and of where prompts came from: said by compliance, and by producers.

Documents may be given as `{ file = "measures.md" }` or `{ text = "…" }` in place of a digest: they are put into the store.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inbond.registry.deciding import keep_text
from inbond.registry.declaring import declare
from inbond.registry.facts import fill, template
from inbond.registry.listing import ListedOperator
from inbond.registry.opened import OpenRegistry
from inbond.registry.place import Recorded
from inbond.registry.words import word
from inbond.schemas.errors import InvalidInput, NotFound, StoreError
from inbond.schemas.scalars import Role
from inbond.schemas.statements import Operator, Party, Source, SourceCategory

POLICY = b"""What a provider of models may see of students in this registry:
the students that learned from outputs of its own models, when, and in which runs; statements that are public;
statements that it made itself or that are about it. Nothing else about students, runs or data.
"""
"""The disclosure policy of an operator that gives none of its own: what this software shows to providers."""


@dataclass(frozen=True, slots=True)
class OperatorSet:
    """What was put on record: the operator's statement and its party's, None where nothing new was said."""

    ref: str
    operator: Recorded | None
    party: Recorded | None


def set_operator(registry: OpenRegistry, given: Mapping[str, Any], base: Path = Path()) -> OperatorSet:
    """Say what the party of the compliance key is as a provider, once or anew; facts left out stay as they are.

    The table `party` in `given` says who it is: legal_name, domicile, contact (text, kept as an erasable object). Files are
    looked for from `base` on.
    """
    facts = dict(given)
    about = facts.pop("party", {})
    if not isinstance(about, Mapping):
        raise InvalidInput(f"operator: party: expected a table of legal_name, domicile and contact, found {about!r}")
    party = registry.recorder.party_of(registry.keys.role(Role.COMPLIANCE))
    stated = with_documents(registry, facts, base)
    found = operator_of(registry, party)
    if found is None:
        if "disclosure_policy" not in stated:
            stated["disclosure_policy"] = f"sha256:{registry.place.objects.put_bytes(POLICY)}"
        stated.setdefault("policies", [])
        body = fill(Operator, stated, fixed={"party": party}, where="operator", resolve=lambda _, text: registry.resolve(text))
        recorded = registry.record("operator", body, Role.COMPLIANCE)
        return OperatorSet(recorded.ref, recorded, _say_party(registry, party, about))
    declared = declare(registry, found, stated, correct=True).recorded if stated else None
    return OperatorSet(found, declared, _say_party(registry, party, about))


def operator_of(registry: OpenRegistry, party: str) -> str | None:
    """The first operator statement about a party, None where there is none."""
    return next((each.ref for each in registry.every(ListedOperator) if each.party == party), None)


def operator_template() -> str:
    """A TOML file for `set_operator`."""
    lines = [
        '# A document is given as { file = "measures.md" } or { text = "…" }, or by the digest of an object in the store.',
        template(Operator, ["party"]),
        "# Who the provider is; take the # before [party] away as well.",
        "#[party]",
        template(Party, ["aliases", "contact"]),
        '#contact = "Training content questions, transparency@example.org"  # text: a point for questions about reports',
    ]
    return "\n".join(lines) + "\n"


def add_source(registry: OpenRegistry, name: str, category: str, given: Mapping[str, Any], base: Path = Path()) -> Recorded:
    """Put a source of prompts or other data on record."""
    fixed = {"name": name, "category": word(SourceCategory, category, "category")}
    facts = with_documents(registry, given, base)
    body = fill(Source, facts, fixed=fixed, where="source", resolve=lambda _, text: registry.resolve(text))
    return registry.record("source", body, Role.PRODUCER)


def source_template() -> str:
    """A TOML file for `add_source`."""
    return template(Source, ["name", "category"])


def with_documents(registry: OpenRegistry, given: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """`given` with documents in the store, by their digests."""
    return {name: _with_document(registry, value, base) for name, value in given.items()}


def _with_document(registry: OpenRegistry, value: Any, base: Path) -> Any:
    if isinstance(value, list):
        return [_with_document(registry, each, base) for each in value]
    if not isinstance(value, Mapping):
        return value
    if set(value) not in ({"file"}, {"text"}):
        return with_documents(registry, value, base)
    stated = value.get("file", value.get("text"))
    if not isinstance(stated, str) or not stated:
        raise InvalidInput(f"document: expected the name of a file or a text in quotes, found {stated!r}")
    return f"sha256:{registry.place.objects.put_bytes(_read(base / stated) if 'file' in value else stated.encode())}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"expected a document, found nothing at {path}") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None


def _say_party(registry: OpenRegistry, party: str, about: Mapping[str, Any]) -> Recorded | None:
    """What a party is called and how it is reached."""
    facts = dict(about)
    contact = facts.get("contact")
    if contact is not None:
        if not isinstance(contact, str):
            raise InvalidInput(f"operator: party.contact: expected text in quotes, found {contact!r}")
        facts["contact"] = keep_text(registry, contact)
    return declare(registry, party, facts, correct=True).recorded if facts else None
