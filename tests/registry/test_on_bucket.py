"""A registry whose objects lie in a bucket does everything that one in a folder does."""

import random
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inbond.registry import Registry, Shard, backing, housekeeping
from inbond.registry.shards.reader import ShardReader
from inbond.registry.shards.records import Message, Record, record_id
from inbond.registry.shards.writer import ROW_GROUP_ROWS, write_shard
from inbond.registry.stores import bucket
from inbond.registry.stores.bucket import BucketStore
from inbond.schemas.errors import StoreError, VerificationError
from inbond.schemas.statements import GrantMode
from tests import s3
from tests.api.http.serving import served
from tests.registry.scored import Scored
from tests.registry.world import World, messages


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> str:
    s3.use(monkeypatch)
    return s3.new_bucket()


@pytest.fixture(scope="module")
def away(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The world, restored from its backup with its objects in a bucket."""
    folder = tmp_path_factory.mktemp("away")
    with pytest.MonkeyPatch.context() as patch:
        s3.use(patch)
        patch.setenv("INBOND_STATE", str(folder / "state"))
        shutil.copytree(template / "registry", folder / "registry")
        with Registry.open(folder / "registry") as first:
            backing.back_up(first, folder / "backup", keys=True)
        restored = backing.restore(folder / "backup", folder / "away", store=s3.new_bucket())
        assert restored.checked.verdict == "proved"
        found = World(folder / "away")
        yield found
        found.registry.close()


def test_it_is_made_on_a_bucket_and_finds_it_again(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOND_STATE", str(tmp_path / "state"))
    with Registry.init(tmp_path / "w", "example.org/w", store=url) as registry:
        assert not (tmp_path / "w" / "objects").exists()
        registry.import_files("messages", [messages(tmp_path / "m", "m", 3)], teacher="a/b@1", dataset="d", create=True)
        assert registry.verify().verdict == "proved"
    said = tomllib.loads((tmp_path / "w" / "registry.toml").read_text())
    assert (said["store"], said["endpoint"], said["region"]) == (url, s3.server(), "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL")  # what was recorded is used, unless the environment says something else
    with Registry.open(tmp_path / "w") as registry:
        assert registry.verify().verdict == "proved"
    monkeypatch.setattr(bucket, "RETRIES", {"max_retries": 0})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with Registry.open(tmp_path / "w") as registry, pytest.raises(StoreError, match="S3 failed"):
        registry.store.put_bytes(b"x")


def test_nothing_is_made_where_the_bucket_does_not_exist(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="expected a bucket that exists"):
        Registry.init(tmp_path / "w", "example.org/w", store="s3://nothing-here")
    assert not (tmp_path / "w").exists()


def test_its_server_hands_out_ranges(away: World, tmp_path: Path) -> None:
    run, key = away.run(away.ref("lab/pupil"), "by-http", away.ref("chat", "dataset"))
    ref = away.parts("chat")[0][0]
    grant, data = away.grant(run, key, away.parts("chat")), away.registry.store.get(away.body(ref).file)
    with served(away) as server:
        path = f"{server.path(ref)}/content"
        assert server.get(path, "trainer", params={"grant": grant}).content == data
        part = server.get(path, "trainer", params={"grant": grant}, headers={"Range": "bytes=100-299"})
        assert (part.status_code, part.content) == (206, data[100:300])
        receipts = away.registry.export_dataset("chat", tmp_path / "out").folder / "receipts"
        given: dict[str, Any] = {
            "receipt": receipts / f"{away.registry.thing(ref).entry}.tlog-proof",
            "keys": receipts,
            "policy": away.registry.policy_text,
            "genesis": away.registry.home.genesis.hex(),
        }
        with Shard.open(f"{server.url}{path}?grant={grant}", token=server.tokens["trainer"], **given) as shard:
            assert len(list(shard.records(range(3, 7)))) == 4


def test_a_shard_is_read_from_a_bucket_by_its_url(away: World, tmp_path: Path) -> None:
    url = away.registry.store.address
    ref = away.parts("chat")[0][0]
    digest = away.body(ref).file.removeprefix("sha256:")
    receipts = away.registry.export_dataset("chat", tmp_path / "out").folder / "receipts"
    source = f"{url}/sha256/{digest[:2]}/{digest}"
    given: dict[str, Any] = {
        "receipt": receipts / f"{away.registry.thing(ref).entry}.tlog-proof",
        "keys": receipts,
        "policy": away.registry.policy_text,
        "genesis": away.registry.home.genesis.hex(),
    }
    with Shard.open(source, **given) as shard:
        assert isinstance(shard._reader, ShardReader)
        assert len(list(shard.records())) == 12


@pytest.fixture(scope="module")
def logits(away: World) -> tuple[Scored, str]:
    """A text with what a teacher said of it, and the reference of the latter's shard."""
    with pytest.MonkeyPatch.context() as patch:
        s3.use(patch)
        scored = Scored(away, "scored-away")
        ref = scored.logits()
        scored.dataset(ref)
    return scored, ref


def proofs(world: World, ref: str) -> dict[str, Any]:
    """What `Shard.open` wants beside the source."""
    place = world.registry.place
    return {
        "receipt": place.receipt(world.registry.thing(ref).entry).to_bytes(),
        "keys": [place.receipt(entry).to_bytes() for entry in range(int(place.head().size))],
        "policy": world.registry.policy_text,
        "genesis": world.registry.home.genesis.hex(),
    }


def key_of(world: World, ref: str) -> str:
    """The name of a shard's file in the bucket."""
    digest = world.body(ref).file.removeprefix("sha256:")
    return f"sha256/{digest[:2]}/{digest}"


@contextmanager
def flipped(world: World, ref: str) -> Iterator[None]:
    """A bit of a shard's file in the bucket is another."""
    store, name = bucket.Bucket(bucket.split_url(world.registry.store.address)), key_of(world, ref)
    data = store.read(name)
    assert data is not None
    store.put(name, data[:100] + bytes([data[100] ^ 1]) + data[101:], replace=True)
    try:
        yield
    finally:
        store.put(name, data, replace=True)


def check_logits(shard: Shard, scored: Scored) -> None:
    """The reader gives what the teacher said, of all rows and of some."""
    found = shard.logits().ragged()
    expected = [each for each in scored.found if each is not None]
    assert np.array_equal(found.ids, np.concatenate([each.ids for each in expected]))
    assert np.array_equal(found.logprobs, np.concatenate([each.logprobs for each in expected]))
    first = scored.found[4]
    assert first is not None
    dense = shard.logits().dense(range(4, 5))
    assert len(dense.ids) == first.n
    assert np.array_equal(dense.ids[0, : first.counts[0]], first.ids[: first.counts[0]])
    shard.check_records()


def test_log_probabilities_are_read_from_a_bucket_by_their_url(away: World, logits: tuple[Scored, str]) -> None:
    scored, ref = logits
    url = f"{away.registry.store.address}/{key_of(away, ref)}"
    with Shard.open(url, **proofs(away, ref)) as shard:
        check_logits(shard, scored)
    with flipped(away, ref), pytest.raises(VerificationError, match=f"{ref}: block 0, bytes 0 to .*: expected leaf hash"):
        Shard.open(url, **proofs(away, ref))


def test_log_probabilities_are_read_from_our_server(away: World, logits: tuple[Scored, str]) -> None:
    scored, ref = logits
    run, key = away.run(away.ref("lab/pupil"), "logits-by-http", away.ref(scored.name, "dataset"))
    grant = away.grant(run, key, [(scored.text, 0, len(scored.records))], mode=GrantMode.EXPORT)
    with served(away) as server:
        url = f"{server.url}{server.path(ref)}/content?grant={grant}"
        given = {"token": server.tokens["trainer"], **proofs(away, ref)}
        with Shard.open(url, **given) as shard:
            check_logits(shard, scored)
        with flipped(away, ref), pytest.raises(VerificationError, match=f"{ref}: block 0, bytes 0 to .*: expected leaf hash"):
            Shard.open(url, **given)


def test_everything_can_be_done_with_objects_in_a_bucket(away: World, tmp_path: Path) -> None:
    registry = away.registry
    registry.import_files("messages", [messages(tmp_path / "more", "more", 5)], teacher="acme/base@1", dataset="more")
    assert len(list(registry.pull("chat", "more", student="lab/pupil", run="lessons"))) == 35
    shard = away.parts("chat")[0][0]
    with registry.shard(shard) as opened:
        record = next(opened.records())
    [found] = registry.trace(record_id(record).hex()).found
    assert (found.shard, found.row) == (shard, 0)
    assert registry.trace(record_id(record).hex()).found == (found,)  # by the index that the first search has kept
    delivered = registry.export_dataset("chat", tmp_path / "out")
    assert delivered.shards == 3
    old = registry.store.put_bytes(b"nobody names this")
    assert [item.digest for item in housekeeping.remove_unreferenced(registry, older_than=-1)] == [old]
    assert registry.verify().verdict == "proved"
    done = backing.back_up(registry, tmp_path / "backup")
    assert done.copied == done.objects > 0


def test_two_columns_are_fetched_and_verified_by_a_seventh_of_the_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(11)
    records = [Record((Message("user", "?"),), (), chance.randbytes(400).hex(), refs=()) for _ in range(9_000)]
    with s3.proxy(lambda *_: None) as (address, seen):
        s3.use(monkeypatch, address)
        store = BucketStore(bucket.split_url(url), tmp_path)
        written = write_shard(store, records)
        del seen[:]
        said = {name: getattr(written, name) for name in ("digest", "size", "block_root", "record_root", "rows")}
        with ShardReader(store, **said) as reader:
            table = reader.read(["sample", "finish_reason"])
            fetched, asked = sum(count for *_, count in seen), len(seen)
            assert table.num_rows == 9_000
            assert 0 < fetched < 0.15 * written.size
            groups = -(-9_000 // ROW_GROUP_ROWS)
            assert asked <= 2 + 1 + 2 * groups  # size and block hashes; the footer; what the columns of a row group need
            read = [record.response for record in reader.records([range(5_000, 5_003)])]
            assert read == [record.response for record in records[5_000:5_003]]
        digest = written.digest.removeprefix("sha256:")
        data = bytearray(store.get(digest))
        data[-1000] ^= 1
        bucket.Bucket(store.location).put(f"sha256/{digest[:2]}/{digest}", bytes(data), replace=True)
        with pytest.raises(VerificationError, match="expected leaf hash"):
            ShardReader(store, **said)
