"""The speed of log-probabilities on one core: encoding, decoding, verified reading, and streaming through `datasets`.

    python bench/logits_speed.py [--records 240] [--length 850] [--rounds 5]

Ways take turns; each line gives the median round, by processor time, which is the steadier figure on a machine that others
use. The entries are those of the synthetic teacher (nucleus of 0.99). Wanted: at
least 1,000,000 tokens/s from blobs to rectangles of 64 entries, at least 700,000 encoded; a verified read with rectangles no
slower than 1 / 0.85 of the same read without verification; through Hugging Face's streaming reader at least 3 times
the rate of flat lists and 10 times that of nested ones, all handing out numpy arrays: flat lists with the same entries, which the
reader must still tell apart by position, or with 64 entries for each, which are rectangles as ours are.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from logits_size import codec_of, opened, write
from rich.console import Console
from rich.table import Table
from teachers import VOCABULARY, synthetic

from inbond.registry.shards.logits import STREAMS, Level, LogitsCodec
from inbond.registry.shards.ragged import Ragged, edges, ragged, together
from inbond.registry.shards.token_codes import RankMap
from inbond.registry.stores.folder import FolderStore

_WIDTH = 64
_AT_ONCE = 8  # records: arrays that stay in the cache


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--records", type=int, default=240)
    options.add_argument("--length", type=int, default=850)
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core for everything that follows
    pa.set_cpu_count(1)
    records = synthetic(given.records, given.length)
    flat = ragged(records)
    console = Console(width=120)
    with tempfile.TemporaryDirectory(prefix="inbond-bench-") as name:
        folder = Path(name)
        store = FolderStore(folder / "objects")
        written = write(store, records, codec_of(Level.COMPACT, VOCABULARY))
        path = store.path(written.digest)
        codec = LogitsCodec.of(written.codec)
        ranks = stored_map(path, codec)
        tokens = np.concatenate([record.input_ids for record in records])

        def verified() -> None:
            with opened(store, written) as reader:
                reader.dense(k=_WIDTH)

        def plain() -> None:
            file = pq.ParquetFile(path)
            tables = (file.read_row_group(group, ["n_pos", "first_pos", *STREAMS]) for group in range(file.num_row_groups))
            together([decoded(codec, ranks, table) for table in tables]).dense(_WIDTH)

        blobs = pq.ParquetFile(path).read(["n_pos", "first_pos", *STREAMS])
        own = edges(np.array([len(record.input_ids) for record in records]))

        def encode() -> None:
            for first in range(0, len(records), _AT_ONCE):
                part = records[first : first + _AT_ONCE]
                codec.encode(ragged(part), tokens[own[first] : own[first + len(part)]], ranks)

        def decode() -> None:
            for first in range(0, len(blobs), _AT_ONCE):
                decoded(codec, ranks, blobs.slice(first, _AT_ONCE)).dense(_WIDTH)

        def check() -> None:
            for record in records:
                record.check(VOCABULARY)

        ways: dict[str, Callable[[], object]] = {
            "read, unverified, to rectangles": plain,
            "read, verified, to rectangles": verified,
            "blobs to rectangles": decode,
            "checks of what is to be encoded": check,
            "encode, bounds checked": encode,
        }
        if find_spec("datasets") is None:
            console.print("streaming through datasets: not measured, needs datasets (pip install inbond\\[bench])")
        else:
            ways |= streaming(flat, folder, path, codec, ranks)
        times: dict[str, list[float]] = {way: [] for way in ways}
        for turn in range(given.rounds + 1):
            for way, run in ways.items():
                began = process_time()
                run()
                if turn:  # the first round warms caches
                    times[way].append(process_time() - began)
    n = len(flat.counts)
    table = Table(title=f"{n:,} tokens, {flat.counts.mean():.1f} entries a token, one core")
    for heading in ("way", "tokens/s"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for way, taken in times.items():
        table.add_row(way, f"{n / median(taken):,.0f}")
    console.print(table)

    def ratio(one: str, other: str) -> float:
        return median(b / a for a, b in zip(times[one], times[other], strict=True))

    console.print(f"verified / unverified: {ratio('read, verified, to rectangles', 'read, unverified, to rectangles'):.2f}")
    if "streaming, inbond" in times:
        for other in ("flat lists", "flat lists of 64 each", "nested lists"):
            console.print(f"streaming, inbond / {other}: {ratio('streaming, inbond', f'streaming, {other}'):.1f}")
    console.print(f"load {os.getloadavg()[0]:.1f}")


def stored_map(path: Path, codec: LogitsCodec) -> RankMap | None:
    if codec.rank_map is None:
        return None
    return RankMap.read(pq.read_metadata(path).metadata[b"inbond.rank_map"].decode(), codec.vocabulary, codec.rank_map)


def decoded(codec: LogitsCodec, ranks: RankMap | None, table: pa.Table) -> Ragged:
    positions, first_pos = (table.column(name).to_numpy().astype(np.int64) for name in ("n_pos", "first_pos"))
    return codec.decode([table.column(name).to_pylist() for name in STREAMS], positions, first_pos, ranks)[0]


def streaming(
    flat: Ragged, folder: Path, ours: Path, codec: LogitsCodec, ranks: RankMap | None
) -> dict[str, Callable[[], object]]:
    """Ways through `datasets`, each giving numpy arrays of every record."""
    from datasets import load_dataset
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    starts = edges(flat.counts)
    at = starts[flat.position_edges]

    def lists(offsets: np.ndarray, inner: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), inner)

    counts = lists(flat.position_edges, pa.array(flat.counts.astype(np.int32)))
    flat_path, wide_path, nested_path = (folder / f"{name}.parquet" for name in ("flat", "wide", "nested"))

    def written(path: Path, columns: dict[str, pa.Array]) -> None:
        pq.write_table(pa.table(columns), path, row_group_size=256)

    ids, logprobs = pa.array(flat.ids.astype(np.int32)), pa.array(flat.logprobs)
    written(flat_path, {"ids": lists(at, ids), "logprobs": lists(at, logprobs), "counts": counts})
    dense = flat.dense(_WIDTH)
    rectangles = (pa.array(dense.ids.astype(np.int32).reshape(-1)), pa.array(dense.logprobs.reshape(-1)))
    whole = _WIDTH * flat.position_edges
    written(wide_path, {name: lists(whole, values) for name, values in zip(("ids", "logprobs"), rectangles, strict=True)})
    nested = [lists(starts, pa.array(values)) for values in (flat.ids.astype(np.int64), flat.logprobs.astype(np.float64))]
    written(
        nested_path, {name: lists(flat.position_edges, inner) for name, inner in zip(("ids", "logprobs"), nested, strict=True)}
    )

    def opened_stream(path: Path) -> object:
        return load_dataset("parquet", data_files=str(path), split="train", streaming=True, cache_dir=str(folder / "cache"))

    def listed(path: Path) -> None:
        for _ in opened_stream(path).with_format("numpy"):  # type: ignore[attr-defined]
            pass

    def blobs() -> None:
        for table in opened_stream(ours).with_format("arrow").iter(batch_size=_AT_ONCE):  # type: ignore[attr-defined]
            decoded(codec, ranks, table).dense(_WIDTH)

    named = folder / "ours.parquet"  # `datasets` wants to see the suffix
    named.symlink_to(ours)
    ours = named
    return {
        "streaming, inbond": blobs,
        "streaming, flat lists": lambda: listed(flat_path),
        "streaming, flat lists of 64 each": lambda: listed(wide_path),
        "streaming, nested lists": lambda: listed(nested_path),
    }


if __name__ == "__main__":
    main()
