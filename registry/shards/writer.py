"""Records into one text shard: a Parquet file that is written once and named by its SHA-256.

Same records, same salts, same pyarrow: same bytes. There is no wall clock in a shard, no dictionary, no statistics on text
(they would repeat text in the footer), and no second copy of the schema. Text is zstd, salts are left as they are.

Memory is bounded by one row group, whatever the number of records. A second thread encodes and hashes while the caller's
thread makes the next records. Before the object gets its name, the whole file is read again from the file system and must
have the bytes that were handed to it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from secrets import token_bytes
from typing import BinaryIO, Generic, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from inbond.ledger import merkle
from inbond.registry.objects import ObjectSink
from inbond.registry.shards import arrow
from inbond.registry.shards.records import SALT_BYTES, Identified, Record, content_ids, others_digest, record_leaf, text_size
from inbond.registry.shards.sealing import SummingSink, seal
from inbond.schemas.columns import NUMERIC_COLUMNS, TEXT_SCHEMA
from inbond.schemas.errors import InvalidInput

R = TypeVar("R")

_Ids = tuple[bytes, bytes | None]

ROW_GROUP_ROWS = 4_096
ROW_GROUP_TEXT = 8 << 20  # long records end a row group early, so that memory stays bounded: a dozen times as much
MAX_ROWS = 65_536
MAX_TEXT = 256 << 20
METADATA_PREFIX = "inbond."
ZSTD_LEVEL = 3  # bench/shard_write.py: a seventh smaller than level 1; what is saved is not hashed on each read
ID_LEVEL = 1  # of columns of digests in hex: smaller than at level 3, and packed in a third of the time

_WRITE_BYTES = 4 << 20


class WrittenShard(msgspec.Struct, frozen=True):
    """What a `shard` statement measures. Digests and roots are "sha256:…"; `size` is in bytes.

    `empty` counts responses of no characters. A token sum is None unless every record says how many it has.
    """

    digest: str
    size: int
    block_root: str
    record_root: str
    rows: int
    empty: int
    prompt_tokens: int | None
    response_tokens: int | None


def write_shard(
    store: ObjectSink,
    records: Iterable[Record | Identified],
    *,
    metadata: Mapping[str, str] | None = None,
    salts: Callable[[int], bytes] = token_bytes,
) -> WrittenShard:
    """Write `records` as one shard into `store`, with its block hashes beside it.

    The ids that come with an `Identified` record are taken as they are.
    `metadata` are unsigned pointers for people, every key beginning with "inbond.". `salts(n)` gives n random bytes.
    Raises InvalidInput for no records, or for one that its columns cannot hold; StoreError where the file system fails or
    does not give back what was written. Nothing but scratch is left by a failure.
    """
    pointers = pointers_of(metadata)
    with store.scratch() as file:
        written = _Writing(file, pointers, salts).write(records)
        sealed = seal(store, file, written.checksum)
    return WrittenShard(
        digest=sealed.digest,
        size=sealed.size,
        block_root=sealed.block_root,
        record_root=f"sha256:{merkle.root_of(written.leaves).hex()}",
        rows=len(written.leaves),
        empty=written.empty,
        prompt_tokens=written.tokens[0],
        response_tokens=written.tokens[1],
    )


def pointers_of(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """The pointers of a shard's file, sorted. Raises InvalidInput for a key that is not one of ours."""
    for key in metadata or ():
        if not key.startswith(METADATA_PREFIX):
            raise InvalidInput(f"shard metadata: expected keys that begin with {METADATA_PREFIX!r}, found {key!r}")
    return dict(sorted((metadata or {}).items()))


class ShardBatcher(Generic[R]):
    """Cuts a stream of records, or of what holds one, into the streams of single shards, the same way each time.

    A shard ends at `max_rows` records, or before their `size` (characters) would exceed `max_text`; a larger one stands alone.
    """

    def __init__(self, size: Callable[[R], int], max_rows: int = MAX_ROWS, max_text: int = MAX_TEXT) -> None:
        self._size, self._max_rows, self._max_text = size, max_rows, max_text

    def split(self, records: Iterable[R]) -> Iterator[Iterator[R]]:
        """One iterator a shard, in order. What a caller leaves of one is skipped when the next is asked for."""
        self._stream = iter(records)
        self._ahead = next(self._stream, None)
        while self._ahead is not None:
            part = self._part()
            yield part
            for _ in part:
                pass

    def _part(self) -> Iterator[R]:
        rows = size = 0
        while (record := self._ahead) is not None:
            size += self._size(record)
            if rows and (rows >= self._max_rows or size > self._max_text):
                return
            rows += 1
            # Taken before it is yielded: a caller who stops early must not be given this record twice.
            self._ahead = next(self._stream, None)
            yield record


class _Writing:
    """One shard on its way into a scratch file."""

    def __init__(self, file: BinaryIO, metadata: Mapping[str, str], salts: Callable[[int], bytes]) -> None:
        self.leaves: list[bytes] = []
        self.empty = 0
        self.tokens: tuple[int | None, int | None] = (0, 0)
        self.checksum = 0
        self._sink = SummingSink(file)
        self._metadata = metadata
        self._salts = salts

    def write(self, records: Iterable[Record | Identified]) -> "_Writing":
        # Buffered outside Python: each call of the sink waits for the interpreter lock, and a row group makes a hundred.
        with pa.BufferedOutputStream(pa.PythonFile(self._sink, mode="w"), _WRITE_BYTES) as stream:
            with _parquet_writer(stream) as writer:
                self._write_groups(writer, records)
                writer.add_key_value_metadata(self._metadata)
            if not self.leaves:
                raise InvalidInput("expected at least one record for a shard, found none")
        self.checksum = self._sink.checksum
        return self

    def _write_groups(self, writer: pq.ParquetWriter, records: Iterable[Record | Identified]) -> None:
        with ThreadPoolExecutor(1, thread_name_prefix="inbond-shard") as other_thread:
            encoding: Future[None] | None = None
            try:
                for group, given in _row_groups(records):
                    ids = self._identify(group, given)
                    if encoding is not None:
                        encoding.result()
                    encoding = other_thread.submit(_encode, writer, group, *ids)
            finally:
                if encoding is not None:
                    encoding.result()

    def _identify(self, group: list[Record], given: list[_Ids | None]) -> tuple[list[bytes], bytes, list[bytes | None]]:
        salts = self._salts(SALT_BYTES * len(group))
        contents, prompts = [], []
        for number, record in enumerate(group):
            content, prompt = given[number] or content_ids(record)
            salt = salts[number * SALT_BYTES : (number + 1) * SALT_BYTES]
            self.leaves.append(merkle.leaf_hash(record_leaf(salt, content, others_digest(record, prompt))))
            contents.append(content)
            prompts.append(prompt)
            self.empty += not record.response
        self.tokens = (
            _add(self.tokens[0], [record.prompt_tokens for record in group]),
            _add(self.tokens[1], [record.response_tokens for record in group]),
        )
        return contents, salts, prompts


def _row_groups(records: Iterable[Record | Identified]) -> Iterator[tuple[list[Record], list[_Ids | None]]]:
    group: list[Record] = []
    given: list[_Ids | None] = []
    size = 0
    for item in records:
        record, ids = item if isinstance(item, Identified) else (item, None)
        size += text_size(record)
        group.append(record)
        given.append(ids)
        if len(group) == ROW_GROUP_ROWS or size >= ROW_GROUP_TEXT:
            yield group, given
            group, given, size = [], [], 0
    if group:
        yield group, given


def _encode(
    writer: pq.ParquetWriter, group: list[Record], contents: list[bytes], salts: bytes, prompts: list[bytes | None]
) -> None:
    writer.write_table(arrow.to_table(group, contents, salts, prompts), row_group_size=len(group))


def _parquet_writer(sink: pa.NativeFile) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        sink,
        TEXT_SCHEMA,
        version="2.6",
        use_dictionary=False,
        compression={name: "NONE" if name == "salt" else "ZSTD" for name in _leaf_columns()},
        compression_level={
            name: ID_LEVEL if name in ("record_id", "prompt_id") else ZSTD_LEVEL for name in _leaf_columns() if name != "salt"
        },
        write_statistics=list(NUMERIC_COLUMNS),
        store_schema=False,
    )


def _leaf_columns() -> list[str]:
    """Parquet's names of the physical columns."""
    names = []
    for field in TEXT_SCHEMA:
        if not pa.types.is_list(field.type):
            names.append(field.name)
        elif pa.types.is_struct(field.type.value_type):
            names += [f"{field.name}.list.element.{inner.name}" for inner in field.type.value_type]
        else:
            names.append(f"{field.name}.list.element")
    return names


def _add(total: int | None, values: list[int | None]) -> int | None:
    if total is None or None in values:
        return None
    return total + sum(value for value in values if value is not None)
