"""Plain Parquet: the text's columns as the shard has them, without salts."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from inbond.registry.reading import open_shard
from inbond.schemas.columns import TEXT_SCHEMA
from tests.registry.exporters.conftest import Export
from tests.registry.world import World


def test_columns_are_those_of_the_shards_without_salts(shared_world: World, exported: Export) -> None:
    folder = exported("chat", "parquet")
    names = [name for name in TEXT_SCHEMA.names if name != "salt"]
    for (shard, _, _), path in zip(shared_world.parts("chat"), sorted((folder / "data").iterdir()), strict=True):
        table = pq.read_table(path)
        with open_shard(shared_world.registry.place, shard) as reader:
            assert table.column_names == names
            assert table.to_pylist() == reader.read(names).to_pylist()
            salts = reader.read(["salt"]).column("salt").to_pylist()
        assert not any(salt in path.read_bytes() for salt in salts)
        assert pq.read_metadata(path).metadata[b"inbond.rows_of"] == shard.encode()


def test_rows_picked_here_and_there_come_in_order(shared_world: World, exported: Export) -> None:
    parts = [(shard, first, first + 1) for shard, _, _ in shared_world.parts("chat") for first in (1, 3, 4)]
    shared_world.dataset("picked", parts)
    folder = exported("picked", "parquet")
    found = pa.concat_tables(pq.read_table(path) for path in sorted((folder / "data").iterdir()))
    wanted = [at + first for at in (0, 12, 24) for first in (1, 3, 4)]
    assert found.column("response").to_pylist() == [f"chat answer {at}" for at in wanted]


def test_splits_have_files_of_their_own(shared_world: World, exported: Export) -> None:
    shared_world.registry.derive("chat", "chat-splits", split={"train": "0.5", "test": "0.5"})
    both, one = exported("chat-splits", "parquet"), exported("chat-splits", "parquet", split="test")
    names = {path.name for path in (both / "data").iterdir()}
    assert names == {f"{split}-{at:05}-of-00003.parquet" for split in ("train", "test") for at in range(3)}
    assert {path.name for path in (one / "data").iterdir()} == {name for name in names if name.startswith("test")}
    rows = [pq.read_metadata(path).num_rows for path in Path(both, "data").iterdir()]
    assert sum(rows) == 30
