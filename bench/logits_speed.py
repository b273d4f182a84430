"""The speed of log-probabilities on one core: encoding, decoding and verified reading.

    python bench/logits_speed.py [--records 240] [--length 850] [--rounds 5]

Ways take turns; each line gives the median round, by processor time, which is the steadier figure on a machine that others
use. The entries are those of the synthetic teacher (nucleus of 0.99). Wanted: at
least 1,000,000 tokens/s from blobs to rectangles of 64 entries, at least 700,000 encoded; a verified read with rectangles no
slower than 1 / 0.85 of the same read without verification. How a trainer gets them through Hugging Face's `datasets` is
`logits_streaming.py`.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
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
_AT_ONCE = 32  # records, about as many positions as a reader decodes at once


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
        store = FolderStore(Path(name) / "objects")
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
    console.print(f"load {os.getloadavg()[0]:.1f}")


def stored_map(path: Path, codec: LogitsCodec) -> RankMap | None:
    if codec.rank_map is None:
        return None
    return RankMap.read(pq.read_metadata(path).metadata[b"inbond.rank_map"].decode(), codec.vocabulary, codec.rank_map)


def decoded(codec: LogitsCodec, ranks: RankMap | None, table: pa.Table) -> Ragged:
    positions, first_pos = (table.column(name).to_numpy().astype(np.int64) for name in ("n_pos", "first_pos"))
    return codec.decode([table.column(name).to_pylist() for name in STREAMS], positions, first_pos, ranks)[0]


if __name__ == "__main__":
    main()
