"""Log-probabilities as a trainer gets them through Hugging Face's `datasets`, streaming: our shards beside lists of numbers.

    python bench/logits_streaming.py [--records 240] [--length 850] [--rounds 3]

One core, processor time, ways take turns, medians. Ours comes as Arrow batches, which the codec decodes to rectangles of 64
entries; lists come by every formatter that `datasets` has: `python`, `numpy` and `torch` give a record after the other, `arrow`
batches whose lists nobody has made arrays of. The lists:

    flat 64      list<int32> and list<float16>, 64 entries for each position: the flat lists of the figures that are wanted
    flat 64 f32  the same with list<float>, from which numpy has less to make
    flat         the same entries as ours, about 20 for each position, and how many each has: what it gives are no rectangles
    nested 64    list<list<int64>> and list<list<float64>>, 64 entries for each position, as `.tolist()` makes them
    DistillKit   list<list<uint8>>, 50 entries for each position; nothing is unpacked

Wanted: at least 3 times the rate of flat lists and 10 times that of nested ones, as numpy arrays. Beside it stands what was
measured on another machine (two cores of an AMD EPYC) with the same layouts, ours there a simpler codec of the same kind: so that
ratios can be compared where rates cannot.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from logits_size import codec_of, distillkit, write
from logits_speed import decoded, stored_map
from rich.console import Console
from rich.table import Table
from teachers import VOCABULARY, synthetic

from inbond.registry.shards.logits import Level, LogitsCodec
from inbond.registry.shards.ragged import Ragged, edges, ragged
from inbond.registry.stores.folder import FolderStore

_WIDTH = 64
_AT_ONCE = 32  # records, about as many positions as a reader decodes at once
_SLOW = 8  # times fewer records where it takes long
_FORMATTERS = ("python", "numpy", "torch", "arrow")
_THERE = {
    "inbond": {"numpy": 1_280_000},
    "flat 64": {"python": 33_000, "numpy": 282_000, "torch": 78_000, "arrow": 474_000},
    "nested 64": {"python": 22_000, "numpy": 10_700, "torch": 14_000, "arrow": 330_000},
    "DistillKit": {"python": 85_000, "numpy": 43_000, "torch": 38_000, "arrow": 927_000},
}
"""Tokens a second, as recorded."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--records", type=int, default=240)
    options.add_argument("--length", type=int, default=850)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    console = Console(width=120)
    if find_spec("datasets") is None:
        console.print("streaming through datasets: not measured, needs datasets (pip install inbond\\[bench])")
        return
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core for everything that follows
    pa.set_cpu_count(1)
    records = synthetic(given.records, given.length)
    with tempfile.TemporaryDirectory(prefix="inbond-bench-") as name:
        folder = Path(name)
        store = FolderStore(folder / "objects")
        written = write(store, records, codec_of(Level.COMPACT, VOCABULARY))
        codec = LogitsCodec.of(written.codec)
        ranks = stored_map(store.path(written.digest), codec)
        named = folder / "ours.parquet"  # `datasets` wants to see the suffix
        named.symlink_to(store.path(written.digest))

        def ours() -> Iterable[object]:
            for table in stream(named, "arrow").iter(batch_size=_AT_ONCE):
                yield decoded(codec, ranks, table).dense(_WIDTH)

        ways: dict[tuple[str, str], tuple[Callable[[], Iterable[object]], int]] = {
            ("inbond", "numpy"): (ours, given.records * given.length)
        }
        few = max(1, given.records // _SLOW)
        for layout, columns in layouts(ragged(records)).items():
            for slow, path in ((False, folder / f"{layout}.parquet"), (True, folder / f"{layout}, few.parquet")):
                table = pa.table(columns)
                pq.write_table(table.slice(0, few) if slow else table, path, row_group_size=256)
            for formatter in _FORMATTERS:
                if formatter == "torch" and find_spec("torch") is None:
                    continue
                slow = formatter != "arrow" and (formatter != "numpy" or "flat" not in layout)
                path = folder / (f"{layout}, few.parquet" if slow else f"{layout}.parquet")
                ways[layout, formatter] = lists(path, formatter), (few if slow else given.records) * given.length
        times = measured(ways, given.rounds)
    report(console, times, f"{given.records * given.length:,} tokens (slow ways {few * given.length:,}), one core")
    console.print(f"load {os.getloadavg()[0]:.1f}")


def stream(path: Path, formatter: str) -> Any:
    """The file as `datasets` streams it."""
    from datasets import load_dataset
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    cache = str(path.parent / "cache")
    found = load_dataset("parquet", data_files=str(path), split="train", streaming=True, cache_dir=cache)
    return found if formatter == "python" else found.with_format(formatter)


def lists(path: Path, formatter: str) -> Callable[[], Iterable[object]]:
    if formatter == "arrow":
        return lambda: stream(path, formatter).iter(batch_size=_AT_ONCE)
    return lambda: stream(path, formatter)


def layouts(flat: Ragged) -> dict[str, dict[str, pa.Array]]:
    """Columns of one row a record."""

    def listed(offsets: np.ndarray, inner: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), inner)

    at = flat.position_edges
    dense = flat.dense(_WIDTH)
    ids, logprobs = dense.ids.reshape(-1), dense.logprobs.reshape(-1)
    rows = np.arange(len(flat.counts) + 1) * _WIDTH
    entries = edges(flat.counts)[at]
    return {
        "flat 64": {
            "ids": listed(at * _WIDTH, pa.array(ids.astype(np.int32))),
            "logprobs": listed(at * _WIDTH, pa.array(logprobs.astype(np.float16))),
        },
        "flat 64 f32": {
            "ids": listed(at * _WIDTH, pa.array(ids.astype(np.int32))),
            "logprobs": listed(at * _WIDTH, pa.array(logprobs)),
        },
        "flat": {
            "ids": listed(entries, pa.array(flat.ids.astype(np.int32))),
            "logprobs": listed(entries, pa.array(flat.logprobs.astype(np.float16))),
            "counts": listed(at, pa.array(flat.counts.astype(np.int32))),
        },
        "nested 64": {
            "ids": listed(at, listed(rows, pa.array(ids.astype(np.int64)))),
            "logprobs": listed(at, listed(rows, pa.array(logprobs.astype(np.float64)))),
        },
        "DistillKit": distillkit(flat, 50, 1, 3, VOCABULARY),
    }


def measured(
    ways: dict[tuple[str, str], tuple[Callable[[], Iterable[object]], int]], rounds: int
) -> dict[tuple[str, str], list[float]]:
    """Seconds a token of every round; opening is not counted, the first round warms caches."""
    times: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    for turn in range(rounds + 1):
        for way, (opened, tokens) in ways.items():
            rows = opened()
            began = process_time()
            for _ in rows:
                pass
            if turn:
                times[way].append((process_time() - began) / tokens)
    return times


def report(console: Console, times: dict[tuple[str, str], list[float]], title: str) -> None:
    table = Table(title=title)
    for heading in ("layout", "formatter", "tokens/s", "on the other machine", "inbond / it", "there"):
        table.add_column(heading, justify="left" if heading in ("layout", "formatter") else "right")
    ours, ours_there = times["inbond", "numpy"], _THERE["inbond"]["numpy"]
    for (layout, formatter), taken in times.items():
        there = _THERE.get(layout, {}).get(formatter)
        ratio = median(b / a for a, b in zip(ours, taken, strict=True))
        table.add_row(
            layout,
            formatter,
            f"{1 / median(taken):,.0f}",
            f"{there:,}" if there else "",
            f"{ratio:.1f}",
            f"{ours_there / there:.1f}" if there else "",
        )
    console.print(table)


if __name__ == "__main__":
    main()
