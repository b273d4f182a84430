import errno
import io
import os
import random
import signal
import subprocess
import sys
from hashlib import sha256

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.ledger import merkle
from inbond.registry.objects import IDS, bare
from inbond.registry.shards.blocks import BLOCK
from inbond.registry.stores.bucket import Bucket, BucketStore
from inbond.registry.stores.folder import FolderStore
from inbond.schemas.errors import InvalidInput, NotFound, StoreError, VerificationError
from tests import s3

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab\n"\\', max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def folder(tmp_path):
    return FolderStore(tmp_path / "folder")


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path, monkeypatch):
    if request.param == "folder":
        return FolderStore(tmp_path / "objects")
    s3.use(monkeypatch)
    (tmp_path / "here").mkdir()
    return BucketStore(s3.split_url(s3.new_bucket()), tmp_path / "here" / "scratch")


def damage(store, digest, data):
    """Put other bytes where an object lies."""
    if isinstance(store, FolderStore):
        store.path(digest).write_bytes(data)
    else:
        Bucket(store.location).put(f"sha256/{digest[:2]}/{digest}", data, replace=True)


def scratch_of(store):
    folder = store.folder / "scratch" if isinstance(store, FolderStore) else store._scratch.folder
    return list(folder.iterdir()) if folder.is_dir() else []


class Full(io.FileIO):
    """A file on a disk that is full."""

    def write(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("size", [3, 1_000_000])  # what a buffer holds until the end, and what it does not
def test_a_full_disk_is_a_failure_of_the_store_that_leaves_nothing(folder, monkeypatch, size):
    store = folder
    with monkeypatch.context() as patch:
        patch.setattr(io, "FileIO", Full)
        with pytest.raises(StoreError, match="No space left on device"):
            store.put_bytes(b"x" * size)
        with pytest.raises(StoreError, match="No space left on device"), store.scratch() as file:
            pyarrow.output_stream(file).write(b"x" * 1_000_000)
    assert scratch_of(store) == []
    assert store.get(store.put_bytes(b"x" * size)) == b"x" * size


def test_bytes_come_back_under_their_digest_with_or_without_prefix(store):
    digest = store.put_bytes(b"hello")
    assert digest == sha256(b"hello").hexdigest()
    assert store.get(digest) == store.get(f"sha256:{digest}") == b"hello"
    assert store.size(digest) == 5
    assert scratch_of(store) == []


def test_a_file_is_kept_in_parts_where_it_is_large(store):
    data = random.Random(3).randbytes(9 << 20)
    with store.scratch() as file:
        file.write(data)
        digest = store.put_file(file, sha256(data).hexdigest())
    assert store.size(digest) == len(data)
    with store.open(digest) as file:
        file.seek(8 << 20)
        assert file.read(10) == data[8 << 20 :][:10]
        assert file.seek(-3, io.SEEK_END) == len(data) - 3
        assert file.read() == data[-3:]
    store.check(digest)


def test_what_lies_beside_an_object_goes_with_it(store):
    digest = store.put_bytes(b"hello")
    assert store.beside(digest, IDS) is None
    for data in (b"one", b"two"):
        store.put_beside(digest, IDS, data)
        with store.beside(digest, IDS) as file:
            assert file.read() == data
    assert [found.digest for found in store.list()] == [digest]
    store.remove(digest)
    assert store.beside(digest, IDS) is None


def test_objects_are_copied_between_stores(store, folder):
    digest = store.put_bytes(b"hello")
    store.copy_to(folder, digest)
    other = folder.put_bytes(b"back")
    folder.copy_to(store, other)
    assert (folder.get(digest), store.get(other)) == (b"hello", b"back")
    damage(store, digest, b"jello")
    folder.remove(digest)
    with pytest.raises(VerificationError, match="expected bytes of this SHA-256"):
        store.copy_to(folder, digest)
    assert not folder.has(digest)


def test_putting_the_same_again_leaves_the_file_but_makes_it_young(folder):
    store = folder
    digest = store.put_bytes(b"hello")
    assert store.path(digest).relative_to(store.folder).parts == ("sha256", digest[:2], digest)
    path = store.path(digest)
    os.utime(path, (1, 1))
    inode = path.stat().st_ino
    assert store.put_bytes(b"hello") == digest
    assert path.stat().st_ino == inode
    assert [found.digest for found in store.list() if found.age_seconds < 60] == [digest]
    assert scratch_of(store) == []


def test_an_altered_object_is_refused_by_name(store):
    digest = store.put_bytes(b"hello")
    store.check(digest)
    damage(store, digest, b"jello")
    for ask in (store.get, store.check):
        with pytest.raises(VerificationError, match=f"object {digest}: expected bytes of this SHA-256, found"):
            ask(digest)


def test_a_damaged_object_of_another_size_is_not_taken_for_the_one_that_is_put(store):
    digest = store.put_bytes(b"hello")
    damage(store, digest, b"hell")
    with pytest.raises(VerificationError, match="expected 5 bytes in the store, found 4"):
        store.put_bytes(b"hello")


def test_what_is_not_there(store):
    absent = "0" * 64
    assert not store.has(absent)
    for ask in (store.get, store.check, store.open, store.size, store.get_blocks, store.remove):
        with pytest.raises(NotFound, match=absent):
            ask(absent)


@pytest.mark.parametrize("digest", ["", "sha256:", "0" * 63, "G" * 64, "A" * 64, "sha512:" + "0" * 64, "../" * 21 + "x"])
def test_only_digests_name_objects(store, digest):
    with pytest.raises(InvalidInput, match="expected a digest"):
        store.get(digest)


def test_list_and_remove(store):
    digests = sorted(store.put_bytes(bytes([n])) for n in range(5))
    store.put_blocks(digests[0], b"x" * 32)
    assert [found.digest for found in store.list()] == digests
    store.remove(digests[0])
    assert [found.digest for found in store.list()] == digests[1:]
    assert [(found.digest, found.size) for found in store.list()] == [(digest, 1) for digest in digests[1:]]


def test_block_hashes_are_computed_again_where_they_are_missing_or_cut(store):
    data = bytes(BLOCK) + b"end"
    digest = store.put_bytes(data)
    expected = merkle.leaf_hash(bytes(BLOCK)) + merkle.leaf_hash(b"end")
    assert store.get_blocks(digest) == expected
    store.put_blocks(digest, expected)
    assert store.get_blocks(digest) == expected
    store.put_blocks(digest, expected[:-1])
    assert store.get_blocks(digest) == expected


def test_scratch_that_was_not_put_is_gone_after_an_error(store):
    def fail_halfway():
        with store.scratch() as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert scratch_of(store) == []


def test_clean_scratch_takes_what_the_dead_left_and_nothing_of_the_living(folder):
    store = folder
    script = (
        "import os, sys, time; from inbond.registry.stores.folder import FolderStore\n"
        f"with FolderStore({str(store.folder)!r}).scratch() as file:\n"
        "    file.write(b'half'); file.flush(); print('ready', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as writer, store.scratch() as mine:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        assert store.clean_scratch() == ()
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        assert len(store.clean_scratch()) == 1
        assert [str(path) for path in scratch_of(store)] == [str(mine.name)]
    assert list(store.list()) == []


def test_a_list_is_named_by_digest_root_and_count(store):
    named = store.put_lines([{"b": 1, "a": "\n"}, 7])
    data = b'{"a":"\\n","b":1}\n7\n'
    assert store.get(named.digest) == data
    assert named.digest == f"sha256:{sha256(data).hexdigest()}"
    leaves = [merkle.leaf_hash(line) for line in data.split(b"\n")[:2]]
    assert named.root == f"sha256:{merkle.node_hash(*leaves).hex()}"
    assert store.read_lines(named.digest, named.root, 2) == [{"a": "\n", "b": 1}, 7]


def test_a_list_under_another_root_or_count_is_refused(store):
    named = store.put_lines([1, 2])
    with pytest.raises(VerificationError, match="expected root"):
        store.read_lines(named.digest, "0" * 64, 2)
    with pytest.raises(VerificationError, match="expected 3 lines, found 2"):
        store.read_lines(named.digest, named.root, 3)


def test_lines_that_are_not_canonical_are_refused_even_under_a_true_root(store):
    line = b'{"b":1, "a":2}'
    digest = store.put_bytes(line + b"\n")
    with pytest.raises(InvalidInput, match=f"list {digest}, line 1"):
        store.read_lines(digest, merkle.leaf_hash(line).hex(), 1)
    with pytest.raises(VerificationError, match="newline at the end"):
        store.read_lines(store.put_bytes(b"1"), "0" * 64, 1)


@settings(max_examples=25, deadline=None)
@given(values=st.lists(VALUES, max_size=6))
def test_lists_come_back(tmp_path_factory, values):
    store = FolderStore(tmp_path_factory.getbasetemp() / "lists")
    named = store.put_lines(values)
    assert store.read_lines(named.digest, named.root, len(values)) == values


def test_bare_takes_both_forms():
    assert bare("sha256:" + "a" * 64) == bare("a" * 64) == "a" * 64
