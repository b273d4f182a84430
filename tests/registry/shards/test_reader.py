import json
import random
import subprocess
import sys
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.ledger import merkle
from inbond.registry.shards import arrow
from inbond.registry.shards.blocks import BLOCK, block_hashes, block_root
from inbond.registry.shards.records import content_ids
from inbond.registry.shards.writer import WrittenShard, write_shard
from inbond.registry.stores.folder import FolderStore
from inbond.schemas.columns import NUMERIC_COLUMNS, TEXT_SCHEMA
from inbond.schemas.errors import InvalidInput, NotFound, VerificationError


@pytest.fixture
def copy(shard, store):
    """(store, path, what its statement says) of a copy of the shard that a test may damage."""
    sound, written = shard
    store.put_blocks(store.put_bytes(sound.get(written.digest)), sound.get_blocks(written.digest))
    return store, store.path(written.digest), written


def flip(path, at):
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def store_as_shard(store, table, **settings):
    """A shard as a careless or lying producer would sign it: true digest and blocks over any Parquet file."""
    sink = pa.BufferOutputStream()
    numbers = [name for name in NUMERIC_COLUMNS if name in table.schema.names]
    settings |= {"store_schema": False, "use_dictionary": False, "compression": "zstd", "write_statistics": numbers}
    pq.write_table(table, sink, **settings)
    data = sink.getvalue().to_pybytes()
    digest = store.put_bytes(data)
    with store.open(digest) as file:
        hashes = block_hashes(file)
    store.put_blocks(digest, b"".join(hashes))
    root = block_root(hashes)
    return WrittenShard(digest, len(data), root.hex(), merkle.EMPTY_ROOT.hex(), table.num_rows, 0, None, None)


def test_everything_comes_back(shard, letters, reader_of):
    with reader_of(*shard) as reader:
        assert list(reader.records()) == letters
        table = reader.read()
        assert table.schema.equals(TEXT_SCHEMA)
        assert table.num_rows == 10_000
        assert pa.concat_tables(reader.batches()).equals(table)
        reader.check_records()


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_columns_of_any_rows_come_back_in_the_order_asked_for(shard, reader_of, data):
    columns = data.draw(st.lists(st.sampled_from(TEXT_SCHEMA.names), min_size=1, max_size=4, unique=True))
    bound = st.integers(0, 10_000) | st.sampled_from([4_095, 4_096, 4_097, 8_192])
    ends = [sorted(pair) for pair in data.draw(st.lists(st.tuples(bound, bound), max_size=3))]
    rows = [range(a, b) for a, b in ends]
    with reader_of(*shard) as reader:
        whole = reader.read()
        expected = [whole.slice(a, b - a).select(columns) for a, b in ends] or [whole.slice(0, 0).select(columns)]
        assert reader.read(columns, rows).equals(pa.concat_tables(expected))


def test_a_flipped_byte_anywhere_is_refused_by_a_full_read(copy, reader_of):
    store, path, written = copy
    footer = pq.read_metadata(path).serialized_size + 8
    places = {0, 3, written.size - 1, written.size - 5, written.size - footer, written.size - footer // 2}
    places |= {random.Random(at).randrange(at, min(at + BLOCK, written.size)) for at in range(0, written.size, BLOCK)}
    for at in sorted(places):
        flip(path, at)
        # The footer and what shares its block are refused on opening, everything else by the read.
        with pytest.raises(VerificationError, match=rf"shard s: block {at // BLOCK}, bytes {at // BLOCK * BLOCK} to"):
            read_all(reader_of, store, written)
        flip(path, at)
    read_all(reader_of, store, written)


def read_all(reader_of, store, written):
    with reader_of(store, written) as reader:
        reader.read()


def test_a_flipped_byte_in_a_page_index_is_refused_by_a_full_read(store, letters, reader_of):
    """Our files have none; what another writer puts between data and footer is signed with the rest."""
    contents, prompts = zip(*map(content_ids, letters), strict=True)
    table = arrow.to_table(letters, contents, random.Random(1).randbytes(160_000), prompts)
    written = store_as_shard(store, table, write_page_index=True, row_group_size=20)
    path = store.path(written.digest)
    metadata = pq.read_metadata(path)
    last = metadata.row_group(metadata.num_row_groups - 1)
    end = max(
        (last.column(at).data_page_offset + last.column(at).total_compressed_size for at in range(last.num_columns)),
    )
    assert metadata.row_group(0).column(3).has_column_index
    assert written.size - metadata.serialized_size - 8 - end > 3 * BLOCK
    flip(path, end + BLOCK)
    with reader_of(store, written) as reader:
        assert reader.read(["response"]).num_rows == 10_000
        with pytest.raises(VerificationError, match="shard s: block"):
            reader.read()


def test_altered_block_hashes_are_refused(copy, reader_of):
    store, _, written = copy
    joined = bytearray(store.get_blocks(written.digest))
    joined[40] ^= 1
    store.put_blocks(written.digest, bytes(joined))
    with pytest.raises(VerificationError, match="shard s: expected block root"):
        reader_of(store, written)


def test_a_file_without_block_hashes_is_checked_all_the_same(copy, reader_of):
    _, path, written = copy
    with reader_of(path.open("rb"), written) as reader:
        assert reader.read().num_rows == 10_000
    flip(path, 1_000)
    with pytest.raises(VerificationError, match="shard s: expected block root"):
        reader_of(path.open("rb"), written)


def test_reads_that_do_not_touch_an_altered_block_go_through(copy, reader_of):
    store, path, written = copy
    with reader_of(store, written) as reader:
        group = pq.read_metadata(path).row_group(2)
        chunks = {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}
        response = chunks["response"]
        flip(path, response.data_page_offset + response.total_compressed_size // 2)
        assert reader.read(["response"], [range(4_096)]).num_rows == 4_096
        assert reader.read(["salt", "record_id"]).num_rows == 10_000
        with pytest.raises(VerificationError, match="shard s: block"):
            reader.read(["response"], [range(9_999, 10_000)])
        with pytest.raises(VerificationError, match="shard s: block"):
            reader.check_records()


def test_a_shard_of_another_statement_is_refused(shard, reader_of):
    store, written = shard
    zeros = "0" * 64
    with pytest.raises(VerificationError, match="expected 9999 rows, found 10000"):
        reader_of(store, written, rows=9_999)
    with pytest.raises(VerificationError, match="expected block root"):
        reader_of(store, written, block_root=zeros)
    with pytest.raises(VerificationError, match="block hashes"):
        reader_of(store, written, size=written.size + BLOCK)
    with pytest.raises(NotFound):
        reader_of(store, written, digest=zeros)
    with (
        reader_of(store, written, record_root=zeros) as reader,
        pytest.raises(VerificationError, match=f"expected record root {zeros} over 10000 records"),
    ):
        reader.check_records()


def test_ids_that_do_not_belong_to_their_rows_are_found_under_true_block_hashes(store, letters, reader_of):
    ids = [content_ids(record) for record in letters[:20]]
    contents = [content for content, _ in ids]
    contents[13] = contents[12]
    table = arrow.to_table(letters[:20], contents, bytes(16 * 20), [prompt for _, prompt in ids])
    with (
        reader_of(store, store_as_shard(store, table)) as reader,
        pytest.raises(VerificationError, match="shard s, row 13: expected record id"),
    ):
        reader.check_records()


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"text": ["a"]}),
        TEXT_SCHEMA.remove(0).empty_table(),
        TEXT_SCHEMA.append(pa.field("more", pa.string())).empty_table(),
    ],
)
def test_signed_files_with_other_columns_are_refused(store, reader_of, table):
    with pytest.raises(VerificationError, match="expected the columns of a text shard"):
        reader_of(store, store_as_shard(store, table))


def test_a_malformed_id_in_a_signed_file_is_refused(store, letters, reader_of):
    table = arrow.to_table(letters[:2], [bytes(32)] * 2, bytes(32), [None] * 2)
    table = table.set_column(0, TEXT_SCHEMA.field("record_id"), pa.array(["x", "y"]))
    with (
        reader_of(store, store_as_shard(store, table)) as reader,
        pytest.raises(VerificationError, match="shard s: column record_id: expected 64 lower-case hex digits"),
    ):
        reader.check_records()


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200), altered=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4))
def test_signed_nonsense_raises_only_our_errors(tmp_path_factory, shard, reader_of, data, altered):
    """A producer may sign anything; `altered` bytes of a real small shard reach deeper into the parser."""
    base = tmp_path_factory.getbasetemp() / "nonsense"
    store = FolderStore(base)
    if altered:
        with reader_of(*shard) as reader:
            small = write_shard(store, list(reader.records([range(3)])), salts=bytes)
        content = bytearray(store.get(small.digest))
        for at, byte in altered:
            content[at % len(content)] = byte
        data = bytes(content)
    digest = store.put_bytes(data)
    with store.open(digest) as file:
        root = block_root(block_hashes(file)).hex()
    said = WrittenShard(digest, len(data), root, "0" * 64, 3, 0, None, None)
    with suppress(VerificationError), reader_of(store, said) as reader:
        list(reader.records())
        reader.check_records()


@pytest.mark.parametrize("rows", [range(-1, 2), range(0, 10_001), range(5, 4), range(0, 10, 2)])
def test_row_ranges_outside_the_shard_are_refused(shard, reader_of, rows):
    with reader_of(*shard) as reader, pytest.raises(InvalidInput, match=r"row ranges within \[0, 10000\)"):
        reader.read(rows=[rows])


def test_unknown_columns_are_refused(shard, reader_of):
    with reader_of(*shard) as reader, pytest.raises(InvalidInput, match="found 'txt'"):
        reader.read(["txt"])


READ = """
import json, os, sys, threading, time
import psutil
from inbond.registry.shards.reader import ShardReader
from inbond.registry.stores.folder import FolderStore

def others():
    return psutil.Process().num_threads() - threading.active_count()

said = json.loads(sys.argv[2])
before = others()
with ShardReader(FolderStore(sys.argv[1]), name="shard s", **said) as reader:
    list(reader.records([range(5)]))
    reader.read()
until = time.monotonic() + 5
while others() > before and time.monotonic() < until:  # what Python calls ended may have some microseconds to go
    os.sched_yield()
print(others() - before)
"""


def test_reading_leaves_no_thread_of_pyarrow_behind(shard):
    # One that lets go of a Python object while Python ends takes the process down with abort(), seldom and anywhere.
    store, written = shard
    said = {name: getattr(written, name) for name in ("digest", "size", "block_root", "record_root", "rows")}
    command = [sys.executable, "-c", READ, store.folder, json.dumps(said)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "0\n", done.stderr
