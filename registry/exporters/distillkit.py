"""DistillKit's Parquet layout (`sample_common.compressed_logit_schema` of DistillKit, commit 40198e1), every entry exact.

`input_ids` are the tokens of the whole sequence. Element s of `compressed_logprobs` and `bytepacked_indices` is what the teacher
said after `input_ids[: s + 1]`, so there is one less than tokens: as in what DistillKit captures, and what its packer cuts
`input_ids` to. Each holds `k` entries, the same number in all files: log-probabilities in nats, falling, little-endian floats
(float32 as they are, or float16, off by at most 2^-11 of each); token ids of ceil(log2 d) bits, most significant bit first,
filled up to a byte with zeros. `compression_config.yaml` says so.

A position with fewer entries is filled up with ids that it does not have, at -10,000 nats: a probability of zero that no loss
turns into NaN, as it would -inf. A position of which the teacher said nothing has such entries alone; where there are any,
`labels` says -100 there, by which DistillKit's trainer leaves a position out, and repeats `input_ids` elsewhere. Tail mass, the
chosen token's own log-probability where it is not among the entries, and what the teacher said of the first token have no place
in the layout.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import UnsetType
from numpy.typing import NDArray

from inbond.registry.exporters.base import Exporter, LogitsShard, Readers, Source, Ticker, Writing, Written, chosen_logits
from inbond.registry.exporters.parquet import METADATA_SHARD
from inbond.registry.exporters.signals import beside
from inbond.registry.importers.base import Option
from inbond.schemas.errors import InvalidInput
from inbond.schemas.statements import Codec

if TYPE_CHECKING:
    from inbond.registry.shards.distributions import Distributions

_BYTES = pa.list_(pa.list_(pa.uint8()))
_FIELDS = [
    pa.field("input_ids", pa.list_(pa.uint64())),
    pa.field("compressed_logprobs", _BYTES),
    pa.field("bytepacked_indices", _BYTES),
]
_LABELS = pa.field("labels", pa.list_(pa.int64()))
_PAD = -10_000.0
_NO_LABEL = -100
_PIECE = 4_096  # positions whose bits are packed at once


class DistillKitWriting(Writing):
    """See the module. Records without log-probabilities, or of a single token, are left out."""

    surveys = True

    def __init__(self, logits: Mapping[str, LogitsShard], codec: Codec, dtype: str) -> None:
        self._logits, self._dtype = logits, dtype
        self._vocabulary = int(codec.vocabulary)
        self._bits = max(1, (self._vocabulary - 1).bit_length())
        self._k, self._has_gaps = 1, False

    def survey(self, source: Source, readers: Readers, tick: Ticker) -> None:
        """How many entries the fullest position has, and whether any position has none."""
        for numbers, table, found in beside(source, self._logits.get(source.shard), ("input_ids",), readers):
            for each, tokens in zip(found, table.column("input_ids"), strict=True):
                if each is not None and len(tokens.values or ()) > 1:
                    start, counts = _placed(each)
                    self._k = max(self._k, int(counts.max(initial=0)))
                    whole = start == 0 and len(counts) == len(tokens.values) - 1 and counts.all()
                    self._has_gaps = self._has_gaps or not whole
            tick(len(numbers))

    def write(self, source: Source, readers: Readers, path: Path, tick: Ticker) -> Written:
        """A row a record that has log-probabilities."""
        logits = self._logits.get(source.shard)
        written = Written(logits=() if logits is None else (logits.ref,))
        schema = pa.schema([*_FIELDS, *([_LABELS] if self._has_gaps else [])])
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for numbers, table, found in beside(source, logits, ("input_ids",), readers):
                rows, kept = [], np.zeros(len(numbers), np.bool_)
                for at, (each, tokens) in enumerate(zip(found, table.column("input_ids"), strict=True)):
                    if each is None:
                        written.leave_out("no log-probabilities")
                    elif tokens.values is None:
                        written.leave_out("no token ids of the whole sequence")
                    elif len(tokens.values) < 2:
                        written.leave_out("a single token")
                    else:
                        kept[at] = True
                        rows.append(self._row(tokens.values.to_numpy(), each))
                arrays = [pa.array([row[field.name] for row in rows], field.type) for field in schema]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                written.rows.append(numbers[kept])
                tick(len(numbers))
            writer.add_key_value_metadata({METADATA_SHARD: source.shard})
        return written

    def beside(self) -> Mapping[str, bytes]:
        """The configuration that the layout is read with."""
        settings = {
            "d": self._vocabulary,
            "delta_encoding": "false",
            "error_diffusion": "false",
            "exact_dtype": self._dtype,
            "exact_k": self._k,
            "k": self._k,
            "normalize_t": "false",
            "polynomial_terms": "null",
            "residual_bins": "[]",
            "term_dtype": "float32",
        }
        return {"compression_config.yaml": "".join(f"{name}: {value}\n" for name, value in settings.items()).encode()}

    def _row(self, tokens: NDArray[np.uint32], found: "Distributions") -> dict[str, object]:
        """The columns of one record."""
        start, counts = _placed(found)
        whole = np.zeros(len(tokens) - 1, np.int64)
        whole[start : start + len(counts)] = counts
        skipped = int(found.counts[: len(found.counts) - len(counts)].sum())
        ids, values = self._filled(whole, found.ids[skipped:], found.logprobs[skipped:])
        labels = tokens.astype(np.int64)
        labels[:-1][whole == 0] = _NO_LABEL
        return {
            "input_ids": tokens,
            "compressed_logprobs": list(np.ascontiguousarray(values).view(np.uint8)),
            "bytepacked_indices": list(
                np.concatenate([self._packed(ids[at : at + _PIECE]) for at in range(0, len(ids), _PIECE)])
            ),
            "labels": labels,
        }

    def _filled(
        self, counts: NDArray[np.int64], ids: NDArray[np.uint32], logprobs: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.generic]]:
        """Ids and values [positions, k]: the entries of each position, and behind them ids that it does not have."""
        places = np.arange(self._k)
        is_entry = places < counts[:, None]
        taken = np.zeros(is_entry.shape, np.bool_)  # of the ids below k; enough are left, as each entry takes one
        rows = np.repeat(np.arange(len(counts)), counts)
        low = ids < self._k
        taken[rows[low], ids[low]] = True
        free = np.argsort(taken, axis=1, kind="stable")
        filled = np.take_along_axis(free, np.maximum(places - counts[:, None], 0), axis=1)
        filled[is_entry] = ids
        values = np.full(is_entry.shape, _PAD, f"<f{4 if self._dtype == 'float32' else 2}")
        values[is_entry] = logprobs
        return filled, values

    def _packed(self, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The ids of each position, `bits` bits each."""
        shifts = np.arange(self._bits - 1, -1, -1)
        bits = ((ids[:, :, None] >> shifts) & 1).astype(np.uint8)
        return np.packbits(bits.reshape(len(ids), -1), axis=1)


def _placed(found: "Distributions") -> tuple[int, NDArray[np.int64]]:
    """Where the first element stands in the layout, and how many entries each has; one about the first token is left out."""
    counts = found.counts.astype(np.int64)
    return (0, counts[1:]) if found.first_pos == 0 else (found.first_pos - 1, counts)


def _begin(sources: Sequence[Source], options: Mapping[str, str]) -> Writing:
    logits = chosen_logits(sources, options.get("signal"), "distillkit")
    if not logits:
        raise InvalidInput("format distillkit: expected log-probabilities in the dataset, found none", hint="--format messages")
    codecs: dict[tuple[str, int], Codec] = {}
    for each in logits.values():
        codec = each.body.codec
        if isinstance(codec, UnsetType):
            raise InvalidInput(f"format distillkit: expected a codec of {each.ref}, found none")
        wanted = {"ids": ("observed", "derived"), "positions": ("sequence",), "selection": ("topk", "nucleus")}
        for name, values in wanted.items():
            if (value := codec.parameters.get(name)) not in values:
                raise InvalidInput(
                    f"format distillkit: expected log-probabilities of {name} {' or '.join(values)}, found {value} in {each.ref}",
                    hint=_WHY[name],
                )
        codecs.setdefault((codec.tokenizer, int(codec.vocabulary)), codec)
    if len(codecs) > 1:
        told = ", ".join(f"{tokenizer} of {vocabulary}" for tokenizer, vocabulary in codecs)
        raise InvalidInput(f"format distillkit: expected one tokenizer and vocabulary, found {told}")
    return DistillKitWriting(logits, next(iter(codecs.values())), options["dtype"])


_WHY = {
    "ids": "its ids are those of a tokenizer: import again with --tokenizer FILE",
    "positions": "it needs the tokens of the prompt as well: the source did not give them; --format parquet has what there is",
    "selection": "it has no place for counts of draws: --format parquet",
}

DISTILLKIT = Exporter(
    name="distillkit",
    version="1",
    describes="DistillKit's Parquet layout of log-probabilities, every entry exact, with its compression_config.yaml",
    example="input_ids: list<uint64>, compressed_logprobs: list<list<uint8>>, bytepacked_indices: list<list<uint8>>",
    suffix=".parquet",
    begin=_begin,
    options=(
        Option("signal", "which log-probabilities go along (those there are, unless there are both)", ("generated", "scored")),
        Option("dtype", "the width of a log-probability", ("float32", "float16"), "float32"),
    ),
)
