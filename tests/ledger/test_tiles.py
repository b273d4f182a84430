import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbond.ledger.merkle import CompactRange, inclusion_proof, leaf_hash, root_at, root_of, verify_inclusion
from inbond.ledger.tiles import (
    TileName,
    bundles_of,
    decode_bundle,
    encode_bundle,
    entries_path,
    node_reader,
    parse_path,
    tile_path,
    tile_root,
    tiles_of,
    updated_tiles,
)
from inbond.schemas.errors import InvalidInput, VerificationError


class Tiles(dict[tuple[int, int], bytes]):
    """A log's tiles of hashes; the newest width of each."""

    size = 0

    def fetch(self, level: int, n: int) -> bytes:
        return self[level, n]

    def append(self, leaves: list[bytes]) -> None:
        self.update({(level, n): data for level, n, data in updated_tiles(self.size, self.fetch, leaves)})
        self.size += len(leaves)


def leaves_of(size: int, start: int = 0) -> list[bytes]:
    return [leaf_hash(b"%d" % i) for i in range(start, start + size)]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (TileName(0, 0), "tile/0/000"),
        (TileName(0, 999), "tile/0/999"),
        (TileName(1, 1000), "tile/1/x001/000"),
        (TileName(2, 1234067), "tile/2/x001/x234/067"),
        (TileName(63, 123456789), "tile/63/x123/x456/789"),
        (TileName(0, 1234, 5), "tile/0/x001/234.p/5"),
        (TileName(None, 0, 255), "tile/entries/000.p/255"),
        (TileName(None, 273), "tile/entries/273"),
    ],
)
def test_paths_name_tiles_as_the_format_says(name: TileName, path: str) -> None:
    assert name.path == path
    assert parse_path(path) == name
    written = entries_path(name.n, name.width) if name.level is None else tile_path(name.level, name.n, name.width)
    assert written == path


@pytest.mark.parametrize(
    "path",
    [
        "/tile/0/000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/1000",
        "tile/0/x000/001",
        "tile/0/001/x000",
        "tile/0/x01/000",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/",
        "tile/0/000\n",
        "tile/0/../0/000",
        "tile/data/000",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/" + "x001/" * 50 + "000",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="path of a tile"):
        parse_path(path)


@pytest.mark.parametrize(("level", "n", "width"), [(64, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257), (0, 2**63, 1)])
def test_tiles_that_do_not_exist_have_no_path(level: int, n: int, width: int) -> None:
    with pytest.raises(InvalidInput, match="expected a tile"):
        tile_path(level, n, width)


def test_the_tiles_of_a_log_by_its_size() -> None:
    names = list(tiles_of(70_000))
    assert sum(name.level == 0 and name.width == 256 for name in names) == 273
    assert [name.path for name in names[273:]] == [
        "tile/0/273.p/112",
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]
    assert [name.path for name in tiles_of(256)] == ["tile/0/000", "tile/1/000.p/1"]
    assert [name.path for name in bundles_of(257)] == ["tile/entries/000", "tile/entries/001.p/1"]
    assert list(tiles_of(0)) == list(bundles_of(0)) == []


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2, 16, 100, 255, 256, 257, 600]), min_size=1, max_size=8))
def test_growing_in_batches_gives_the_tiles_of_one_append(batches: list[int]) -> None:
    grown, compact = Tiles(), CompactRange()
    for batch in batches:
        leaves = leaves_of(batch, grown.size)
        compact.extend(leaves)
        grown.append(leaves)
    at_once = Tiles()
    at_once.append(leaves_of(sum(batches)))
    assert grown == at_once
    assert {(name.level, name.n): name.width * 32 for name in tiles_of(grown.size)} == {
        place: len(data) for place, data in grown.items()
    }
    assert root_at(grown.size, node_reader(grown.fetch)) == compact.root() == root_of(leaves_of(grown.size))


def test_a_batch_touches_only_the_right_edge() -> None:
    log = Tiles()
    log.append(leaves_of(600))
    asked = []

    def fetch(level: int, n: int) -> bytes:
        asked.append((level, n))
        return log[level, n]

    changed = [(level, n, len(data) // 32) for level, n, data in updated_tiles(600, fetch, leaves_of(200, 600))]
    assert changed == [(0, 2, 256), (0, 3, 32), (1, 0, 3)]
    assert asked == [(0, 2), (1, 0)]


def test_proofs_come_out_of_tiles_that_are_wider_than_the_tree() -> None:
    log = Tiles()
    log.append(leaves_of(1000))
    root = root_of(leaves_of(700))
    node = node_reader(log.fetch)
    assert root_at(700, node) == root
    for index in (0, 255, 256, 511, 512, 699):
        verify_inclusion(index, 700, leaves_of(1, index)[0], inclusion_proof(index, 700, node), root)


@pytest.mark.parametrize("length", [0, 32, 127, 129, 8193, 8224])
def test_a_tile_of_the_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(VerificationError, match="tile 0/0"):
        list(updated_tiles(4, lambda level, n: bytes(length), leaves_of(1)))
    with pytest.raises(VerificationError, match="tile 0/0"):
        root_at(4, node_reader(lambda level, n: bytes(length)))


def test_only_a_full_tile_has_a_hash_above() -> None:
    leaves = leaves_of(256)
    assert tile_root(b"".join(leaves)) == root_of(leaves)
    with pytest.raises(InvalidInput, match="full tile"):
        tile_root(b"".join(leaves[:255]))


def test_bundles_hold_entries_of_any_length() -> None:
    entries = [b"", b"a", bytes(65_535)]
    data = encode_bundle(entries)
    assert data[:5] == b"\x00\x00\x00\x01a"
    assert decode_bundle(data) == decode_bundle(data, 3) == entries
    assert len(decode_bundle(encode_bundle([b"x"] * 256), 256)) == 256


@pytest.mark.parametrize("entries", [[], [b""] * 257, [bytes(65_536)]])
def test_entries_that_fit_no_bundle_are_refused(entries: list[bytes]) -> None:
    with pytest.raises(InvalidInput):
        encode_bundle(entries)


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (b"", None),
        (b"\x00", None),
        (b"\x00\x02a", None),
        (b"\x00\x01ab", None),
        (b"\x00\x01a", 2),
        (b"\x00\x01a\x00\x01b", 1),
        (b"\x00\x00" * 257, None),
    ],
)
def test_bundles_out_of_form_are_refused(data: bytes, count: int | None) -> None:
    with pytest.raises(VerificationError, match="entry bundle"):
        decode_bundle(data, count)
