"""DistillKit: Parquet of `input_ids` with compressed log-probabilities (`compressed_logprobs`, `bytepacked_indices`).

The files do not say how they were compressed: the option `config` names the compression_config.yaml that lies beside them.
Element s of the log-probabilities is what the teacher said after `input_ids[: s + 1]`, so position 1 is the first that has any,
and an element after the last token has no token to go with. All are scored. There is no text: the option `tokenizer` names the
file by which ids become text; without it the responses are empty.

A row of `compressed_logprobs` is the `exact_k` largest as little-endian floats, the coefficients of a curve over the ranks of
the others, and for each residual bin a scale and packed integers; `bytepacked_indices` are token ids of ceil(log2 d) bits,
most significant bit first. With `delta_encoding` all but the first are differences from the one before.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inbond.registry.importers.base import Importer, Option, RowConverter
from inbond.registry.importers.decoding import TOKENIZER, TokenTexts
from inbond.registry.importers.distillkit_config import read_compression
from inbond.registry.importers.fields import Fault
from inbond.registry.importers.observed import Observed, token_logprobs, with_logprobs
from inbond.registry.shards.records import Record
from inbond.schemas.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa

_IDS, _VALUES, _INDICES = "input_ids", "compressed_logprobs", "bytepacked_indices"


class DistillkitConverter(RowConverter):
    """One record of kind `scored` for each row."""

    columns = (_IDS, _VALUES, _INDICES)

    def __init__(self, options: Mapping[str, str]) -> None:
        if "config" not in options:
            raise InvalidInput(
                "importer distillkit: expected the option config, found none",
                hint="--option config=compression_config.yaml, which lies beside the Parquet files",
            )
        self._compression = read_compression(options["config"])
        self._texts = TokenTexts(options["tokenizer"]) if "tokenizer" in options else None

    def convert_row(self, batch: "pa.RecordBatch", place: int) -> Sequence[Record | Observed]:
        """Raises Fault for bytes that do not have the form of the configuration."""
        ids = _list(batch, place, _IDS)
        if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= 2**32):
            raise Fault("wrong-value", _IDS, "token ids from 0 to 4294967295", "others")
        form = self._compression
        values = form.values(_matrix(batch, place, _VALUES, form.value_bytes), _VALUES)
        indices = form.indices(_matrix(batch, place, _INDICES, form.index_bytes))
        if len(values) != len(indices) or not len(ids) - 1 <= len(values) <= len(ids):
            found = f"{len(values)} and {len(indices)} for {len(ids)} tokens"
            raise Fault("wrong-value", _VALUES, "log-probabilities for each token but the first", found)
        tokens = ids.tolist()
        text = "" if self._texts is None else self._texts.text(tokens, _IDS)
        record = Record(prompt=None, own_turns=(), response=text, kind="scored", input_ids=tuple(tokens))
        if len(ids) < 2:
            return [record]
        n = len(ids) - 1
        scored = token_logprobs(
            tokens[1:], [None] * n, [form.k] * n, indices[:n].ravel().tolist(), values[:n].ravel(), before=tokens[:1]
        )
        return [with_logprobs(record, None, scored)]


def _list(batch: "pa.RecordBatch", place: int, name: str) -> NDArray[np.int64]:
    scalar = batch.column(name)[place]
    if not scalar.is_valid or not _is_of_integers(scalar.type):
        raise Fault("wrong-type", name, "a list of integers", str(scalar.type) if scalar.is_valid else "null")
    values = scalar.values
    if values.null_count:
        raise Fault("wrong-value", name, "a list of integers", "a null among them")
    found: NDArray[np.int64] = values.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _matrix(batch: "pa.RecordBatch", place: int, name: str, width: int) -> NDArray[np.uint8]:
    """A list of lists of bytes, each of `width`."""
    scalar = batch.column(name)[place]
    if not scalar.is_valid or not _is_of_integers(getattr(scalar.type, "value_type", None)):
        raise Fault("wrong-type", name, "a list of lists of bytes", str(scalar.type) if scalar.is_valid else "null")
    rows = scalar.values
    flat = rows.flatten()
    lengths = np.diff(rows.offsets.to_numpy())
    if rows.null_count or flat.null_count or bool((lengths != width).any()):
        other = next(iter(lengths[lengths != width].tolist()), "a null")
        raise Fault("wrong-value", name, f"{width} bytes at each position, as the configuration says", str(other))
    values: NDArray[Any] = flat.to_numpy(zero_copy_only=False)
    if len(values) and (int(values.min()) < 0 or int(values.max()) > 255):
        raise Fault("wrong-value", name, "bytes", "other numbers")
    return values.astype(np.uint8).reshape(len(rows), width)


def _is_of_integers(kind: Any) -> bool:
    import pyarrow as pa  # thirty megabytes, which no other format needs

    return bool(pa.types.is_integer(getattr(kind, "value_type", pa.null())))


DISTILLKIT = Importer(
    name="distillkit",
    version="1",
    describes="DistillKit's tables of compressed log-probabilities, with their compression_config.yaml; Parquet",
    example="input_ids: list<uint64>, compressed_logprobs: list<list<uint8>>, bytepacked_indices: list<list<uint8>>",
    converter=DistillkitConverter,
    options=(Option("config", "the compression_config.yaml beside the files; it must be given"), TOKENIZER),
    logprobs=True,
)
