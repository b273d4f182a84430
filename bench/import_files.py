"""Compare an import with parsing the JSON and writing the same text columns with plain pyarrow.

Both sides in turn, several times in one run; the ratio of the medians is the answer (at most 3 is wanted). Data: --data DIR
with `instruction`/`output`/`generator` JSON files; without it, files of the same shape are made.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from inbond.registry.registry import Registry
from inbond.registry.shards.writer import ZSTD_LEVEL

# The same as the shard writer's, so that the ratio shows the price of the formality and not of a compression level.
SETTINGS = {"compression": "zstd", "compression_level": ZSTD_LEVEL, "use_dictionary": False, "row_group_size": 4096}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "teacher-outputs")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["INBOND_STATE"] = str(Path(folder) / "state")
        files = sorted(options.data.glob("*.json")) or generated(Path(folder))
        plain, ours = [], []
        for number in range(options.rounds):
            plain.append(timed(lambda: write_plain(files, Path(folder))))
            with Registry.init(Path(folder) / f"registry-{number}", "bench.example/import") as registry:
                for file in files:
                    registry.add_teacher(f"bench/{file.stem}@1", create=True)
                ours.append(timed(lambda registry=registry: write_ours(registry, files)))
        size = sum(file.stat().st_size for file in files)
        print(f"{len(files)} files, {size / 1e6:.1f} MB, {options.rounds} rounds in turn; seconds: min, median, max")
        for kind, unit in enumerate(("wall", "processor")):
            for name, times in (("plain: json + pyarrow", plain), ("import", ours)):
                print(f"  {unit:9} {name:24}" + spread([pair[kind] for pair in times], 3))
            pairs = [a[kind] / b[kind] for a, b in zip(ours, plain, strict=True)]
            print(f"  {unit:9} {'ratio import / plain':24}" + spread(pairs, 2) + "   (wanted: at most 3)")


def timed(work: Callable[[], None]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def spread(values: list[float], digits: int) -> str:
    return "".join(f"{value:8.{digits}f}" for value in (min(values), statistics.median(values), max(values)))


def write_plain(files: list[Path], folder: Path) -> None:
    for file in files:
        rows = json.loads(file.read_bytes())
        table = pa.table(
            {
                "prompt": [[{"role": "user", "content": row["instruction"]}] for row in rows],
                "response": [row["output"] for row in rows],
                "extra": [json.dumps({"dataset": row.get("dataset"), "generator": row["generator"]}) for row in rows],
            }
        )
        pq.write_table(table, folder / f"{file.stem}.parquet", **SETTINGS)


def write_ours(registry: Registry, files: list[Path]) -> None:
    for file in files:
        registry.import_files("alpaca-eval", [file], teacher=f"bench/{file.stem}@1", dataset=file.stem)


def generated(folder: Path) -> list[Path]:
    random.seed(1)
    words = [f"word{n}" for n in range(5000)]
    paths = []
    for number in range(12):
        rows = [
            {
                "instruction": " ".join(random.choices(words, k=20)),
                "dataset": "made",
                "output": " ".join(random.choices(words, k=250)),
                "generator": f"teacher-{number}",
            }
            for _ in range(805)
        ]
        path = folder / f"teacher-{number}.json"
        path.write_text(json.dumps(rows, indent=2))
        paths.append(path)
    return paths


if __name__ == "__main__":
    main()
