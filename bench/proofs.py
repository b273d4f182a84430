"""How long receipts and consistency proofs take from new connections, and whether that grows with the log.

    python bench/proofs.py [--sizes 10000 100000 1000000] [--rounds 60] [--keep FOLDER]

Each measurement opens the database anew, reads the head, and makes one receipt with its entry, or one consistency proof, at
places drawn at random, in a process of its own; "first" is the first after the file was dropped from the system's page
cache, "processor" the time of the processor alone, which is the steadier figure on a machine that others use. Wanted: under
5 ms at every size up to 10,000,000 (`--sizes 10000 100000 1000000 10000000`: some minutes and 4 GB of disk), and flat in
time and memory.

The log grows from one size to the next by rows that are written straight into its tables: real leaves, tiles, heads and
checkpoints, over entries that are no statements. An audit would refuse it; proofs are made as in any other.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

from rich.console import Console
from rich.table import Table
from serving import ORIGIN, peak_memory

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
    options.add_argument("--keep", type=Path, help="make the log in this folder and leave it there, or go on with the one in it")
    options.add_argument("--one", nargs=2, metavar=("FOLDER", "WHAT"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        return one(Path(given.one[0]), given.one[1], given.rounds)
    table = Table(title=f"milliseconds from a new connection, {given.rounds} of each")
    for column in ("entries", "what", "first", "median", "99 of 100", "processor", "hashes", "memory", "file"):
        table.add_column(column, justify="left" if column == "what" else "right")
    with tempfile.TemporaryDirectory(prefix="inbond-bench-") as name:
        folder = given.keep or Path(name) / "log"
        os.environ["INBOND_STATE"] = f"{name}/state"
        if not folder.exists():
            Registry.init(folder, ORIGIN, "bench").close()
        file = folder / "ledger.db"
        for size in sorted(given.sizes):
            start = perf_counter()
            with Registry.open(folder) as registry:
                grow(registry.local.log, size)
            print(f"{size:,} entries: built in {perf_counter() - start:.0f} s", file=sys.stderr)
            for what in ASKED:
                subprocess.run([sys.executable, "-c", EVICT, str(file)], check=True)
                command = [sys.executable, __file__, "--one", str(folder), what, "--rounds", str(given.rounds)]
                found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
                first, rest = found["took"][0], sorted(found["took"][1:])
                times = (first, median(rest), rest[len(rest) * 99 // 100], median(found["processor"]))
                table.add_row(
                    f"{found['size']:,}", what, *(f"{1e3 * time:.2f}" for time in times), str(found["hashes"]),
                    f"{found['memory']:.0f} MB", f"{file.stat().st_size / 1e6:,.0f} MB",
                )  # fmt: skip
            table.add_section()
    Console(width=110).print(table)
    print(f"{os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}")


def one(folder: Path, what: str, rounds: int) -> None:
    """Measure in a process of its own: seconds, those of the processor, the most hashes of a proof, the highest memory."""
    chance, took, processor, longest, size = random.Random(rounds), [], [], 0, 0
    for _ in range(rounds):
        start, used = perf_counter(), process_time()
        database: Database = databases.open_database(folder)
        with database.reading() as connection:
            reader = LedgerReader(connection)
            check = ASKED[what](reader, chance)
            took.append(perf_counter() - start)
            processor.append(process_time() - used)
            longest, size = max(longest, check()), reader.size
        database.close()
    found = {"took": took, "processor": processor, "hashes": longest, "size": size, "memory": peak_memory(os.getpid())}
    print(json.dumps(found))


def receipt(reader: LedgerReader, chance: random.Random) -> Callable[[], int]:
    """Make a receipt; returns what checks it and counts its hashes."""
    seq = chance.randrange(reader.size)
    made = reader.receipt(seq)
    made.to_bytes()

    def check() -> int:
        verify_inclusion(seq, reader.size, leaf_hash(made.extra or b""), made.proof, reader.root)
        return len(made.proof)

    return check


def consistency(reader: LedgerReader, chance: random.Random) -> Callable[[], int]:
    """Make a consistency proof to the head; returns what checks it and counts its hashes."""
    old = chance.randrange(1, reader.size)
    proof = reader.consistency(old)

    def check() -> int:
        verify_consistency(old, reader.size, proof, reader.root_at(old), reader.root)
        return len(proof)

    return check


ASKED = {"receipt": receipt, "consistency proof": consistency}


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
