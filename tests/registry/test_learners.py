"""Who learned from whom, by several clocks: recounted by brute force, and without a query for each student."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from inbond.ledger.entries import parse_entry
from inbond.registry import learners as module
from inbond.registry import spread
from inbond.registry import tables as t
from inbond.registry.learners import Learner, Learners
from inbond.registry.times import Window, entry_times
from inbond.registry.ways import below, ways
from inbond.schemas import statements as s
from inbond.schemas.declared import known
from inbond.schemas.errors import InvalidInput
from tests.registry.families import Family, families
from tests.registry.world import CHAT_ROWS, CODE_ROWS, LONG_AGO, World


def learners(world: World, ref: str, **options: Any) -> Learners:
    return world.registry.place.learners(ref, **options)


def told(answer: Learners) -> list[tuple[str, str, int, str, int | None]]:
    names = answer.names
    return [(names[x.student], names[x.teacher], x.depth, x.basis, x.rows) for x in answer.students]


def only(answer: Learners) -> Learner:
    [found] = answer.students
    return found


def test_a_teacher_a_party_and_who_learned_through_others(lived: World) -> None:
    assert told(learners(lived, "acme/base@1")) == [
        ("lab/pupil@1", "acme/base@1", 1, "recorded", CHAT_ROWS),
        ("lab/grandpupil@1", "acme/base@1", 2, "recorded", None),
    ]
    assert sorted(told(learners(lived, "acme")), key=str) == [
        ("lab/grandpupil@1", "acme/base@1", 2, "recorded", None),
        ("lab/grandpupil@1", "acme/coder@2", 2, "recorded", None),
        ("lab/pupil@1", "acme/base@1", 1, "recorded", CHAT_ROWS),
        ("lab/pupil@1", "acme/coder@2", 1, "recorded", CODE_ROWS),
    ]
    second = next(each for each in learners(lived, "acme/base@1").students if each.depth == 2)
    assert second.through == (lived.ref("teacher:lab/pupil@1"),)  # by its outputs and by its weights
    assert second.runs == (lived.ref("second-lessons"),)
    assert told(learners(lived, "lab")) == [("lab/grandpupil@1", "lab/pupil@1", 1, "recorded", 8)]
    assert learners(lived, "vendor").students == learners(lived, "beta/chat@1").students == ()


def test_as_of_a_size_later_things_are_not_there(lived: World) -> None:
    answer = learners(lived, "acme/base@1")
    assert (answer.tree_size, answer.truncated, answer.about) == (lived.size(), False, lived.ref("acme/base@1"))
    runs = {row["ref"]: row["seq"] for row in lived.rows()["runs"]}
    first, second = runs[lived.ref("lessons")], runs[lived.ref("second-lessons")]
    assert learners(lived, "acme/base@1", size=first + 2).students == ()  # granted, nothing consumed yet
    assert told(learners(lived, "acme/base@1", size=first + 3)) == [("lab/pupil@1", "acme/base@1", 1, "recorded", 16)]
    heir = [(x[0], x[2], x[3]) for x in told(learners(lived, "acme/base@1", size=second))]
    assert heir == [("lab/pupil@1", 1, "recorded"), ("lab/grandpupil@1", 2, "claimed")]  # by weights alone


# -- clocks ----------------------------------------------------------------------------------------------------------------------


def consumed_at(world: World, run: str) -> list[str]:
    with world.registry.reading() as reader:
        seqs = [row["seq"] for row in world.rows()["exposures"] if row["run"] == world.ref(run)]
        return [parse_entry(reader.entry(seq)).time for seq in sorted(seqs)]


def test_consumed_is_the_time_of_the_entries(lived: World) -> None:
    code = next(x for x in learners(lived, "acme/coder@2").students if x.depth == 1)
    lessons = consumed_at(lived, "lessons")  # segments of 16 samples: the 30 of chat come first
    assert (code.first, code.last, code.complete) == (lessons[-2], lessons[-1], True)
    chat, heir = learners(lived, "acme/base@1").students
    assert (chat.first, chat.last) == (lessons[0], consumed_at(lived, "copies")[-1])
    second = consumed_at(lived, "second-lessons")
    assert (heir.first, heir.last, heir.complete) == (second[0], second[-1], False)  # when weights were taken nobody knows
    assert learners(lived, "acme/base@1", until="2026-01-01").students == (heir,)


def test_a_window_finds_whoever_consumed_within_it(world: World) -> None:
    """Not who consumed before and after it: each entry counts."""
    times = []
    for number, (run, part) in enumerate((("a", 0), ("b", 1), ("c", 2))):
        world.dataset(f"part{number}", [world.parts("chat")[part]])
        student = "lab/pupil" if run != "b" else "lab/other"
        if run == "b":
            world.permit(world.ref("lab/other"), world.ref("acme-terms"))
        list(world.registry.pull(f"part{number}", student=student, run=run))
        times.append(consumed_at(world, run)[0])
    pupil, other = world.ref("lab/pupil"), world.ref("lab/other")
    within = {
        (since, until): {x.student for x in learners(world, "acme/base@1", since=since, until=until).students}
        for since, until in ((times[0], times[0]), (times[1], times[1]), (times[2], None), (None, times[1]), (times[1], times[2]))
    }
    assert list(within.values()) == [{pupil}, {other}, {pupil}, {pupil, other}, {pupil, other}]
    assert learners(world, "acme/base@1", since="2099-01-01").students == ()
    assert learners(world, "acme/base@1", until=LONG_AGO).students == ()
    day = times[0][:10]
    assert {x.student for x in learners(world, "acme/base@1", since=day, until=day).students} == {pupil, other}


def declare(world: World, shard: str, **facts: Any) -> None:
    world.registry.declare(shard, facts)


def test_generated_and_acquired_are_as_the_shards_declare(lived: World) -> None:
    a, b, _ = (part[0] for part in lived.parts("chat"))
    teacher = lived.ref("acme/base@1")
    unknown_yet = learners(lived, teacher, clock="generated", since="2025-01-01", until="2025-02-01")
    assert [(x.first, x.last, x.complete) for x in unknown_yet.students] == [(None, None, False)] * 2
    size = lived.size()
    declare(lived, a, generated={"first": "2025-03-01", "last": "2025-03-31", "live": False}, acquired="2025-04-02")
    declare(lived, b, generated={"first": "2025-06-01T12:00:00.000Z", "last": "2025-06-02", "live": False})
    partly = learners(lived, teacher, clock="generated").students
    assert [(x.first, x.last, x.complete) for x in partly] == [("2025-03-01", "2025-06-02", False)] * 2
    assert [x.first for x in learners(lived, teacher, clock="acquired").students] == ["2025-04-02"] * 2
    assert learners(lived, teacher, clock="generated", size=size).students[0].first is None
    c = lived.parts("chat")[2][0]
    declare(lived, c, generated={"first": "2025-07-01", "last": "2025-07-01", "live": True})
    windows = [
        ("2025-01-01", "2025-02-28", False), ("2025-01-01", "2025-03-01", True), ("2025-03-31", "2025-04-30", True),
        ("2025-04-01", "2025-05-31", False), ("2025-06-01", "2025-06-01", True), ("2025-06-02T00:00:00.000Z", "2025-06-30", True),
        ("2026-01-01", "2026-01-02", True),  # still being made
    ]  # fmt: skip
    for since, until, hit in windows:
        found = learners(lived, teacher, clock="generated", since=since, until=until).students
        assert [x.depth for x in found] == ([1, 2] if hit else []), (since, until)
    assert [x.complete for x in learners(lived, teacher, clock="generated").students] == [True, True]


def test_released_is_that_of_the_student(lived: World) -> None:
    teacher = lived.ref("acme/base@1")
    found = {lived.registry.called([x.student])[x.student]: x for x in learners(lived, teacher, clock="released").students}
    released = next(row["released"] for row in lived.rows()["releases"])
    assert (found["lab/pupil@1"].first, found["lab/pupil@1"].complete) == (released, True)
    assert (found["lab/grandpupil@1"].first, found["lab/grandpupil@1"].complete) == (None, False)
    later = learners(lived, teacher, clock="released", since="2099-01-01").students
    assert [lived.registry.called([x.student])[x.student] for x in later] == ["lab/grandpupil@1"]  # not known is not no


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("acme/base@1", {"clock": "sundial"}, "a clock"),
    ("acme/base@1", {"since": "yesterday"}, "since: expected a day"),
    ("acme/base@1", {"until": "2026-13-01"}, "until: expected a day"),
    ("acme/base@1", {"since": "2026-02-01", "until": "2026-01-31T12:00:00.000Z"}, "since: expected a time that is not after"),
    ("acme/base@1", {"size": 0}, "a size from 1"),
]


@pytest.mark.parametrize(("ref", "options", "text"), WRONG)
def test_what_cannot_be_asked(shared_world: World, ref: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        learners(shared_world, ref, **options)


def test_a_grant_past_its_reporting_time_counts_as_all_of_it(world: World) -> None:
    run, key = world.run(world.ref("lab/pupil"), "late", world.ref("chat"))
    grant = world.grant(run, key, world.parts("chat"), report_by=LONG_AGO)
    nothing = only(learners(world, "acme/base@1"))
    assert (nothing.rows, nothing.rows_at_most, nothing.first, nothing.complete) == (0, CHAT_ROWS, None, False)
    assert learners(world, "acme/base@1", since="2099-01-01").students == (nothing,)
    world.consume(run, key, grant, 0, 10)
    some = only(learners(world, "acme/base@1"))
    assert (some.rows, some.rows_at_most, some.complete) == (10, CHAT_ROWS, False)
    world.registry.close_run("late", "kept")
    closed = only(learners(world, "acme/base@1"))
    assert (closed.rows, closed.rows_at_most, closed.complete) == (10, None, True)


def test_a_corrected_claim_is_not_followed(world: World) -> None:
    """Whoever was said to be the teacher's student, or of its party, by a statement that was corrected."""
    list(world.registry.pull("chat", student="lab/pupil", run="first"))
    base, coder = world.ref("acme/base@1"), world.ref("acme/coder@2")
    child = world.put("teacher", world.changed(coder, model=known("child"), same_as_student=world.ref("lab/pupil")), "producer")
    shard = world.put("shard", world.changed(world.parts("code")[0][0], ordinal=50, models=(
        s.ShardModel(teacher=child, role=s.ModelRole.RESPONSE, rows=known(10)),)), "producer")  # fmt: skip
    Family(world, shards={shard: child}).read(world.ref("lab/other"), [(shard, 0, 5)], [5], deliver=False)
    assert [x.depth for x in learners(world, base).students] == [1, 2]
    size = world.size()
    world.put("teacher", world.changed(coder, model=known("child")), "producer", amends=child)
    assert [x.depth for x in learners(world, base).students] == [1]
    assert [x.depth for x in learners(world, base, size=size).students] == [1, 2]
    assert len(learners(world, "acme").students) == 2
    vendor = known(world.ref("vendor", "party"))
    world.put("teacher", world.changed(base, party=vendor), "producer", amends=base)
    assert [x.teacher for x in learners(world, "acme").students] == [child]
    assert [x.teacher for x in learners(world, "vendor").students] == [base]


# -- brute force -----------------------------------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # each example is written
@given(data=st.data())
def test_a_recount_by_hand_agrees(shared_world: World, data: st.DataObject) -> None:
    world = shared_world
    family = data.draw(families(world))
    for teacher in family.teachers:
        expected = family.below(teacher)
        answer = learners(world, teacher)
        assert {x.student: (x.depth, x.basis) for x in answer.students} == expected
        walked = world.registry.lineage(teacher, direction="down")
        assert set(walked.reached("student")) <= set(expected)  # a merge reaches the student whose release it went into
        for found in answer.students:
            edge = family.edges.get((found.student, teacher, "read"))
            assert found.rows == (len(edge.rows) if edge else None)
            assert set(found.runs) == (edge.runs if edge else runs_into(family, teacher, found.student))
            shards = {shard for shard, _ in edge.rows} if edge else passed(family, teacher, found.student)
            assert behind(world, found, teacher) == shards
        assert answer == learners(world, teacher, size=world.size())
    before = {teacher: learners(world, teacher).students for teacher in family.teachers}
    then = data.draw(st.sampled_from([size for size, *_ in family.segments] or [world.size()]))
    made = {row["ref"]: row["seq"] for row in world.rows(t.teachers)["teachers"]}
    for teacher in family.teachers:
        if made[teacher] >= then:
            continue
        rows: dict[str, set[Any]] = {}
        for size, _, student, taken in family.segments:
            if size <= then:
                mine = {(shard, row) for shard, row in taken if family.shards[shard] == teacher}
                rows.setdefault(student, set()).update(mine)
        found = {x.student: x.rows for x in learners(world, teacher, size=then).students if x.rows is not None}
        assert found == {student: len(its) for student, its in rows.items() if its}
        assert learners(world, teacher).students == before[teacher]


def runs_into(family: Family, teacher: str, student: str) -> set[str]:
    """The runs by which a student learned through others: into it, from whatever lies below the teacher."""
    below = {edge.src for way in family.ways(teacher) for edge in way} | {teacher}
    return {run for edge in family.edges.values() if edge.src == student and edge.dst in below for run in edge.runs}


def passed(family: Family, teacher: str, student: str) -> set[str]:
    return {shard for way in family.ways(teacher) if way[-1].src == student for shard, _ in way[0].rows}


def behind(world: World, found: Learner, teacher: str) -> set[str]:
    """The shards that the answer's clocks look at, asked of the code below the clocks."""
    with world.registry.reading() as reader:
        links, _ = spread.Spread(reader.connection, reader.size, "2026").explored([teacher])
        return next(set(way.shards) for way in ways(teacher, below(links)) if way.student == found.student)


# -- cost and limits -------------------------------------------------------------------------------------------------------------


@contextmanager
def counted(world: World) -> Iterator[tuple[Any, list[str]]]:
    """A reader, and the queries that it makes."""
    queries: list[str] = []
    with world.registry.reading() as reader:
        event.listen(reader.connection, "before_cursor_execute", lambda *args: queries.append(args[2]))
        yield reader, queries


@pytest.mark.parametrize("clock", ["generated", "acquired", "consumed", "released"])
def test_more_students_do_not_mean_more_queries(world: World, clock: str) -> None:
    family, counts = Family(world), []
    teacher = family.teacher(world.ref("acme", "party"))
    shard = family.shard(teacher)
    for _ in range(3):
        for _ in range(4):
            family.read(family.student(), [(shard, 0, 12)], [5, 12], deliver=False)
        with counted(world) as (reader, queries):
            answer = module.learners_of(reader, teacher, clock=clock)
        counts.append((len(answer.students), len(queries)))
    assert [students for students, _ in counts] == [4, 8, 12]
    assert len({number for _, number in counts}) == 1


def test_an_answer_that_is_cut_off_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    family = Family(world)
    teacher = family.teacher(world.ref("acme", "party"))
    shard = family.shard(teacher)
    for _ in range(4):
        family.read(family.student(), [(shard, 0, 12)], [12], deliver=False)
    whole = learners(world, teacher)
    for most in (1, 3, 4):
        monkeypatch.setattr(module, "MAX_LEARNERS", most)
        cut = learners(world, teacher)
        assert (cut.students, cut.truncated) == (whole.students[:most], most < 4)
        monkeypatch.setattr(module, "MAX_LEARNERS", 100)
        monkeypatch.setattr(spread, "MAX_LINKS", most)
        cut = learners(world, teacher)
        assert (len(cut.students), cut.truncated) == (most, most < 4)
        monkeypatch.setattr(spread, "MAX_LINKS", 100)


def test_a_circle_of_models_ends(world: World) -> None:
    family = Family(world)
    one, two = family.student(), family.student()
    ours = world.ref("acme", "party")
    teachers = {student: family.teacher(ours, same_as=student) for student in (one, two)}
    shards = {student: family.shard(teachers[student]) for student in (one, two)}
    for student, other in ((one, two), (two, one)):
        family.read(student, [(shards[other], 0, 4)], [4], deliver=False)
    found = {x.student: (x.depth, x.rows) for x in learners(world, teachers[one]).students}
    assert found == {two: (1, 4), one: (2, None)}


def test_times_of_entries_and_windows(lived: World) -> None:
    with lived.registry.reading() as reader:
        times = entry_times(reader, range(reader.size))
        assert times == {seq: parse_entry(reader.entry(seq)).time for seq in range(reader.size)}
        for since, until in ((None, None), (times[3], times[9]), (times[0][:10], None), ("2099-01-01", None), (None, LONG_AGO)):
            first, last = Window(since, until).entries(reader, reader.size)
            assert list(range(first, last)) == [seq for seq in times if (since or "") <= times[seq] <= (until or "9")]


CASES: list[tuple[tuple[str | None, str | None], tuple[str, str | None], bool]] = [
    ((None, None), ("2026-01-01", None), True),
    (("2026-01-05", None), ("2026-01-01", "2026-01-04"), False),
    (("2026-01-05", None), ("2026-01-01", "2026-01-05"), True),
    (("2026-01-05T10:00:00.000Z", None), ("2026-01-05", "2026-01-05"), True),
    (("2026-01-05", None), ("2026-01-01", None), True),
    ((None, "2026-01-05"), ("2026-01-05T23:59:59.999Z", None), True),
    ((None, "2026-01-05"), ("2026-01-06", None), False),
    ((None, "2026-01-05T10:00:00.000Z"), ("2026-01-05T10:00:00.001Z", "2026-02-01"), False),
    (("2026-01-05", "2026-01-06"), ("2026-01-01", "2026-02-01"), True),
]


@pytest.mark.parametrize(("window", "span", "hit"), CASES)
def test_a_window_holds_what_lies_in_it(window: Any, span: Any, hit: bool) -> None:
    assert Window(*window).holds(*span) is hit


def test_a_release_into_which_a_model_was_merged_hands_it_on(world: World) -> None:
    family = Family(world)
    teacher = family.teacher(world.ref("acme", "party"))
    shard = family.shard(teacher)
    reader, by_release, by_student, by_teacher, nobody = (family.student() for _ in range(5))
    family.read(reader, [(shard, 0, 4)], [4], deliver=False)
    family.release(by_release, family.release(reader))
    family.release(by_student, reader)
    family.release(by_teacher, teacher)
    family.release(nobody)
    found = {x.student: (x.depth, x.basis, x.rows, x.through) for x in learners(world, teacher).students}
    release = family.releases[0][0]
    assert found == {
        reader: (1, "recorded", 4, ()),
        by_teacher: (1, "claimed", None, (teacher,)),
        by_release: (2, "claimed", None, (release,)),
        by_student: (2, "claimed", None, (reader,)),
    }
    assert {student: depth for student, (depth, *_) in found.items()} == {
        ref: way[0] for ref, way in family.below(teacher).items()
    }
