import io
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.ledger import merkle
from inbond.registry.shards.blocks import (
    BLOCK,
    VerifiedFile,
    block_hashes,
    block_root,
    join_hashes,
    leaves_of,
    split_hashes,
)
from inbond.schemas.errors import VerificationError

SIZE = 40 * BLOCK + 123
DATA = random.Random(1).randbytes(SIZE)
HASHES = leaves_of(DATA)


def verified(raw, hashes=HASHES, size=SIZE, root=None):
    return VerifiedFile(raw, size=size, hashes=hashes, root=root or block_root(HASHES), name="shard s")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


def flip(path, at):
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def test_blocks_are_leaves_of_rfc6962():
    blocks = [DATA[at : at + BLOCK] for at in range(0, SIZE, BLOCK)]
    assert len(blocks[-1]) == 123
    assert block_hashes(io.BytesIO(DATA)) == HASHES == [merkle.leaf_hash(block) for block in blocks]
    assert block_hashes(io.BytesIO(b"")) == []
    assert block_root([]) == merkle.EMPTY_ROOT


def test_a_file_that_gives_little_at_a_time_has_the_same_blocks():
    class Dribble(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 50_000))

    assert block_hashes(Dribble(DATA)) == HASHES


@settings(max_examples=60, deadline=None)
@given(offset=st.integers(0, SIZE + BLOCK), length=st.integers(0, SIZE))
def test_reads_are_those_of_the_file(offset, length):
    with verified(io.BytesIO(DATA)) as file:
        assert file.read_at(offset, length) == DATA[offset : offset + length]
        file.seek(offset)
        assert file.read(length) == DATA[offset : offset + length]
        assert file.tell() == offset + len(DATA[offset : offset + length])


def test_it_is_an_ordinary_file(path):
    with io.BufferedReader(verified(path.open("rb"))) as file:
        assert file.read(10) == DATA[:10]
        file.seek(-5, io.SEEK_END)
        assert file.read() == DATA[-5:]
        file.seek(BLOCK - 5)
        assert file.read(10) == DATA[BLOCK - 5 : BLOCK + 5]


@pytest.mark.parametrize("block", [0, 1, 17, 39, 40])
def test_a_flipped_byte_is_refused_by_each_read_that_touches_its_block_and_by_no_other(path, block):
    with verified(path.open("rb")) as file:
        at = block * BLOCK + 100
        flip(path, at)  # after the file was opened: nothing is trusted for having been good before
        end = min((block + 1) * BLOCK, SIZE)
        for offset, length in [(at, 1), (end - 1, 1), (0, SIZE)]:
            with pytest.raises(VerificationError, match=f"shard s: block {block}, bytes {block * BLOCK} to {end}:"):
                file.read_at(offset, length)
        assert file.read_at(0, block * BLOCK) == DATA[: block * BLOCK]
        assert file.read_at(end, SIZE) == DATA[end:]


def test_what_was_handed_out_does_not_change_with_the_file(path):
    with verified(path.open("rb")) as file:
        given_out = file.read_at(0, SIZE)
        flip(path, 5)
        assert given_out == DATA


def test_many_threads_may_read(path):
    with verified(path.open("rb")) as file, ThreadPoolExecutor(4) as threads:
        offsets = [random.Random(n).randrange(SIZE) for n in range(64)]
        for offset, data in zip(offsets, threads.map(lambda at: file.read_at(at, 20 * BLOCK), offsets), strict=True):
            assert data == DATA[offset : offset + 20 * BLOCK]


def test_hashes_that_do_not_lead_to_the_root_are_refused_before_any_read(path):
    wrong = [merkle.leaf_hash(b"other"), *HASHES[1:]]
    for hashes, message in [(wrong, "expected block root"), (HASHES[:-1], "expected 41 block hashes")]:
        with path.open("rb") as raw, pytest.raises(VerificationError, match=f"shard s: {message}"):
            verified(raw, hashes)


@pytest.mark.parametrize("size", [SIZE - 1, SIZE + 1])
def test_a_file_of_another_size_is_refused(path, size):
    with path.open("r+b") as raw:
        raw.truncate(size)
        with pytest.raises(VerificationError, match=f"shard s: expected {SIZE} bytes, found {size}"):
            verified(raw)


def test_a_file_that_shrinks_while_it_is_read_is_refused(path):
    with verified(path.open("rb")) as file:
        with path.open("r+b") as raw:
            raw.truncate(BLOCK)
        with pytest.raises(VerificationError, match=f"found its end at {BLOCK}"):
            file.read()


def test_hashes_lie_beside_a_file_joined():
    assert split_hashes(join_hashes(HASHES), SIZE, "s") == HASHES
    for data in (join_hashes(HASHES)[:-1], join_hashes(HASHES[:-1]), b""):
        with pytest.raises(VerificationError, match="expected 41 block hashes"):
            split_hashes(data, SIZE, "s")
