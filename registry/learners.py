"""The students that learned from a teacher, or from any teacher of a party, by one of several clocks.

*generated* is when the outputs were made, *acquired* when they were had, both as their shards declare it; *consumed* is the
time of the entry that put them into a run, *released* that of the student's release. What has no time on a clock is
listed with none, never left out: unknown is not no.
"""

from dataclasses import dataclass

from inbond.ledger.reader import LedgerReader

CLOCKS = ("generated", "acquired", "consumed", "released")


@dataclass(frozen=True, slots=True)
class Learner:
    """A student and one teacher that it learned from, directly or through `depth` - 1 students that became teachers.

    `first` and `last` are times on the clock that was asked for, None where it is not known; `basis` is recorded or
    claimed (some hop was declared). `rows_at_most` as in lineage.
    """

    student: str
    teacher: str
    depth: int
    basis: str
    rows: int | None
    rows_at_most: int | None
    first: str | None
    last: str | None
    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Learners:
    """The answer about `about` (a teacher or party) as of `tree_size`.

    With `since` or `until`, `students` holds those whose time on `clock` lies in [since, until] and those whose time is
    not known. `truncated` says that the answer was cut off.
    """

    about: str
    clock: str
    since: str | None
    until: str | None
    tree_size: int
    students: tuple[Learner, ...]
    names: dict[str, str]
    truncated: bool


def learners_of(
    reader: LedgerReader, ref: str, *, since: str | None = None, until: str | None = None, clock: str = "consumed", size: int | None = None
) -> Learners:
    """The students that learned from `ref`, a teacher or a party, as of `size` entries (all unless given)."""
    raise NotImplementedError
