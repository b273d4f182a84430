"""Log-probabilities beside the rows of a text shard, as formats write them: record by record, verified, in bounded memory."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inbond.registry.exporters.base import BATCH, LogitsShard, Readers, Source
from inbond.registry.shards.picking import picked, ranges_of
from inbond.schemas.errors import VerificationError

if TYPE_CHECKING:
    from inbond.registry.shards.distributions import Distributions

LOGITS_SCHEMA = pa.schema(
    [
        pa.field("first_pos", pa.int32()),
        pa.field("token_ids", pa.list_(pa.list_(pa.int32()))),
        pa.field("logprobs", pa.list_(pa.list_(pa.float32()))),
        pa.field("tail", pa.list_(pa.float32())),
        pa.field("chosen", pa.list_(pa.float32())),
        pa.field("rank", pa.list_(pa.int32())),
        pa.field("draws", pa.list_(pa.list_(pa.int32()))),
    ]
)
"""Plain columns of log-probabilities; null where a record has none, and where its source does not say."""


def beside(
    source: Source, logits: LogitsShard | None, columns: Sequence[str], readers: Readers
) -> Iterator[tuple[NDArray[np.int64], pa.Table, list["Distributions | None"]]]:
    """At most `BATCH` rows of a source at once: their numbers, the named columns of their text, and what `logits` has of them."""
    text = readers.text(source)
    reader = None if logits is None else readers.logits(logits)
    for numbers, table in picked(text, columns, source.rows):
        for at in range(0, len(table), BATCH):
            here = numbers[at : at + BATCH]
            found: list[Distributions | None] = [None] * len(here)
            if reader is not None:
                ranges = [range(first, last) for first, last in ranges_of(here)]
                found = list(reader.distributions(ranges))
                if reader.codec.ids != "table" and "input_ids" in columns:
                    stated = reader.read(["ids_sha256"], ranges).column("ids_sha256").to_pylist()
                    _check_tokens(source, here, table.slice(at, BATCH), found, stated)
            yield here, table.slice(at, BATCH), found


def _check_tokens(
    source: Source,
    numbers: NDArray[np.int64],
    text: pa.Table,
    found: Sequence["Distributions | None"],
    stated: Sequence[bytes],
) -> None:
    """Log-probabilities are about the tokens that the text has, where it has any: others would be read one beside the other."""
    for number, tokens, each, digest in zip(numbers, text.column("input_ids"), found, stated, strict=True):
        if each is not None and tokens.values is not None:
            ids = tokens.values.to_numpy().astype("<u4")
            own = sha256(ids.tobytes()).digest()
            if own != digest or each.first_pos + each.n > len(ids):
                raise VerificationError(
                    f"{source.shard}, row {number}: expected log-probabilities of its {len(ids)} tokens (SHA-256 {own.hex()}), "
                    f"found {each.n} from token {each.first_pos} on of others ({digest.hex()})"
                )


def plain_columns(found: Sequence["Distributions | None"]) -> list[pa.Array]:
    """The columns of `LOGITS_SCHEMA` for these records: lists of positions, and for each position a list of its entries."""
    some = [each for each in found if each is not None]
    missing = np.array([each is None for each in found])
    positions = _offsets([0 if each is None else each.n for each in found])
    entries = _offsets(np.concatenate([np.zeros(0, np.int64), *(each.counts.astype(np.int64) for each in some)]))
    types = dict(zip(LOGITS_SCHEMA.names, LOGITS_SCHEMA.types, strict=True))

    def joined(name: str, dtype: type) -> NDArray[np.generic]:
        return np.concatenate([np.zeros(0, dtype), *(getattr(each, name).astype(dtype) for each in some)])

    def listed(name: str, values: pa.Array) -> pa.Array:
        return pa.ListArray.from_arrays(positions, values, type=types[name], mask=pa.array(missing))

    def nested(name: str, values: NDArray[np.generic]) -> pa.Array:
        inner = types[name].value_type
        return listed(name, pa.ListArray.from_arrays(entries, pa.array(values, inner.value_type), type=inner))

    if any(each.draws is not None for each in some):
        draws = nested("draws", joined("draws", np.int32))
    else:
        draws = pa.nulls(len(found), types["draws"])
    tail, chosen, rank = joined("tail", np.float32), joined("chosen", np.float32), joined("rank", np.int32)
    return [
        pa.array([None if each is None else each.first_pos for each in found], pa.int32()),
        nested("token_ids", joined("ids", np.int32)),
        nested("logprobs", joined("logprobs", np.float32)),
        listed("tail", pa.array(tail, pa.float32(), mask=np.isnan(tail))),
        listed("chosen", pa.array(chosen, pa.float32(), mask=np.isnan(chosen))),
        listed("rank", pa.array(rank, pa.int32(), mask=rank == 0)),
        draws,
    ]


def _offsets(counts: Sequence[int] | NDArray[np.int64]) -> pa.Array:
    return pa.array(np.concatenate(([0], np.cumsum(np.asarray(counts, np.int64)))), pa.int32())
