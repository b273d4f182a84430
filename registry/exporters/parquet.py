"""Plain Parquet: the columns of the text without salts, and log-probabilities as lists, for any reader.

Beside the text's columns stand, where log-probabilities go along, `first_pos`, `token_ids` and `logprobs` (lists of lists: for
each position its entries; nats), `tail`, `chosen` and `rank` (lists). Element t of them is about token `first_pos + t`, given all
tokens before it. What a source does not say is null.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from inbond.registry.exporters.base import SIGNAL, Exporter, LogitsShard, Readers, Source, Ticker, Writing, Written, chosen_logits
from inbond.registry.exporters.signals import LOGITS_SCHEMA, beside, plain_columns
from inbond.schemas.columns import TEXT_SCHEMA

_TEXT = [field for field in TEXT_SCHEMA if field.name != "salt"]
METADATA_SHARD = "inbond.rows_of"
"""A key of a file's metadata: the shard that its rows are of."""


class ParquetWriting(Writing):
    """See the module."""

    def __init__(self, logits: Mapping[str, LogitsShard]) -> None:
        self._logits = logits
        self._schema = pa.schema([*_TEXT, *(LOGITS_SCHEMA if logits else ())])

    def write(self, source: Source, readers: Readers, path: Path, tick: Ticker) -> Written:
        """A row a record; each file has all columns of the export."""
        logits = self._logits.get(source.shard)
        written = Written(logits=() if logits is None else (logits.ref,))
        names = [field.name for field in _TEXT]
        with pq.ParquetWriter(path, self._schema, compression="zstd") as writer:
            for numbers, table, found in beside(source, logits, names, readers):
                columns = [*table.select(names).combine_chunks().columns, *(plain_columns(found) if self._logits else ())]
                writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
                written.rows.append(numbers)
                tick(len(numbers))
            writer.add_key_value_metadata({METADATA_SHARD: source.shard})
        return written


def _begin(sources: Sequence[Source], options: Mapping[str, str]) -> Writing:
    signal = options.get("signal")
    return ParquetWriting({} if signal == "none" else chosen_logits(sources, signal, "parquet"))


PARQUET = Exporter(
    name="parquet",
    version="1",
    describes="plain Parquet: the columns of the text, and log-probabilities as lists",
    example="record_id, prompt: list<struct<role, content>>, response, …, token_ids: list<list<int32>>, logprobs, …",
    suffix=".parquet",
    begin=_begin,
    options=(SIGNAL,),
)
