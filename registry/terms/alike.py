"""Uses that no rule can tell apart: a question with ten thousand shards has the answer of the few kinds of them that there are.

The rules compare the times of generation with nothing but the days that documents and acceptances state. So two uses of one
teacher under the same documents, by the same party, are alike where no such day lies between their times.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from inbond.registry.terms.known import Document
from inbond.registry.terms.moments import end_of, start_of
from inbond.registry.terms.question import Use


def distinct(uses: Iterable[Use]) -> list[Use]:
    """One of each kind, the first; so a reason names the times of the first of its kind."""
    days: dict[tuple[int, ...], list[str]] = {}
    places: dict[tuple[tuple[int, ...], tuple[str, str] | None], tuple[int, ...]] = {}
    found: dict[object, Use] = {}
    for use in uses:
        documents = tuple(map(id, use.documents))
        where = places.get((documents, use.generated))
        if where is None:
            if documents not in days:
                days[documents] = _days(use.documents)
            where = places[documents, use.generated] = _place(days[documents], use.generated)
        who = (use.teacher, use.party, use.access_path, use.bound, use.is_bought, use.via, use.acceptances)
        found.setdefault((*who, documents, where), use)
    return list(found.values())


def _days(documents: Iterable[Document]) -> list[str]:
    """Every day that documents and their acceptances state, as instants, in order."""
    found: set[str] = set()
    for document in documents:
        stated = [document.starts, document.ends or ""]
        for each in document.accepted:
            stated += [each.acceptance.accepted.value_or(""), each.acceptance.ended.value_or("")]
        found.update(start_of(day) for day in stated if day)
    return sorted(found)


def _place(days: list[str], generated: tuple[str, str] | None) -> tuple[int, ...]:
    """Where the times lie among `days`, and on which of them."""
    if generated is None:
        return ()
    first, last, end = start_of(generated[0]), start_of(generated[1]), end_of(generated[1])
    left, right = bisect_left, bisect_right  # on a day itself is not the same as before it or after it
    return left(days, first), right(days, first), left(days, last), right(days, last), left(days, end), right(days, end)
