"""SQLAlchemy Core statements that are compiled once and then handed to the driver as they are.

What SQLAlchemy does for each execution costs more than SQLite needs to insert a row. The few statements that run for
every entry or every batch take this way; everything else is executed as usual. Errors are the driver's own, which
`database.translated` knows.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Delete, Insert, Select, Table, TypeDecorator, Update, insert

from inbond.schemas.errors import StoreError


class Prepared:
    """One statement. Its parameters are given in the order of `names`; values go to the driver and come from it as is."""

    def __init__(self, statement: Insert | Select[Any] | Update | Delete, names: Sequence[str]) -> None:
        self._statement = statement
        self._names = list(names)
        self._texts: dict[str, str] = {}
        self._copied: _Copied | None = None

    @classmethod
    def insert(cls, table: Table) -> "Prepared":
        """The statement that inserts a whole row, in the order of the table's columns."""
        made = cls(insert(table), [column.name for column in table.columns])
        made._copied = _Copied(table)
        return made

    def run(self, connection: Connection, *values: Any) -> None:
        """Execute it once."""
        connection.connection.cursor().execute(self._text(connection), values)

    def run_many(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute it for each of `rows`; PostgreSQL is given many new rows as a copy, which it takes in a quarter of the time."""
        if self._copied is not None and len(rows) >= _MANY and connection.dialect.name == "postgresql":
            self._copied.write(connection.connection.cursor(), rows)
        elif rows:
            connection.connection.cursor().executemany(self._text(connection), rows)

    def rows(self, connection: Connection, *values: Any) -> list[tuple[Any, ...]]:
        """All rows that it selects."""
        cursor = connection.connection.cursor()
        cursor.execute(self._text(connection), values)
        return list(cursor.fetchall())

    def _text(self, connection: Connection) -> str:
        text = self._texts.get(connection.dialect.name)
        if text is None:
            compiled = self._statement.compile(dialect=connection.dialect, column_keys=self._names)
            if compiled.positiontup != self._names:
                raise StoreError(f"expected a driver that takes parameters by position, found {connection.dialect.paramstyle}")
            text = self._texts[connection.dialect.name] = str(compiled)
        return text


class _Copied:
    """COPY of whole rows into a table, in binary: its integers are of 64 bits there, as `database.adapted` makes them."""

    def __init__(self, table: Table) -> None:
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        self._text = f'COPY "{table.name}" ({names}) FROM STDIN (FORMAT BINARY)'
        self._types = [_copied_as(column.type) for column in table.columns]

    def write(self, cursor: Any, rows: Sequence[tuple[Any, ...]]) -> None:
        with cursor.copy(self._text) as copy:
            copy.set_types(self._types)
            for row in rows:
                copy.write_row(row)


_MANY = 8


def _copied_as(type: Any) -> str:
    kind: Any = (type.impl if isinstance(type, TypeDecorator) else type).python_type
    return {bytes: "bytea", int: "int8", str: "text"}[kind]
