"""The students that learned from a teacher, or from any teacher of a party, by one of several clocks.

*generated* is when the outputs were made, *acquired* when they were had, both as their shards declare it; *consumed* is the
time of the entry that put them into a run, *released* that of the student's release. What has no time on a clock is
listed with none, never left out: unknown is not no.

Who learned through others (students that became teachers, or whose weights were taken) consumed what those said, and was
released, itself; generated and acquired are the times of the outputs of the teacher that was asked about, which reached it
that way.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from inbond.ledger.entries import parse_entry
from inbond.ledger.reader import LedgerReader
from inbond.registry import tables as t
from inbond.registry.clocks import CLOCKS, Seen
from inbond.registry.current import first_of, newest_of
from inbond.registry.given import chunks, rows_in
from inbond.registry.names import names_of
from inbond.registry.spread import Spread
from inbond.registry.times import Window, now
from inbond.registry.ways import Way, below, ways
from inbond.schemas.errors import InvalidInput

MAX_LEARNERS = 20_000


@dataclass(frozen=True, slots=True)
class Learner:
    """A student and one teacher that it learned from, directly or through `depth` - 1 other models.

    `first` and `last` are times on the clock that was asked for, None where none is known; `complete` says that all are.
    `basis` is that of the best way from teacher to student: recorded, or claimed where every way has a hop that somebody
    declared. `rows` are the distinct rows of the teacher's own outputs that the student was given, None where it learned
    through others alone (`through` names the nearest of them); `rows_at_most` as in lineage. `runs` are those by which it
    learned.
    """

    student: str
    teacher: str
    depth: int
    basis: str
    rows: int | None
    rows_at_most: int | None
    first: str | None
    last: str | None
    complete: bool
    runs: tuple[str, ...]
    through: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Learners:
    """The answer about `about` (a teacher or party) as of `tree_size`.

    With `since` or `until`, `students` holds those of which some time on `clock` lies in [since, until] and those of which
    not every time is known. `truncated` says that the answer was cut off. Which party provides a teacher is declared.
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
    reader: LedgerReader,
    ref: str,
    *,
    since: str | None = None,
    until: str | None = None,
    clock: str = "consumed",
    size: int | None = None,
) -> Learners:
    """The students that learned from `ref`, a teacher or a party, as of `size` entries (all unless given).

    Reporting times are looked at now, for an answer about a size at the time of its last entry.
    """
    kind = ref.partition(":")[0]
    if kind not in ("teacher", "party") or clock not in CLOCKS:
        raise InvalidInput(f"expected a teacher or a party, and a clock ({', '.join(CLOCKS)}), found {ref} and {clock}")
    window = Window(since, until)
    at = reader.size if size is None else size
    written = parse_entry(reader.entry(at - 1)).time
    time = max(written, now()) if size is None else written
    spread = Spread(reader.connection, at, time, window.entries(reader, at))
    teachers = _teachers_of(spread, ref) if kind == "party" else list(first_of(reader.connection, [ref]).values())
    links, truncated = spread.explored(teachers)
    lower = below(links)
    found = [way for teacher in teachers for way in ways(teacher, lower)]
    read = CLOCKS[clock](reader, spread, window, found)
    listed = [(way, seen) for way, seen in zip(found, map(read, found), strict=True) if seen.inside or not seen.complete]
    order = _entries(spread, {way.student for way, _ in listed})
    listed.sort(key=lambda item: (item[0].depth, order[item[0].student], item[0].teacher))
    students = tuple(_learner(way, seen) for way, seen in listed[:MAX_LEARNERS])
    mentioned = {ref, *(each for item in students for each in (item.student, item.teacher, *item.runs, *item.through))}
    named = names_of(reader.connection, mentioned, at)
    return Learners(ref, clock, since, until, at, students, named, truncated or len(listed) > MAX_LEARNERS)


def _teachers_of(spread: Spread, party: str) -> list[str]:
    """The teachers that a party provides, as far as is known by then."""
    c = t.teachers.c
    said = spread.column(select(c.ref).where(c.party == party, c.seq < spread.size).order_by(c.seq))
    newest = newest_of(spread.connection, said, spread.size)
    return list(dict.fromkeys(first_of(spread.connection, [ref for ref in said if newest[ref] == ref]).values()))


def _entries(spread: Spread, refs: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for chunk in chunks(sorted(refs)):
        rows = spread.connection.execute(select(t.things.c.ref, t.things.c.seq).where(t.things.c.ref.in_(chunk)))
        found.update({row.ref: row.seq for row in rows})
    return found


def _learner(way: Way, seen: Seen) -> Learner:
    rows, most = None, None
    if way.is_direct:
        read: dict[str, list[tuple[int, int]]] = {}
        granted: dict[str, list[tuple[int, int]]] = {}
        for step in way.steps:
            for (shard, _), taken in step.taken.items():
                read.setdefault(shard, []).extend(taken.ranges)
                granted.setdefault(shard, []).extend([*taken.ranges, *taken.at_most])
        rows, most = (sum(rows_in(ranges) for ranges in each.values()) for each in (read, granted))
    between = () if way.is_direct else tuple(dict.fromkeys(step.dst for step in way.steps))
    basis = "recorded" if way.is_recorded else "claimed"
    return Learner(
        way.student, way.teacher, way.depth, basis, rows, most if most != rows else None, seen.first, seen.last, seen.complete,
        way.runs(), between,
    )  # fmt: skip
