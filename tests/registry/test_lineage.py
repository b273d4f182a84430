"""Lineage: what was read, by whom, through how many generations, as of any entry; recounted by brute force."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.registry import lineage
from inbond.registry.lineage import Answer, Hop
from inbond.schemas import statements as s
from inbond.schemas.declared import known, unknown
from inbond.schemas.errors import InvalidInput, NotFound
from tests.registry.world import CHAT_ROWS, CODE_ROWS, LONG_AGO, World, messages

Told = list[tuple[int, str, str, str, int | None]]


def told(answer: Answer) -> Told:
    """(depth, src, relation, dst, rows) of every hop, by name."""
    names = answer.names
    return [(hop.depth, names[hop.src], hop.relation, names[hop.dst], hop.rows) for hop in answer.hops]


def up(world: World, ref: str, **options: Any) -> Answer:
    return world.registry.lineage(ref, **options)


def down(world: World, ref: str, **options: Any) -> Answer:
    return world.registry.lineage(ref, direction="down", **options)


def only(answer: Answer) -> Hop:
    [hop] = answer.hops
    return hop


GRANDPUPIL_UP: Told = [
    (1, "lab/grandpupil@1", "trained_on_outputs_of", "lab/pupil@1", 8),
    (1, "lab/grandpupil@1", "initialised_from", "lab/pupil@1", None),
    (2, "lab/pupil@1", "same_as", "lab/pupil@1", None),
    (3, "lab/pupil@1", "trained_on_outputs_of", "acme/base@1", CHAT_ROWS),
    (3, "lab/pupil@1", "trained_on_outputs_of", "acme/coder@2", CODE_ROWS),
]


def test_two_generations_up_over_both_kinds_of_edge(lived: World) -> None:
    answer = up(lived, "lab/grandpupil")
    assert sorted(told(answer), key=str) == sorted(GRANDPUPIL_UP, key=str)
    assert not answer.truncated
    assert answer.tree_size == lived.size()
    assert {lived.ref(name) for name in ("acme/base@1", "acme/coder@2")} < set(answer.reached("teacher"))
    bases = {(hop.relation, hop.basis) for hop in answer.hops}
    assert bases == {("trained_on_outputs_of", "recorded"), ("initialised_from", "claimed"), ("same_as", "recorded")}


def test_two_generations_down(lived: World) -> None:
    assert told(down(lived, "acme/base@1")) == [
        (1, "lab/pupil@1", "trained_on_outputs_of", "acme/base@1", CHAT_ROWS),
        (2, release_of(lived), "release_of", "lab/pupil@1", None),
        (2, "lab/pupil@1", "same_as", "lab/pupil@1", None),
        (3, "lab/grandpupil@1", "trained_on_outputs_of", "lab/pupil@1", 8),
        (3, "lab/grandpupil@1", "initialised_from", "lab/pupil@1", None),
    ]


def release_of(world: World) -> str:
    [ref] = [row["ref"] for row in world.rows()["things"] if row["kind"] == "release"]
    return str(ref)


def test_a_hop_says_by_which_runs_datasets_and_shards(lived: World) -> None:
    hop = next(hop for hop in up(lived, "student:lab/pupil").hops if hop.dst == lived.ref("acme/base@1"))
    shards = tuple(sorted(part[0] for part in lived.parts("chat")))
    assert (hop.runs, hop.datasets) == ((lived.ref("lessons"), lived.ref("copies")), (lived.ref("chat"),))
    assert (hop.via, hop.shards, hop.role, hop.rows_at_most) == (shards, 3, "response", None)


def test_weights_are_asked_by_their_digest(lived: World) -> None:
    digest = lived.body(release_of(lived)).weights
    answer = up(lived, digest)
    assert told(answer)[0][2:4] == ("release_of", "lab/pupil@1")
    assert len(answer.hops) == 3


STARTS: list[tuple[str, str, Told]] = [
    ("chat", "up", [(1, "chat@1", "made_by", "acme/base@1", CHAT_ROWS)]),
    ("lessons", "up", [
        (1, "lessons", "trained_on_outputs_of", "acme/base@1", CHAT_ROWS),
        (1, "lessons", "trained_on_outputs_of", "acme/coder@2", CODE_ROWS),
    ]),
    ("copies", "up", [(1, "copies", "trained_on_outputs_of", "acme/base@1", CHAT_ROWS)]),
    ("beta/chat", "down", []),
    ("student:lab/other", "up", []),
]  # fmt: skip


@pytest.mark.parametrize(("start", "direction", "expected"), STARTS)
def test_what_other_things_came_from_or_led_to(
    make_world: Callable[..., World], lived_template: Any, start: str, direction: str, expected: Told
) -> None:
    world = make_world("lived", lived_template)
    assert sorted(told(world.registry.lineage(start, direction=direction)), key=str) == sorted(expected, key=str)


USED_BY = [("acme", 2), ("acme/coder@2", 1), ("code", 1), ("acme-terms", 2), ("shard", 1), ("lessons", 1)]


@pytest.mark.parametrize(("start", "depth"), USED_BY)
def test_who_used_it(lived: World, start: str, depth: int) -> None:
    start = lived.parts("code")[0][0] if start == "shard" else start
    answer = down(lived, start)
    pupil = lived.ref("student:lab/pupil")
    students = [(hop.depth, hop.rows) for hop in answer.hops if hop.src == pupil]
    assert students[0][0] == depth
    assert set(answer.reached("student")) == {pupil, lived.ref("lab/grandpupil")}
    if start in ("code", "acme/coder@2") or start.startswith("shard:"):
        assert students == [(depth, CODE_ROWS)]


def test_a_version_was_used_by_whoever_read_its_rows_by_another_name(world: World) -> None:
    a = world.parts("chat")[0][0]
    world.dataset("few", [(a, 2, 5)])
    world.dataset("others", [(a, 5, 9)])
    world.dataset("more", [(a, 0, 4), (a, 8, 12)])
    list(world.registry.pull("few", student="lab/pupil", run="first"))
    hop = only(down(world, "more"))
    assert (hop.rows, hop.datasets) == (2, (world.ref("few"),))
    assert down(world, "others").hops == []
    assert (only(down(world, "few")).rows, only(down(world, a)).rows) == (3, 3)


def test_each_entry_moves_the_answer_on_from_there(world: World) -> None:
    registry, student, sizes = world.registry, world.ref("lab/pupil"), []
    records = iter(registry.pull("chat", student="lab/pupil", run="first", segment=12))
    for _ in range(0, CHAT_ROWS, 12):
        sizes.append(world.size())
        for _ in range(12):
            next(records, None)
    rows = [sum(hop.rows or 0 for hop in up(world, student, as_of=size).hops) for size in (*sizes, world.size())]
    assert rows == [0, 12, 24, 30]
    assert [only(down(world, "acme/base@1", as_of=size)).rows for size in (sizes[1], sizes[2])] == [12, 24]
    assert down(world, "acme/base@1", as_of=sizes[0]).hops == []
    before = world.size()
    registry.add_teacher("lab/pupil@1", same_as="lab/pupil")
    assert [len(down(world, student, as_of=size).hops) for size in (before, before + 1)] == [0, 1]
    registry.add_student("late", initialised_from=["teacher:lab/pupil"])
    assert [len(down(world, student, as_of=size).hops) for size in (before + 1, before + 2)] == [1, 2]
    assert up(world, student, as_of=sizes[1]).tree_size == sizes[1]
    with pytest.raises(NotFound):
        up(world, "late", as_of=before + 1)
    for size in (0, -1, world.size() + 1):
        with pytest.raises(InvalidInput, match="as of: expected a size"):
            up(world, student, as_of=size)


def test_a_run_past_its_reporting_time_counts_as_all_that_was_granted(world: World) -> None:
    student = world.ref("lab/pupil")
    parts = world.parts("chat")
    run, key = world.run(student, "late", world.ref("chat"))
    in_time = world.grant(run, key, parts)
    world.consume(run, key, in_time, 0, 10)
    assert only(up(world, student)).rows_at_most is None
    size = world.size()
    world.grant(run, key, parts, report_by=LONG_AGO)
    hop = only(up(world, student))
    assert (hop.rows, hop.rows_at_most, hop.shards) == (10, CHAT_ROWS, 3)
    assert only(up(world, student, as_of=size)).rows_at_most is None
    assert (only(down(world, "acme/base@1")).rows, only(down(world, "acme/base@1")).rows_at_most) == (10, CHAT_ROWS)
    last = parts[2][0]  # nothing of it was reported as read
    assert (only(down(world, last)).rows, only(down(world, last)).rows_at_most) == (0, 6)
    world.registry.close_run("late", "kept")
    assert only(up(world, student)).rows_at_most is None
    assert down(world, last).hops == []
    assert only(up(world, student, as_of=world.size() - 1)).rows_at_most == CHAT_ROWS


def test_a_reporting_time_passes_without_an_entry(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    student = world.ref("lab/pupil")
    run, key = world.run(student, "late", world.ref("chat"))
    world.grant(run, key, world.parts("chat"), report_by="2098-01-01T00:00:00.000Z")
    assert up(world, student).hops == []
    monkeypatch.setattr(lineage, "now", lambda: "2098-01-02T00:00:00.000Z")
    answer = up(world, student)
    assert (only(answer).rows, only(answer).rows_at_most, answer.time[:10]) == (0, CHAT_ROWS, "2098-01-02")
    assert up(world, student, as_of=world.size()).hops == []


def generations(world: World, count: int) -> list[str]:
    """`count` students, each the teacher of the next one: teacher and student names are alike."""
    students, teacher = [], "acme/base@1"
    for number in range(count):
        student = world.ref(world.student(f"gen/{number}"))
        file = messages(world.folder.parent / f"gen-{number}.jsonl", f"gen-{number}", number + 1)
        world.registry.import_files("messages", [file], teacher=teacher, dataset=f"gen-{number}")
        terms = "acme-terms" if not number else "gen-terms"
        world.permit(student, world.ref(terms))
        list(world.registry.pull(f"gen-{number}", student=student, run=f"gen-{number}"))
        teacher = f"gen/{number}@1"
        if not number:
            world.registry.add_party("gen")
            world.registry.add_terms(b"Ours.", party="gen", title="gen-terms", effective="2026-01-01", access_path="unknown")
        world.registry.add_teacher(teacher, same_as=student)
        students.append(student)
    return students


def test_depth_cuts_and_says_so(world: World) -> None:
    students = generations(world, 3)
    whole = up(world, students[-1])
    assert [(hop.depth, hop.rows) for hop in whole.hops] == [(1, 3), (2, None), (3, 2), (4, None), (5, 1)]
    assert not whole.truncated
    for depth in range(7):
        cut = up(world, students[-1], depth=depth)
        assert cut.hops == whole.hops[:depth]
        assert cut.truncated is (depth < 5)
    down_again = down(world, "acme/base@1", depth=3)
    assert [hop.depth for hop in down_again.hops] == [1, 2, 3]
    assert down_again.truncated
    with pytest.raises(InvalidInput, match="a depth from 0"):
        up(world, students[-1], depth=-1)


def test_many_hops_are_cut_and_said_to_be(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    students = generations(world, 2)
    whole = up(world, students[-1])
    for most in range(1, len(whole.hops) + 1):
        monkeypatch.setattr(lineage, "MAX_HOPS", most)
        cut = up(world, students[-1])
        assert cut.hops == whole.hops[:most]
        assert cut.truncated or most == len(whole.hops)


def test_a_circle_ends(world: World) -> None:
    """Two students, each taught by the other: teachers put on record as the other's, after they had learned."""
    one, two = world.student("one"), world.student("two")
    terms = world.put("terms", world.changed(world.ref("acme-terms"), title="all", party=world.registry.operator), "compliance")
    teachers = {}
    for student in (one, two):
        body = world.changed(
            world.ref("acme/base@1"), party=known(world.registry.operator), model=known(student), same_as_student=student
        )
        teachers[student] = world.put("teacher", body, "producer")
    for student, other in ((one, two), (two, one)):
        file = messages(world.folder.parent / f"{student[-4:]}.jsonl", student[-4:], 2)
        found = world.registry.import_files("messages", [file], teacher=teachers[other], dataset=student[-4:])
        world.permit(student, terms)
        list(world.registry.pull(found.dataset, student=student, run="circle"))
    for direction in ("up", "down"):
        answer = world.registry.lineage(one, direction=direction)
        assert not answer.truncated
        assert len(answer.hops) == 4
        assert set(answer.reached("student")) == {one, two}


def test_ancestors_of_teachers_are_claimed(world: World) -> None:
    base, beta = world.ref("acme/base@1"), world.ref("beta/chat@1")
    ancestors = (
        s.Ancestor(model=beta, edge=s.Edge.TRAINED_ON_OUTPUTS_OF, basis=s.Basis.ALLEGED),
        s.Ancestor(model=base, edge=s.Edge.INITIALISED_FROM, basis=s.Basis.DECLARED),
    )
    ref = world.put("teacher", world.changed(base, model=known("child"), ancestry=known(ancestors)), "producer")
    assert {(hop.dst, hop.relation, hop.basis, hop.rows) for hop in up(world, ref).hops} == {
        (base, "initialised_from", "claimed", None),
        (beta, "trained_on_outputs_of", "claimed", None),
    }


def test_a_judge_is_told_from_the_writer(world: World) -> None:
    shard = world.parts("chat")[0][0]
    coder = world.ref("acme/coder@2")
    models = (*world.body(shard).models, s.ShardModel(teacher=coder, role=s.ModelRole.JUDGE, rows=unknown()))
    judged = world.put("shard", world.changed(shard, models=models, ordinal=50), "producer")
    world.dataset("judged", [(judged, 0, 4)])
    list(world.registry.pull("judged", student="lab/pupil", run="first"))
    assert {(hop.dst, hop.role, hop.rows) for hop in up(world, "lab/pupil").hops} == {
        (world.ref("acme/base@1"), "response", 4),
        (coder, "judge", 4),
    }


def test_nothing_is_said_of_what_has_no_lineage(lived: World) -> None:
    for kind in ("grant", "consume", "delivery", "decision", "key"):
        ref = next(row["ref"] for row in lived.rows()["things"] if row["kind"] == kind)
        with pytest.raises(InvalidInput, match="expected a student"):
            up(lived, ref)


# -- brute force -----------------------------------------------------------------------------------------------------------------

SEGMENTS = st.lists(
    st.tuples(st.integers(0, 2), st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=3)), max_size=3
)
"""For each run: which student, and segments (first, rows) of its samples, clipped to what it may read."""

PARTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 11), st.integers(1, 12)), min_size=1, max_size=3)
"""For each dataset: shard number, first row, rows; clipped."""


@settings(max_examples=5, deadline=None)
@given(datasets=st.lists(PARTS, min_size=1, max_size=2), runs=SEGMENTS, data=st.data())
def test_a_recount_by_hand_agrees(shared_world: World, datasets: Any, runs: Any, data: st.DataObject) -> None:
    """Every segment is written down beside the ledger as (student, shard, row); the walk must find the same rows."""
    world = shared_world
    tag = str(world.size())
    shards = [*world.parts("chat"), *world.parts("code")]
    teacher_of = {shard: world.body(shard).models[0].teacher for shard, _, _ in shards}
    plans = []
    for number, parts in enumerate(datasets):
        spans = [(shards[i][0], min(a, shards[i][2] - 1), min(a + n, shards[i][2])) for i, a, n in parts]
        plans.append((world.dataset(f"d{number}-{tag}", spans), spans))
    students = [world.student(f"s{number}-{tag}") for number in range(3)]
    for student in students:
        world.permit(student, world.ref("acme-terms"))
    before = {teacher: rows_down(world, teacher) for teacher in teacher_of.values()}
    read: set[tuple[str, str, int]] = set()
    states: list[tuple[int, set[tuple[str, str, int]]]] = [(world.size(), set())]
    for number, (who, segments) in enumerate(runs):
        dataset, spans = plans[number % len(plans)]
        samples = [(shard, row) for shard, a, b in spans for row in range(a, b)]
        run, key = world.run(students[who], f"r{number}-{tag}", dataset)
        grant = world.grant(run, key, spans)
        previous: dict[str, Any] = {}
        for sequence, (first, count) in enumerate(segments):
            first = min(first, len(samples))
            last = min(first + count, len(samples))
            ref = world.consume(run, key, grant, first, last, sequence=sequence, **previous)
            previous = {"previous": ref}
            read |= {(students[who], shard, row) for shard, row in samples[first:last]}
            states.append((world.size(), set(read)))
    size, then = data.draw(st.sampled_from(states))
    for rows, as_of in ((read, None), (then, size)):
        for student in students:
            answer = up(world, student, as_of=as_of)
            mine = {hop.dst: hop.rows for hop in answer.hops}
            assert mine == _counted((teacher_of[shard] for who, shard, _ in rows if who == student))
        for dataset, spans in plans:
            inside = {(shard, row) for shard, a, b in spans for row in range(a, b)}
            found = {hop.src: hop.rows for hop in down(world, dataset, as_of=as_of).hops if hop.src in students}
            assert found == _counted(who for who, shard, row in rows if (shard, row) in inside)
    for teacher in teacher_of.values():
        expected = before[teacher] | _counted(who for who, shard, _ in read if teacher_of[shard] == teacher)
        assert rows_down(world, teacher) == expected


def rows_down(world: World, teacher: str) -> dict[str, int]:
    return {hop.src: hop.rows or 0 for hop in down(world, teacher, depth=1).hops}


def _counted(items: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in items:
        found[item] = found.get(item, 0) + 1
    return found


def test_what_is_on_record_under_a_corrected_statement_is_not_lost(lived: World) -> None:
    pupil, base = lived.ref("student:lab/pupil"), lived.ref("acme/base@1")
    size = lived.size()
    student = lived.put("student", lived.changed(pupil, purpose=known("chat")), "trainer", amends=pupil)
    teacher = lived.put("teacher", lived.changed(base, model=known("basis")), "producer", amends=base)
    answer = up(lived, "student:lab/pupil")
    assert answer.start == pupil  # what made it names it
    assert (1, "lab/pupil@1", "corrected_by", "lab/pupil@1", None) in told(answer)
    assert lived.ref(student) == pupil
    assert lived.ref("acme/basis@1") == base
    assert answer.names[base] == "acme/basis@1"
    assert {base, teacher, lived.ref("acme/coder@2")} <= set(answer.reached("teacher"))
    assert {pupil, student} <= set(down(lived, "acme/basis@1").reached("student"))
    assert {pupil, student} <= set(down(lived, base).reached("student"))
    assert len({(hop.src, hop.relation, hop.dst) for hop in answer.hops}) == len(answer.hops)
    assert not any(hop.relation.startswith("correct") for hop in up(lived, pupil, as_of=size).hops)
