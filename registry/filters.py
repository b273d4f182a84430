"""What lists are asked for by: conditions over the catalogue that a value gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, or_, select

from inbond.registry import names
from inbond.registry import tables as t
from inbond.registry.current import first_of, newest_of
from inbond.registry.terms.known import versions
from inbond.registry.times import expect_time

_FEW = 2000
"""So many things are looked for by name; more are looked up for each row."""


@dataclass(frozen=True)
class Filter:
    """A condition that a value gives, as the first so many entries say (all: None).

    Where the value means a thing, by name or reference, `kinds` are those that it may be.
    """

    condition: Callable[[Connection, str, int | None], ColumnElement[bool]]
    kinds: tuple[str, ...] = ()


def value(column: Any) -> Filter:
    """By what stands in a column."""
    return Filter(lambda _connection, value, _size: column == value)


def thing(column: Any, *kinds: str) -> Filter:
    """By a thing that a column refers to."""
    return Filter(lambda connection, value, size: column == names.resolve(connection, value, *kinds, size=size), kinds)


def thing_in(column: Any, hit: Any, on: Any, *kinds: str, where: Any = None) -> Filter:
    """By a thing that other rows name in `on`: those of which `hit` is what `column` holds."""

    def found(connection: Connection, value: str, size: int | None) -> ColumnElement[bool]:
        query = select(hit).where(on == names.resolve(connection, value, *kinds, size=size))
        query = query if where is None else query.where(where)
        few = list(connection.execute(query.distinct().limit(_FEW + 1)).scalars())
        if len(few) <= _FEW:
            return column.in_(few)  # type: ignore[no-any-return]
        return exists(query.where(hit == column))  # looked up for each row, as nearly any fits

    return Filter(found, kinds)


def _newest(column: Any, query: Callable[[Connection, str, int | None], Any], *kinds: str) -> Filter:
    """By what the newest statement about a thing says: `query` selects all statements that say so."""

    def found(connection: Connection, value: str, size: int | None) -> ColumnElement[bool]:
        saying = list(connection.execute(query(connection, value, size)).scalars())
        firsts, newest = first_of(connection, saying), newest_of(connection, saying, size)
        return column.in_(sorted({firsts[ref] for ref in saying if newest[ref] == ref}))  # type: ignore[no-any-return]

    return Filter(found, kinds)


def name(kind: str) -> Filter:
    """By a thing's name, with its version or without."""
    c = t.things.c

    def query(_: Connection, value: str, _size: int | None) -> Any:
        fits = c.name == value if "@" in value else or_(c.name == value, names.starting(c.name, f"{value}@"))
        return select(c.ref).where(c.kind == kind, fits)

    return _newest(c.ref, query)


def party(table: Any) -> Filter:
    """By the party that the newest statement names, of things that have rows in `table`."""
    return _named_now(table.c.ref, table.c.party, "party")


def in_force() -> Filter:
    """By a time at which a document was in force."""

    def found(connection: Connection, value: str, size: int | None) -> ColumnElement[bool]:
        c, at = t.things.c, expect_time("in_force", value)
        every = connection.execute(select(c.ref).where(c.kind == "terms", c.amends.is_(None))).scalars().all()
        return c.ref.in_([each.ref for each in versions(connection, every, size) if each.in_force(at)])

    return Filter(found)


def terms(table: Any) -> Filter:
    """By the document of terms that the newest statement names, of things that have rows in `table`."""
    return _named_now(table.c.ref, table.c.terms, "terms")


def _named_now(ref: Any, column: Any, kind: str) -> Filter:
    def query(connection: Connection, value: str, size: int | None) -> Any:
        return select(ref).where(column == names.resolve(connection, value, kind, size=size))

    return _newest(t.things.c.ref, query, kind)


def dataset_name() -> Filter:
    """By a dataset's name, with its version or without."""

    def found(_connection: Connection, value: str, _size: int | None) -> ColumnElement[bool]:
        c = t.datasets.c
        label, at, version = value.rpartition("@")
        return or_(c.name == value, (c.name == label) & (c.version == version)) if at else c.name == value

    return Filter(found)
