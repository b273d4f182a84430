"""Rows of a transaction that are not written yet: written together before anybody asks for them.

A driver takes longer over a row of its own than the database takes to insert it, and a row that stands before the entry which
it refers to is looked for again when that entry comes. So what projections write may wait for the entries of its batch, as
long as nobody reads the tables: whoever does writes it first (`settle`).
"""

from typing import Any

from sqlalchemy import Connection

from inbond.ledger.prepared import Prepared

_KEY = "inbond.pending"
_NOTES = 10_000  # beyond which they are not worth their memory


class Pending:
    """Of one connection, the rows that are to be written, by statement.

    `notes` are of what its transaction has read, and of what these rows say: they may be looked up without writing them.
    Whoever takes back what the transaction has done drops all.
    """

    __slots__ = ("_rows", "notes")

    def __init__(self) -> None:
        self._rows: dict[Prepared, list[tuple[Any, ...]]] = {}
        self.notes: dict[str, Any] = {}

    def add(self, statement: Prepared, rows: list[tuple[Any, ...]]) -> None:
        """Have `statement` executed for each of `rows`, some time before they are read."""
        found = self._rows.get(statement)
        if found is None:
            self._rows[statement] = rows
        else:
            found += rows

    def settle(self, connection: Connection) -> None:
        """Write what is to be written."""
        rows, self._rows = self._rows, {}
        for statement, some in rows.items():
            statement.run_many(connection, some)
        if len(self.notes) > _NOTES:
            self.notes = {}

    def drop(self) -> None:
        """Forget all of it."""
        self._rows, self.notes = {}, {}


def pending(connection: Connection) -> Pending:
    """What is to be written in the transaction of a connection."""
    found = connection.info.get(_KEY)
    if found is None:
        found = connection.info[_KEY] = Pending()
    return found


def settle(connection: Connection) -> None:
    """Write what is to be written; to be called before its tables are read."""
    pending(connection).settle(connection)
