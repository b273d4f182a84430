"""What only a bucket has: S3's failures in words, requests that are repeated, uploads that are broken off."""

import random
import sys
from datetime import timedelta
from hashlib import sha256

import pytest

from inbond.registry.stores import bucket
from inbond.registry.stores.bucket import BucketStore, split_url
from inbond.schemas.errors import InbondError, InvalidInput, NotPermitted, StoreError, VerificationError
from tests import s3

SOON = {"max_retries": 2, "backoff": {"init_backoff": timedelta(milliseconds=1)}, "retry_timeout": timedelta(seconds=5)}
DENIED = (403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
BROKEN = (503, b"<Error><Code>SlowDown</Code></Error>")
LARGE = random.Random(5).randbytes(2 * bucket.PART + 5)


@pytest.fixture
def url(monkeypatch):
    s3.use(monkeypatch)
    return s3.new_bucket()


def through(monkeypatch, url, address):
    """A store behind a proxy."""
    s3.use(monkeypatch, address)
    return BucketStore(split_url(url), retries=SOON)


def test_a_bucket_that_does_not_exist_is_said_whatever_is_asked(url):
    store = BucketStore(split_url("s3://nothing-here/prefix"), retries=SOON)
    absent = "0" * 64
    for ask in (store.check_reachable, lambda: store.put_bytes(b"x"), lambda: list(store.list())):
        with pytest.raises(StoreError, match="s3://nothing-here/prefix: expected a bucket that exists, found none"):
            ask()
    for ask in (store.get, store.open, store.has, store.size, store.remove):
        with pytest.raises(StoreError, match="expected a bucket that exists, found none"):
            ask(absent)


def test_denied_access_is_said_with_what_is_needed(url, monkeypatch):
    with s3.proxy(lambda *_: DENIED) as (address, seen):
        store = through(monkeypatch, url, address)
        for ask in (store.check_reachable, lambda: store.put_bytes(b"x"), lambda: store.get("0" * 64)):
            with pytest.raises(NotPermitted, match=f"{url}.*: expected access, found that S3 denies it") as found:
                ask()
            assert "PutObject" in str(found.value.hint)
        assert len(seen) == 3  # asking again cannot help


def test_nobody_there_is_a_failure_with_what_to_look_at(url, monkeypatch):
    store = through(monkeypatch, url, "http://127.0.0.1:1")
    with pytest.raises(StoreError, match="S3 failed") as found:
        store.get("0" * 64)
    assert "AWS_ENDPOINT_URL" in str(found.value.hint)


def test_a_server_that_fails_in_passing_is_asked_again(url, monkeypatch):
    failing = 0

    def answer(method, path):
        nonlocal failing
        failing -= 1
        return BROKEN if failing >= 0 else None

    with s3.proxy(answer) as (address, seen):
        store = through(monkeypatch, url, address)
        failing = 2
        digest = store.put_bytes(b"hello")
        failing = 2
        assert store.get(digest) == b"hello"
        assert [status for *_, status, _ in seen].count(503) == 4
        failing = 100
        with pytest.raises(StoreError, match="503"):
            store.get(digest)


def test_a_body_that_is_cut_is_not_taken_for_the_whole(url, monkeypatch):
    cut = 0
    with s3.proxy(lambda method, path: cut if method == "GET" and "list" not in path else None) as (address, seen):
        store = through(monkeypatch, url, address)
        digest = store.put_bytes(b"hello")
        with pytest.raises(StoreError):
            store.get(digest)
        with pytest.raises(StoreError), store.open(digest) as file:
            file.read()
        cut, asked = 3, len(seen)
        assert store.get(digest) == b"hello"  # the rest was asked for
        assert [count for *_, count in seen[asked:]] == [5, 2]


def test_a_short_read_says_what_came(url, monkeypatch):
    store = BucketStore(split_url(url), retries=SOON)
    digest = store.put_bytes(b"hello, hello")
    with store.open(digest) as file:
        bucket.Bucket(store.location).put(f"sha256/{digest[:2]}/{digest}", b"hello", replace=True)
        with pytest.raises(StoreError, match="expected 12 bytes from byte 0, found 5"):
            file.read()


def test_an_upload_of_other_bytes_than_its_name_says_is_broken_off(url, monkeypatch):
    with s3.proxy(lambda *_: None) as (address, seen):
        store = through(monkeypatch, url, address)
        for data in (LARGE, b"small"):
            with store.scratch() as file:
                file.write(data)
                with pytest.raises(VerificationError, match=r"object 1111.*: expected bytes of this SHA-256, found"):
                    store.put_file(file, "1" * 64)
            assert not store.has("1" * 64)
        assert not any(method == "POST" and "uploadId" in path for method, path, *_ in seen)  # it was not completed
        with store.scratch() as file:
            file.write(LARGE)
            assert store.get(store.put_file(file, sha256(LARGE).hexdigest())) == LARGE
        assert any(method == "POST" and "uploadId" in path for method, path, *_ in seen)


def test_what_is_there_is_not_sent_again_until_it_has_aged(url, monkeypatch):
    with s3.proxy(lambda *_: None) as (address, seen):
        store = through(monkeypatch, url, address)

        def sent() -> int:
            del seen[:]
            store.put_bytes(b"hello")
            return sum(method == "PUT" for method, *_ in seen)

        assert [sent(), sent()] == [1, 0]
        monkeypatch.setattr(bucket, "_YOUNG", timedelta(0))
        assert sent() == 1


def test_ranges_are_all_that_is_fetched(url, monkeypatch):
    with s3.proxy(lambda *_: None) as (address, seen):
        store = through(monkeypatch, url, address)
        with store.scratch() as scratch:
            scratch.write(LARGE)
            digest = store.put_file(scratch, sha256(LARGE).hexdigest())
        del seen[:]
        with store.open(digest) as file:
            assert bytes(file.read_at(5_000_000, 5_070_000)) == LARGE[5_000_000:5_070_000]
        assert [(method, count) for method, _, _, count in seen] == [("HEAD", 0), ("GET", 70_000)]


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///x", "s3://key:secret@bucket/x", "s3://bucket//x", "gs://bucket", "s3://bucket/a b"]
)
def test_what_is_no_bucket_is_refused_and_a_secret_in_it_not_shown(url):
    with pytest.raises(InvalidInput, match="expected s3://BUCKET") as found:
        split_url(url)
    assert "secret" not in str(found.value)


@pytest.mark.parametrize(("endpoint", "region"), [("https://user:secret@there", None), (None, "a b")])
def test_endpoints_and_regions_hold_nothing_secret(endpoint, region):
    with pytest.raises(InvalidInput, match="without user, password and spaces"):
        split_url("s3://bucket", endpoint, region)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(InbondError, match="expected the package obstore") as found:
        BucketStore(split_url("s3://bucket"))
    assert "inbond[s3]" in str(found.value.hint)
