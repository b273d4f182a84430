"""Files that declare much in little data: signed as they are, and refused before anything is made of what they declare."""

import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inbond.registry.objects import ObjectStore
from inbond.registry.shards import arrow, limits
from inbond.registry.shards.blocks import block_root, leaves_of
from inbond.registry.shards.reader import ShardReader
from inbond.registry.shards.records import Message, Record
from inbond.registry.shards.writer import WrittenShard
from inbond.schemas.columns import NUMERIC_COLUMNS
from inbond.schemas.errors import VerificationError

ROWS = 77
I64 = b"\x16"  # head of a 64-bit field that follows the one before it, in Thrift's compact protocol
NUMBER = I64 + b"\x9a\x01"  # ROWS

AS_WRITTEN = {
    "use_dictionary": False,
    "compression": "zstd",
    "store_schema": False,
    "write_statistics": list(NUMERIC_COLUMNS),
}


def zigzag(value: int) -> bytes:
    value, out = value << 1, bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def written(text: str = "a", **settings: Any) -> bytes:
    """A file of ROWS rows, each with two turns and `text`, as the writer writes."""
    prompt = (Message("user", "q"), Message("user", text))
    records = [Record(prompt=prompt, own_turns=(), response=text, refs=()) for _ in range(ROWS)]
    table = arrow.to_table(records, [bytes(32)] * ROWS, random.Random(1).randbytes(16 * ROWS), [None] * ROWS)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **(AS_WRITTEN | settings))
    return sink.getvalue().to_pybytes()


def footer_changed(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    at = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = change(data[at:-8])
    return data[:at] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def read(store: ObjectStore, data: bytes, rows: int = ROWS) -> pa.Table:
    root = block_root(leaves_of(data)).hex()
    said = WrittenShard(store.put_bytes(data), len(data), root, "0" * 64, rows, 0, None, None)
    fields = {name: getattr(said, name) for name in ("digest", "size", "block_root", "record_root", "rows")}
    with ShardReader(store, **fields, name="shard s") as reader:
        return reader.read()


def test_what_is_written_plainly_is_read(store: ObjectStore) -> None:
    assert read(store, written()).num_rows == ROWS
    assert read(store, written("", data_page_version="2.0")).num_rows == ROWS


def test_more_rows_than_bytes_are_refused(store: ObjectStore) -> None:
    huge = 1 << 40
    data = footer_changed(written(), lambda footer: footer.replace(NUMBER, I64 + zigzag(huge)))
    with pytest.raises(VerificationError, match=rf"shard s: expected at most {len(data) // 16} rows in .* found {huge}"):
        read(store, data, huge)


def test_a_footer_of_other_rows_than_were_signed_is_refused(store: ObjectStore) -> None:
    data = footer_changed(written(), lambda footer: footer.replace(NUMBER, I64 + zigzag(78), 1))
    with pytest.raises(VerificationError, match="shard s: expected 77 rows, found 78 in its footer"):
        read(store, data)


def test_row_groups_that_have_other_rows_than_the_file_are_refused(store: ObjectStore) -> None:
    data = footer_changed(written(), lambda footer: footer[::-1].replace(NUMBER[::-1], (I64 + zigzag(78))[::-1], 1)[::-1])
    with pytest.raises(VerificationError, match="shard s: expected row groups of 77 rows in all, found 78"):
        read(store, data)


def test_more_list_elements_than_bytes_are_refused(store: ObjectStore) -> None:
    data = footer_changed(written(), lambda footer: footer.replace(I64 + zigzag(2 * ROWS), I64 + zigzag(8191)))
    with pytest.raises(VerificationError, match=r"column prompt\.list\.element\.\w+, row group 0: expected 77 to .* found 8191"):
        read(store, data)


def test_chunks_that_decompress_to_far_more_are_refused(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    data = written("a" * 200_000)
    assert len(data) < 100_000
    assert read(store, data).num_rows == ROWS
    monkeypatch.setattr(limits, "MAX_CHUNK", 1 << 20)
    with pytest.raises(VerificationError, match=r"column prompt.* expected at most \d+ bytes declared in \d+, found 15"):
        read(store, data)


def test_chunks_outside_the_data_are_refused(store: ObjectStore) -> None:
    data = written()
    offset = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0).column(1).data_page_offset
    beyond = 1 << 33
    changed = footer_changed(data, lambda footer: footer.replace(b"\x26" + zigzag(offset), b"\x26" + zigzag(beyond)))
    with pytest.raises(VerificationError, match=rf"expected its bytes within .* found \[{beyond}"):
        read(store, changed)


@pytest.mark.parametrize("what", ["size", "values"])
def test_pages_that_declare_more_than_the_footer_are_refused(store: ObjectStore, what: str) -> None:
    text = "a" * 200_000
    data = written(text, data_page_size=1 << 30)
    chunk = next(
        chunk
        for number in range(pq.ParquetFile(pa.BufferReader(data)).metadata.num_columns)
        if (chunk := pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0).column(number)).path_in_schema == "response"
    )
    at, end = chunk.data_page_offset, chunk.data_page_offset + 40
    header = data[at:end]
    size = zigzag(ROWS * (len(text) + 4))
    changed = header.replace(size, b"\xfe\xff\xff\x7f") if what == "size" else header.replace(zigzag(ROWS), b"\xfe\x7f", 1)
    assert changed != header
    with pytest.raises(VerificationError, match=rf"page at byte {at}: expected pages of {chunk.total_uncompressed_size} bytes"):
        read(store, data[:at] + changed + data[end:])


def test_a_page_that_is_none_is_refused(store: ObjectStore) -> None:
    data = written()
    with pytest.raises(VerificationError, match="expected a data page of plain values at byte 4, found another"):
        read(store, data[:4] + b"\x19" + data[5:])


def test_values_that_repeat_others_are_refused(store: ObjectStore) -> None:
    with pytest.raises(VerificationError, match=r"expected values written plainly, found .*RLE_DICTIONARY"):
        read(store, written(use_dictionary=True))


def test_a_footer_longer_than_the_file_is_refused(store: ObjectStore) -> None:
    data = written()
    with pytest.raises(VerificationError, match="found no footer of one"):
        read(store, data[:-8] + (1 << 31).to_bytes(4, "little") + b"PAR1")
