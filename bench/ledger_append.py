"""What does a log cost over a plain table? Appends per second beside INSERTs of the same bytes with the same durability.

    python bench/ledger_append.py [--rounds 7] [--factor 1]

Statements are made and signed beforehand. These take turns, in batches of 1, 16 and 256: `sqlite3` alone inserting the
entries' bytes into one table (WAL, synchronous=FULL, one commit a batch); `Log.append` as users see it; the same with
every Ed25519 check answered "valid"; the same from 16 threads at once, whose statements are pooled; and what happens
under the lock alone, when parsing and checking are done. A commit of the log also syncs the newest checkpoint outside
the database: three syncs where the table has one. Ratios are given for the median round and, as others may use the
machine, for the best one. At the end, an audit of the log that came out.
"""

import argparse
import os
import secrets
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table

from inbond.ledger import dsse, submission
from inbond.ledger.audit import audit_log
from inbond.ledger.keys import PublicKey, SigningKey
from inbond.ledger.log import Log
from inbond.ledger.rules import NoRules
from inbond.schemas import statement
from inbond.schemas.declared import unknown
from inbond.schemas.entry import Envelope
from inbond.schemas.statements import (
    AssertedBy,
    Basis,
    FirstParty,
    Genesis,
    Header,
    Party,
    Seen,
    Visibility,
)

ORIGIN = "example.org/bench"
BATCHES = {1: 24, 16: 12, 256: 4}  # how many of each size a round has


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--factor", type=int, default=1, help="so many times as many batches a round")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="inbond-bench-") as folder:
        os.environ["INBOND_STATE"] = f"{folder}/state"
        log, plain = BenchLog(Path(folder)), _plain(Path(folder) / "plain.db")
        ways: dict[str, Callable[[list[Envelope], list[bytes]], object]] = {
            "sqlite3, one table": lambda _, entries: _insert(plain, entries),
            "inbond": lambda envelopes, _: log.append(envelopes),
            "inbond, no Ed25519 checks": lambda envelopes, _: log.append_unchecked(envelopes),
            "inbond, under the lock": lambda envelopes, _: log.append_prepared(envelopes),
            "inbond, 16 threads": lambda envelopes, _: log.append(envelopes),
        }
        table = Table(title=f"statements per second, median of {given.rounds} rounds")
        for column in ("batch", "", "per second", "per batch", "ratio", "best"):
            table.add_column(column, justify="left" if column == "" else "right")
        for size, count in BATCHES.items():
            rates = _take_turns(ways, log, size, count * given.factor, given.rounds)
            for name, seen in rates.items():
                plainly = rates["sqlite3, one table"]
                ratio = median(a / b for a, b in zip(seen, plainly, strict=True))
                milliseconds = 1000 * size / median(seen)
                cells = f"{median(seen):,.0f}", f"{milliseconds:.2f} ms", f"{ratio:.3f}", f"{max(seen) / max(plainly):.3f}"
                table.add_row(str(size), name, *cells)
            table.add_section()
        Console().print(table)
        plain.close()
        _audits(log.log)
        log.log.close()


def _take_turns(
    ways: dict[str, Callable[[list[Envelope], list[bytes]], object]], log: "BenchLog", size: int, count: int, rounds: int
) -> dict[str, list[float]]:
    """Statements per second of each way in each round; every way has statements of its own."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-1, rounds):  # the first warms up
        for name, way in ways.items():
            batches = [[log.statement() for _ in range(size)] for _ in range(count)]
            entries = [[log.entry(envelope) for envelope in batch] for batch in batches]
            start, log.unused = perf_counter(), 0.0
            if "threads" in name:
                with ThreadPoolExecutor(16) as pool:
                    list(pool.map(way, batches, entries))
            else:
                for batch, data in zip(batches, entries, strict=True):
                    way(batch, data)
            if turn >= 0:
                rates[name].append(size * count / (perf_counter() - start - log.unused))
    return rates


def _audits(log: Log) -> None:
    for name, checking in (("audit", True), ("audit, no Ed25519 checks", False)):
        start = perf_counter()
        if checking:
            report = audit_log(log, NoRules())
        else:
            with _unchecked():
                report = audit_log(log, NoRules())
        assert report.verdict == "clean", report
        print(f"{name}: {report.size / (perf_counter() - start):,.0f} entries per second of {report.size}")


class BenchLog:
    """A log, and statements for it. `unused` is time that a measurement leaves out."""

    unused = 0.0

    def __init__(self, folder: Path) -> None:
        self.admin, self.registry, log_key = (SigningKey.generate(f"{ORIGIN}{end}") for end in ("/admin", "/registry", ""))
        id = secrets.token_hex(16)
        self.party = f"party:{id}"
        body = Genesis(
            origin=ORIGIN,
            admins=(self.admin.public.base64,),
            threshold=1,
            log_keys=(log_key.verifier.format(),),
            registry_key=self.registry.public.base64,
            operator=FirstParty(name="Bench", legal_name=unknown()),
        )
        genesis = dsse.sign(statement.make("genesis", body, self._header(None, id)), [self.admin])
        self.log = Log.create(folder, genesis, log_key, NoRules())

    def append(self, envelopes: list[Envelope]) -> None:
        """Put statements on record."""
        results = self.log.append(envelopes)
        assert all(not isinstance(result, Exception) for result in results), results[0]

    def append_unchecked(self, envelopes: list[Envelope]) -> None:
        """Put statements on record, whoever signed them."""
        with _unchecked():
            self.append(envelopes)

    def append_prepared(self, envelopes: list[Envelope]) -> None:
        """Put statements on record; what is done before the lock is taken counts as unused."""
        done = submission.prepare_all

        def prepare_all(*arguments: Any) -> Any:
            start = perf_counter()
            try:
                return done(*arguments)
            finally:
                self.unused += perf_counter() - start

        submission.prepare_all = prepare_all
        try:
            self.append(envelopes)
        finally:
            submission.prepare_all = done

    def statement(self) -> Envelope:
        """A new party statement."""
        seen = Seen(size=1, root="sha256:" + self.log.genesis_leaf.hex())
        body = Party(legal_name=unknown(), aliases=(secrets.token_hex(8),), domicile=unknown())
        payload = statement.make("party", body, self._header(seen, secrets.token_hex(16)))
        return dsse.sign(payload, [self.registry])

    def entry(self, envelope: Envelope) -> bytes:
        """The bytes of an entry with this statement, for the plain table."""
        return submission.prepare(envelope, lambda *_: None).placed(bytes(32), 1_000_000, "2026-01-01T00:00:00.000Z")

    def _header(self, seen: Seen | None, id: str) -> Header:
        return Header(
            registry=ORIGIN,
            id=id,
            seen=seen,
            occurred=unknown(),
            basis=Basis.DECLARED,
            asserted_by=AssertedBy(party=self.party),
            evidence=(),
            visibility=Visibility.PUBLIC,
        )


@contextmanager
def _unchecked() -> Iterator[None]:
    check = PublicKey.verify
    PublicKey.verify = lambda *_: True  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        PublicKey.verify = check  # type: ignore[method-assign]


def _plain(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE entries (seq INTEGER PRIMARY KEY, data BLOB NOT NULL)")
    return connection


def _insert(connection: sqlite3.Connection, entries: list[bytes]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO entries (data) VALUES (?)", [(data,) for data in entries])
    connection.execute("COMMIT")


if __name__ == "__main__":
    main()
