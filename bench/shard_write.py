"""What does a shard cost its writer? Records into a signed-ready shard, beside pyarrow writing the same two text columns.

    python bench/shard_write.py [--data DIR] [--megabytes 100] [--rounds 5]

Ours adds to the encoding: three ids and a leaf hash a record, the other twenty columns, SHA-256 of the file as it is
written, the sync, and reading and hashing it all again. The second table is for the choice of the zstd level.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from samples import text_records
from shard_read import take_turns

from inbond.registry.shards.records import Record
from inbond.registry.shards.writer import ROW_GROUP_ROWS, ZSTD_LEVEL, write_shard
from inbond.registry.stores.folder import FolderStore


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, help="folder of JSON arrays with instruction and output")
    options.add_argument("--megabytes", type=int, default=100)
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    records, text = text_records(given.data, given.megabytes)
    with tempfile.TemporaryDirectory(prefix="inbond-bench-") as folder:
        store = FolderStore(folder)
        path = str(Path(folder) / "plain.parquet")
        ways: dict[str, Callable[[], object]] = {
            "pyarrow, two text columns": lambda: plain(records, path, ZSTD_LEVEL),
            "inbond, a whole shard": lambda: write_shard(store, records),
        }
        walls, processors = take_turns(ways, given.rounds)
        levels = [level(records, path, text, number) for number in (1, 2, 3, 4, 6)]
    table = Table(title=f"{len(records)} records, {text / 1e6:.0f} MB of text, zstd level {ZSTD_LEVEL}")
    for heading in ("way", "wall ms", "cpu ms", "text MB/s", "us a record", "time / pyarrow", "by cpu time"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    first = next(iter(ways))
    for way in ways:
        ratio = median(ours / plain for plain, ours in zip(walls[first], walls[way], strict=True))
        table.add_row(
            way,
            f"{median(walls[way]) * 1e3:.0f}",
            f"{min(processors[way]) * 1e3:.0f}",
            f"{text / 1e6 / median(walls[way]):.0f}",
            f"{median(walls[way]) / len(records) * 1e6:.1f}",
            f"{ratio:.2f}",
            f"{min(processors[way]) / min(processors[first]):.2f}",
        )
    console = Console(width=120)
    console.print(table)
    sizes = Table(title="zstd level of the same columns")
    for heading in ("level", "file MB", "write ms", "read ms"):
        sizes.add_column(heading, justify="right")
    for row in levels:
        sizes.add_row(*row)
    console.print(sizes)
    console.print(f"{os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}")


def plain(records: list[Record], path: str, zstd: int) -> None:
    table = pa.table(
        {
            "prompt": [record.prompt[0].content if record.prompt else None for record in records],
            "response": [record.response for record in records],
        }
    )
    pq.write_table(table, path, compression="zstd", compression_level=zstd, use_dictionary=False, row_group_size=ROW_GROUP_ROWS)
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def level(records: list[Record], path: str, text: int, number: int) -> tuple[str, str, str, str]:
    times = []
    for run in (lambda: plain(records, path, number), lambda: pq.read_table(path)):
        best = min(_time(run) for _ in range(3))
        times.append(f"{best * 1e3:.0f}")
    return str(number), f"{os.path.getsize(path) / 1e6:.1f}", *times


def _time(run: Callable[[], object]) -> float:
    start = perf_counter()
    run()
    return perf_counter() - start


if __name__ == "__main__":
    main()
