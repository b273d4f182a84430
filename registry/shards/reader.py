"""Verified reads of a text shard: any columns, any rows, no byte parsed before it was checked.

pyarrow reads through a `VerifiedFile`, so the footer and every column chunk are checked against the block root of the
signed `shard` statement, and only what a read touches is read. That the rows are what their record ids say is a second
question, answered by `check_records` against the signed record root.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq

from inbond.ledger import merkle
from inbond.registry.objects import ObjectStore, bare
from inbond.registry.shards import arrow, blocks
from inbond.registry.shards.records import Record, content_ids, others_digest, record_leaf
from inbond.schemas.columns import OTHER_COLUMNS, TEXT_SCHEMA
from inbond.schemas.errors import InvalidInput, VerificationError


class ShardReader:
    """One shard, opened by what its statement says.

    `source` is the store that holds it, or its file; `leaf_hashes` are the file's joined block hashes (without them they are
    computed from the file: it is read once whole). `digest`, `block_root` and `record_root` are hex, with or without
    "sha256:". `name` is what errors call the shard. Opening verifies the footer. May be used from several threads; reads
    take turns.

    Raises NotFound, and VerificationError for bytes that are not those of the statement, or that are but do not hold a
    text shard of `rows` records.
    """

    def __init__(
        self,
        source: ObjectStore | BinaryIO,
        *,
        digest: str,
        size: int,
        block_root: str,
        record_root: str,
        rows: int,
        name: str | None = None,
        leaf_hashes: bytes | None = None,
    ) -> None:
        self.digest, self.record_root, self.rows = bare(digest), bytes.fromhex(bare(record_root)), rows
        self.name = name or f"shard sha256:{self.digest}"
        root = bytes.fromhex(bare(block_root))
        if isinstance(source, ObjectStore):
            raw: BinaryIO = source.open(self.digest)
            joined = source.get_blocks(self.digest)
        else:
            raw = source
            joined = _hashed(raw) if leaf_hashes is None else leaf_hashes
        try:
            hashes = blocks.split_hashes(joined, size, self.name)
            self._file = blocks.VerifiedFile(raw, size=size, hashes=hashes, root=root, name=self.name)
            with self._parsing():
                self._parquet = pq.ParquetFile(pa.PythonFile(self._file, mode="r"), pre_buffer=True)
            self._check_form()
        except BaseException:
            raw.close()
            raise
        self._starts = [0]
        for group in range(self._parquet.metadata.num_row_groups):
            self._starts.append(self._starts[-1] + self._parquet.metadata.row_group(group).num_rows)
        self._lock = Lock()

    def read(self, columns: Sequence[str] | None = None, rows: Sequence[range] | None = None) -> pa.Table:
        """The named columns (all by default) of the given row ranges (half-open; all by default), in the order given.

        Raises InvalidInput for a column or a range that the shard does not have, VerificationError for altered bytes.
        """
        names = _names(columns)
        if rows is None and columns is None:
            with self._lock, self._parsing():
                return self._read_whole().select(names)
        if rows is None:
            with self._lock, self._parsing():
                return self._parquet.read(columns=names, use_threads=True).select(names)
        tables = list(self.batches(columns, rows))
        return pa.concat_tables(tables) if tables else pa.schema([TEXT_SCHEMA.field(n) for n in names]).empty_table()

    def _read_whole(self) -> pa.Table:
        """Every row group, some at a time, each decoded once its bytes are verified, while those behind it still are."""
        buffer = pa.allocate_buffer(self._file.size())
        copy = self._file.checked_ahead(memoryview(buffer).cast("B"))
        metadata = self._parquet.metadata  # verified when the shard was opened; the copy's footer is not read

        def decoded(group: int) -> pa.Table:
            copy.until(_end_of(metadata.row_group(group)))
            parquet = pq.ParquetFile(pa.BufferReader(buffer), metadata=metadata)
            return parquet.read_row_group(group, use_threads=False)

        with ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="inbond-decode") as pool:
            return pa.concat_tables(pool.map(decoded, range(metadata.num_row_groups)))

    def batches(self, columns: Sequence[str] | None = None, rows: Sequence[range] | None = None) -> Iterator[pa.Table]:
        """As `read`, piece by piece: memory is bounded by a row group. The pieces' borders mean nothing."""
        names = _names(columns)
        for wanted in self._ranges(rows):
            for group, first in enumerate(self._starts[:-1]):
                begin, end = max(wanted.start, first), min(wanted.stop, self._starts[group + 1])
                if begin < end:
                    with self._lock, self._parsing():
                        table = self._parquet.read_row_group(group, columns=names, use_threads=True)
                    yield table.select(names).slice(begin - first, end - begin)

    def records(self, rows: Sequence[range] | None = None) -> Iterator[Record]:
        """The records of the given row ranges."""
        for table in self.batches(Record.__struct_fields__, rows):
            with self._parsing():
                records = arrow.to_records(table)
            yield from records

    def check_records(self) -> None:
        """Compute every record id, prompt id and leaf again from the rows, and compare ids and record root.

        Raises VerificationError, naming the row, or the shard where the root differs.
        """
        leaves: list[bytes] = []
        for table in self.batches():
            with self._parsing():
                rows = zip(
                    arrow.to_records(table),
                    arrow.record_ids(table),
                    arrow.prompt_ids(table),
                    arrow.salts(table),
                    strict=True,
                )
                for record, stored, stored_prompt, salt in rows:
                    content, prompt = content_ids(record)
                    if (content, prompt) != (stored, stored_prompt):
                        raise VerificationError(
                            f"{self.name}, row {len(leaves)}: expected record id {content.hex()} and prompt id "
                            f"{prompt and prompt.hex()} from its content, found {stored.hex()} and "
                            f"{stored_prompt and stored_prompt.hex()}"
                        )
                    leaves.append(merkle.leaf_hash(record_leaf(salt, content, others_digest(record, prompt))))
        self._check_root(leaves)

    def record_leaves(self) -> list[bytes]:
        """The leaf hashes under the record root, from stored ids and without reading content; checked against the root."""
        leaves: list[bytes] = []
        for table in self.batches(("record_id", "salt", *OTHER_COLUMNS)):
            with self._parsing():
                prompts = arrow.prompt_ids(table)
                for content, salt, record, prompt in zip(
                    arrow.record_ids(table), arrow.salts(table), arrow.to_records(table), prompts, strict=True
                ):
                    leaves.append(merkle.leaf_hash(record_leaf(salt, content, others_digest(record, prompt))))
        self._check_root(leaves)
        return leaves

    def close(self) -> None:
        """Close the file."""
        self._parquet.close(force=True)
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_form(self) -> None:
        found = self._parquet.schema_arrow
        if not found.equals(TEXT_SCHEMA):
            raise VerificationError(f"{self.name}: expected the columns of a text shard, found {found.names}")
        if self._parquet.metadata.num_rows != self.rows:
            raise VerificationError(
                f"{self.name}: expected {self.rows} rows, found {self._parquet.metadata.num_rows} in its footer"
            )

    def _check_root(self, leaves: Sequence[bytes]) -> None:
        found = merkle.root_of(leaves)
        if len(leaves) != self.rows or found != self.record_root:
            raise VerificationError(
                f"{self.name}: expected record root {self.record_root.hex()} over {self.rows} records, "
                f"found {found.hex()} over {len(leaves)}"
            )

    def _ranges(self, rows: Sequence[range] | None) -> Iterable[range]:
        if rows is None:
            return [range(self.rows)]
        for wanted in rows:
            if wanted.step != 1 or not 0 <= wanted.start <= wanted.stop <= self.rows:
                raise InvalidInput(f"{self.name}: expected row ranges within [0, {self.rows}), found {wanted}")
        return rows

    @contextmanager
    def _parsing(self) -> Iterator[None]:
        """What pyarrow or a column's values raise, as our errors. The bytes are the signed ones, so their maker erred."""
        try:
            yield
        except InvalidInput as error:
            raise VerificationError(f"{self.name}: {error.message}") from None
        except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError) as error:
            raise VerificationError(f"{self.name}: expected a text shard in Parquet form, found: {error}") from None


def _hashed(file: BinaryIO) -> bytes:
    file.seek(0)
    return blocks.join_hashes(blocks.block_hashes(file))


def _names(columns: Sequence[str] | None) -> list[str]:
    if columns is None:
        return list(TEXT_SCHEMA.names)
    for name in columns:
        if name not in TEXT_SCHEMA.names:
            raise InvalidInput(f"expected columns among {', '.join(TEXT_SCHEMA.names)}, found {name!r}")
    return list(columns)


def _end_of(group: pq.RowGroupMetaData) -> int:
    """Where the bytes of a row group end; its column chunks may have a dictionary page before their data."""
    end = 0
    for index in range(group.num_columns):
        chunk = group.column(index)
        start = chunk.data_page_offset
        if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
            start = min(start, chunk.dictionary_page_offset)
        end = max(end, start + chunk.total_compressed_size)
    return end
