"""Footers that are not as our writers write them: signed as they are, and refused before pyarrow sees them."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inbond.registry.objects import ObjectStore
from inbond.registry.shards import thrift
from inbond.registry.shards.schema_elements import elements_of, leaves_of
from inbond.schemas.columns import LOGITS_SCHEMA, TEXT_SCHEMA
from inbond.schemas.errors import VerificationError
from tests.registry.shards import footer_fuzz
from tests.registry.shards.test_limits import ROWS, footer_changed, read, written, zigzag

Change = Callable[[bytes], bytes]


def replaced(old: bytes, new: bytes, count: int = 1) -> Change:
    def change(footer: bytes) -> bytes:
        assert old in footer
        return footer.replace(old, new, count)

    return change


def after(path: bytes, old: bytes, new: bytes) -> Change:
    """`old` becomes `new` where it is first seen behind a column's path in its chunk."""

    def change(footer: bytes) -> bytes:
        at = footer.index(b"\x19\x18" + thrift.varint(len(path)) + path)
        return footer[:at] + replaced(old, new)(footer[at:])

    return change


CODEC = b"\x15\x0c\x16" + zigzag(ROWS)
CHANGES: dict[str, tuple[Change, str]] = {
    "a codec that nobody knows": (
        after(b"response", CODEC, b"\x15\xc6\x01\x16" + zigzag(ROWS)),
        "column response, row group 0: expected codec ZSTD or none, found codec 99",
    ),
    "a codec that is not ours": (after(b"response", CODEC, b"\x15\x02\x16" + zigzag(ROWS)), "found SNAPPY"),
    "a type that there is not": (after(b"kind", b"\x15\x0c\x19", b"\x15\x7e\x19"), "expected .* type 6, found type 63"),
    "an encoding that nobody knows": (after(b"kind", b"\x19\x25\x06\x00", b"\x19\x25\x06\x7e"), "plainly, found RLE, 63"),
    "another column": (replaced(b"\x19\x18\x04kind", b"\x19\x18\x04kine"), "expected column kind, found kine"),
    "a chunk in another file": (
        after(b"kind", b"\x00\x26\x00\x1c\x15\x0c", b"\x00\x18\x01a\x16\x00\x1c\x15\x0c"),
        "expected bytes in this file, not encrypted, found fields",
    ),
    "fewer columns in a row group": (replaced(b"\x19\xfc\x17\x26", b"\x19\xfc\x16\x26"), "expected 23 columns in row group 0"),
    "more row groups than bytes": (replaced(b"\x19\x1c\x19\xfc", b"\x19\xfc\xff\xff\x7f\x19\xfc"), "a list of what"),
    "another version": (lambda footer: b"\x15\x08" + footer[2:], "expected version 1 or 2 of Parquet"),
    "a nullable column": (replaced(b"\x25\x00\x18\x04kind", b"\x25\x02\x18\x04kind"), "with {1: 6, 3: 0, 4: b'kind'"),
    "an encrypted file": (lambda footer: footer[:-1] + b"\x1c\x1c\x00\x00\x00", "expected the orders of its columns"),
    "something behind its end": (lambda footer: footer + b"\x00", "expected the footer's end, found 1 bytes more"),
    "an order that there is not": (lambda footer: footer[:-3] + b"\x2c\x00\x00\x00", "expected the orders of its columns"),
    "an end in the middle": (lambda footer: footer[: len(footer) // 2], "expected"),
    "a writer of no name": (replaced(b"parquet-cpp", b"parquet\xffcpp"), "expected what wrote it"),
    "a schema that cannot be read": (lambda footer: footer[:6] + b"\xff" * 30, "found no schema that can be read"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_a_footer_of_another_form_is_refused(store: ObjectStore, what: str) -> None:
    change, text = CHANGES[what]
    with pytest.raises(VerificationError, match=f"shard s: .*{text}"):
        read(store, footer_changed(written(), change))


SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "snappy": ({"compression": "snappy"}, "expected codec ZSTD or none, found SNAPPY"),
    "statistics of text": ({"write_statistics": True}, "column record_id, row group 0: expected statistics of numbers alone"),
    "another copy of the schema": ({"store_schema": True}, "expected metadata under keys .*, found b'ARROW:schema'"),
}  # fmt: skip


@pytest.mark.parametrize("what", SETTINGS)
def test_what_other_writers_write_is_refused(store: ObjectStore, what: str) -> None:
    settings, text = SETTINGS[what]
    with pytest.raises(VerificationError, match=text):
        read(store, written(**settings))


def test_histograms_have_a_number_for_each_level(store: ObjectStore) -> None:
    """Others end pyarrow's process."""
    change = after(b"record_id", b"\x19\x06\x19\x06\x00\x00", b"\x19\x36\x02\x02\x02\x19\x06\x00\x00")
    with pytest.raises(VerificationError, match="expected 1 numbers or none of how often a repetition level is there, found 3"):
        read(store, footer_changed(written(), change))


def test_chunks_do_not_overlap(store: ObjectStore) -> None:
    data = written()
    chunks = [pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0).column(at) for at in (8, 9)]
    first, second = (b"\x26" + zigzag(chunk.data_page_offset) for chunk in chunks)
    with pytest.raises(VerificationError, match=r"column reasoning, row group 0: expected its bytes within \[\d+, \d+\), found"):
        read(store, footer_changed(data, replaced(second, first)))


def test_indexes_of_pages_are_between_data_and_footer(store: ObjectStore) -> None:
    data = written(write_page_index=True)
    assert read(store, data).num_rows == ROWS
    chunk = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0).column(3)
    assert chunk.has_column_index
    at = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    found = thrift.struct(data[at:-8], 0)[0][4][0][1][3]
    for old, new in ((found[4], 4), (found[4], at), (found[6], at - 1)):
        change = replaced(b"\x16" + zigzag(old) + b"\x15", b"\x16" + zigzag(new) + b"\x15")
        with pytest.raises(VerificationError, match=r"column sample, row group 0: expected indexes of its pages within \["):
            read(store, footer_changed(data, change))


@pytest.mark.parametrize(
    ("settings", "old", "new", "text"),
    [
        ({}, b"\x15\x00\x15\x06\x15", b"\x15\x7e\x15\x06\x15", "expected a data page of plain"),
        ({}, b"\x15\x00\x15", b"\x15\x04\x15", "expected a data page of plain values"),
        ({"compression": "none"}, b"\x15\x00\x15" + zigzag(308), b"\x15\x00\x15" + zigzag(309), "the 309 bytes of"),
        ({}, b"\x2c\x15" + zigzag(ROWS), b"\x2c\x15" + zigzag(ROWS - 1), f"and {ROWS} values, as the footer declares, found"),
        (
            {"data_page_version": "2.0"},
            b"\x15\x00\x15\x00\x15\x00\x11", b"\x15\x00\x15\x7f\x15\x00\x11", "expected numbers from 0 to 2147483647",
        ),
    ],
)  # fmt: skip
def test_page_headers_of_another_form_are_refused(
    store: ObjectStore, settings: dict[str, Any], old: bytes, new: bytes, text: str
) -> None:
    data = written(**settings)
    at = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0).column(3).data_page_offset
    with pytest.raises(VerificationError, match=text):
        read(store, data[:at] + replaced(old, new)(data[at:]))


@pytest.mark.parametrize("schema", [TEXT_SCHEMA, LOGITS_SCHEMA])
def test_schemas_are_as_pyarrow_writes_them(schema: pa.Schema) -> None:
    sink = io.BytesIO()
    pq.write_table(schema.empty_table(), sink, store_schema=False)
    found = pq.read_metadata(sink).schema
    columns = [found.column(at) for at in range(len(found.names))]
    leaves = leaves_of(schema)
    assert [leaf.path for leaf in leaves] == [column.path for column in columns]
    assert [leaf.is_nested for leaf in leaves] == [column.max_repetition_level > 0 for column in columns]
    levels = [(column.max_repetition_level + 1, column.max_definition_level + 1) for column in columns]
    assert [(leaf.repeated[1] >> 4, leaf.defined[1] >> 4) for leaf in leaves] == levels
    assert elements_of(schema) in sink.getvalue()


def test_altered_footers_raise_only_our_errors_and_end_no_process() -> None:
    """In a process of its own, as pyarrow ends it where it sees what it does not expect; by hand with more inputs."""
    command = [sys.executable, "-m", footer_fuzz.__name__, "4", "150"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "150 inputs" in done.stdout
