"""A log in a PostgreSQL database: who may write, and when bytes count as written.

Safety argument
---------------
* One transaction writes at a time: every write begins with `SELECT … FOR UPDATE` of the head row, and reads the head after it.
  READ COMMITTED is enough for that: each statement after the lock sees what was committed before the lock was given.
* A commit that returned is on disk: `synchronous_commit=on` is set in every session that writes, and a server with `fsync=off`
  is refused. COMMIT of a failed transaction is answered with ROLLBACK and no error, so its answer is read.
* A connection that broke at COMMIT leaves an outcome that is not known. Whoever opens the log again takes the lock first, which
  waits until the server has finished that transaction.
* A writer that stops in the middle holds the lock for a minute at most; then the server ends its session and takes back what
  it wrote.
* Readers are in REPEATABLE READ READ ONLY transactions: one state, no writes.
* Entries are append-only by triggers that fire also for replication. Whoever owns the tables can drop a trigger:
  docs/operations.md tells how a role without that right is made. An audit compares the triggers.

Names and other text are compared byte by byte (`COLLATE "C"`), as SQLite does, so both give the same order everywhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Integer, Table, create_engine, event, inspect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from inbond.ledger.database import create_tables, translated
from inbond.ledger.databases import schema
from inbond.ledger.files import write_durably
from inbond.ledger.pending import pending
from inbond.schemas.errors import Conflict, InvalidInput, StoreError, VerificationError

_DRIVER = "postgresql+psycopg"
_SCHEMES = ("postgresql", "postgres", _DRIVER)
_MAX_ADDRESS = 4096
_NEW_LOG = 0x696E626F6E64  # "inbond": the advisory lock of those who make a log

_FUNCTION = "BEGIN RAISE EXCEPTION 'entries are append-only'; END"
_VERBS = ("UPDATE", "DELETE", "TRUNCATE")
_TRIGGER = """
CREATE TRIGGER entries_no_{lower} BEFORE {verb} ON entries FOR EACH STATEMENT EXECUTE FUNCTION inbond_append_only()
"""
_GUARDS = (
    f"CREATE FUNCTION inbond_append_only() RETURNS trigger LANGUAGE plpgsql AS $${_FUNCTION}$$",
    *(_TRIGGER.format(verb=verb, lower=verb.lower()) for verb in _VERBS),
    *(f"ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_no_{verb.lower()}" for verb in _VERBS),
)
_FOUND_GUARDS = """
SELECT t.tgname, t.tgenabled, t.tgtype, t.tgqual IS NULL, p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
WHERE t.tgrelid = to_regclass('entries') AND NOT t.tgisinternal ORDER BY t.tgname
"""
_BEFORE_STATEMENT = {"UPDATE": 18, "DELETE": 10, "TRUNCATE": 34}  # pg_trigger.tgtype


class PostgresDatabase:
    """The tables of one log, in the first schema of an address's search path."""

    def __init__(self, address: str) -> None:
        url = _url(address)
        self.name = url.set(drivername="postgresql").render_as_string(hide_password=True)
        self._engine = _engine(url)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Hold the lock on the head row in an open transaction. The caller commits; leaving without it rolls back."""
        with self._transaction("BEGIN ISOLATION LEVEL READ COMMITTED") as connection:
            connection.exec_driver_sql("SELECT id FROM head WHERE id = 1 FOR UPDATE").all()
            yield connection

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A write that no other write runs beside, whatever tables there are."""
        with self._transaction("BEGIN ISOLATION LEVEL READ COMMITTED") as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_NEW_LOG})").all()
            if inspect(connection).has_table("head"):
                connection.exec_driver_sql("LOCK TABLE head IN ACCESS EXCLUSIVE MODE")
            yield connection

    def commit(self, connection: Connection) -> None:
        """End a write; it is on disk when this returns. Raises StoreError or VerificationError where that is not known."""
        with translated(self.name, log=True):
            cursor = connection.connection.cursor()
            cursor.execute("COMMIT")
            if (said := cursor.statusmessage) != "COMMIT":
                raise StoreError(f"{self.name}: expected COMMIT to be answered with COMMIT, found {said}")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection in one snapshot, which cannot write."""
        with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as connection:
            yield connection

    def integrity(self) -> None:
        """Look for indexes that the server has marked as unusable, and for constraints that were never validated.

        Pages are for the server's checksums to watch; an audit reads every row.
        """
        query = """
            SELECT 'index ' || c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            WHERE c.relnamespace = current_schema()::regnamespace AND NOT (i.indisvalid AND i.indisready)
            UNION ALL SELECT 'constraint ' || conname FROM pg_constraint
            WHERE connamespace = current_schema()::regnamespace AND NOT convalidated ORDER BY 1 LIMIT 5
        """
        with self.reading() as connection:
            found = [row[0] for row in connection.exec_driver_sql(query)]
        if found:
            raise VerificationError(f"{self.name} is damaged: expected valid indexes and constraints, found {', '.join(found)}")

    def check_guards(self, connection: Connection) -> None:
        """Raise VerificationError unless the triggers are those of a new log, and fire always."""
        found = {row[0]: tuple(row[1:]) for row in connection.exec_driver_sql(_FOUND_GUARDS)}
        expected = {f"entries_no_{verb.lower()}": ("A", _BEFORE_STATEMENT[verb], True, _FUNCTION) for verb in _VERBS}
        for name in sorted(found.keys() | expected.keys()):
            if found.get(name) != expected.get(name):
                raise VerificationError(
                    f"trigger {name}: expected {expected.get(name)!r}, which keeps entries append-only, found {found.get(name)!r}"
                )

    def drop_writer(self) -> None:
        """Nothing to do: every write asks the pool for a connection."""

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        with translated(self.name, log=True), self._engine.connect() as connection:
            connection.exec_driver_sql(begin)
            pending(connection).drop()  # what a transaction has left that came to nothing
            try:
                yield connection
            finally:
                _leave(connection)


@contextmanager
def creating(file: Path, tables: list[Table], address: str) -> Iterator[tuple[PostgresDatabase, Connection]]:
    """Make a log's tables at `address`, with what is written and committed inside, then name the address in `file`.

    Raises Conflict if there is a log already, in the database or named by the file.
    """
    if file.exists():
        raise Conflict(f"{file}: expected no file there yet, found one")
    database = PostgresDatabase(address)
    try:
        with database._transaction("BEGIN ISOLATION LEVEL READ COMMITTED") as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_NEW_LOG})").all()
            _check_server(database.name, connection)
            there = sorted({table.name for table in tables} & set(inspect(connection).get_table_names()))
            if there:
                raise Conflict(
                    f"{database.name}: expected a schema without a log's tables, found {', '.join(there[:3])}",
                    hint="give each log a schema of its own: …?options=-csearch_path%3DNAME",
                )
            create_tables(connection, tables)
            for statement in _GUARDS:
                connection.exec_driver_sql(statement)
            schema.mark(connection)
            yield database, connection
    finally:
        database.close()
    try:
        write_durably(file, f"{address}\n".encode(), 0o600)
    except OSError as error:
        raise StoreError(
            f"{file}: the log was made in {database.name}, but its address could not be written here: {error}",
            hint="write the address into that file, or drop the schema and make the log again",
        ) from error


def opened(file: Path) -> PostgresDatabase:
    """The database whose address `file` holds. A password may be left to PGPASSFILE."""
    try:
        address = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{file}: the address of the database could not be read: {error}") from None
    database = PostgresDatabase(address.removesuffix("\n"))
    with database.reading() as connection:
        _check_server(database.name, connection)
        if not inspect(connection).has_table("head"):
            raise StoreError(f"{database.name} ({file}): expected a log's tables, found none", hint="restore the database")
    return database


def _check_server(name: str, connection: Connection) -> None:
    said = {setting: connection.exec_driver_sql(f"SHOW {setting}").scalar_one() for setting in ("fsync", "server_encoding")}
    if said != {"fsync": "on", "server_encoding": "UTF8"}:
        raise StoreError(
            f"{name}: expected a server with fsync on and a database in UTF8, found fsync {said['fsync']} and "
            f"{said['server_encoding']}: nothing that it says is on record would be sure to be"
        )


def _leave(connection: Connection) -> None:
    """Roll back what was not committed; a connection that cannot is thrown away."""
    info = connection.connection.dbapi_connection.info  # type: ignore[union-attr]
    if info.transaction_status.name == "IDLE":
        return
    with suppress(Exception):
        connection.exec_driver_sql("ROLLBACK")
        return
    connection.invalidate()


def _url(address: str) -> URL:
    try:
        url = make_url(address) if len(address) <= _MAX_ADDRESS else None
    except ArgumentError:
        url = None
    if url is None or url.drivername not in _SCHEMES:
        raise InvalidInput("database: expected an address such as postgresql://user@host/name, found another form")
    return url.set(drivername=_DRIVER)


def _engine(url: URL) -> Engine:
    try:
        # Parameters by position, as `Prepared` hands them over. A connection is tried before it is used: the server may have
        # been started anew. Readers are as many as there are threads that ask at once.
        engine = create_engine(
            url, isolation_level="AUTOCOMMIT", paramstyle="format", pool_pre_ping=True, max_overflow=-1, pool_size=8
        )
    except ModuleNotFoundError:
        raise StoreError("expected the driver for PostgreSQL, found none", hint="pip install 'inbond[postgresql]'") from None
    engine.dialect.colspecs = {**engine.dialect.colspecs, Integer: _Bare}

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: object) -> None:
        for setting in (
            "synchronous_commit = on",
            "idle_in_transaction_session_timeout = '60s'",
            "client_min_messages = warning",
            "timezone = 'UTC'",
        ):
            connection.execute(f"SET {setting}")

    return engine


class _Bare(Integer):
    """An integer in a question, as wide as the driver finds it; SQLAlchemy would make it one of 32 bits."""

    render_bind_cast = False
