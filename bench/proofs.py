"""How long receipts and consistency proofs take from new connections, and whether that grows with the log.

    python bench/proofs.py [--sizes 10000 100000 1000000] [--rounds 60] [--keep FOLDER]

Each measurement opens the database anew, reads the head, and makes one receipt with its entry, or one consistency proof, at
places drawn at random; "first" is the first after the file was dropped from the system's page cache. Wanted: under 5 ms at
every size up to 10,000,000 (`--sizes 10000 100000 1000000 10000000`: some minutes and 4 GB of disk), and flat in time and
memory.

The log grows from one size to the next by rows that are written straight into its tables: real leaves, tiles, heads and
checkpoints, over entries that are no statements. An audit would refuse it; proofs are made as in any other.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table
from serving import ORIGIN

from inbond.ledger import checkpoints, databases, merkle
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.database import Database
from inbond.ledger.log import Log
from inbond.ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from inbond.ledger.reader import LedgerReader, stored_tile
from inbond.ledger.tiles import node_reader, updated_tiles
from inbond.registry.registry import Registry

AT_ONCE = 1 << 16
EVICT = "import os, sys; f = os.open(sys.argv[1], os.O_RDONLY); os.fsync(f); os.posix_fadvise(f, 0, 0, os.POSIX_FADV_DONTNEED)"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    options.add_argument("--rounds", type=int, default=60)
    options.add_argument("--keep", type=Path, help="make the log in this folder, which must be new, and leave it there")
    given = options.parse_args()
    table = Table(title=f"milliseconds from a new connection, {given.rounds} of each")
    for column in ("entries", "what", "first", "median", "99 of 100", "hashes at most", "memory", "file"):
        table.add_column(column, justify="left" if column == "what" else "right")
    with tempfile.TemporaryDirectory(prefix="inbond-bench-") as name:
        folder = given.keep or Path(name) / "log"
        os.environ["INBOND_STATE"] = f"{name}/state"
        Registry.init(folder, ORIGIN, "bench").close()
        file = folder / "ledger.db"
        for size in sorted(given.sizes):
            start = perf_counter()
            with Registry.open(folder) as registry:
                grow(registry.local.log, size)
            print(f"{size:,} entries: built in {perf_counter() - start:.0f} s", file=sys.stderr)
            for what, ask in (("receipt", receipt), ("consistency proof", consistency)):
                subprocess.run([sys.executable, "-c", EVICT, str(file)], check=True)
                took, longest = measured(folder, ask, given.rounds)
                first, rest = took[0], sorted(took[1:])
                last = rest[len(rest) * 99 // 100]
                table.add_row(
                    f"{size:,}", what, f"{1e3 * first:.1f}", f"{1e3 * median(rest):.2f}", f"{1e3 * last:.2f}",
                    str(longest), f"{memory():.0f} MB", f"{file.stat().st_size / 1e6:,.0f} MB",
                )  # fmt: skip
            table.add_section()
    Console(width=110).print(table)
    print(f"{os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}")


def measured(folder: Path, ask: Callable[[LedgerReader, random.Random], list[bytes]], rounds: int) -> tuple[list[float], int]:
    """Seconds of each measurement, and the most hashes of a proof."""
    chance, took, longest = random.Random(rounds), [], 0
    for _ in range(rounds):
        start = perf_counter()
        database: Database = databases.open_database(folder)
        with database.reading() as connection:
            proof = ask(LedgerReader(connection), chance)
            took.append(perf_counter() - start)
        database.close()
        longest = max(longest, len(proof))
    return took, longest


def receipt(reader: LedgerReader, chance: random.Random) -> list[bytes]:
    """The proof of a receipt, which is checked."""
    seq = chance.randrange(reader.size)
    made = reader.receipt(seq)
    made.to_bytes()
    verify_inclusion(seq, reader.size, leaf_hash(made.extra or b""), made.proof, reader.root)
    return list(made.proof)


def consistency(reader: LedgerReader, chance: random.Random) -> list[bytes]:
    """A consistency proof to the head, which is checked."""
    old = chance.randrange(1, reader.size)
    proof = reader.consistency(old)
    verify_consistency(old, reader.size, proof, reader.root_at(old), reader.root)
    return proof


def memory() -> float:
    """The resident memory of this process, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def grow(log: Log, size: int) -> None:
    """Append entries that are no statements, until there are `size`."""
    while True:
        with log.database.writing() as connection:
            reader = LedgerReader(connection)
            if reader.size >= size:
                return
            _append(connection, log, reader, min(size, reader.size + AT_ONCE))
            log.database.commit(connection)


def _append(connection: Any, log: Log, reader: LedgerReader, size: int) -> None:
    raw = connection.connection.dbapi_connection
    rows, leaves = [], []
    for seq in range(reader.size, size):
        data = b'{"dsse":{},"kind":"bench","prev":"","seq":%d,"time":"","v":1}' % seq
        number, leaf = seq.to_bytes(16, "big"), leaf_hash(data)
        rows.append((seq, "bench", number, b"", number, leaf, data))  # in order, so that the indexes grow at their ends
        leaves.append(leaf)

    def stored(level: int, n: int) -> bytes:
        return stored_tile(connection, level, n)

    raw.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    raw.executemany("INSERT OR REPLACE INTO tiles VALUES (?, ?, ?)", list(updated_tiles(reader.size, stored, leaves)))
    node = node_reader(stored)
    hashes, at = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            hashes.append(node(level, at >> level))
            at += 1 << level
    tree = merkle.CompactRange(size, hashes)
    note = checkpoints.sign(
        Checkpoint(log.origin, size, tree.root()), log.signers.due(log.keyring.log, size, reader.size), 1_700_000_000
    )
    raw.execute("INSERT INTO checkpoints VALUES (?, ?)", (size, note))
    raw.execute(
        "UPDATE head SET size = ?, root = ?, leaf = ?, frontier = ?, note = ?",
        (size, tree.root(), leaves[-1], tree.to_bytes(), note),
    )


if __name__ == "__main__":
    main()
