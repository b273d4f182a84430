"""Shards for the tests of this folder: any record that the columns can hold, and one small real shard."""

import random

import pytest
from hypothesis import strategies as st

from inbond.registry.shards.reader import ShardReader
from inbond.registry.shards.records import Message, Record
from inbond.registry.shards.writer import WrittenShard, write_shard
from inbond.registry.stores.folder import FolderStore

TEXT = st.text(max_size=12)
TURNS = st.lists(st.builds(Message, TEXT, TEXT), max_size=3).map(tuple)
INT32 = st.integers(0, 2**31 - 1)


@st.composite
def records(draw):
    prompt = draw(st.none() | TURNS)
    turns = st.sets(st.integers(0, len(prompt) - 1)).map(lambda own: tuple(sorted(own))) if prompt else st.just(())
    maybe = st.none() | TEXT
    return Record(
        prompt=prompt,
        own_turns=draw(turns),
        response=draw(TEXT),
        reasoning=draw(maybe),
        extra=draw(maybe),
        refs=draw(st.lists(TEXT, max_size=2).map(tuple)),
        label=draw(maybe),
        sample=draw(INT32),
        kind=draw(st.sampled_from(["completion", "judgement", "scored"])),
        input_ids=draw(st.none() | st.lists(st.integers(0, 2**32 - 1), max_size=4).map(tuple)),
        finish_reason=draw(maybe),
        request_id=draw(maybe),
        requested_model=draw(maybe),
        served_model=draw(maybe),
        sampling=draw(maybe),
        subject_refs=draw(st.none() | st.lists(TEXT, max_size=2).map(tuple)),
        created_at=draw(st.none() | st.integers(-62_135_596_800_000, 253_402_300_799_999)),
        prompt_tokens=draw(st.none() | INT32),
        response_tokens=draw(st.none() | INT32),
    )


def open_shard(store: FolderStore, written: WrittenShard, **other) -> ShardReader:
    said = {name: getattr(written, name) for name in ("digest", "size", "block_root", "record_root", "rows")}
    return ShardReader(store, **(said | {"name": "shard s"} | other))


@pytest.fixture(scope="session")
def any_record():
    return records()


@pytest.fixture(scope="session")
def reader_of():
    return open_shard


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "objects")


@pytest.fixture(scope="session")
def letters():
    """10,000 records of text that does not compress well: three row groups, about two megabytes."""
    chance = random.Random(7)
    return [
        Record(
            prompt=(Message("user", f"Question {number}?"),),
            own_turns=(),
            response=chance.randbytes(100).hex() if number % 100 else "",
            prompt_tokens=2,
            created_at=number,
        )
        for number in range(10_000)
    ]


@pytest.fixture(scope="session")
def shard(tmp_path_factory, letters):
    """(store, what was written) of the letters; read only."""
    store = FolderStore(tmp_path_factory.mktemp("shard") / "objects")
    return store, write_shard(store, letters, salts=bytes)
