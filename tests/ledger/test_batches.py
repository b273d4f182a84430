"""One transaction for many: what a projection that refuses late takes back, and what it leaves alone."""

from collections.abc import Callable

import pytest
from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, String, Table, select

from inbond.ledger import tables
from inbond.ledger.audit import audit_log
from inbond.ledger.database import create_tables
from inbond.ledger.pending import pending, settle
from inbond.ledger.prepared import Prepared
from inbond.ledger.reader import LedgerReader
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


@BOTH
def test_rows_that_were_left_to_be_written_go_with_their_transaction(make_world: Callable[..., World]) -> None:
    world = make_world()
    database, row = world.log.database, Prepared.insert(tables.checkpoints)
    try:
        with database.writing() as connection:
            pending(connection).add(row, [(1000, b"came to nothing")])
            pending(connection).notes["of"] = "it"
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    with database.writing() as connection:
        assert pending(connection).notes == {}
        pending(connection).add(row, [(1001, b"one")])
        pending(connection).add(row, [(1002, b"other")])
        assert [size for size, _ in LedgerReader(connection).checkpoints() if size > 999] == []
        settle(connection)
        assert [size for size, _ in LedgerReader(connection).checkpoints() if size > 999] == [1001, 1002]


@BOTH
def test_many_rows_are_inserted_like_one(make_world: Callable[..., World]) -> None:
    """PostgreSQL is given them as a copy, in binary: numbers of 64 bits, texts of any letters, nulls."""
    made = [(n << 40, chr(0xE9) + chr(0x1F642) * n, None if n % 2 else bytes([0, n, 255])) for n in range(40)]
    table = Table("like_ours", MetaData(), Column("a", Integer, primary_key=True), Column("b", String), Column("c", LargeBinary))
    world = make_world()
    with world.log.database.writing() as connection:
        create_tables(connection, [table])
        Prepared.insert(table).run_many(connection, made[:20])
        for row in made[20:]:
            Prepared.insert(table).run(connection, *row)
        assert [tuple(row) for row in connection.execute(select(table).order_by(table.c.a))] == made
        with pytest.raises(Exception, match=r"(?i)unique"):
            Prepared.insert(table).run_many(connection, made[:20])
