"""Comparing what was stored with what follows from the entries, row by row."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from inbond.ledger.database import translated
from inbond.schemas.errors import VerificationError

_PAGE = 1000

Rows = Sequence[Any]
"""Rows in the order of their primary keys, with the values in the order of the table's columns."""


def compare_table(table: Table, live: Connection, again: Connection, name: str) -> None:
    """Raise VerificationError, naming row and column, unless a table holds the same rows in both databases.

    `name` is that of the live one, for messages.
    """
    with translated(name, log=True):
        for found, expected in zip_longest(_pages(table, live), _pages(table, again), fillvalue=()):
            if found != expected:
                raise differing_column(table, found, expected)


def differing_column(table: Table, found: Rows, expected: Rows) -> VerificationError:
    """What to say of two stretches of a table that differ: the first row, and its column, that does.

    They begin at the same place; where one ends before the other the next rows of both are not known.
    """
    keys = [list(table.columns).index(column) for column in table.primary_key.columns]
    for there, wanted in zip_longest(found, expected):
        if there == wanted:
            continue
        if there is not None and wanted is not None:
            a, b = ([row[at] for at in keys] for row in (there, wanted))
            if a == b:
                at = next(at for at in range(len(wanted)) if there[at] != wanted[at])
                return VerificationError(
                    f"table {table.name}: row {key_of(table, wanted)}: column {list(table.columns)[at].name}: "
                    f"expected {shown(wanted[at])}, found {shown(there[at])}"
                )
            if _before(a, b):  # in order, so the lesser key is the one that the other side lacks
                wanted = None
        if wanted is None:
            return VerificationError(f"table {table.name}: row {key_of(table, there)} follows from no entry")
        return VerificationError(f"table {table.name}: row {key_of(table, wanted)} is missing")
    raise ValueError(f"expected rows of {table.name} that differ")


def key_of(table: Table, row: Any) -> str:
    """The primary key of a row, for messages."""
    names = [column.name for column in table.columns]
    return ", ".join(f"{column.name}={shown(row[names.index(column.name)])}" for column in table.primary_key.columns)


def shown(value: Any) -> str:
    """A value in a message: bytes as hex, cut where it is long."""
    text = value.hex() if isinstance(value, bytes) else repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _pages(table: Table, connection: Connection) -> Iterator[list[Row[Any]]]:
    result = connection.execution_options(yield_per=_PAGE).execute(select(table).order_by(*table.primary_key.columns))
    yield from (list(page) for page in result.partitions())


def _before(a: list[Any], b: list[Any]) -> bool:
    try:
        return a < b
    except TypeError:  # a value whose type was changed by damage
        return True
