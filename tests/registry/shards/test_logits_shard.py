"""Logits shards as files: written, read in part, and refused where they are not what was signed or not of their text."""

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from inbond.registry.shards import logits_writer
from inbond.registry.shards.distributions import Distributions
from inbond.registry.shards.logits import Level, LogitsCodec
from inbond.registry.shards.logits_reader import LogitsReader
from inbond.registry.shards.logits_rows import ids_digest
from inbond.registry.shards.logits_writer import LogitsWriter, WrittenLogits
from inbond.registry.shards.ragged import ragged
from inbond.registry.shards.reader import ShardReader
from inbond.registry.shards.records import Record, record_id
from inbond.registry.shards.writer import write_shard
from inbond.registry.stores.folder import FolderStore
from inbond.schemas.columns import LOGITS_SCHEMA
from inbond.schemas.errors import InvalidInput, StoreError, VerificationError
from tests.registry.shards.distributions import codec, drawn

ROWS = 60


@pytest.fixture(scope="module")
def found() -> list[Distributions | None]:
    return [None if row % 7 == 3 else drawn(row) for row in range(ROWS)]


@pytest.fixture(scope="module")
def texts(found: list[Distributions | None]) -> list[Record]:
    return [
        Record(
            prompt=(), own_turns=(), response=f"answer {row}", input_ids=None if each is None else tuple(each.input_ids.tolist())
        )
        for row, each in enumerate(found)
    ]


def write(store: FolderStore, texts: list[Record], found: list[Distributions | None], how: LogitsCodec) -> WrittenLogits:
    with LogitsWriter(store, how, metadata={"inbond.origin": "example.org"}) as writer:
        for text, each in zip(texts, found, strict=True):
            writer.add(record_id(text), each)
        written = writer.finish()
    assert written is not None
    return written


def opened(store: FolderStore, written: WrittenLogits, **other: Any) -> LogitsReader:
    said = {name: getattr(written, name) for name in ("digest", "size", "block_root", "record_root", "rows")}
    return LogitsReader(store, **(said | {"codec": LogitsCodec.of(written.codec), "name": "shard l"} | other))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FolderStore:
    return FolderStore(tmp_path_factory.mktemp("logits") / "objects")


@pytest.fixture(scope="module")
def written(store: FolderStore, texts: list[Record], found: list[Distributions | None]) -> WrittenLogits:
    return write(store, texts, found, codec())


def equal(a: Any, b: Any) -> None:
    for name in ("counts", "ids", "logprobs", "tail", "chosen", "rank"):
        assert np.array_equal(getattr(a, name), getattr(b, name), equal_nan=name in ("tail", "chosen")), name


def test_what_was_written_is_read(store: FolderStore, written: WrittenLogits, found: list[Distributions | None]) -> None:
    assert (written.rows, written.empty) == (ROWS, sum(each is None for each in found))
    assert written.positions == sum(each.n for each in found if each)
    with opened(store, written) as reader:
        for given, back in zip(found, reader.distributions(), strict=True):
            assert (given is None) is (back is None)
            if given is not None and back is not None:
                equal(given, back)
                assert back.first_pos == given.first_pos
        equal(reader.ragged(), ragged(found))
        reader.check_records()


def test_rows_are_read_alone(store: FolderStore, written: WrittenLogits, found: list[Distributions | None]) -> None:
    wanted = [range(5, 9), range(50, 51), range(0, 2)]
    rows = [row for some in wanted for row in some]
    with opened(store, written) as reader:
        equal(reader.ragged(wanted), ragged([found[row] for row in rows]))
        dense = reader.dense(wanted, k=4)
        assert dense.ids.shape == dense.logprobs.shape == (len(dense.tail), 4)
        flat = ragged([found[row] for row in rows])
        assert (dense.mask.sum(axis=1) == np.minimum(flat.counts, 4)).all()
        assert np.isneginf(dense.logprobs[~dense.mask]).all()
        for row, at in zip(rows, range(len(rows)), strict=True):
            assert dense.offsets[at + 1] - dense.offsets[at] == (found[row].n if found[row] else 0)  # type: ignore[union-attr]
        with pytest.raises(InvalidInput, match="row ranges within"):
            reader.ragged([range(59, 61)])


def test_many_row_groups_and_a_rank_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logits_writer, "ROW_GROUP_BYTES", 4000)
    chance = np.random.default_rng(3)
    common = chance.choice(50_000, 64, replace=False)
    found: list[Distributions | None] = []
    for row in range(300):
        each = drawn(row, vocabulary=64)
        found.append(replace(each, ids=common[each.ids].astype(np.uint32), input_ids=common[each.input_ids].astype(np.uint32)))
    texts = [Record(prompt=(), own_turns=(), response=str(row)) for row in range(300)]
    store = FolderStore(tmp_path / "objects")
    mapped = write(store, texts, found, codec(vocabulary=50_000))
    with opened(store, mapped) as reader:
        assert "rank_map" in mapped.codec.parameters
        equal(reader.ragged(), ragged(found))
    data = pq.ParquetFile(store.path(mapped.digest)).metadata
    assert data.num_row_groups > 3
    assert max(data.row_group(at).total_byte_size for at in range(data.num_row_groups)) < 8 << 20
    assert data.row_group(0).column(5).statistics is None
    assert {data.row_group(0).column(at).compression for at in range(data.num_columns)} == {"UNCOMPRESSED"}


def test_it_says_itself_what_it_is(store: FolderStore, written: WrittenLogits) -> None:
    metadata = pq.read_metadata(store.path(written.digest)).metadata
    assert metadata[b"inbond.origin"] == b"example.org"
    for told in (b"inbond-logits", b'"vocabulary":1000', b'"logprob_kind":"raw"', b'"level":"exact"', b'"selection":"topk"'):
        assert told in metadata[b"inbond.codec"]


def test_a_shard_without_any_is_none(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "objects")
    with LogitsWriter(store, codec()) as writer:
        writer.add(bytes(32), None)
        assert writer.finish() is None
    assert list(store.list()) == []


def test_the_vocabulary_of_a_table_is_known_last(tmp_path: Path, texts: list[Record]) -> None:
    store = FolderStore(tmp_path / "objects")
    for size, fits in ((1000, True), (3, False)):
        with LogitsWriter(store, codec(ids="table", vocabulary=0)) as writer:
            writer.add(record_id(texts[0]), drawn(0))
            if fits:
                last = writer.finish(codec(ids="table", vocabulary=size))
                assert last is not None
                assert last.codec.vocabulary == size
                with opened(store, last) as reader:
                    [back] = reader.distributions()
                    given = drawn(0)
                    assert back is not None
                    own = slice(given.first_pos, given.first_pos + given.n)
                    assert np.array_equal(back.input_ids[own], given.input_ids[own])
            else:
                with pytest.raises(InvalidInput, match="expected token ids below 3"):
                    writer.finish(codec(ids="table", vocabulary=size))


def test_a_row_that_is_no_distribution_leaves_nothing(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "objects")
    with LogitsWriter(store, codec(vocabulary=10)) as writer:
        writer.add(bytes(32), None)
        with pytest.raises(InvalidInput, match="row 1: distributions, field"):
            writer.add(bytes(32), drawn(0))
    assert list(store.list()) == []
    assert not any((store.folder / "scratch").iterdir())


def test_what_the_disk_gives_back_otherwise_is_not_signed(
    tmp_path: Path, texts: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path / "objects")
    with LogitsWriter(store, codec()) as writer:
        writer.add(record_id(texts[0]), drawn(0))
        monkeypatch.setattr(writer._sink, "checksum", 1)
        with pytest.raises(StoreError, match="expected to read the bytes that were written"):
            writer.finish()


@pytest.mark.parametrize("where", ["data", "page", "footer", "end", "map"])
def test_a_flipped_bit_is_refused(tmp_path: Path, texts: list[Record], found: list[Distributions | None], where: str) -> None:
    store = FolderStore(tmp_path / "objects")
    written = write(store, texts, found, codec())
    path = store.path(written.digest)
    data = bytearray(path.read_bytes())
    at = {"data": 5000, "page": 20, "footer": len(data) - 100, "end": len(data) - 1, "map": data.find(b"inbond.codec")}[where]
    data[at] ^= 4
    path.write_bytes(data)
    with pytest.raises(VerificationError, match="expected leaf hash"):
        opened(store, written).ragged()


def test_a_truncated_file_is_refused(tmp_path: Path, texts: list[Record], found: list[Distributions | None]) -> None:
    store = FolderStore(tmp_path / "objects")
    written = write(store, texts, found, codec())
    path = store.path(written.digest)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(VerificationError, match="bytes"):
        opened(store, written)


def test_another_codec_than_the_signed_one_decodes_nothing(store: FolderStore, written: WrittenLogits) -> None:
    for other in (codec(Level.COMPACT), codec(dtype="float16"), codec(ids="table"), codec(vocabulary=3)):
        with opened(store, written, codec=other) as reader, pytest.raises(VerificationError, match="expected"):
            reader.ragged()
    with pytest.raises(VerificationError, match="rank map"):
        opened(store, written, codec=codec(rank_map="sha256:" + "1" * 64))


def test_a_blob_that_its_maker_signed_and_nobody_can_decode_is_named(
    tmp_path: Path, texts: list[Record], found: list[Distributions | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = LogitsCodec.encode

    def broken(self: LogitsCodec, *given: Any) -> Any:
        streams = encode(self, *given)
        streams.ids[8] = streams.ids[8][:-1]
        return streams

    store = FolderStore(tmp_path / "objects")
    with monkeypatch.context() as patch:
        patch.setattr(LogitsCodec, "encode", broken)
        written = write(store, texts, found, codec())
    with opened(store, written) as reader:
        with pytest.raises(VerificationError, match="shard l: row 8: "):
            reader.check_records()
        with pytest.raises(VerificationError, match="row 8: "):
            reader.ragged([range(2, 4), range(6, 10)])
        assert len(reader.ragged([range(9, 20)])) == 11


def test_a_record_root_of_other_rows_is_refused(store: FolderStore, written: WrittenLogits) -> None:
    with (
        opened(store, written, record_root="0" * 64) as reader,
        pytest.raises(VerificationError, match="expected record root 0000"),
    ):
        reader.check_records()


def test_salts_hide_what_a_leaf_is_about(tmp_path: Path, texts: list[Record], found: list[Distributions | None]) -> None:
    store = FolderStore(tmp_path / "objects")
    first, second = (write(store, texts, found, codec()) for _ in range(2))
    assert first.record_root != second.record_root


class TestItsText:
    def text(self, store: FolderStore, texts: list[Record]) -> ShardReader:
        made = write_shard(store, texts, salts=secrets.token_bytes)
        said = {name: getattr(made, name) for name in ("digest", "size", "block_root", "record_root", "rows")}
        return ShardReader(store, name="shard t", **said)

    def test_rows_ids_and_order_fit(self, store: FolderStore, written: WrittenLogits, texts: list[Record]) -> None:
        with opened(store, written) as reader, self.text(store, texts) as text:
            reader.check_against(text)

    @pytest.mark.parametrize("change", ["fewer", "order", "ids"])
    def test_others_are_refused(
        self, tmp_path: Path, texts: list[Record], found: list[Distributions | None], change: str
    ) -> None:
        store, said = FolderStore(tmp_path / "objects"), list(texts)
        if change == "fewer":
            said, expected = said[:-1], "expected 59 rows, those of shard t, found 60"
        elif change == "order":
            said[4], said[5], expected = said[5], said[4], "row 4: expected record"
        else:
            other = tuple(each + 1 for each in said[0].input_ids or ())
            said[0], expected = replace_ids(said[0], other), "row 0: expected log-probabilities of the token ids"
        written = write(store, texts, found, codec())
        with opened(store, written) as reader, self.text(store, said) as text, pytest.raises(VerificationError, match=expected):
            reader.check_against(text)

    def test_positions_behind_the_last_token_are_refused(self, store: FolderStore, written: WrittenLogits) -> None:
        ids = [1, 2, 3]
        row = {"ids_sha256": ids_digest(np.array(ids, np.uint32)), "first_pos": 1, "n_pos": 2}
        with opened(store, written) as reader:
            reader._check_ids(0, row, ids, "shard t")
            with pytest.raises(VerificationError, match="expected positions within 3 tokens, found 3 from 1 on"):
                reader._check_ids(0, row | {"n_pos": 3}, ids, "shard t")


def replace_ids(record: Record, ids: tuple[int, ...]) -> Record:
    return msgspec.structs.replace(record, input_ids=ids)


def test_the_schema_is_that_of_the_design() -> None:
    assert LOGITS_SCHEMA.names[:5] == ["record_id", "salt", "n_pos", "first_pos", "ids_sha256"]
    assert not any(field.nullable for field in LOGITS_SCHEMA)
