from base64 import b64decode
from hashlib import sha256
from pathlib import Path

import pytest

from inbond.ledger.checkpoints import Checkpoint, check_origin, open_checkpoint, parse, sign
from inbond.ledger.keys import SigningKey, VerifierKey
from inbond.ledger.merkle import EMPTY_ROOT, CompactRange, leaf_hash, root_at
from inbond.ledger.tiles import bundles_of, decode_bundle, encode_bundle, node_reader, tile_path, tiles_of, updated_tiles
from inbond.schemas.errors import InvalidInput, VerificationError

ORIGIN = "example.com/log"
KEY = SigningKey.from_seed(ORIGIN, bytes(range(32)))
ROOT = bytes(range(32))
TEXT = Checkpoint(ORIGIN, 17, ROOT).text()

# The head of the Go checksum database, as its witnesses saw it: origin and key name differ.
SUMDB_KEY = VerifierKey.parse("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
SUMDB = (
    "go.sum database tree\n35225469\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n\n"
    "— sum.golang.org "
    "Az3grpukl5AXaVfYkLiDGORx/DN2nlcS5kZHR5uYOBV2KA2HgXpD+gu9HHONebHLAyaKbbTM75QTtPydhKCExixSfwQ=\n"
).encode()


def test_the_body_is_the_one_that_go_formats() -> None:
    root = leaf_hash(b"hello world")
    checkpoint = Checkpoint("go.sum database tree", 123456789012, root)
    assert checkpoint.text() == (b"go.sum database tree\n123456789012\nTszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=\n")
    assert parse(checkpoint.text()) == checkpoint


def test_a_production_checkpoint_verifies() -> None:
    checkpoint = open_checkpoint(SUMDB, [SUMDB_KEY], "go.sum database tree")
    assert checkpoint.size == 35225469
    assert checkpoint.root == b64decode("vt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=")


def test_the_origin_must_be_the_one_that_is_asked_for() -> None:
    with pytest.raises(VerificationError, match=r"expected origin 'sum\.golang\.org', found 'go\.sum database tree'"):
        open_checkpoint(SUMDB, [SUMDB_KEY], "sum.golang.org")


def test_any_changed_byte_is_refused() -> None:
    data = sign(Checkpoint(ORIGIN, 17, ROOT), [KEY])
    assert open_checkpoint(data, [KEY.verifier], ORIGIN) == Checkpoint(ORIGIN, 17, ROOT)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(VerificationError):
            open_checkpoint(bytes(changed), [KEY.verifier], ORIGIN)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        TEXT[:-1],
        TEXT + b"\n",
        TEXT + b"extension\n",
        b"\n" + TEXT,
        TEXT.replace(b"example.com/log\n", b"\n"),
        TEXT.replace(b"17", b"017"),
        TEXT.replace(b"17", b" 17"),
        TEXT.replace(b"17", b"-17"),
        TEXT.replace(b"17", b"1_7"),
        TEXT.replace(b"17", b""),
        TEXT.replace(b"17", b"9223372036854775808"),
        TEXT.replace(b"17", b"0"),  # the empty tree has one root
        TEXT.replace(b"Hh8=", b"Hh9="),  # unused bits are not zero
        TEXT.replace(b"=\n", b"\n"),
        TEXT.replace(b"\n", b"\r\n"),
        TEXT.replace(b"log", b"l\xffg"),
        TEXT.replace(b"log", b"l\tg"),
        TEXT.replace(b"log", b"l" * 300),
        b"log\n1\nAAAA\n",
    ],
)
def test_other_texts_are_no_checkpoint(text: bytes) -> None:
    with pytest.raises(VerificationError, match="expected"):
        parse(text)


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint("", 1, ROOT),
        Checkpoint("a\nb", 1, ROOT),
        Checkpoint("a\ud800", 1, ROOT),
        Checkpoint(ORIGIN, -1, ROOT),
        Checkpoint(ORIGIN, 2**63, ROOT),
        Checkpoint(ORIGIN, 1, ROOT[:31]),
        Checkpoint(ORIGIN, 0, ROOT),
    ],
)
def test_heads_that_no_log_has_are_not_signed(checkpoint: Checkpoint) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        sign(checkpoint, [KEY])


def test_the_empty_log_has_a_checkpoint() -> None:
    empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    assert sha256(b"").digest() == EMPTY_ROOT
    assert open_checkpoint(sign(empty, [KEY]), [KEY.verifier], ORIGIN) == empty
    check_origin("go.sum database tree")


def test_a_published_log_is_made_again_byte_for_byte(shared_vectors: Path) -> None:
    published = shared_vectors / "tlog-small"
    key = SigningKey.from_text("PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg")
    words = ["one", "two", "three", "four", "five", "six", "seven", "eit", "nain", "ten"]
    words += ["ileven", "twelf", "threeten", "fourten", "fivten"]
    entries = [word.encode() for word in words]
    assert decode_bundle((published / "tile/entries/000.p/15").read_bytes(), 15) == entries

    tiles: dict[tuple[int, int], bytes] = {}
    compact = CompactRange()
    for size in range(16):
        if size:
            leaf = leaf_hash(entries[size - 1])
            changed = updated_tiles(size - 1, lambda level, n: tiles[level, n], [leaf])
            tiles.update({(level, n): data for level, n, data in changed})
            compact.append(leaf)
        root = root_at(size, node_reader(lambda level, n: tiles[level, n]))
        assert root == compact.root()
        note = sign(Checkpoint("example.com/log/testdata", size, root), [key])
        assert note == (published / f"checkpoint.{size}").read_bytes()
        for name in tiles_of(size):
            assert tiles[name.level or 0, name.n] == (published / name.path).read_bytes()
        for name in bundles_of(size):
            assert encode_bundle(entries[:size]) == (published / name.path).read_bytes()
    assert note == (published / "checkpoint").read_bytes()
    assert tile_path(0, 0, 15) == "tile/0/000.p/15"
    vkey = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
    assert open_checkpoint(note, [VerifierKey.parse(vkey)], key.name).root == b64decode(
        "rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs="
    )
