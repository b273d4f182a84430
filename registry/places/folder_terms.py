"""What is asked about terms, answered from a folder's log, catalogue and store."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from inbond.ledger.reader import LedgerReader
from inbond.registry.names import resolve
from inbond.registry.objects import ObjectStore
from inbond.registry.terms import asking, changes, evaluating, timelines, weighing
from inbond.registry.terms.answers import (
    Checked,
    Difference,
    Odrl,
    Published,
    Review,
    TermsEvaluation,
    TermsImpact,
    Timeline,
    Weighed,
)
from inbond.registry.terms.gathering import shards_of
from inbond.registry.times import expect_time, now
from inbond.registry.training.layout import shards_in
from inbond.schemas import canonical
from inbond.schemas.errors import InvalidInput
from inbond.schemas.scalars import ObjectList
from inbond.schemas.statements import PartLine, ReleasePlan

MOST_DAYS = 36_500


class Folder(Protocol):
    """As much of a folder as is needed here."""

    store: ObjectStore

    def reading_at(self, size: int | None) -> AbstractContextManager[LedgerReader]:
        """One snapshot, of which `size` is a size."""


class FolderTerms:
    """A `TermsDesk` in a folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def timeline(self, terms: str, at: str | None = None, size: int | None = None) -> Timeline:
        """The versions of a document, all or those in force at a time."""
        when = None if at is None else expect_time("at", at)
        with self._folder.reading_at(size) as reader:
            return timelines.timeline_of(reader, resolve(reader.connection, terms, "terms", size=size), when, size)

    def difference(self, one: str, other: str, size: int | None = None) -> Difference:
        """What changed from one document to another."""
        with self._folder.reading_at(size) as reader:
            pair = [resolve(reader.connection, each, "terms", size=size) for each in (one, other)]
            return timelines.difference(reader, self._folder.store, pair[0], pair[1], size)

    def odrl(self, terms: str, size: int | None = None) -> Odrl:
        """What is known of one version of a document, as an ODRL policy."""
        with self._folder.reading_at(size) as reader:
            return timelines.odrl_of(reader, resolve(reader.connection, terms, "terms", size=size), size)

    def impact(self, terms: str, since: int | None = None, at: str | None = None) -> TermsImpact:
        """Whose verdict statements about a document changed."""
        used = None if at is None else expect_time("at", at)
        with self._folder.reading_at(None) as reader:
            return changes.impact_of_terms(reader, resolve(reader.connection, terms, "terms"), since, used)

    def unread(self, days: int) -> Review:
        """The documents in force that nobody has read again for so many days."""
        if not 0 <= days <= MOST_DAYS:
            raise InvalidInput(f"days: expected a number from 0 to {MOST_DAYS:,}, found {days}")
        with self._folder.reading_at(None) as reader:
            return changes.unread(reader, days, now()[:10])

    def weigh(
        self, student: str, datasets: Sequence[str] | None = None, at: str | None = None, size: int | None = None
    ) -> Weighed:
        """What the engine alone says of a student and the rows of datasets, or of all that its runs were to read."""
        with self._folder.reading_at(size) as reader:
            who = resolve(reader.connection, student, "student", size=size)
            wanted = [resolve(reader.connection, each, "dataset", size=size) for each in datasets or ()]
            return weighing.weigh(reader, who, wanted, _time(at), size)

    def evaluation(self, student: str, at: str | None = None, size: int | None = None) -> TermsEvaluation:
        """Each grant of a student: the verdict that it carries, and what the gate says now."""
        with self._folder.reading_at(size) as reader:
            who = resolve(reader.connection, student, "student", size=size)
            return evaluating.evaluation_of(reader, who, _time(at), size)

    def release(self, student: str, actual: ReleasePlan, at: str) -> Checked:
        """What the gate says of a student that is released as `actual` has it."""
        with self._folder.reading_at(None) as reader:
            who = resolve(reader.connection, student, "student")
            return asking.checked(reader, who, shards_of(reader.connection, who), _time(at), actual)

    def dataset(self, parts: ObjectList, at: str) -> Published:
        """What terms say of the parts of a dataset version, a list in the store, whoever learns from them."""
        lines = self._folder.store.read_lines(parts.digest, parts.root, int(parts.count))
        named = [canonical.convert(line, PartLine, what=f"parts {parts.digest}") for line in lines]
        with self._folder.reading_at(None) as reader:
            return asking.published(reader, parts.digest, shards_in(named), _time(at))


def _time(at: str | None) -> str:
    return now() if at is None else expect_time("at", at)
