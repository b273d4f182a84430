"""The size of log-probabilities, in bytes a token: our codec beside the layouts that others store.

    python bench/logits_size.py [--records 400] [--length 850]

Every layout holds the same entries (nucleus of 0.99, 4 to 64 of them), unless its name says that it has a fixed number. The
layouts of others are built here with their published shape: what is counted is the file. Wanted for the synthetic teacher: at
most 50 bytes a token, at most 1e-4 nats of quantisation (KL over the entries and one bucket for the rest), at most 2 % of
the mass outside the entries; 45 bytes are hoped for of the rank map, whose effect the second row shows.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from teachers import TOKENIZER, VOCABULARY, synthetic, trained

from inbond.registry.shards import logits_writer
from inbond.registry.shards.distributions import Distributions, Selection
from inbond.registry.shards.logits import STREAMS, Level, LogitsCodec
from inbond.registry.shards.logits_reader import LogitsReader
from inbond.registry.shards.logits_writer import LogitsWriter, WrittenLogits
from inbond.registry.shards.ragged import Ragged, edges, ragged
from inbond.registry.stores.folder import FolderStore
from inbond.schemas.declared import known, unknown
from inbond.schemas.statements import LogprobKind

_zstd = pa.Codec("zstd", compression_level=3)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--records", type=int, default=400)
    options.add_argument("--length", type=int, default=850)
    given = options.parse_args()
    console = Console(width=130)
    compare(console, "synthetic teacher", synthetic(given.records, given.length), VOCABULARY)
    model = trained(60, 832)
    if model is None:
        console.print("a small transformer: not measured, needs torch (pip install inbond\\[bench])")
    else:
        compare(console, "small transformer trained here", *model)


def compare(console: Console, title: str, records: list[Distributions], vocabulary: int) -> None:
    flat = ragged(records)
    n = len(flat.counts)
    table = Table(title=f"{title}: {n:,} tokens, {vocabulary:,} ids, {flat.counts.mean():.1f} entries a token")
    for heading in ("layout", "bytes a token", "KL, nats", "outside"):
        table.add_column(heading, justify="left" if heading == "layout" else "right")
    with tempfile.TemporaryDirectory(prefix="inbond-bench-") as folder:
        store = FolderStore(Path(folder) / "objects")
        streams: dict[str, float] = {}
        for level, mapped in ((Level.COMPACT, True), (Level.COMPACT, False), (Level.EXACT, True)):
            written = write(store, records, codec_of(level, vocabulary), mapped=mapped)
            with opened(store, written) as reader:
                back = reader.ragged()
                if not streams:
                    stored = reader.read(STREAMS)
                    streams = {name: stored.column(name).nbytes / n for name in STREAMS}
            name = f"inbond {level.value}" + ("" if mapped else ", without the rank map")
            table.add_row(name, f"{written.size / n:.1f}", f"{divergence(flat, back):.1e}", f"{flat.tail.mean():.2%}")
        for name, size in others(flat, Path(folder), vocabulary).items():
            table.add_row(name, f"{size / n:.1f}", "", "")
    console.print(table)
    console.print("streams of inbond compact: " + ", ".join(f"{name} {size:.2f}" for name, size in streams.items()))


def codec_of(level: Level, vocabulary: int) -> LogitsCodec:
    return LogitsCodec(
        level=level,
        selection=Selection.NUCLEUS,
        vocabulary=vocabulary,
        tokenizer=TOKENIZER,
        ids="observed",
        positions="sequence",
        logprob_kind=LogprobKind.RAW,
        temperature=known("1"),
        truncation=unknown(),
    )


def write(store: FolderStore, records: list[Distributions], codec: LogitsCodec, *, mapped: bool = True) -> WrittenLogits:
    worthwhile = logits_writer.worthwhile_map
    if not mapped:
        logits_writer.worthwhile_map = lambda *_: None
    try:
        with LogitsWriter(store, codec) as writer:
            for number, record in enumerate(records):
                writer.add(number.to_bytes(32, "big"), record)
            written = writer.finish()
    finally:
        logits_writer.worthwhile_map = worthwhile
    assert written is not None
    return written


def opened(store: FolderStore, written: WrittenLogits) -> LogitsReader:
    said = {name: getattr(written, name) for name in ("digest", "size", "block_root", "record_root", "rows")}
    return LogitsReader(store, codec=LogitsCodec.of(written.codec), **said)


def divergence(given: Ragged, back: Ragged) -> float:
    """Mean KL of what was stored to what came back, over the entries of a position and one bucket for the rest."""
    starts = edges(given.counts)[:-1]

    def normal(found: Ragged) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        mass = np.exp(found.logprobs, dtype=np.float64)
        tail = np.maximum(found.tail.astype(np.float64), 1e-12)
        total = np.add.reduceat(mass, starts) + tail
        return mass / np.repeat(total, given.counts), tail / total

    (p, p_tail), (q, q_tail) = normal(given), normal(back)
    return float((np.add.reduceat(p * np.log(p / q), starts) + p_tail * np.log(p_tail / q_tail)).mean())


def others(flat: Ragged, folder: Path, vocabulary: int) -> dict[str, int]:
    """Bytes of the same distributions in layouts of other programs, one row a record."""
    ids, half = flat.ids.astype(np.int32), flat.logprobs.astype(np.float16)
    at = edges(flat.counts)[flat.position_edges]
    sizes = {}

    def parquet(columns: dict[str, pa.Array], **settings: object) -> int:
        path = folder / "other.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=256, **settings)  # type: ignore[arg-type]
        return path.stat().st_size

    def listed(values: NDArray[np.generic]) -> pa.Array:
        return pa.ListArray.from_arrays(pa.array(at, pa.int32()), pa.array(values))

    flat_lists = {"ids": listed(ids), "logprobs": listed(half), "counts": _per_record(flat, flat.counts.astype(np.int32))}
    sizes["list<int32> + list<float16>, pyarrow's defaults"] = parquet(flat_lists)
    split = ["ids.list.element", "logprobs.list.element"]
    sizes["the same, BYTE_STREAM_SPLIT + zstd-1"] = parquet(
        flat_lists, use_dictionary=False, use_byte_stream_split=split, compression="zstd", compression_level=1
    )
    starts = pa.array(edges(flat.counts), pa.int32())
    nested = {
        "ids": _nested(flat, pa.ListArray.from_arrays(starts, pa.array(flat.ids.astype(np.int64)))),
        "logprobs": _nested(flat, pa.ListArray.from_arrays(starts, pa.array(flat.logprobs.astype(np.float64)))),
    }
    sizes["list<list<int64>> + list<list<float64>>, pyarrow's defaults"] = parquet(nested)
    for name, k, exact, terms in (("budget, 50 entries", 50, 1, 3), ("recommended, 128 entries", 128, 16, 6)):
        sizes[f"DistillKit, {name}"] = parquet(distillkit(flat, k, exact, terms, vocabulary))
    sizes["Megatron, 64 entries: u16 + bit 17 + float16, zstd-3"] = _megatron(flat)
    return sizes


def _per_record(flat: Ragged, values: NDArray[np.generic]) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(flat.position_edges, pa.int32()), pa.array(values))


def _nested(flat: Ragged, inner: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(flat.position_edges, pa.int32()), inner)


def distillkit(flat: Ragged, k: int, exact: int, terms: int, vocabulary: int) -> dict[str, pa.Array]:
    """list<list<uint8>>: first values in half precision, float32 coefficients for the others, ids packed to their bits."""
    bits = (vocabulary - 1).bit_length()
    chance = np.random.default_rng(1)
    dense = flat.dense(k)
    n = len(dense.ids)
    # Entries that the nucleus does not have stand for those that a fixed k would keep.
    ids = np.where(dense.mask, dense.ids, chance.integers(0, vocabulary, dense.ids.shape))
    half = np.where(dense.mask[:, :exact], dense.logprobs[:, :exact], -15).astype("<f2").view(np.uint8).reshape(n, -1)
    coefficients = chance.normal(0, 1, (n, terms)).astype("<f4").view(np.uint8).reshape(n, -1)
    values = np.concatenate([half, coefficients], axis=1)
    spread = (ids[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    packed = np.packbits(spread.reshape(n, -1).astype(np.uint8), axis=1)
    return {
        column: _nested(
            flat,
            pa.ListArray.from_arrays(
                pa.array(np.arange(n + 1) * rows.shape[1], pa.int32()), pa.array(np.ascontiguousarray(rows).reshape(-1))
            ),
        )
        for column, rows in (("compressed_logprobs", values), ("bytepacked_indices", packed))
    }


def _megatron(flat: Ragged) -> int:
    size = 0
    at = flat.position_edges
    dense = flat.dense(64)
    for first, end in zip(at[:-1:8], [*at[8::8], at[-1]], strict=False):
        ids, logprobs = dense.ids[first:end], np.where(dense.mask, dense.logprobs, -1e3)[first:end]
        if len(ids):
            for part in ((ids & 0xFFFF).astype("<u2"), ids >> 16 > 0, logprobs.astype("<f2")):
                size += len(_zstd.compress(part.tobytes(), asbytes=True))
    return size


if __name__ == "__main__":
    main()
