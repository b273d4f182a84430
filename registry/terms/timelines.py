"""The timeline of a document in an open registry, and what changed in its text."""

import difflib

from inbond.registry.listing import ListedTerms
from inbond.registry.opened import OpenRegistry
from inbond.registry.terms.known import Document, documents, overlaps
from inbond.schemas.errors import Conflict
from inbond.schemas.statements import Terms


def timeline_of(registry: OpenRegistry, ref: str, at: str | None = None, size: int | None = None) -> list[Document]:
    """The versions of the document that `ref` is one of, oldest first, as `size` entries say; with `at`, those in force then.

    Needs the registry's folder.
    """
    with registry.reading() as reader:
        every = documents(reader.connection, [ref], size)
    return [each for each in every if at is None or each.in_force(at)]


def difference(registry: OpenRegistry, one: Document, other: Document) -> list[str]:
    """What changed from one archived text to another, as a unified diff."""
    texts = [registry.place.object(each.text, each.ref).decode(errors="backslashreplace") for each in (one, other)]
    before, after = (text.splitlines() for text in texts)
    return list(difflib.unified_diff(before, after, one.name, other.name, one.starts, other.starts, lineterm=""))


def expect_no_overlap(registry: OpenRegistry, body: Terms) -> None:
    """Raise Conflict where a new version would be in force at once with one that is on record.

    Only where the registry is a folder: a server's operator is told by the engine, which decides nothing meanwhile.
    """
    if not registry.is_local:
        return
    with registry.reading() as reader:
        every = documents(reader.connection, _of_title(registry, body))
    ends = body.effective.to.value_or("") or None
    new = Document(
        "", body.party, body.title, body.version, body.effective.from_, ends, ends is not None, body.applies_to, body.text
    )
    for one, other in overlaps([*every, new]):
        if not (one.ref and other.ref):
            raise Conflict(
                f"terms {new.name}: expected a version that is not in force at once with another, "
                f"found {one.name} from {one.starts} until {one.ends or 'open'}, {other.name} from {other.starts}",
                hint="--effective DATE and --until DATE, or another --title",
            )


def _of_title(registry: OpenRegistry, body: Terms) -> list[str]:
    found = registry.every(ListedTerms, party=body.party)
    return [each.ref for each in found if each.name.rpartition("@")[0] == body.title]
