"""Shares: rows, samples and tokens of each teacher by stage, recounted by brute force from the entries, as of every size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inbond.registry.shares import Shares, shares_of
from inbond.schemas import statements as s
from inbond.schemas.declared import known, unknown
from tests.registry.disclosure import scene
from tests.registry.recount import Part, recount
from tests.registry.world import LONG_AGO, World

Told = dict[tuple[str, str, str], tuple[int, int, int | None, int | None]]


def told(found: Shares) -> Told:
    """(rows, samples, tokens, rows_at_most) by (stage, teacher, role), totals by (stage, "", "")."""
    sums: Told = {(each.stage, "", ""): (each.rows, each.samples, each.tokens, each.rows_at_most) for each in found.stages}
    for each in found.shares:
        sums[each.stage, each.teacher, each.role] = (each.rows, each.samples, each.tokens, each.rows_at_most)
    return sums


def expected(parts: dict[tuple[str, str, str], Part], shards: dict[str, s.Shard]) -> Told:
    return {
        key: (
            len(part.rows),
            part.samples,
            part.tokens(shards),
            len(part.rows | part.beyond) if part.beyond - part.rows else None,
        )
        for key, part in parts.items()
    }


def at(world: World, student: str, size: int) -> Shares:
    with world.registry.reading() as reader:
        return shares_of(reader, world.ref(student, "student"), size)


def stated(prompt: int, response: int, tokenizer: str | None = None) -> Any:
    named = unknown() if tokenizer is None else known(tokenizer)
    return known(s.Tokens(tokenizer=named, prompt=known(prompt), response=known(response)))


def test_every_figure_is_that_of_a_recount_at_every_size(lived: World) -> None:
    for student in ("lab/pupil", "lab/grandpupil", "lab/other"):
        first = lived.registry.thing(lived.ref(student, "student")).entry + 1
        for size in range(first, lived.size() + 1):
            found = at(lived, student, size)
            assert told(found) == expected(*recount(lived, found.student, size)), (student, size)
            assert found.tree_size == size


def test_stages_judges_epochs_overlaps_and_overdue_grants(world: World) -> None:
    scene.public(world, 7)
    scene.judged(world)
    chat = world.parts("chat")
    world.dataset("mix", [(chat[0][0], 3, 9), (chat[1][0], 0, 12), (world.parts("code")[0][0], 5, 10)])
    student = world.ref("lab/pupil", "student")
    world.registry.add_terms(b"Do.\n", party="beta", title="beta-terms", effective="2025-01-01")
    world.permit(student, world.ref("beta-terms"))
    for names, run, options in (
        (("chat", "code"), "one", {"segment": 7, "epochs": 2}),
        (("mix", "evals"), "two", {"segment": 5}),
        (("judged",), "three", {"stage": "preference", "use_kind": "preference", "epochs": 3}),
    ):
        for _ in world.registry.pull(*names, student="lab/pupil", run=run, **options):
            pass
    records = iter(world.registry.pull("chat", student="lab/pupil", run="broken-off", segment=4))
    next(records)
    late, key = world.run(student, "late", world.ref("code"))
    parts = world.parts("code")
    grant = world.grant(late, key, parts, report_by=LONG_AGO)
    world.consume(late, key, grant, 2, 6)
    found = at(world, "lab/pupil", world.size())
    assert told(found) == expected(*recount(world, student, world.size()))
    preference = {(each.role, each.rows, each.samples) for each in found.shares if each.stage == "preference"}
    assert preference == {("response", 10, 30), ("judge", 10, 30)}
    for size in range(world.registry.thing(student).entry + 1, world.size(), 3):
        assert told(at(world, "lab/pupil", size)) == expected(*recount(world, student, size)), size


def test_an_overdue_grant_is_looked_at_when_it_is_asked(world: World) -> None:
    student = world.ref("lab/pupil", "student")
    late, key = world.run(student, "late", world.ref("code"))
    world.grant(late, key, world.parts("code"), report_by=LONG_AGO)
    [total] = at(world, "lab/pupil", world.size()).stages
    assert (total.rows, total.rows_at_most, total.samples) == (0, 10, 0)
    [share] = at(world, "lab/pupil", world.size()).shares
    assert (share.first, share.last, share.shards) == ("", "", 1)
    world.registry.close_run("late", "kept")
    assert at(world, "lab/pupil", world.size()).stages == ()


TOKENS = [
    ([stated(10, 20), stated(1, 2)], 33, "the teacher's own"),
    ([stated(10, 20, "sha256:" + "a" * 64), stated(1, 2, "sha256:" + "a" * 64)], 33, "sha256:" + "a" * 64),
    ([stated(10, 20, "sha256:" + "a" * 64), stated(1, 2, "sha256:" + "b" * 64)], None, None),
    ([stated(10, 20, "sha256:" + "a" * 64), stated(1, 2)], None, None),
    ([stated(10, 20), unknown()], None, None),
    ([stated(10, 20), known(s.Tokens(tokenizer=unknown(), prompt=unknown(), response=known(1)))], None, None),
]


@pytest.mark.parametrize(("tokens", "total", "tokenizer"), TOKENS)
def test_tokens_are_added_up_only_in_one_tokenizer(world: World, tokens: list[Any], total: int | None, tokenizer: str) -> None:
    shards = world.parts("chat")
    refs = [
        world.put("shard", world.changed(shards[n][0], tokens=each, ordinal=70 + n), "producer") for n, each in enumerate(tokens)
    ]
    world.dataset("counted", [(ref, 0, 12) for ref in refs])
    for _ in world.registry.pull("counted", student="lab/pupil", run="counted"):
        pass
    [share] = at(world, "lab/pupil", world.size()).shares
    assert (share.rows, share.tokens) == (24, total)
    assert share.tokenizer == (world.ref("acme/base@1") if tokenizer == "the teacher's own" else tokenizer)


def test_tokens_of_a_shard_that_was_given_in_part_are_not_known(world: World) -> None:
    shard = world.put("shard", world.changed(world.parts("chat")[0][0], tokens=stated(1, 2), ordinal=70), "producer")
    world.dataset("part", [(shard, 0, 11)])
    for _ in world.registry.pull("part", student="lab/pupil", run="part"):
        pass
    [share] = at(world, "lab/pupil", world.size()).shares
    assert (share.rows, share.tokens) == (11, None)


def test_a_corrected_teacher_and_student_are_asked_by_any_name(world: World) -> None:
    for _ in world.registry.pull("chat", student="lab/pupil", run="one"):
        pass
    before = at(world, "lab/pupil", world.size())
    world.registry.declare("lab/pupil", {"purpose": "answers"})
    world.registry.declare("acme/base@1", {"version": "1.1"}, correct=True)
    after = at(world, "lab/pupil", world.size())
    assert told(after) == told(before)
    [share] = after.shares
    assert after.names[share.teacher] == "acme/base@1.1"
    assert [after.names[ref] for ref in share.terms] == ["acme-terms@2026-01-01"]


def test_times_are_those_of_the_entries_between_which_it_was_given(lived: World) -> None:
    found = at(lived, "lab/pupil", lived.size())
    parts, _ = recount(lived, found.student, lived.size())
    for share in found.shares:
        times = parts[share.stage, share.teacher, share.role].times
        assert (share.first, share.last) == (min(times), max(times))


def test_the_place_answers_the_same(make_world: Callable[..., World], lived_template: Path) -> None:
    world = make_world("lived", lived_template)
    assert told(world.registry.place.shares("lab/pupil")) == told(at(world, "lab/pupil", world.size()))
