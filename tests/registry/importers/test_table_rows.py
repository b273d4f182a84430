import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbond.registry.importers import Input, Rejected, importer, table_limits, table_rows
from inbond.registry.importers.inputs import BLOCK
from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Message, Record
from inbond.registry.shards.thrift import struct
from inbond.schemas.errors import InvalidInput
from tests.registry.importers.seen import record, reject

Import = Callable[..., list[Record | Observed | Rejected]]


def parquet(rows: list[dict[str, Any]] | pa.Table, **settings: Any) -> bytes:
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
    sink = io.BytesIO()
    pq.write_table(table, sink, **settings)
    return sink.getvalue()


def test_rows_are_the_objects_of_json_lines(run_import: Import) -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    called = [{"role": "user", "content": "é"}, {"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}]
    rows = [{"messages": turns, "id": 1, "score": None}, {"messages": called, "id": None, "score": 0.5}] * 700
    found = [record(item) for item in run_import("messages", parquet(rows, row_group_size=300))]
    assert found[::2] == [Record(prompt=(Message("user", "hi"),), own_turns=(), response="hello", extra='{"id":1}')] * 700
    extra = '{"messages":[{},{"tool_calls":[{"id":"1"}]}],"score":0.5}'
    assert found[1::2] == [Record(prompt=(Message("user", "é"),), own_turns=(), response="", extra=extra)] * 700


def test_values_that_json_does_not_have_become_texts(run_import: Import) -> None:
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    rows = [{"prompt": "p", "response": "r", "image": b"\x00\xff", "at": moment, "nan": float("nan"), "n": 2**60, "none": None}]
    (found,) = run_import("columns", parquet(rows))
    extra = json.loads(record(found).extra or "")
    assert extra == {"at": "2026-01-31T12:00:00Z", "image": "AP8=", "n": 2**60, "nan": None}


def test_a_rejected_row_has_its_number_and_the_others_go_through(run_import: Import) -> None:
    rows = [{"instruction": "a", "output": "b"}, {"instruction": "c", "output": None}, {"instruction": "e", "output": "f"}]
    first, second, third = run_import("alpaca", parquet(rows, row_group_size=2))
    assert (record(first).response, record(third).response) == ("b", "f")
    assert reject(second) == ("output", "missing-field")
    assert isinstance(second, Rejected)
    assert (second.line, second.number) == (2, 2)


def test_a_row_that_is_too_large_is_left_out(run_import: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_rows, "MAX_RECORD", 100)
    found = run_import("columns", parquet([{"prompt": "p", "response": "x" * size} for size in (5, 200, 5)]))
    assert [isinstance(item, Rejected) for item in found] == [False, True, False]
    assert reject(found[1]) == ("", "too-large")


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_layouts_of_writers_are_read(run_import: Import, compression: str, version: str) -> None:
    rows = [
        {"prompt": f"p{number % 3}", "response": "r" * number, "tags": [str(number)] * (number % 4)} for number in range(2000)
    ]
    data = parquet(
        rows, compression=compression, data_page_version=version, row_group_size=700, data_page_size=2000, write_page_index=True
    )
    found = [record(item) for item in run_import("columns", data)]
    assert [(item.prompt, item.response) for item in found] == [
        ((Message("user", row["prompt"]),), row["response"]) for row in rows
    ]
    assert [json.loads(item.extra or "{}")["tags"] for item in found] == [row["tags"] for row in rows]


def varint(number: int) -> bytes:
    """A number as Thrift's compact protocol writes it."""
    number = number << 1 if number >= 0 else (-number << 1) - 1
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])


def with_footer(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    size = int.from_bytes(data[-8:-4], "little")
    footer = change(data[-8 - size : -8])
    return data[: -8 - size] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def plain(rows: int = 12_345, **columns: Any) -> bytes:
    table = pa.table({"prompt": ["p"] * rows, "response": ["r"] * rows, **columns})
    return parquet(table, use_dictionary=False, compression="none", write_statistics=False, store_schema=False)


def refusal(run_import: Import, data: bytes, name: str = "columns") -> str:
    with pytest.raises(InvalidInput) as caught:
        run_import(name, data)
    return caught.value.message


def test_more_rows_than_bytes_are_refused(run_import: Import) -> None:
    many = with_footer(plain(), lambda footer: footer.replace(varint(12_345), varint(2**61)))
    assert "expected at most one row a byte, found 2305843009213693952 rows declared in" in refusal(run_import, many)


def test_rows_that_do_not_add_up_are_refused(run_import: Import) -> None:
    other = with_footer(plain(), lambda footer: footer.replace(varint(12_345), varint(12_346), 1))
    assert "expected row groups of 12346 rows in all, found 12345" in refusal(run_import, other)


def test_values_that_are_not_one_a_row_are_refused(run_import: Import) -> None:
    data = plain(columns_of_lists := 1000, tags=[["x"] * 54 for _ in range(columns_of_lists)])
    assert len(run_import("columns", data)) == 1000
    many = with_footer(data, lambda footer: footer.replace(varint(54_000), varint(2**40)))
    assert "column tags.list.element: expected elements in proportion to" in refusal(run_import, many)


def test_columns_longer_than_the_table_are_refused(run_import: Import) -> None:
    def change(footer: bytes) -> bytes:
        before, rows, columns = footer.partition(varint(12_345))  # of the file; then come those of its columns
        return before + rows + columns.replace(varint(12_345), varint(12_346), 1)

    assert "column prompt: expected 12345 values, one a row, found 12346" in refusal(run_import, with_footer(plain(), change))


def test_chunks_outside_the_file_are_refused(run_import: Import) -> None:
    data = plain()
    size = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0).total_compressed_size
    beyond = with_footer(data, lambda footer: footer.replace(varint(size), varint(2**40)))
    assert f"column prompt: expected its bytes within [4, {len(beyond)}), found 1099511627776 from 4 on" in refusal(
        run_import, beyond
    )


def page(data: bytes, size: int, *, unpacked: int, packed: int | None = None, values: int = 12_345) -> bytes:
    """`data` with another header for its first page, which begins at byte 4; `size` is that of the column chunk."""
    form = b"\x15" + varint(values) + b"\x15" + varint(0) + b"\x15" + varint(3) + b"\x15" + varint(3) + b"\x1c\x00\x00"

    def header(packed: int) -> bytes:
        return b"\x15\x00\x15" + varint(unpacked) + b"\x15" + varint(packed) + b"\x2c" + form + b"\x00"

    if packed is None:
        packed = size
        while len(header(packed)) + packed > size:
            packed -= 1
    made = header(packed)
    return data[:4] + made + data[4 + len(made) :]


def test_pages_that_declare_too_much_are_refused(run_import: Import) -> None:
    data = plain()
    size = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0).total_compressed_size
    header, length = struct(data[4:], 0)
    assert length + header[3] == size  # one page is the chunk
    assert len(run_import("columns", page(data, size, unpacked=header[2], packed=header[3]))) == 12_345
    huge = page(data, size, unpacked=2**31 - 1)
    assert "expected a page of at most 268435456 bytes, in proportion to its" in refusal(run_import, huge)
    in_proportion = page(data, size, unpacked=table_limits.FREE_PAGE + 1)
    assert "in proportion to its" in refusal(run_import, in_proportion)
    assert "expected a page of at most" in refusal(run_import, page(data, size, unpacked=10, packed=size))
    assert "expected a page of at most" in refusal(run_import, page(data, size, unpacked=-1))
    assert "as many values as the footer declares, found more" in refusal(
        run_import, page(data, size, unpacked=10, values=12_346)
    )
    assert "expected a page at byte 4, found something else" in refusal(run_import, data[:4] + b"\xff" * 30 + data[34:])


def test_large_values_make_small_batches(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "response": "x" * 200_000, "same": "y" * 100_000} for _ in range(40)]
    path = tmp_path / "x.parquet"
    path.write_bytes(parquet(rows))
    with Input(path).open_file() as file:
        source = pq.ParquetFile(path)
        wide = table_limits.batch_rows(source.metadata.row_group(0), [0, 1, 2], file)
        narrow = table_limits.batch_rows(source.metadata.row_group(0), [0], file)
    assert wide <= table_limits.BATCH_BYTES // 300_000
    assert narrow == table_limits.MAX_BATCH_ROWS


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PAR1", "expected a Parquet footer of at most"),
        (b"PAR1xxxxPAR1", "expected a Parquet footer of at most 67108864 bytes, found one of"),
        (plain(10)[:-4], "found none at its end: is the file cut off"),
        (plain(10)[:-8] + b"\x05\0\0\0PAR1", "expected a Parquet file that can be read"),
    ],
)
def test_what_is_no_sound_file_is_refused(run_import: Import, data: bytes, message: str) -> None:
    assert message in refusal(run_import, data)


def test_two_columns_of_one_name_are_refused(run_import: Import) -> None:
    table = pa.table([["p"], ["r"], ["s"]], names=["prompt", "response", "response"])
    assert "expected one column of each name, found two called 'response'" in refusal(run_import, parquet(table))


def test_text_that_is_no_utf8_is_refused(run_import: Import) -> None:
    data = parquet([{"prompt": "abcdefgh", "response": "r"}], use_dictionary=False, compression="none", write_statistics=False)
    assert "expected a Parquet file that can be read" in refusal(run_import, data.replace(b"abcdefgh", b"abc\xff\xfefgh"))


def test_a_column_whose_chunk_has_a_name_that_is_no_utf8_is_refused(run_import: Import) -> None:
    data = parquet([{"prompt": "p", "response": "r"}], store_schema=False)
    at = data.rindex(b"prompt")  # in the footer, of the column's chunk; the schema stands before
    assert "expected a Parquet file that can be read" in refusal(run_import, data[:at] + b"\xaf" + data[at + 1 :])


def test_a_footer_that_ends_its_parser_ends_nobody_else(run_import: Import) -> None:
    """A codec that Parquet does not have makes pyarrow abort: no exception, no process."""
    sound = plain(20)
    damaged = sound.replace(b"prompt\x15\x00", b"prompt\x15\x1c")
    assert damaged != sound
    with pytest.raises(InvalidInput, match="expected a sound Parquet footer, found one that ends its parser"):
        run_import("columns", damaged)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_gives_records_or_our_error(run_import: Import, data: st.DataObject) -> None:
    damaged = bytearray(plain(20, tags=[["x"]] * 20))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(4, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = run_import("columns", bytes(damaged))
    except InvalidInput:
        return
    assert len(found) <= len(damaged)


def test_a_table_that_changes_ends_the_import(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    data = plain(20_000)
    path.write_bytes(data)
    told: list[int] = []
    source = Input(path)
    assert len(list(importer("columns").records([source], progress=told.append))) == 20_000
    assert sum(told) == len(data)
    path.write_bytes(data[:100] + b"?" + data[101:])
    with pytest.raises(InvalidInput, match=r"expected bytes 0 to \d+ as they were in the first pass, found others"):
        list(importer("columns").records([source]))
    path.write_bytes(data + b"x")
    with pytest.raises(InvalidInput, match=f"expected {len(data)} bytes, found {len(data) + 1}"):
        list(importer("columns").records([source]))


def test_a_file_may_be_read_from_any_place(tmp_path: Path) -> None:
    path = tmp_path / "input"
    data = bytes(range(256)) * (BLOCK // 256) * 2 + b"end"
    path.write_bytes(data)
    with Input(path).open_file() as file:
        assert file.readable()
        assert file.seekable()
        for place, size in ((0, 10), (BLOCK - 3, 6), (len(data) - 2, 10), (len(data) + 5, 1), (5, -1)):
            assert file.seek(place) == place
            assert file.read(size) == data[place:][: None if size < 0 else size]
        assert file.seek(-3, io.SEEK_END) == len(data) - 3
        assert file.seek(1, io.SEEK_CUR) == file.tell() == len(data) - 2
        assert file.read() == b"nd"
