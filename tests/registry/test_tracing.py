"""One record: by its address or its id, through damage of what helps the search, and whom it reached."""

import shutil

import pytest

from inbond.registry import tracing
from inbond.registry.objects import IDS
from inbond.registry.shards import ids
from inbond.registry.shards.records import record_id
from inbond.registry.tracing import Found, Traced
from inbond.schemas.errors import InvalidInput, NotFound, VerificationError
from tests.registry.families import Family
from tests.registry.world import LONG_AGO, World, messages


def trace(world: World, record: str, size: int | None = None) -> Traced:
    return world.registry.place.trace(record, size)


def id_of(world: World, shard: str, row: int) -> str:
    from inbond.registry.reading import open_shard

    with open_shard(world.registry.place, shard) as opened:
        [record] = opened.records([range(row, row + 1)])
    return record_id(record).hex()


def only(answer: Traced) -> Found:
    [found] = answer.found
    return found


def test_an_address_says_what_is_on_record_of_the_row(lived: World) -> None:
    shard = lived.parts("code")[0][0]
    answer = trace(lived, f"{shard}:7")
    assert only(answer) == Found(
        shard, 7, id_of(lived, shard, 7), ((lived.ref("acme/coder@2"), "response"),), (lived.ref("acme-terms"),),
        (lived.ref("lessons"),), (), (lived.ref("student:lab/pupil"),), (),
    )  # fmt: skip
    assert (answer.searched, answer.shards, answer.unread, answer.tree_size) == (1, 1, (), lived.size())
    assert answer.names[lived.ref("lessons")] == "lessons"
    beta = lived.parts("beta")[0][0]
    assert (only(trace(lived, f"{beta}:0")).runs, only(trace(lived, f"{beta}:0")).students) == ((), ())
    [recall] = [row["ref"] for row in lived.rows()["recalls"]]
    assert only(trace(lived, f"{beta}:0")).recalls == (recall,)  # that it takes effect later is another matter


def test_an_id_is_found_in_every_shard_that_holds_it(lived: World) -> None:
    a = lived.parts("chat")[0][0]
    copy = Family(lived).shard(lived.ref("acme/coder@2"))  # the same bytes, by another teacher
    wanted = id_of(lived, a, 4)
    answer = trace(lived, wanted)
    assert [(found.shard, found.row, found.record_id) for found in answer.found] == [(a, 4, wanted), (copy, 4, wanted)]
    assert [len(found.runs) for found in answer.found] == [2, 0]
    shards = len(lived.rows()["shards"])
    assert (answer.searched, answer.shards, answer.truncated) == (shards, shards, False)
    assert trace(lived, wanted) == answer  # now from the indexes
    assert trace(lived, "0" * 64).found == ()


def test_as_of_a_size_later_shards_and_runs_are_not_there(lived: World) -> None:
    shard = lived.parts("code")[0][0]
    seqs = {row["ref"]: row["seq"] for row in lived.rows()["things"]}
    wanted = id_of(lived, shard, 0)
    before = trace(lived, wanted, seqs[shard])
    assert (before.found, before.searched) == ((), 3)
    assert only(trace(lived, wanted, seqs[shard] + 1)).runs == ()
    assert only(trace(lived, wanted)).runs == (lived.ref("lessons"),)
    with pytest.raises(NotFound, match="no such shard"):
        trace(lived, f"{shard}:0", seqs[shard])


def test_who_may_have_read_it_is_told_apart(world: World) -> None:
    a, b, c = (part[0] for part in world.parts("chat"))
    run, key = world.run(world.ref("lab/pupil"), "late", world.ref("chat"))
    grant = world.grant(run, key, world.parts("chat"), report_by=LONG_AGO)
    world.consume(run, key, grant, 0, 13)
    found = {shard: only(trace(world, f"{shard}:0")) for shard in (a, b, c)}
    assert {shard: (each.runs, each.perhaps) for shard, each in found.items()} == {
        a: ((run,), ()), b: ((run,), ()), c: ((), (run,))
    }  # fmt: skip
    assert {each.students for each in found.values()} == {(world.ref("lab/pupil"),)}
    assert only(trace(world, f"{b}:1")).perhaps == (run,)


def test_runs_and_students_stand_in_the_order_of_the_log(world: World) -> None:
    students = [world.student(f"lab/s{n}") for n in range(4)]
    for student in students:
        world.permit(student, world.ref("acme-terms"))
    made = []
    for n in (2, 0, 3, 1, 2, 0):
        run, key = world.run(students[n], f"run{len(made)}", world.ref("chat"))
        late = LONG_AGO if len(made) in (1, 3) else None
        grant = world.grant(run, key, world.parts("chat"), **({"report_by": late} if late else {}))
        if late is None:
            world.consume(run, key, grant, 0, 12)
        made.append((run, students[n], late))
    found = only(trace(world, f"{world.parts('chat')[0][0]}:0"))
    assert found.runs == tuple(run for run, _, late in made if late is None)
    assert found.perhaps == tuple(run for run, _, late in made if late is not None)
    assert found.students == tuple(dict.fromkeys(student for _, student, _ in made))


BAD = [
    ("", InvalidInput), ("x", InvalidInput), ("0" * 63, InvalidInput), ("A" * 64, InvalidInput),
    ("sha256:" + "0" * 64, InvalidInput), ("shard:abc:1", InvalidInput), ("shard:" + "0" * 32, InvalidInput),
    ("shard:" + "0" * 32 + ":01", InvalidInput),
    ("shard:" + "0" * 32 + ":-1", InvalidInput), ("shard:" + "0" * 32 + ":0", NotFound), ("{a}:12", NotFound),
    ("dataset:" + "0" * 32 + ":0", InvalidInput),
]  # fmt: skip


@pytest.mark.parametrize(("record", "error"), BAD)
def test_what_is_no_record(shared_world: World, record: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        trace(shared_world, record.format(a=shared_world.parts("chat")[0][0]))


def test_an_index_is_made_once_and_again_where_it_is_damaged(world: World) -> None:
    a = world.parts("chat")[0][0]
    store, file = world.registry.store, world.body(a).file
    path = store.path(file, IDS)
    wanted = id_of(world, a, 5)
    assert not path.exists()
    assert only(trace(world, wanted)).row == 5
    made = path.read_bytes()
    for damage in (made[:-3], made[:40] + b"\xff" + made[41:], b"", made[:-5] + b"\0" * 5, made + made):
        path.write_bytes(damage)
        assert only(trace(world, wanted)).row == 5
        assert path.read_bytes() == made
    stamp = path.stat().st_mtime_ns
    trace(world, wanted)
    assert path.stat().st_mtime_ns == stamp


def test_an_index_that_lies_is_found_out_by_the_shards_own_ids(world: World) -> None:
    """One with right check sums that puts ids into other rows: the rows are compared in the shard, and it is made again."""
    a = world.parts("chat")[0][0]
    store, file = world.registry.store, world.body(a).file
    every = [bytes.fromhex(id_of(world, a, row)) for row in range(12)]
    ids.keep(store, file, b"".join(every[1:] + every[:1]))
    assert only(trace(world, every[5].hex())).row == 5
    assert only(trace(world, every[7].hex())).row == 7


def test_what_cannot_be_read_is_said_and_the_rest_is_searched(world: World) -> None:
    a, b, _ = (part[0] for part in world.parts("chat"))
    store = world.registry.store
    wanted = {shard: id_of(world, shard, 1) for shard in (a, b)}
    for shard in (a, b):
        trace(world, wanted[shard])
    store.path(world.body(a).file).unlink()
    gone = trace(world, wanted[a])
    assert (gone.found, gone.unread, gone.searched, gone.shards) == ((), (a,), 4, 5)
    assert only(trace(world, f"{a}:1")).record_id is None
    assert trace(world, f"{a}:1").unread == (a,)
    path = store.path(world.body(b).file)
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 7):
        data[at] ^= 9
    path.chmod(0o600)
    path.write_bytes(data)
    altered = trace(world, wanted[b])
    assert (altered.found, set(altered.unread)) == ((), {a, b})
    with pytest.raises(VerificationError, match=b):
        trace(world, f"{b}:1")


def test_a_content_that_occurs_often_is_cut_off_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    file = messages(world.folder.parent / "same.jsonl", "same", 1)
    file.write_text(file.read_text() * 40)
    found = world.registry.import_files("messages", [file], teacher="acme/base@1", dataset="same", max_rows=25)
    first, second = found.shards
    wanted = id_of(world, first, 0)
    whole = trace(world, wanted)
    assert [(x.shard, x.row) for x in whole.found] == [(first, row) for row in range(25)] + [(second, row) for row in range(15)]
    assert not whole.truncated
    for most in (1, 24, 25, 39, 40):
        monkeypatch.setattr(tracing, "MAX_FOUND", most)
        cut = trace(world, wanted)
        assert (cut.found, cut.truncated, cut.searched) == (whole.found[:most], most < 40, 7)


def test_a_registry_that_can_only_be_read_is_searched_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    a = world.parts("chat")[0][0]
    wanted = id_of(world, a, 3)
    shutil.rmtree(world.folder / "objects" / "scratch", ignore_errors=True)
    (world.folder / "objects" / "scratch").write_bytes(b"")  # where no folder can be made, nothing is kept
    assert only(trace(world, wanted)).row == 3
    assert not world.registry.store.path(world.body(a).file, IDS).exists()


def test_corrected_teachers_are_asked_as_they_are_known(world: World) -> None:
    a, base = world.parts("chat")[0][0], world.ref("acme/base@1")
    size = world.size()
    world.registry.declare(base, {"party": "vendor"}, correct=True)
    world.registry.declare(a, {"acquired": "2026-01-01"})
    now, then = only(trace(world, f"{a}:0")), only(trace(world, f"{a}:0", size))
    assert now.teachers == then.teachers == ((base, "response"),)
    assert (now.terms, then.terms) == ((), (world.ref("acme-terms"),))
    newest = world.registry.thing(a).newest
    assert only(trace(world, f"{newest}:0")).shard == a
