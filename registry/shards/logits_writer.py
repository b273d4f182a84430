"""Distributions into one logits shard: a Parquet file beside that of the text, written once and named by its SHA-256.

Row i belongs to row i of the text shard. Blobs are compressed by the codec, so Parquet stores them as they are, without
dictionary or statistics. Memory is bounded by one row group. As for text, what is signed is hashed from what was read back.
"""

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from secrets import token_bytes
from typing import Any, Self

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from inbond.ledger import merkle
from inbond.registry.objects import ObjectSink
from inbond.registry.shards.describing import CODEC_KEY, codec_told
from inbond.registry.shards.distributions import Distributions
from inbond.registry.shards.logits import STREAMS, LogitsCodec
from inbond.registry.shards.logits_rows import NO_IDS, ids_digest, values_digest
from inbond.registry.shards.ragged import ragged, spans
from inbond.registry.shards.records import SALT_BYTES, record_leaf
from inbond.registry.shards.sealing import SummingSink, seal
from inbond.registry.shards.token_codes import RankMap, worthwhile_map
from inbond.registry.shards.writer import pointers_of
from inbond.schemas.columns import LOGITS_SCHEMA
from inbond.schemas.errors import InvalidInput
from inbond.schemas.statements import Codec

RANK_MAP_KEY = "inbond.rank_map"
ROW_GROUP_BYTES = 7 << 20  # of the entries as they are estimated, so that a row group stays below 8 MB
ROW_GROUP_ROWS = 16_384

_WRITE_BYTES = 4 << 20


class WrittenLogits(msgspec.Struct, frozen=True):
    """What a `shard` statement measures of log-probabilities. Digests and roots are "sha256:…"; `size` is in bytes.

    `empty` counts rows without positions, `positions` all positions; `codec` is that of the statement.
    """

    digest: str
    size: int
    block_root: str
    record_root: str
    rows: int
    empty: int
    positions: int
    codec: Codec


class LogitsWriter:
    """One logits shard on its way into `store`; a context manager, which leaves nothing but scratch unless it is finished.

    `metadata` are unsigned pointers for people, as of a text shard. Raises InvalidInput, naming the row, for distributions that
    do not keep what they promise (`Distributions.check`), and StoreError where the file system fails.
    """

    def __init__(self, store: ObjectSink, codec: LogitsCodec, *, metadata: Mapping[str, str] | None = None) -> None:
        self._store, self._codec, self._pointers = store, codec, pointers_of(metadata)
        self._open = ExitStack()
        self._file = self._open.enter_context(store.scratch())
        self._sink = SummingSink(self._file)
        self._stream: pa.NativeFile | None = None
        self._writer: pq.ParquetWriter | None = None
        self._group: list[tuple[bytes, Distributions | None]] = []
        self._weight = 0
        self._per_entry = 3 if codec.level.value == "compact" else 2 + np.dtype(codec.dtype).itemsize
        self._leaves: list[bytes] = []
        self._empty = self._positions = self._largest = 0
        self._ranks: RankMap | None = None

    def add(self, record_id: bytes, found: Distributions | None) -> None:
        """The next row: the raw record id of the text's row, and what was said of it, None for nothing."""
        if found is not None:
            try:
                found.check(self._codec.vocabulary if self._codec.ids != "table" else 1 << 32)
            except InvalidInput as error:
                row = len(self._leaves) + len(self._group)
                raise InvalidInput(f"row {row}: {error.message}", hint=error.hint) from None
            self._weight += len(found.ids) * self._per_entry + 8 * found.n
            self._largest = max(self._largest, int(found.ids.max(initial=0)), int(found.input_ids.max(initial=0)))
        self._group.append((record_id, found))
        if self._weight >= ROW_GROUP_BYTES or len(self._group) == ROW_GROUP_ROWS:
            self._write_group()

    def finish(self, codec: LogitsCodec | None = None) -> WrittenLogits | None:
        """Put the shard into the store; None where no row has positions.

        `codec` is the codec as it is known at the end, where that is more: the vocabulary of a table grows with its rows.
        """
        final = codec or self._codec
        if self._positions == 0 and not any(found for _, found in self._group):
            return None
        if self._group:
            self._write_group()
        if self._largest >= final.vocabulary:
            raise InvalidInput(f"logits: expected token ids below {final.vocabulary}, found {self._largest}")
        assert self._writer is not None
        assert self._stream is not None
        described = replace(final, rank_map=self._ranks.digest if self._ranks else None).described()
        pointers = {**self._pointers, CODEC_KEY: codec_told(described)}
        if self._ranks:
            pointers[RANK_MAP_KEY] = self._ranks.data()
        self._writer.add_key_value_metadata(pointers)
        self._writer.close()
        self._stream.close()
        sealed = seal(self._store, self._file, self._sink.checksum)
        return WrittenLogits(
            digest=sealed.digest,
            size=sealed.size,
            block_root=sealed.block_root,
            record_root=f"sha256:{merkle.root_of(self._leaves).hex()}",
            rows=len(self._leaves),
            empty=self._empty,
            positions=self._positions,
            codec=described,
        )

    def close(self) -> None:
        """Let go of the scratch file. May be called twice."""
        for unfinished in (self._writer, self._stream):
            if unfinished is not None:
                with suppress(Exception):  # of what is thrown away; pyarrow would complain later, on standard error
                    unfinished.close()
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_group(self) -> None:
        group, self._group, self._weight = self._group, [], 0
        records = ragged([found for _, found in group], draws=self._codec.selection.value == "draws")
        if self._writer is None:
            # The first row group stands for the others: the map has to be there before any of them is written.
            self._ranks = worthwhile_map(records.ids, self._codec.vocabulary) if self._codec.ids != "table" else None
            self._stream = pa.BufferedOutputStream(pa.PythonFile(self._sink, mode="w"), _WRITE_BYTES)
            self._writer = _parquet_writer(self._stream)
        streams = self._encoded(group)
        salts = token_bytes(SALT_BYTES * len(group))
        columns: dict[str, Any] = {
            "record_id": [record_id.hex() for record_id, _ in group],
            "salt": [salts[at : at + SALT_BYTES] for at in range(0, len(salts), SALT_BYTES)],
            "n_pos": records.positions.tolist(),
            "first_pos": records.first_pos.tolist(),
            "ids_sha256": [NO_IDS if found is None else ids_digest(found.input_ids) for _, found in group],
            **streams,
        }
        for row, (record_id, found) in enumerate(group):
            blobs = [stream[row] for stream in streams.values()]
            values = values_digest(columns["n_pos"][row], columns["first_pos"][row], columns["ids_sha256"][row], blobs)
            self._leaves.append(merkle.leaf_hash(record_leaf(columns["salt"][row], record_id, values)))
            self._empty += found is None
        self._positions += int(records.positions.sum())
        table = pa.table([pa.array(columns[field.name], field.type) for field in LOGITS_SCHEMA], schema=LOGITS_SCHEMA)
        self._writer.write_table(table, row_group_size=len(group))

    def _encoded(self, group: list[tuple[bytes, Distributions | None]]) -> dict[str, list[bytes]]:
        """The blobs of a row group by stream."""
        streams: dict[str, list[bytes]] = {name: [] for name in STREAMS}
        for first, end in spans([0 if found is None else found.n for _, found in group]):
            part = group[first:end]
            records = ragged([found for _, found in part], draws=self._codec.selection.value == "draws")
            for name, blobs in self._codec.encode(records, _own_tokens(part), self._ranks)._asdict().items():
                streams[name] += blobs
        return streams


def _own_tokens(group: list[tuple[bytes, Distributions | None]]) -> NDArray[np.uint32]:
    there = [found.input_ids[found.first_pos : found.first_pos + found.n] for _, found in group if found is not None]
    return np.concatenate([np.empty(0, np.uint32), *there])


def _parquet_writer(sink: pa.NativeFile) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        sink,
        LOGITS_SCHEMA,
        version="2.6",
        use_dictionary=False,
        compression="NONE",
        write_statistics=["n_pos", "first_pos"],
        store_schema=False,
    )
