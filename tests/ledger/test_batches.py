"""One transaction for many: what a projection that refuses late takes back, and what it leaves alone."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from inbond.ledger.audit import audit_log
from inbond.ledger.rules import Draft
from inbond.schemas.errors import PolicyDenied, StoreError
from tests.ledger.world import NameRules, World, error_of, names, rows, seqs

BOTH = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@BOTH
def test_what_stands_before_and_after_a_late_refusal_is_what_would_stand_without_it(make_world: Callable[..., World]) -> None:
    """Keys that were enrolled, header ids, names and seqs before it are judged again as if it had not been there."""
    world = make_world()
    new = world.key("other")
    first = world.party("one")
    sent = [
        first,
        world.enrol(new, "producer"),
        world.party("two", keys=[new]),
        world.party("three", "no project"),
        first,
        world.party("three", keys=[new]),
        world.party("two"),
        world.party("four", "no project"),
        world.party("four"),
    ]
    found = world.log.append(sent)
    assert seqs(found) == [2, 3, 4, None, 2, 5, None, None, 6]
    assert [type(error_of(found[i])) for i in (3, 6, 7)] == [PolicyDenied] * 3
    with world.log.reading() as reader:
        [projected] = rows(reader, names)
    assert [row[0] for row in projected] == ["four", "one", "three", "two"]
    assert seqs(world.log.append(sent)) == [2, 3, 4, None, 2, 5, None, None, 6]
    assert audit_log(world.log, NameRules()).verdict == "clean"


class Slips(NameRules):
    """Rules whose projection writes a row twice, which is a mistake and no refusal."""

    def project(self, connection: Connection, draft: Draft) -> None:
        super().project(connection, draft)
        if draft.kind == "party" and "slip" in draft.body.aliases:
            super().project(connection, draft)


@BOTH
def test_a_projection_that_fails_takes_its_batch_along_and_says_why(make_world: Callable[..., World]) -> None:
    world = make_world(rules=Slips())
    before = world.entries()
    with pytest.raises(StoreError, match=r"(?i)unique"):
        world.log.append([world.party("one"), world.party("slip"), world.party("two")])
    assert world.entries() == before
    assert seqs(world.log.append([world.party("one"), world.party("two")])) == [2, 3]
