import pytest

from inbond.ledger import checkpoints
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.keys import SigningKey
from inbond.ledger.merkle import inclusion_proof, inclusion_proofs, leaf_hash, root_of
from inbond.ledger.policy import TrustedLog, TrustPolicy
from inbond.ledger.receipts import Receipt, parse, verify, write_all
from inbond.ledger.tiles import node_reader, updated_tiles
from inbond.schemas.entry import MAX_ENTRY
from inbond.schemas.errors import InvalidInput, VerificationError

LOG = SigningKey.from_seed("example.com/log", bytes([1] * 32))
POLICY = TrustPolicy((TrustedLog(LOG.verifier),))
ENTRIES = [b"entry %d" % i for i in range(7)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
HEAD = Checkpoint("example.com/log", 7, root_of(LEAVES))
TILES = {(level, n): data for level, n, data in updated_tiles(0, lambda level, n: b"", LEAVES)}


def receipt(index: int, extra: bytes | None = None) -> Receipt:
    proof = inclusion_proof(index, 7, node_reader(lambda level, n: TILES[level, n]))
    return Receipt(index, tuple(proof), checkpoints.sign(HEAD, [LOG]), extra)


@pytest.mark.parametrize("index", range(7))
@pytest.mark.parametrize("extra", [None, b"entry"])
def test_each_entry_has_a_receipt_that_verifies_from_its_bytes(index: int, extra: bytes | None) -> None:
    data = receipt(index, extra).to_bytes()
    assert parse(data) == receipt(index, extra)
    assert verify(parse(data), LEAVES[index], POLICY) == HEAD
    with pytest.raises(VerificationError, match="inclusion of leaf"):
        verify(parse(data), LEAVES[index - 1], POLICY)


def test_the_file_has_the_published_form() -> None:
    lines = receipt(6, b"abc").to_bytes().decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", "extra YWJj", "index 6"]
    assert [len(line) for line in lines[3:6]] == [44, 44, 0]  # two hashes, a blank line
    assert "\n".join(lines[6:]).encode() == checkpoints.sign(HEAD, [LOG])


def test_many_at_once_are_written_like_each() -> None:
    proofs, note = inclusion_proofs(range(7), 7, node_reader(lambda level, n: TILES[level, n])), checkpoints.sign(HEAD, [LOG])
    entries = dict(enumerate(ENTRIES))
    assert write_all(proofs, note, entries) == {index: receipt(index, entry).to_bytes() for index, entry in entries.items()}
    for index, proof, checkpoint, entry in (
        (0, [], b"no note", b"entry"),
        (0, [], note, b""),
        (0, [], note, bytes(MAX_ENTRY + 1)),
        (0, [bytes(32)] * 64, note, b"entry"),
        (0, [bytes(31)], note, b"entry"),
        (2**63, [], note, b"entry"),
    ):
        with pytest.raises(InvalidInput, match="expected"):
            write_all({index: proof}, checkpoint, {index: entry})


def test_any_changed_byte_is_refused() -> None:
    data = receipt(2).to_bytes()
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(VerificationError):
            verify(parse(bytes(changed)), LEAVES[2], POLICY)


def test_a_log_that_the_policy_does_not_name_is_refused() -> None:
    other = SigningKey.from_seed("example.com/log", bytes([2] * 32))
    with pytest.raises(VerificationError, match="expected a signature by"):
        verify(receipt(2), LEAVES[2], TrustPolicy((TrustedLog(other.verifier),)))


def test_a_log_of_one_entry_needs_no_hashes() -> None:
    head = Checkpoint("example.com/log", 1, LEAVES[0])
    single = Receipt(0, (), checkpoints.sign(head, [LOG]))
    assert verify(parse(single.to_bytes()), LEAVES[0], POLICY) == head


GOOD = receipt(6, b"abc").to_bytes()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GOOD[:-1],
        GOOD + b"\n",
        b"\n" + GOOD,
        GOOD.replace(b"@v1", b"@v2"),
        GOOD.replace(b"@v1\n", b"@v1\r\n"),
        GOOD.replace(b"extra YWJj", b"extra "),
        GOOD.replace(b"extra YWJj", b"extra  YWJj"),
        GOOD.replace(b"extra YWJj", b"extra YWJ"),
        GOOD.replace(b"extra YWJj", b"extra YWJj\nextra YWJj"),
        GOOD.replace(b"extra YWJj\nindex 6", b"index 6\nextra YWJj"),
        GOOD.replace(b"index 6\n", b""),
        GOOD.replace(b"index 6", b"index 06"),
        GOOD.replace(b"index 6", b"index -6"),
        GOOD.replace(b"index 6", b"index 9223372036854775808"),
        GOOD.replace(b"index 6", b"index \xb2"),
        GOOD.replace(b"index 6", b"index 6\nAAAA"),
        GOOD.replace(b"index 6", b"index 6\n" + b"A" * 44),
        GOOD.replace(b"index 6\n", b"index 6\n" + GOOD.split(b"\n")[3].join([b"", b"\n"]) * 62),
        GOOD.replace(b"\n\nexample", b"\nexample"),
        GOOD[: GOOD.index(b"\n\n") + 2],
        b"c2sp.org/tlog-proof@v1\n\n" + checkpoints.sign(HEAD, [LOG]),
        GOOD + b"A" * (1 << 21),
    ],
)
def test_other_bytes_are_no_receipt(data: bytes) -> None:
    with pytest.raises(VerificationError, match="expected"):
        parse(data)


@pytest.mark.parametrize(
    "changes",
    [{"extra": b""}, {"extra": bytes(65_536)}, {"index": -1}, {"proof": (b"short",)}, {"proof": (bytes(32),) * 64}],
)
def test_values_that_no_receipt_can_hold_are_not_written(changes: dict[str, object]) -> None:
    good = receipt(2)
    values = {"index": good.index, "proof": good.proof, "checkpoint": good.checkpoint, "extra": good.extra} | changes
    with pytest.raises(InvalidInput):
        Receipt(**values).to_bytes()  # type: ignore[arg-type]
