"""The index of record ids beside a shard: what it finds, and that no damage hides a record."""

import hashlib
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.registry.objects import IDS
from inbond.registry.shards import ids
from inbond.registry.stores.folder import FolderStore


class Shard:
    """Record ids of a shard that is not there otherwise; counts how often they are asked for."""

    def __init__(self, store: FolderStore, every: list[bytes]) -> None:
        self.store, self.every, self.asked = store, every, 0
        self.digest = store.put_bytes(b"".join(every))
        self.path = store.path(self.digest, IDS)

    def joined(self) -> bytes:
        self.asked += 1
        return b"".join(self.every)

    def find(self, record_id: bytes) -> list[int]:
        return ids.find(self.store, self.digest, len(self.every), record_id, self.joined)

    def rows(self, record_id: bytes) -> list[int]:
        return [row for row, each in enumerate(self.every) if each[:8] == record_id[:8]]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "objects")


def digests(count: int, seed: int = 0) -> list[bytes]:
    return [hashlib.sha256(b"%d %d" % (seed, at)).digest() for at in range(count)]


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 511, 512, 5000])
def test_every_row_is_found_and_nothing_else(store: FolderStore, count: int) -> None:
    shard = Shard(store, digests(count))
    for row in {0, count // 2, count - 1}:
        assert shard.find(shard.every[row]) == [row]
    assert [shard.find(each) for each in digests(50, seed=1)] == [[]] * 50
    assert shard.find(b"\x00" * 32) == shard.find(b"\xff" * 32) == []
    assert shard.asked == 1  # afterwards the file answers


@settings(max_examples=40, deadline=None)
@given(bytes_=st.lists(st.sampled_from([bytes([value]) for value in range(4)]), min_size=1, max_size=700), seed=st.integers())
def test_ids_that_begin_alike_are_all_found(tmp_path_factory: pytest.TempPathFactory, bytes_: list[bytes], seed: int) -> None:
    chance = random.Random(seed)
    every = [each * 8 + chance.randbytes(24) for each in bytes_]
    every += [chance.choice(every) for _ in range(3)]
    shard = Shard(FolderStore(tmp_path_factory.mktemp("store")), every)
    for record_id in (*every[:5], *every[-3:], b"\x09" * 32):
        for _ in range(2):  # from the ids, and from the file
            assert shard.find(record_id) == shard.rows(record_id)


def test_a_search_reads_little_of_a_large_index(store: FolderStore) -> None:
    shard = Shard(store, digests(20_000))
    shard.find(shard.every[0])
    size = shard.path.stat().st_size
    assert 12 * 20_000 < size < 13 * 20_000
    with shard.path.open("r+b") as file:  # what is not read may be anything: only the bucket and the table are
        found = ids.find(store, shard.digest, 20_000, shard.every[7], shard.joined)
        file.seek(size - 12)
        last = file.read()
    assert found == [7]
    highest = max(shard.every)
    damaged = bytearray(shard.path.read_bytes())
    damaged[-1] ^= 1
    shard.path.write_bytes(damaged)
    assert shard.find(min(shard.every)) == [shard.every.index(min(shard.every))]
    assert shard.asked == 1
    assert shard.find(highest) == [shard.every.index(highest)]
    assert shard.asked == 2
    assert shard.path.read_bytes()[-12:] == last


def test_no_damage_hides_a_record(store: FolderStore) -> None:
    shard = Shard(store, digests(600))
    shard.find(shard.every[0])
    whole = shard.path.read_bytes()
    chance = random.Random(7)
    places = [*range(0, 90), *(chance.randrange(len(whole)) for _ in range(150))]
    for at in places:
        data = bytearray(whole)
        data[at] ^= 1 << chance.randrange(8)
        shard.path.write_bytes(data)
        for row in (0, chance.randrange(600)):
            assert shard.find(shard.every[row]) == [row]
    for data in (b"", whole[:-1], whole + b"\0", whole[:100], bytes(len(whole))):
        shard.path.write_bytes(data)
        assert shard.find(shard.every[5]) == [5]
        assert shard.path.read_bytes() == whole


def test_the_index_of_another_shard_is_not_believed(store: FolderStore) -> None:
    one, other = Shard(store, digests(300)), Shard(store, digests(300, seed=2))
    one.find(one.every[0])
    other.path.write_bytes(one.path.read_bytes())
    assert other.find(other.every[9]) == [9]
    assert other.asked == 1


def test_where_nothing_can_be_written_it_is_found_all_the_same(store: FolderStore) -> None:
    shard = Shard(store, digests(300))
    shard.path.mkdir()  # nothing can be renamed to there
    assert shard.find(shard.every[3]) == [3]
    assert shard.find(shard.every[3]) == [3]
    assert shard.asked == 2
    assert list((store.folder / "scratch").iterdir()) == []


def test_it_goes_with_its_object(store: FolderStore) -> None:
    shard = Shard(store, digests(10))
    shard.find(shard.every[0])
    assert [item.digest for item in store.list()] == [shard.digest]
    store.remove(shard.digest)
    assert not shard.path.exists()
