"""A statement says what it is called, or it does not: the same rules by which the catalogue finds it."""

import pytest
from sqlalchemy import select

from inbond.registry import tables as t
from inbond.registry.current import first_of
from inbond.registry.naming import says
from inbond.schemas.declared import known, unknown
from inbond.schemas.errors import InbondError
from tests.registry.world import World


def fits(world: World, ref: str, text: str) -> bool:
    place = world.registry.place
    return says(place.statement(ref), ref, text, place.statement)


def test_whatever_the_catalogue_finds_by_a_text_says_that_text(lived: World) -> None:
    with lived.registry.reading() as reader:
        c = t.things.c
        rows = reader.connection.execute(select(c.ref, c.kind, c.name, c.digest)).all()
        firsts = first_of(reader.connection, [row.ref for row in rows])
    about: dict[str, list[str]] = {}  # by a thing: the statement that made it, and those that correct it
    for ref, first in firsts.items():
        about.setdefault(first, []).append(ref)
    tried = 0
    for row in rows:
        id = row.ref.partition(":")[2]
        name = row.name or ""
        texts = [row.ref, row.ref[: len(row.kind) + 9], id[:6], id, name, name.partition("@")[0], f"{row.kind}:{name}"]
        texts += [row.digest or "", (row.digest or "").removeprefix("sha256:")]
        for text in filter(None, texts):
            try:
                found = lived.ref(text, row.kind)
            except InbondError:
                continue  # several things, of which none is meant
            assert any(fits(lived, ref, text) for ref in about[found]), (found, text)
            tried += 1
    assert tried > 200


@pytest.mark.parametrize(
    "text", ["acme/other@1", "acme", "other", "beta/chat@1", "acme/base@2", "teacher:base", "@1", "", "sha256:"]
)
def test_a_teacher_does_not_say_other_names(world: World, text: str) -> None:
    assert not fits(world, world.ref("acme/base@1"), text)


def test_nothing_says_what_another_thing_says(world: World) -> None:
    named = {kind: world.ref(name, kind) for kind, name in NAMES}
    for kind, name in NAMES:
        for other, ref in named.items():
            assert fits(world, ref, name) == (other == kind), (ref, name)
            assert not fits(world, ref, f"release:{name}")
    dataset, code = world.body(world.ref("chat")), world.ref("code")
    assert fits(world, world.ref("chat"), dataset.parts.digest)
    assert not fits(world, code, dataset.parts.digest)
    assert not fits(world, code, world.ref("chat"))
    assert not fits(world, code, world.ref("chat").partition(":")[2][:8])


NAMES = [
    ("party", "vendor"),
    ("teacher", "acme/base@1"),
    ("terms", "acme-terms"),
    ("dataset", "chat@1"),
    ("student", "lab/pupil@1"),
]


def test_a_model_of_nobody_known_has_the_name_of_the_model(world: World) -> None:
    ref = world.put("teacher", world.changed(world.ref("acme/base@1"), party=unknown(), model=known("orphan")), "producer")
    assert fits(world, ref, "orphan@1")
    assert not fits(world, ref, "acme/orphan@1")
