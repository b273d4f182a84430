import os
from hashlib import sha256
from pathlib import Path

import pytest

from inbond.registry.importers.inputs import BLOCK, Input
from inbond.schemas.errors import InvalidInput, NotFound


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "input.jsonl"
    path.write_bytes(bytes(range(256)) * (BLOCK // 256) * 2 + b"end")
    return path


def test_digest_size_and_bytes_are_those_of_the_file(file: Path) -> None:
    seen: list[int] = []
    source = Input(file, seen.append)
    with source.open(seen.append) as blocks:
        data = b"".join(blocks)
    assert data == file.read_bytes()
    assert (source.digest, source.size) == ("sha256:" + sha256(data).hexdigest(), len(data))
    assert sum(seen) == 2 * len(data)


def test_an_empty_file_has_a_digest_and_no_blocks(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    source = Input(path)
    assert source.digest == "sha256:" + sha256(b"").hexdigest()
    with source.open() as blocks:
        assert list(blocks) == []


@pytest.mark.parametrize("at", [0, BLOCK, 2 * BLOCK + 2])
def test_a_changed_byte_is_refused_before_its_block_is_handed_out(file: Path, at: int) -> None:
    source = Input(file)
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)
    handed_out: list[bytes] = []
    with source.open() as blocks, pytest.raises(InvalidInput, match="changed while it was read"):
        handed_out.extend(blocks)
    assert sum(map(len, handed_out)) == at // BLOCK * BLOCK


@pytest.mark.parametrize("size", [0, 5, BLOCK, 2 * BLOCK + 2])
def test_a_file_that_shrank_is_refused(file: Path, size: int) -> None:
    source = Input(file)
    os.truncate(file, size)
    with source.open() as blocks, pytest.raises(InvalidInput, match=f"expected {source.size} bytes, found only {size}"):
        list(blocks)


def test_a_file_that_shrinks_while_it_is_read_is_refused(file: Path) -> None:
    with Input(file).open() as reader:
        blocks = iter(reader)
        next(blocks)
        os.truncate(file, BLOCK)
        with pytest.raises(InvalidInput, match="changed while it was read"):
            list(blocks)


def test_a_file_that_grew_is_refused(file: Path) -> None:
    source = Input(file)
    with file.open("ab") as more:
        more.write(b"x")
    with source.open() as blocks, pytest.raises(InvalidInput, match="found more"):
        list(blocks)


def test_what_cannot_be_read_twice_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match="found a pipe"):
        Input(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match="found a folder"):
        Input(tmp_path)
    with pytest.raises(NotFound, match="nothing at"):
        Input(tmp_path / "absent")
    with pytest.raises(InvalidInput):
        Input("nul\0byte")
