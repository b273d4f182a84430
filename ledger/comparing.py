"""Comparing what was stored with what follows from the entries, row by row."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from inbond.ledger.sources import translating
from inbond.schemas.errors import VerificationError


def compare_table(table: Table, live: Connection, again: Connection, path: Path) -> None:
    """Raise VerificationError, naming row and column, unless a table holds the same rows in both databases.

    `path` is that of the live one, for messages.
    """
    order = list(table.primary_key.columns)

    def rows(connection: Connection) -> Iterator[Row[Any]]:
        yield from connection.execution_options(yield_per=1000).execute(select(table).order_by(*order))

    for found, expected in zip_longest(translating(path, rows(live)), rows(again)):
        if found == expected:
            continue
        extra = expected is None
        if found is not None and expected is not None:  # in order, so the lesser key is the one that the other side lacks
            keys = [tuple(row._mapping[column] for column in order) for row in (found, expected)]
            extra = keys[0] < keys[1]
        if found is None or expected is None or keys[0] != keys[1]:
            row, word = (found, "follows from no entry") if extra else (expected, "is missing")
            raise VerificationError(f"table {table.name}: row {_key(order, row)} {word}")
        for column in table.columns:
            a, b = found._mapping[column], expected._mapping[column]
            if a != b:
                raise VerificationError(
                    f"table {table.name}: row {_key(order, expected)}: column {column.name}: expected {shown(b)}, "
                    f"found {shown(a)}"
                )


def _key(order: list[Any], row: Any) -> str:
    return ", ".join(f"{column.name}={shown(row._mapping[column])}" for column in order)


def shown(value: Any) -> str:
    """A value in a message: bytes as hex, cut where it is long."""
    text = value.hex() if isinstance(value, bytes) else repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
