"""Token ids as bits, the map that ranks them, and the blobs that parts are joined into."""

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbond.registry.shards.distributions import Distributions
from inbond.registry.shards.logits import Level, LogitsCodec
from inbond.registry.shards.logits_reader import LogitsReader
from inbond.registry.shards.logits_writer import LogitsWriter
from inbond.registry.shards.ragged import edges, ragged, spans
from inbond.registry.shards.streams import Parts, join
from inbond.registry.shards.token_codes import MAX_VOCABULARY, RankMap, decode_ids, encode_ids, worthwhile_map
from inbond.registry.stores.folder import FolderStore
from inbond.schemas.errors import InvalidInput
from tests.registry.shards.distributions import codec, drawn


@given(
    vocabulary=st.sampled_from([1, 2, 3, 7, 8, 1000, 128_000, (1 << 18) + 1, MAX_VOCABULARY]),
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    seed=st.integers(0, 1 << 32),
)
def test_ids_come_back(vocabulary: int, lengths: list[int], seed: int) -> None:
    chance = np.random.default_rng(seed)
    ids = chance.integers(0, vocabulary, sum(lengths)).astype(np.uint32)
    ids[: len(ids) // 2] = vocabulary - 1
    at = edges(np.array(lengths))
    positions = np.full(len(lengths), 40)
    for ranks in (None, RankMap.trained(ids, vocabulary) if vocabulary <= 1000 else None):
        assert np.array_equal(decode_ids(encode_ids(ids, at, positions, ranks), at, positions, vocabulary, ranks), ids)


def test_ids_of_positions_that_repeat_each_other_come_back() -> None:
    ids, at, n = np.tile(np.arange(100, dtype=np.uint32), 2_000), np.array([0, 200_000]), np.array([2_000])
    assert np.array_equal(decode_ids(encode_ids(ids, at, n, None), at, n, 100, None), ids)


def test_a_map_is_kept_where_it_pays() -> None:
    chance = np.random.default_rng(1)
    common = chance.integers(0, 30_000, 40).astype(np.uint32)
    assert worthwhile_map(chance.choice(common, 20_000), 30_000) is not None
    assert worthwhile_map(np.arange(30_000, dtype=np.uint32), 30_000) is None
    assert worthwhile_map(np.empty(0, np.uint32), 30_000) is None


def test_common_ids_have_short_codes_and_a_map_is_read_again() -> None:
    ids = np.repeat(np.array([900, 7, 500], np.uint32), [50, 20, 10])
    found = RankMap.trained(ids, 1000)
    assert found.ids[0] == 900
    assert set(found.ids[1:3].tolist()) == {7, 500}
    again = RankMap.read(found.data(), 1000, found.digest)
    assert np.array_equal(again.ids, found.ids)
    assert np.array_equal(again.ranks[again.ids], np.arange(1000))


def test_a_map_that_is_none_is_refused() -> None:
    found = RankMap.trained(np.array([3], np.uint32), 1000)
    other = RankMap(np.zeros(1000, np.uint8))
    for data, vocabulary, digest, text in (
        (found.data(), 1000, other.digest, f"expected {other.digest}"),
        (other.data(), 1000, other.digest, "bit lengths of the ranks of 1000 ids"),
        (found.data(), 999, found.digest, "a zstd frame of 999 bytes"),
        ("?" + found.data(), 1000, found.digest, "another text"),
        (base64.b64encode(b"no frame").decode(), 1000, found.digest, "another text"),
        (found.data(), MAX_VOCABULARY + 1, found.digest, "expected a vocabulary of 1 to"),
    ):
        with pytest.raises(InvalidInput, match="rank map") as error:
            RankMap.read(data, vocabulary, digest)
        assert text in error.value.message


def test_ids_that_a_blob_cannot_hold_are_refused() -> None:
    ids, at, n = np.arange(8, dtype=np.uint32), np.array([0, 8]), np.array([8])
    blobs = encode_ids(ids, at, n, None)
    with pytest.raises(InvalidInput, match=r"stream ids: expected at most \d+ ids in \d+ bytes, found 1000"):
        decode_ids(blobs, np.array([0, 1_000]), np.array([10]), 1000, None)
    with pytest.raises(InvalidInput, match="expected token ids below 7, found rank 7"):
        decode_ids(blobs, at, n, 7, None)
    with pytest.raises(InvalidInput, match="at most 14 bits below the highest, found 15"):
        decode_ids([join((b"\x0f", b"\0", b"\0", bytes(7)))], np.array([0, 1]), np.array([1]), 1000, None)
    with pytest.raises(InvalidInput, match=f"no bytes for no ids, found {len(blobs[0])}"):
        decode_ids(blobs, np.array([0, 0]), n, 1000, None)


@given(st.lists(st.binary(max_size=80) | st.integers(33, 4000).map(bytes), min_size=1, max_size=8))
def test_parts_come_back(parts: list[bytes]) -> None:
    found = Parts(join(parts), len(parts))
    assert [found.take(number, len(part)) for number, part in enumerate(parts)] == parts


def test_parts_that_are_none_are_refused() -> None:
    blob = join((bytes(100), b"abc"))
    for damaged, text in (
        (blob[:3], "in 3 bytes"),
        (b"\x03" + blob[1:], "expected 2 parts, found 3"),
        (b"\x02\x08" + blob[2:], "in all but the last"),
        (blob[:2] + b"\xff\xff\0\0" + blob[6:], "in all but the last"),
    ):
        with pytest.raises(InvalidInput, match=text):
            Parts(damaged, 2)
    for length in (99, 101):
        with pytest.raises(InvalidInput, match=f"a zstd frame of {length} bytes"):
            Parts(blob, 2).take(0, length)
    with pytest.raises(InvalidInput, match="expected 4 bytes, found 3"):
        Parts(blob, 2).take(1, 4)


@given(st.lists(st.integers(0, 36_000), max_size=30))
def test_spans_cover_all_records_and_are_short(positions: list[int]) -> None:
    found = list(spans(positions))
    assert [record for first, end in found for record in range(first, end)] == list(range(len(positions)))
    assert all(sum(positions[first:end]) <= 32_768 or sum(map(bool, positions[first:end])) == 1 for first, end in found)


def test_a_shard_of_many_spans_comes_back_in_order(tmp_path: Path) -> None:
    long = [_repeated(drawn(seed), 4_000) for seed in (1, 2, 3)]
    records: list[Distributions | None] = [drawn(9), long[0], None, long[1], drawn(10), long[2], None]
    with LogitsWriter(FolderStore(tmp_path / "objects"), codec(Level.EXACT)) as writer:
        for row, record in enumerate(records):
            writer.add(row.to_bytes(32, "big"), record)
        written = writer.finish()
    assert written is not None
    said = {name: getattr(written, name) for name in ("digest", "size", "block_root", "record_root", "rows")}
    with LogitsReader(FolderStore(tmp_path / "objects"), codec=LogitsCodec.of(written.codec), **said) as reader:
        back, given = reader.ragged(), ragged(records)
        for name in ("positions", "first_pos", "counts", "ids", "logprobs"):
            assert np.array_equal(getattr(back, name), getattr(given, name)), name


def test_positions_that_little_data_declares_are_refused_by_writer_and_reader() -> None:
    record = _repeated(drawn(1), 1)
    n = 20_000
    nothing = replace(
        record,
        counts=np.zeros(n, np.uint32),
        ids=record.ids[:0],
        logprobs=record.logprobs[:0],
        tail=np.full(n, np.nan, np.float32),
        chosen=np.full(n, np.nan, np.float32),
        rank=np.zeros(n, np.uint32),
        input_ids=np.zeros(n, np.uint32),
        first_pos=0,
    )
    with pytest.raises(InvalidInput, match=r"expected at most \d+ positions in \d+ bytes of blobs, found 20000"):
        codec().encode(ragged([nothing]), nothing.input_ids)
    k = join((bytes(n),))
    with pytest.raises(InvalidInput, match=r"expected at most \d+ positions in \d+ bytes of blobs, found 20000"):
        codec().decode([[k]] + [[b""]] * 6, np.array([n]), np.array([0]))


def _repeated(record: Distributions, times: int) -> Distributions:
    tile = {
        name: np.tile(getattr(record, name), times)
        for name in ("counts", "ids", "logprobs", "tail", "chosen", "rank", "input_ids")
    }
    return replace(record, **tile)
