import os
import signal
import subprocess
import sys
from hashlib import sha256

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.ledger import merkle
from inbond.registry.shards.blocks import block_hashes, block_root, join_hashes
from inbond.registry.shards.records import Record, leaf_data, text_size
from inbond.registry.shards.writer import ROW_GROUP_TEXT, ShardBatcher, write_shard
from inbond.registry.stores.folder import FolderStore
from inbond.schemas.columns import NUMERIC_COLUMNS, SCHEMA_ID, TEXT_SCHEMA
from inbond.schemas.errors import InvalidInput


def answer(text="yes", **other):
    return Record(prompt=(), own_turns=(), response=text, **other)


def is_untouched(store):
    return not list(store.list()) and not list((store.folder / "scratch").iterdir())


def test_the_same_records_and_salts_give_the_same_bytes(store, letters, shard):
    assert write_shard(store, iter(letters), salts=bytes) == shard[1]
    assert write_shard(store, letters[:3]).digest != write_shard(store, letters[:3]).digest  # fresh salts


def test_what_it_says_is_what_lies_in_the_store(letters, shard):
    store, written = shard
    data = store.get(written.digest)
    assert written.digest == f"sha256:{sha256(data).hexdigest()}"
    assert written.size == len(data)
    with store.open(written.digest) as file:
        hashes = block_hashes(file)
    assert store.path(written.digest[7:]).with_suffix(".blocks").read_bytes() == join_hashes(hashes)
    assert written.block_root == f"sha256:{block_root(hashes).hex()}"
    leaves = [merkle.leaf_hash(leaf_data(record, bytes(16))) for record in letters]
    assert written.record_root == f"sha256:{merkle.root_of(leaves).hex()}"
    assert (written.rows, written.empty) == (10_000, 100)
    assert (written.prompt_tokens, written.response_tokens) == (20_000, None)


def test_any_parquet_reader_reads_the_columns(letters, shard):
    store, written = shard
    table = pq.read_table(store.path(written.digest))
    assert table.schema.equals(TEXT_SCHEMA)
    assert table.column("response").to_pylist() == [record.response for record in letters]
    assert table.column("prompt")[5].as_py() == [{"role": "user", "content": "Question 5?"}]


def test_the_footer_holds_no_text_no_clock_and_no_second_schema(store):
    written = write_shard(store, [answer("SECRET", sample=4)] * 5_000, metadata={"inbond.note": "n"})
    metadata = pq.read_metadata(store.path(written.digest))
    assert metadata.metadata == {b"inbond.note": b"n"}
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [4_096, 904]
    columns = [metadata.row_group(1).column(at) for at in range(metadata.num_columns)]
    assert {c.path_in_schema for c in columns if c.is_stats_set} == set(NUMERIC_COLUMNS)
    assert {e for c in columns for e in c.encodings} == {"PLAIN", "RLE"}
    assert {c.path_in_schema for c in columns if c.compression != "ZSTD"} == {"salt"}
    footer = store.get(written.digest)[-metadata.serialized_size - 8 :]
    assert b"SECRET" not in footer


def test_the_schema_has_the_name_that_statements_carry():
    assert SCHEMA_ID == "sha256:86a5bf8d5b0730f53de0c99ed0438f74c5d882c79f3c4e9307c2f21d168c977c"


def test_long_records_end_a_row_group_early(store):
    long = "x" * (ROW_GROUP_TEXT // 2)
    written = write_shard(store, [answer(long)] * 5)
    metadata = pq.read_metadata(store.path(written.digest))
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [2, 2, 1]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (answer(kind="guess"), "field kind: expected one of"),
        (answer(sample=2**31), "field sample"),
        (answer(input_ids=(-1,)), "field input_ids"),
        (answer(created_at=2**60), "field created_at: expected milliseconds in years 1 to 9999"),
        (Record(prompt=None, own_turns=(0,), response=""), "field own_turns: expected rising indices below 0"),
        (answer("\udc80"), "surrogate"),
    ],
)
def test_a_record_that_its_columns_cannot_hold_leaves_nothing_behind(store, record, message):
    with pytest.raises(InvalidInput, match=message):
        write_shard(store, [answer()] * 5_000 + [record])
    assert is_untouched(store)


def test_no_records_no_shard(store):
    with pytest.raises(InvalidInput, match="at least one record"):
        write_shard(store, [])
    assert is_untouched(store)


def test_metadata_keys_say_whose_they_are(store):
    with pytest.raises(InvalidInput, match=r"begin with 'inbond\.'"):
        write_shard(store, [answer()], metadata={"note": "n"})


def test_a_full_disk_is_the_stores_failure(store):
    script = (
        "import resource, signal; from inbond.registry.stores.folder import FolderStore\n"
        "from inbond.registry.shards.records import Record\n"
        "from inbond.registry.shards.writer import write_shard\n"
        "from inbond.schemas.errors import StoreError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        f"    write_shard(FolderStore({str(store.folder)!r}), [Record((), (), str(n)) for n in range(9_999)])\n"
        "except StoreError as error:\n"
        "    print(error.message)\n"
    )
    said = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    assert "File too large" in said.stdout
    assert said.stderr == ""
    assert is_untouched(store)


def test_an_error_of_the_source_is_passed_on_and_leaves_nothing(store):
    def failing():
        yield from [answer()] * 10_000
        raise KeyError("line 10001")

    with pytest.raises(KeyError, match="line 10001"):
        write_shard(store, failing())
    assert is_untouched(store)


def test_a_killed_writer_leaves_only_scratch(store):
    script = (
        "from inbond.registry.stores.folder import FolderStore\n"
        "from inbond.registry.shards.records import Record\n"
        "from inbond.registry.shards.writer import write_shard\n"
        "def endless():\n"
        "    for n in range(10**9):\n"
        "        if n == 9000: print('ready', flush=True)\n"
        "        yield Record((), (), str(n) * 50)\n"
        f"write_shard(FolderStore({str(store.folder)!r}), endless())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        os.kill(writer.pid, signal.SIGKILL)
    assert not list(store.list())
    assert len(store.clean_scratch()) == 1
    assert is_untouched(store)


class TestShardBatcher:
    def test_it_cuts_at_rows_and_at_bytes_and_lets_a_long_record_stand_alone(self):
        stream = [answer("x" * size) for size in (1, 1, 1, 1, 60, 50, 200, 1)]
        batcher = ShardBatcher(text_size, max_rows=3, max_text=100)
        parts = [[len(record.response) for record in part] for part in batcher.split(stream)]
        assert parts == [[1, 1, 1], [1, 60], [50], [200], [1]]

    @settings(max_examples=60, deadline=None)
    @given(sizes=st.lists(st.integers(0, 40), max_size=30), taken=st.lists(st.integers(0, 10), max_size=30))
    def test_nothing_is_lost_twice_or_cut_elsewhere_when_a_caller_skips(self, sizes, taken):
        stream = [answer("\u00e9" * size, sample=number) for number, size in enumerate(sizes)]
        batcher = ShardBatcher(text_size, max_rows=4, max_text=100)
        whole = [list(part) for part in batcher.split(stream)]
        assert [record for part in whole for record in part] == stream
        assert all(part and (len(part) == 1 or sum(map(text_size, part)) <= 100) for part in whole)
        again = [
            [record for record, _ in zip(part, range(count), strict=False)]
            for part, count in zip(batcher.split(stream), [*taken, *[9] * 30], strict=False)
        ]
        assert again == [part[:count] for part, count in zip(whole, [*taken, *[9] * 30], strict=False)]

    def test_of_nothing_comes_nothing(self):
        assert list(ShardBatcher(text_size).split([])) == []


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_records_come_back(tmp_path_factory, any_record, reader_of, data):
    records = data.draw(st.lists(any_record, min_size=1, max_size=6))
    store = FolderStore(tmp_path_factory.getbasetemp() / "any")
    with reader_of(store, write_shard(store, records)) as reader:
        assert list(reader.records()) == records
        reader.check_records()
