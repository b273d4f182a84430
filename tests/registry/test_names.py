from collections.abc import Callable

import pytest
from sqlalchemy import select

from inbond.registry import names
from inbond.registry import tables as t
from inbond.schemas.errors import InvalidInput, NotFound
from tests.registry.world import World, student_body


@pytest.fixture(scope="module")
def twins(shared_world: World) -> World:
    """A student that became a teacher of the same name, one party's two teachers of one name, and a second version."""
    world = shared_world
    world.registry.add_teacher("lab/pupil@1", same_as="lab/pupil")
    world.registry.add_teacher("acme/base@1", facts={"access_path": "weights"})
    world.registry.add_teacher("acme/coder@3")
    world.dataset("chat", world.parts("chat"), version="2")
    return world


def thing(world: World, kind: str, name: str) -> list[str]:
    with world.registry.reading() as reader:
        query = select(t.things.c.ref).where(t.things.c.kind == kind, t.things.c.name == name).order_by(t.things.c.seq)
        return list(reader.connection.execute(query).scalars())


def test_a_name_a_reference_an_id_and_a_digest_name_the_same_thing(twins: World) -> None:
    [ref] = thing(twins, "dataset", "code@1")
    digest = twins.body(ref).parts.digest
    id = ref.partition(":")[2]
    for text in ("code@1", "code", ref, f"dataset:{id[:6]}", id, id[:9], digest, digest.removeprefix("sha256:"), "dataset:code"):
        assert twins.ref(text) == ref, text
        assert twins.ref(text, "dataset") == ref, text


def test_without_a_version_the_newest_is_meant(twins: World) -> None:
    assert twins.ref("chat") == thing(twins, "dataset", "chat@2")[0]
    assert twins.ref("chat@1") == thing(twins, "dataset", "chat@1")[0]
    assert twins.ref("acme/coder", "teacher") == thing(twins, "teacher", "acme/coder@3")[0]


def test_as_of_a_size_later_things_have_no_name(twins: World) -> None:
    [newest] = thing(twins, "dataset", "chat@2")
    seq = next(row["seq"] for row in twins.rows(t.things)["things"] if row["ref"] == newest)
    assert twins.registry.resolve("chat", size=seq) == thing(twins, "dataset", "chat@1")[0]
    assert twins.registry.resolve("chat", size=seq + 1) == newest
    with pytest.raises(NotFound):
        twins.registry.resolve(newest, size=seq)


def test_the_kind_tells_a_student_from_a_teacher_of_the_same_name(twins: World) -> None:
    [student], [teacher] = thing(twins, "student", "lab/pupil@1"), thing(twins, "teacher", "lab/pupil@1")
    for text in ("lab/pupil@1", "lab/pupil"):
        with pytest.raises(InvalidInput, match="fits several things") as caught:
            twins.ref(text)
        assert set((caught.value.hint or "").removeprefix("type ").split(" or ")) == {
            "student:lab/pupil@1",
            "teacher:lab/pupil@1",
        }
        assert twins.ref(f"student:{text}") == twins.ref(text, "student") == student
        assert twins.ref(f"teacher:{text}") == twins.ref(text, "teacher") == teacher
    for suggested in caught.value.hint.removeprefix("type ").split(" or "):
        assert twins.ref(suggested) in (student, teacher)


def test_two_teachers_of_one_name_are_told_apart_by_reference_only(twins: World) -> None:
    pair = thing(twins, "teacher", "acme/base@1")
    for text in ("acme/base@1", "acme/base", "teacher:acme/base@1"):
        with pytest.raises(InvalidInput) as caught:
            twins.ref(text, "teacher")
        assert all(ref in caught.value.message for ref in pair)
        assert caught.value.hint == "type the reference instead of the name"
    assert [twins.ref(ref) for ref in pair] == pair


def test_a_digest_of_two_things_is_ambiguous(twins: World) -> None:
    digest = twins.body(twins.ref("chat@1")).parts.digest
    with pytest.raises(InvalidInput, match="fits several things"):
        twins.ref(digest)


NOT_FOUND: list[tuple[str, tuple[str, ...]]] = [
    ("nobody", ("student",)),
    ("lab/pup", ("student",)),
    ("chat@3", ("dataset",)),
    ("student:nobody", ()),
    ("chat", ("student",)),
    ("dataset:lab/pupil@1", ()),
    ("%", ()),
    ("cha_", ("dataset",)),
    ("", ()),
    ("abcde", ()),
    ("sha256:" + "0" * 64, ()),
    ("shard:", ()),
]


@pytest.mark.parametrize(("text", "kinds"), NOT_FOUND)
def test_what_is_not_on_record_is_not_found(twins: World, text: str, kinds: tuple[str, ...]) -> None:
    with pytest.raises(NotFound) as caught:
        twins.ref(text, *kinds)
    assert repr(text) in caught.value.message
    assert (caught.value.hint or "").startswith("inbond ")


def test_an_ids_beginning_that_fits_things_of_two_kinds_is_ambiguous(make_world: Callable[..., World]) -> None:
    world = make_world("prefix")
    start = "abcdef" + "0" * 10
    world.put("student", student_body("one"), "trainer", id=start + "1" * 16)
    world.put("party", world.body(world.ref("vendor", "party")), "compliance", id=start + "2" * 16)
    assert world.ref(start + "1") == f"student:{start}{'1' * 16}"
    assert world.ref(start, "party") == f"party:{start}{'2' * 16}"
    with pytest.raises(InvalidInput, match="fits several things"):
        world.ref(start)


def test_owners_and_names_are_those_on_record(twins: World) -> None:
    with twins.registry.reading() as reader:
        shard = twins.parts("chat@1")[0][0]
        assert names.name_of(reader.connection, twins.ref("chat@1")) == "chat@1"
        assert names.name_of(reader.connection, shard) == shard
        assert names.owner_of(reader.connection, shard) == twins.registry.operator
        with pytest.raises(NotFound):
            names.owner_of(reader.connection, "shard:" + "0" * 32)


def test_another_partys_newer_version_is_not_the_newest(world: World) -> None:
    world.student("vendor/mini", "2", key="vendor-trainer")
    assert world.body(world.ref("vendor/mini")).version == "2"
    world.student("lab/pupil", "9", key="vendor-trainer")
    with pytest.raises(InvalidInput, match="fits several things"):
        world.ref("lab/pupil")
    assert world.body(world.ref("lab/pupil@9")).version == "9"
