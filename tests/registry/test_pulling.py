"""A pull: what is yielded is verified and was on record before."""

from itertools import pairwise

import pytest
from sqlalchemy import select

from inbond.registry import tables as t
from inbond.schemas.columns import TEXT_SCHEMA
from inbond.schemas.errors import Conflict, InvalidInput, NotFound, NotPermitted, PolicyDenied, VerificationError
from inbond.schemas.scalars import Role
from tests.registry.world import CHAT_ROWS, CODE_ROWS, World


def pull(world: World, *datasets: str, run: str = "first", student: str = "lab/pupil", **options):
    return world.registry.pull(*(datasets or ("chat",)), student=student, run=run, **options)


def segments(world: World, run: str = "first") -> list[tuple[int, int, int, int]]:
    c = t.consumptions.c
    with world.registry.reading() as reader:
        query = select(c.sequence, c.epoch, c.first, c.last).where(c.run == world.ref(run)).order_by(c.sequence)
        return [tuple(row) for row in reader.connection.execute(query)]


def test_the_order_is_that_of_sources_parts_and_rows(world: World) -> None:
    found = pull(world, "code", "chat", segment=7)
    expected = [f"code answer {i}" for i in range(CODE_ROWS)] + [f"chat answer {i}" for i in range(CHAT_ROWS)]
    assert len(found) == CODE_ROWS + CHAT_ROWS
    assert [record.response for record in found] == expected
    borders = [*range(0, 40, 7), 40]
    assert segments(world) == [(i, 0, a, b) for i, (a, b) in enumerate(pairwise(borders))]
    world.check()


def test_ranges_of_a_dataset_are_read_and_no_more(world: World) -> None:
    a, b, _ = (part[0] for part in world.parts("chat"))
    world.dataset("some", [(b, 3, 5), (a, 11, 12), (b, 0, 1)])
    assert [record.response for record in pull(world, "some", segment=2)] == [f"chat answer {i}" for i in (15, 16, 11, 12)]
    read = {(row["shard"], row["first"], row["last"]) for row in world.rows()["exposures"]}
    assert read == {(b, 3, 5), (a, 11, 12), (b, 0, 1)}


def test_a_segment_is_on_record_before_its_first_sample(world: World) -> None:
    records = iter(pull(world, segment=4))
    assert segments(world) == []
    for count in range(10):
        next(records)
        assert segments(world)[-1][3] == 4 * (count // 4 + 1)


def test_a_segment_that_was_cut_short_comes_again_and_no_sample_is_lost(world: World) -> None:
    records = iter(pull(world, segment=4))
    assert [next(records).response for _ in range(6)][-1] == "chat answer 5"
    records.close()  # it dies within the second segment: the ledger says more than was read
    rest = [record.response for record in pull(world, segment=10)]
    assert rest == [f"chat answer {i}" for i in range(4, CHAT_ROWS)]
    assert [s[2:] for s in segments(world)] == [(0, 4), (4, 8), (4, 14), (14, 24), (24, 30)]
    assert list(pull(world)) == []
    world.check()


def test_a_run_whose_cursor_was_lost_hands_out_its_newest_segment_again(world: World) -> None:
    first = [record.response for record in pull(world, segment=16)]
    for cursor in (world.registry.folder / "cursors").iterdir():
        cursor.unlink()
    assert [record.response for record in pull(world, segment=16)] == first[16:]
    world.check()


def test_epochs_read_everything_again_and_expose_nothing_new(world: World) -> None:
    first = [record.response for record in pull(world, segment=16)]
    again = [record.response for record in pull(world, segment=16, epochs=3)]
    assert again == first * 2
    assert [s[1] for s in segments(world)] == [0, 0, 1, 1, 2, 2]
    [hop] = world.registry.lineage("lab/pupil").hops
    assert hop.rows == CHAT_ROWS


def test_some_columns_come_as_tables(world: World) -> None:
    found = pull(world, columns=["response", "record_id"], segment=20)
    tables = list(found.tables())
    assert [name for table in tables for name in table.column_names] == ["response", "record_id"] * len(tables)
    assert [text for table in tables for text in table["response"].to_pylist()] == [f"chat answer {i}" for i in range(CHAT_ROWS)]
    with pytest.raises(InvalidInput, match="holds all columns"):
        next(iter(pull(world, run="second", columns=["response"])))
    assert segments(world, "second") == []


BAD = [
    ({"columns": ["nonsense"]}, InvalidInput, "expected columns among"),
    ({"epochs": 0}, InvalidInput, "one epoch"),
    ({"segment": 0}, InvalidInput, "one sample a segment"),
    ({"split": "test"}, InvalidInput, "found splits train"),
    ({"student": "nobody"}, NotFound, "no student is called"),
    ({"stage": "none"}, InvalidInput, "stage: expected one of pretrain"),
]


@pytest.mark.parametrize(("options", "error", "text"), BAD)
def test_a_pull_that_cannot_be_leaves_nothing(shared_world: World, options, error, text) -> None:
    size = shared_world.size()
    with pytest.raises(error, match=text):
        pull(shared_world, **options)
    assert shared_world.size() == size
    assert list((shared_world.folder / "keys" / "runs").iterdir()) == []


def test_a_refused_pull_leaves_nothing_and_says_what_would_settle_it(shared_world: World) -> None:
    world, size = shared_world, shared_world.size()
    with pytest.raises(PolicyDenied, match="lab/other@1 may not learn from this") as caught:
        pull(world, student="lab/other")
    assert caught.value.members["verdict"] == "needs_authorisation"
    assert (caught.value.hint or "").startswith("inbond decide ")
    with pytest.raises(PolicyDenied, match="no terms are on record"):
        pull(world, "chat", "beta")
    assert world.size() == size


def test_a_run_goes_on_with_the_same_datasets_only(world: World) -> None:
    pull(world, "chat")
    with pytest.raises(Conflict, match="expected the same datasets"):
        pull(world, "code")
    world.registry.close_run("first", "kept")
    with pytest.raises(Conflict, match="was closed by entry"):
        pull(world, "chat")


def test_a_run_without_its_key_here_cannot_go_on(world: World) -> None:
    run = pull(world).run
    (world.folder / "keys" / "runs" / f"{run.ref.partition(':')[2]}.key").unlink()
    with pytest.raises(NotPermitted, match="is not at hand"):
        pull(world)


def test_a_second_pull_of_the_run_stops_the_first(world: World) -> None:
    first, second = iter(pull(world, segment=5)), iter(pull(world, segment=5))
    next(first)
    with pytest.raises(Conflict, match="another process may be pulling"):
        [next(record) for _ in range(9) for record in (second, first)]
    world.check()


def test_closing_a_run_states_what_it_was_given_and_ends_its_key(world: World) -> None:
    records = iter(pull(world, "chat", segment=14))
    next(records)
    world.registry.close_run("first", "abandoned")
    with pytest.raises(NotPermitted, match="was closed by entry"):
        list(records)
    [closing] = [row["ref"] for row in world.rows()["things"] if row["kind"] == "run" and row["name"] is None]
    body = world.body(closing)
    lines = world.registry.store.read_lines(body.inputs.digest, body.inputs.root, body.inputs.count)
    a, b, _ = (part[0] for part in world.parts("chat"))
    assert {line["object"]: line["rows"] for line in lines} == {a: 12, b: 2}
    assert list((world.folder / "keys" / "runs").iterdir()) == []
    with pytest.raises(Conflict, match="was closed"):
        world.registry.close_run("first", "kept")


def test_an_altered_shard_is_refused_before_a_record_of_it_is_yielded(world: World) -> None:
    body = world.body(world.parts("chat")[1][0])
    path = world.registry.store.path(body.file.removeprefix("sha256:"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.chmod(0o600)
    path.write_bytes(data)
    found = []
    with pytest.raises(VerificationError, match=world.parts("chat")[1][0]):
        found.extend(record.response for record in pull(world))
    assert found == [f"chat answer {i}" for i in range(12)][: len(found)]


def test_a_trainers_key_must_be_at_hand(world: World) -> None:
    (world.folder / "keys" / f"{Role.TRAINER}.key").unlink()
    with pytest.raises(NotPermitted, match="trainer"):
        pull(world)


def test_all_columns_are_granted_unless_some_are_named(world: World) -> None:
    assert world.body(pull(world).grant).columns == tuple(TEXT_SCHEMA.names)
