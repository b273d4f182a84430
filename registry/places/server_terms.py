"""What is asked about terms, asked of a server: the answers are its own computation, as of a size that is proved to exist."""

from collections.abc import Sequence

import msgspec

from inbond.registry.places.answers import Answers
from inbond.registry.places.paths import path_of
from inbond.registry.places.transport import Params
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
from inbond.schemas.errors import VerificationError
from inbond.schemas.scalars import ObjectList
from inbond.schemas.statement import split_ref
from inbond.schemas.statements import ReleasePlan


class ServerTerms:
    """A `TermsDesk` on a server."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def timeline(self, terms: str, at: str | None = None, size: int | None = None) -> Timeline:
        """The versions of a document, all or those in force at a time."""
        start = self._answers.ref(terms, "terms", size=size)
        return self._answers.about(start, "terms", f"{path_of(start)}/timeline", Timeline, _given(at=at), size)

    def difference(self, one: str, other: str, size: int | None = None) -> Difference:
        """What changed from one document to another."""
        start, end = (self._answers.ref(each, "terms", size=size) for each in (one, other))
        path = f"{path_of(start)}/diff/{split_ref(end)[1]}"
        found = self._answers.about(start, "one", path, Difference, [], size)
        if found.other != end:
            raise VerificationError(f"the server's answer to {path}: expected one about {end}, found one about another thing")
        return found

    def odrl(self, terms: str, size: int | None = None) -> Odrl:
        """What is known of one version of a document, as an ODRL policy."""
        start = self._answers.ref(terms, "terms", size=size)
        return self._answers.about(start, "terms", f"{path_of(start)}/odrl", Odrl, [], size)

    def impact(self, terms: str, since: int | None = None, at: str | None = None) -> TermsImpact:
        """Whose verdict statements about a document changed."""
        start = self._answers.ref(terms, "terms")
        params = _given(at=at, since=None if since is None else str(since))
        return self._answers.about(start, "terms", f"{path_of(start)}/terms-impact", TermsImpact, params)

    def unread(self, days: int) -> Review:
        """The documents in force that nobody has read again for so many days."""
        return self._answers.asked("/v1/terms/review", Review, [("days", str(days))])

    def weigh(
        self, student: str, datasets: Sequence[str] | None = None, at: str | None = None, size: int | None = None
    ) -> Weighed:
        """What the engine alone says of a student and the rows of datasets, or of all that its runs were to read."""
        start = self._answers.ref(student, "student", size=size)
        params = [("dataset", self._answers.ref(each, "dataset", size=size)) for each in datasets or ()]
        return self._answers.about(start, "student", f"{path_of(start)}/obligations", Weighed, [*params, *_given(at=at)], size)

    def evaluation(self, student: str, at: str | None = None, size: int | None = None) -> TermsEvaluation:
        """Each grant of a student: the verdict that it carries, and what the gate says now."""
        start = self._answers.ref(student, "student", size=size)
        return self._answers.about(start, "student", f"{path_of(start)}/terms-evaluation", TermsEvaluation, _given(at=at), size)

    def release(self, student: str, actual: ReleasePlan, at: str) -> Checked:
        """What the gate says of a student that is released as `actual` has it."""
        start = self._answers.ref(student, "student")
        body = msgspec.json.encode({"student": start, "actual": actual, "at": at})
        return self._answers.posted(start, "student", "/v1/policy/release", body, Checked)

    def dataset(self, parts: ObjectList, at: str) -> Published:
        """What terms say of the parts of a dataset version, a list in the store, whoever learns from them."""
        body = msgspec.json.encode({"parts": parts, "at": at})
        return self._answers.posted(parts.digest, "parts", "/v1/policy/dataset", body, Published)


def _given(**params: str | None) -> Params:
    return [(name, value) for name, value in params.items() if value is not None]
