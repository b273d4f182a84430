"""What does verification cost a reader? A full verified read of a text shard beside pyarrow reading the same file.

    python bench/shard_read.py [--data DIR] [--megabytes 100] [--rounds 9]

The two take turns; each line gives the median round and the least processor time of all rounds (the steadier figure on a
machine that others use). Wanted: at least 0.8 of pyarrow's speed. What verification adds is SHA-256 over the file, so the
machine's hashing speed is printed beside the ratio: it differs eightfold between processors with and without SHA
instructions.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from samples import text_records

from inbond.registry.shards.reader import ShardReader
from inbond.registry.shards.writer import write_shard
from inbond.registry.stores.folder import FolderStore


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, help="folder of JSON arrays with instruction and output")
    options.add_argument("--megabytes", type=int, default=100)
    options.add_argument("--rounds", type=int, default=9)
    given = options.parse_args()
    records, text = text_records(given.data, given.megabytes)
    with tempfile.TemporaryDirectory(prefix="inbond-bench-") as folder:
        store = FolderStore(folder)
        written = write_shard(store, records)
        path = str(store.path(written.digest))

        def verified() -> None:
            with ShardReader(
                store,
                digest=written.digest,
                size=written.size,
                block_root=written.block_root,
                record_root=written.record_root,
                rows=written.rows,
            ) as reader:
                reader.read()

        ways: dict[str, Callable[[], object]] = {
            "pyarrow, read_table(path)": lambda: pq.read_table(path),
            "pyarrow, ParquetFile(path).read()": lambda: pq.ParquetFile(path).read(),
            "inbond, every block verified": verified,
            "SHA-256 of the file alone": lambda: sha256(Path(path).read_bytes()),
        }
        walls, processors = take_turns(ways, given.rounds)
    table = Table(title=f"{written.rows} records, {text / 1e6:.0f} MB of text in a file of {written.size / 1e6:.1f} MB")
    for heading in ("way", "wall ms", "cpu ms", "text MB/s", "speed / read_table", "by cpu time"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    first = next(iter(ways))
    for way in ways:
        ratio = median(plain / ours for plain, ours in zip(walls[first], walls[way], strict=True))
        table.add_row(
            way,
            f"{median(walls[way]) * 1e3:.0f}",
            f"{min(processors[way]) * 1e3:.0f}",
            f"{text / 1e6 / median(walls[way]):.0f}",
            f"{ratio:.2f}",
            f"{min(processors[first]) / min(processors[way]):.2f}",
        )
    console = Console(width=120)
    console.print(table)
    hashing = written.size / 1e6 / min(processors["SHA-256 of the file alone"])
    console.print(f"SHA-256 here: {hashing:.0f} MB/s a core; {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}")


def take_turns(ways: dict[str, Callable[[], object]], rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    walls: dict[str, list[float]] = {way: [] for way in ways}
    processors: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds + 1):
        for way, run in ways.items():
            wall, processor = perf_counter(), process_time()
            run()
            if turn:  # the first round warms the page cache and the allocators
                walls[way].append(perf_counter() - wall)
                processors[way].append(process_time() - processor)
    return walls, processors


if __name__ == "__main__":
    main()
