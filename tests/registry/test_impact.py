"""Whom a withdrawal reaches: named one by one in a small world, and recounted by brute force in drawn ones."""

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from inbond.registry import impact as module
from inbond.registry import spread
from inbond.registry.impact import Affected, Impact
from inbond.schemas import statements as s
from inbond.schemas.errors import InvalidInput
from tests.registry.families import Family, Row, families
from tests.registry.test_learners import counted
from tests.registry.world import CHAT_ROWS, LONG_AGO, World


def impact(world: World, ref: str, size: int | None = None) -> Impact:
    return world.registry.place.impact(ref, size)


def told(answer: Impact) -> list[tuple[int, str, str, int | None]]:
    """(depth, kind, name, rows), in the order of the answer; names that are references are left out."""
    names = answer.names
    return [(x.depth, x.kind, "" if names[x.ref] == x.ref else names[x.ref], x.rows) for x in answer.affected]


def of_kind(answer: Impact, kind: str) -> dict[str, Affected]:
    return {item.ref: item for item in answer.affected if item.kind == kind}


def test_everything_that_follows_from_a_shard(lived: World) -> None:
    shard = lived.parts("chat")[0][0]
    answer = impact(lived, shard)
    assert told(answer) == [
        (1, "dataset", "chat@1", 12), (1, "student", "lab/pupil@1", 12), (1, "run", "lessons", 12), (1, "run", "copies", 12),
        (1, "delivery", "", 12), (2, "release", "", None), (2, "teacher", "lab/pupil@1", None), (2, "report", "", None),
        (3, "student", "lab/grandpupil@1", None), (3, "run", "second-lessons", None),
    ]  # fmt: skip
    assert (answer.about, answer.shards, answer.rows, answer.truncated) == (shard, 1, 12, False)
    assert answer.open_runs == (lived.ref("copies"),)
    assert answer.recalls == ()
    seqs = {row["ref"]: row["seq"] for row in lived.rows()["things"]}
    assert all(item.entry == seqs[item.ref] and item.owner == lived.registry.operator for item in answer.affected)


def test_a_teacher_a_dataset_and_a_recall_name_rows(lived: World) -> None:
    whole = impact(lived, "acme/base@1")
    assert (whole.shards, whole.rows) == (3, CHAT_ROWS)
    assert told(impact(lived, "chat")) == told(whole)
    assert told(whole)[0] == (1, "dataset", "chat@1", CHAT_ROWS)
    code = impact(lived, "code")
    assert [item.kind for item in code.affected if item.depth == 1] == ["dataset", "student", "run", "delivery"]
    a, b, _ = (part[0] for part in lived.parts("chat"))
    done = lived.registry.recall(a, rows=[(0, 2), (5, 6)], reason="x", category="terms")
    assert (done.impact.shards, done.impact.rows, done.impact.recalls) == (1, 3, (done.recorded.ref,))
    assert told(done.impact)[0] == (1, "dataset", "chat@1", 3)
    assert impact(lived, a).recalls == (done.recorded.ref,)
    assert impact(lived, b).recalls == ()
    lived.registry.lift_recall(done.recorded.ref, reason="x")
    assert impact(lived, a).recalls == ()
    assert impact(lived, done.recorded.ref).rows == 3
    with pytest.raises(InvalidInput, match="expected a shard"), lived.registry.reading() as reader:
        module.impact_of(reader, lived.ref("student:lab/pupil"))


def test_what_was_made_from_rows_is_affected_as_a_whole(world: World) -> None:
    family = Family(world)
    teacher = world.ref("acme/base@1")
    a = world.parts("chat")[0][0]
    lines = [s.DerivedLine(shard=a, rows=((2, 4),))]
    child = family.shard(teacher, derived_from=world.registry.store.put_lines(lines))
    grandchild = family.shard(teacher, derived_from=world.registry.store.put_lines([s.DerivedLine(shard=child, rows=((0, 1),))]))
    student = family.student()
    family.read(student, [(grandchild, 0, 3)], [3], deliver=True)
    answer = impact(world, a)
    assert {ref: x.depth for ref, x in of_kind(answer, "shard").items()} == {child: 1, grandchild: 2}
    assert [x.depth for x in of_kind(answer, "student").values()] == [3]
    dataset, delivery = family.datasets[0][0], family.deliveries[0][0]
    assert {ref: (x.depth, x.rows) for ref, x in of_kind(answer, "dataset").items()} == {
        dataset: (3, None), world.ref("chat"): (1, 12)
    }  # fmt: skip
    assert {ref: (x.depth, x.rows) for ref, x in of_kind(answer, "delivery").items()} == {delivery: (3, None)}
    done = world.registry.recall(a, rows=[(0, 2)], reason="x", category="terms")
    assert not of_kind(done.impact, "shard")
    assert of_kind(world.registry.recall(a, rows=[(3, 9)], reason="x", category="terms").impact, "shard").keys() == {
        child, grandchild
    }  # fmt: skip
    hops = world.registry.lineage(a, direction="down").hops
    assert [(hop.src, hop.relation, hop.basis) for hop in hops if hop.relation == "derived_from"] == [
        (child, "derived_from", "recorded"), (grandchild, "derived_from", "recorded")
    ]  # fmt: skip


def test_what_may_have_been_read_is_said(world: World) -> None:
    run, key = world.run(world.ref("lab/pupil"), "late", world.ref("chat"))
    world.grant(run, key, world.parts("chat"), report_by=LONG_AGO)
    shard = world.parts("chat")[2][0]
    answer = impact(world, shard)
    assert {x.kind: (x.rows, x.rows_at_most) for x in answer.affected} == {
        "dataset": (6, None), "run": (0, 6), "student": (0, 6)
    }  # fmt: skip
    assert answer.open_runs == (run,)


def test_deliveries_hand_out_whole_shards(world: World) -> None:
    a = world.parts("chat")[0][0]
    world.dataset("few", [(a, 8, 10)])
    world.registry.export_dataset("few", world.folder.parent / "few")
    done = world.registry.recall(a, rows=[(0, 3)], reason="x", category="terms")
    assert [(x.kind, x.rows) for x in done.impact.affected] == [("dataset", 3), ("delivery", 3)]
    assert world.ref("few") not in of_kind(done.impact, "dataset")


def test_as_of_a_size_it_is_what_was_known(lived: World) -> None:
    shard = lived.parts("chat")[0][0]
    size = {row["ref"]: row["seq"] for row in lived.rows()["runs"]}[lived.ref("lessons")]
    assert [item.kind for item in impact(lived, shard, size).affected] == ["dataset"]
    assert impact(lived, shard, size).open_runs == ()
    assert impact(lived, shard, size + 1).open_runs == (lived.ref("lessons"),)
    assert impact(lived, shard, size + 3).tree_size == size + 3
    assert told(impact(lived, shard, size + 3))[1:] == [(1, "student", "lab/pupil@1", 12), (1, "run", "lessons", 12)]


def test_a_list_that_is_cut_off_says_so(lived: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = lived.parts("chat")[0][0]
    whole = impact(lived, shard)
    for most in range(1, len(whole.affected) + 1):
        monkeypatch.setattr(module, "MAX_AFFECTED", most)
        cut = impact(lived, shard)
        assert (cut.affected, cut.truncated) == (whole.affected[:most], most < len(whole.affected))
    monkeypatch.setattr(spread, "MAX_LINKS", 1)
    assert impact(lived, shard).truncated


def test_more_students_do_not_mean_more_queries(world: World) -> None:
    family, counts = Family(world), []
    shard = family.shard(family.teacher(world.ref("acme", "party")))
    for _ in range(3):
        for _ in range(4):
            student = family.student()
            family.read(student, [(shard, 0, 12)], [5, 12], deliver=True)
            family.release(student)
        with counted(world) as (reader, queries):
            answer = module.impact_of(reader, shard)
        counts.append((len(of_kind(answer, "student")), len(queries)))
    assert [students for students, _ in counts] == [4, 8, 12]
    assert len({number for _, number in counts}) == 1


def expected(family: Family, start: set[Row]) -> dict[str, tuple[int, int | None]]:
    """(depth, rows) of everything that `start` reaches, by brute force."""
    found: dict[str, tuple[int, int | None]] = {}

    def reach(ref: str, depth: int, rows: int | None = None) -> None:
        before = found.get(ref, (99, None))
        found[ref] = min(before[0], depth), before[1] if rows is None else rows

    shards = {shard for shard, _ in start}
    for dataset, rows in family.datasets:
        if rows & start:
            reach(dataset, 1, len(rows & start))
    for delivery, _, handed in family.deliveries:
        if handed & shards:
            reach(delivery, 1, len({row for row in start if row[0] in handed}))
    read: dict[str, set[Row]] = {}
    for run, student, _, rows in family.runs:
        if rows & start:
            reach(run, 1, len(rows & start))
            read.setdefault(student, set()).update(rows & start)
    for student, rows in read.items():
        reach(student, 1, len(rows))
        for way in ([], *family.ways(student)):  # and one edge further, which may lead back
            end = way[-1].src if way else student
            for edge in family.edges.values():
                if edge.dst == end:
                    for ref in (edge.src, *edge.runs):
                        reach(ref, len(way) + 2)
    return found


@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # each example is written
@given(data=st.data())
def test_a_recount_by_hand_agrees(shared_world: World, data: st.DataObject) -> None:
    world = shared_world
    family = data.draw(families(world))
    starts: list[tuple[str, set[Row]]] = [(shard, {(shard, row) for row in range(12)}) for shard in family.shards]
    starts += family.datasets
    starts += [
        (teacher, {(shard, row) for shard, by in family.shards.items() if by == teacher for row in range(12)})
        for teacher in family.teachers
    ]
    for ref, rows in starts:
        answer = impact(world, ref)
        assert {item.ref: (item.depth, item.rows) for item in answer.affected} == expected(family, rows)
        assert answer.rows == len(rows)
        assert set(answer.open_runs) == {run for run, _, dataset, _ in family.runs if dict(family.datasets)[dataset] & rows}
