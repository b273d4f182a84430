"""A shard by itself: opened from file, receipt, keys, policy and genesis hash, and refused where any of them is another."""

import io
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inbond.ledger import receipts
from inbond.ledger.keys import SigningKey
from inbond.ledger.log import Log
from inbond.ledger.rules import NoRules
from inbond.registry import Shard
from inbond.registry.listing import ListedKey
from inbond.registry.shards.blocks import block_hashes, join_hashes
from inbond.schemas.errors import InbondError, Inconclusive, InvalidInput, NotFound, VerificationError
from tests.registry.world import World


class Bundle:
    """An export of a world's dataset, and the first shard in it."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder / "registry")
        registry = self.world.registry
        self.folder = registry.export_dataset("chat", folder / "out").folder
        self.ref = self.world.parts("chat")[0][0]
        self.body = self.world.body(self.ref)
        self.path = self.folder / "shards" / f"{self.body.file.removeprefix('sha256:')}.parquet"
        self.given: dict[str, Any] = {
            "receipt": self.folder / "receipts" / f"{registry.thing(self.ref).entry}.tlog-proof",
            "keys": self.folder / "receipts",
            "policy": registry.policy_text,
            "genesis": registry.home.genesis.hex(),
        }

    def open(self, **other: Any) -> Shard:
        return Shard.open(other.pop("source", self.path), **(self.given | other))

    def keys_but(self, *left_out: int) -> list[Path]:
        return [path for path in self.given["keys"].iterdir() if int(path.stem) not in left_out]

    def statement(self, body: Any, *keys: SigningKey | str) -> bytes:
        """The receipt of a shard statement that the registry's rules would have refused."""
        registry = self.world.registry
        log = Log(self.world.folder, NoRules(), registry.keys.log_keys(), genesis=registry.home.genesis)
        with closing(log):
            appended = log.append_one(self.world.signed("shard", body, *keys, party=registry.operator))
            with log.reading() as reader:
                return reader.receipt(appended.seq).to_bytes()


@pytest.fixture(scope="module")
def bundle(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("bundle") / "world"
        shutil.copytree(template, folder)
        patch.setenv("INBOND_STATE", str(folder / "state"))
        made = Bundle(folder)
        yield made
        made.world.registry.close()


def test_it_reads_from_file_receipt_and_policy_alone(bundle: Bundle) -> None:
    with bundle.open() as shard, bundle.world.registry.shard(bundle.ref) as same:
        assert (shard.ref, shard.kind, shard.rows) == (bundle.ref, "text", 12)
        assert [record.response for record in shard.records(range(2, 4))] == ["chat answer 2", "chat answer 3"]
        assert list(shard.records([range(1), range(11, 12)])) == [list(shard.records())[at] for at in (0, 11)]
        assert shard.to_arrow(["response"], range(5)).column_names == ["response"]
        assert shard.to_polars(["response", "kind"]).shape == (12, 2)
        assert shard.to_arrow().equals(same.to_arrow())
        shard.check_records()
        with pytest.raises(InvalidInput, match="expected a logits shard, found one of text"):
            shard.logits()


def test_the_same_from_bytes_an_open_file_and_the_environment(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bundle.path.read_bytes()
    joined = join_hashes(block_hashes(io.BytesIO(data)))
    monkeypatch.setenv("INBOND_POLICY", str(bundle.world.folder / "policy.txt"))
    monkeypatch.setenv("INBOND_GENESIS", bundle.given["genesis"])
    keys = [path.read_bytes() for path in bundle.keys_but()]
    with Shard.open(io.BytesIO(data), receipt=bundle.given["receipt"].read_bytes(), keys=keys, blocks=joined) as shard:
        assert len(list(shard.records())) == 12


def test_block_hashes_beside_the_file_are_used_and_checked(bundle: Bundle, tmp_path: Path) -> None:
    path = Path(shutil.copy(bundle.path, tmp_path / "shard"))
    path.with_name("shard.blocks").write_bytes(bytes(32))
    with pytest.raises(VerificationError, match=f"{bundle.ref}: expected block root"):
        bundle.open(source=path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"genesis": "0" * 64}, "expected the leaf hash 0000"),
        ({"genesis": None}, "expected genesis, the leaf hash"),
        (
            {"policy": "log other+31ab8d6a+AfVmpdAhtBTFnzRKEk9EXuEzYYABwR5Cz2rTfTkSfsMs\nquorum none\n"},
            "verifier key|signed for itself",
        ),
        ({"keys": ()}, "expected the receipt of genesis"),
        ({"receipt": b"c2sp.org/tlog-proof@v1\n"}, "receipt: expected"),
        ({"receipt": "nothing"}, "expected a receipt"),
        ({"source": "nothing"}, "expected a shard's file, found none"),
    ],
)
def test_what_does_not_fit_is_refused(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], text: str) -> None:
    monkeypatch.delenv("INBOND_GENESIS", raising=False)
    with pytest.raises(InbondError, match=text):
        bundle.open(**change)


def test_a_statement_without_its_entry_or_of_something_else_is_refused(bundle: Bundle) -> None:
    proof = receipts.parse(bundle.given["receipt"].read_bytes())
    with pytest.raises(InvalidInput, match="expected it with the entry's bytes"):
        bundle.open(receipt=replace(proof, extra=None).to_bytes())
    entry = bundle.world.registry.thing(bundle.world.ref("acme/base@1")).entry
    with pytest.raises(VerificationError, match="expected that of a shard's statement, found that of teacher:"):
        bundle.open(receipt=bundle.folder / "receipts" / f"{entry}.tlog-proof")
    with pytest.raises(VerificationError, match="receipt of entry 0: expected that of a statement in the log, found that of gen"):
        bundle.open(receipt=bundle.folder / "receipts" / "0.tlog-proof")
    with pytest.raises(VerificationError, match="expected that of a shard's statement, found that of key:"):
        bundle.open(receipt=bundle.folder / "receipts" / "1.tlog-proof")


def test_only_the_statement_of_a_shard_makes_one(bundle: Bundle) -> None:
    file = io.BytesIO(b"PAR1")
    with pytest.raises(VerificationError, match="expected the statement of a shard, found one of a teacher"):
        Shard(bundle.world.registry.place.statement(bundle.world.ref("acme/base@1")), file, None)
    assert file.closed


def test_a_receipt_that_proves_another_entry_is_refused(bundle: Bundle) -> None:
    proof = receipts.parse(bundle.given["receipt"].read_bytes())
    altered = (proof.extra or b"").replace(b'"time":"20', b'"time":"19')
    with pytest.raises(VerificationError, match=f"receipt of entry {proof.index}: "):
        bundle.open(receipt=replace(proof, extra=altered).to_bytes())


def test_a_statement_for_another_file_is_refused(bundle: Bundle) -> None:
    other = bundle.world.body(bundle.world.parts("chat")[1][0])
    digest = other.file.removeprefix("sha256:")
    with pytest.raises(VerificationError, match=f"{bundle.ref}: expected {bundle.body.size} bytes, found {other.size}"):
        bundle.open(source=bundle.folder / "shards" / f"{digest}.parquet")


def test_a_signature_without_the_role_is_refused(bundle: Bundle) -> None:
    text = "expected a signature in the role producer, found one as trainer"
    with pytest.raises(VerificationError, match=text):
        bundle.open(receipt=bundle.statement(bundle.body, "trainer"))


def test_keys_that_no_entry_enrols_prove_nothing(bundle: Bundle) -> None:
    registry = bundle.world.registry
    producer = registry.keys.role("producer").public.fingerprint
    [entry] = [key.entries[0] for key in registry.every(ListedKey) if key.fingerprint == producer]
    with pytest.raises(Inconclusive, match="expected signatures by keys that the given key entries enrol"):
        bundle.open(keys=bundle.keys_but(entry))


def test_a_truncated_file_and_a_flipped_bit_anywhere_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    data = bundle.path.read_bytes()
    path = tmp_path / "shard"
    joined = join_hashes(block_hashes(io.BytesIO(data)))
    path.write_bytes(data[:-1])
    for blocks in (joined, None):
        with pytest.raises(VerificationError, match=rf"{bundle.ref}: expected {len(data)} bytes, found {len(data) - 1}"):
            bundle.open(source=path, blocks=blocks)
    for at in (0, len(data) // 2, len(data) - 20, len(data) - 1):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(VerificationError, match=f"{bundle.ref}: block 0, bytes 0 to {len(data)}: expected leaf hash"):
            bundle.open(source=path, blocks=joined)
        with pytest.raises(VerificationError, match=f"{bundle.ref}: expected block root"):
            bundle.open(source=path)


def test_a_missing_source_is_not_found(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        bundle.open(source=tmp_path / "none")


def test_a_body_with_other_measures_is_held_to_them(bundle: Bundle) -> None:
    lying = msgspec.structs.replace(bundle.body, rows=13)
    with pytest.raises(VerificationError, match="expected 13 rows, found 12"):
        bundle.open(receipt=bundle.statement(lying, "producer"))


def test_a_log_key_that_has_changed_is_followed_and_a_suspect_signer_proves_nothing(world: World, tmp_path: Path) -> None:
    registry = world.registry
    old, ref = registry.policy_text, world.parts("chat")[0][0]
    registry.rotate_log_key()
    registry.revoke_key(registry.keys.role("vendor-producer").public.fingerprint, "compromised", suspect_from=1)

    def given(folder: Path) -> dict[str, Any]:
        receipts = registry.export_dataset("chat", folder).folder / "receipts"
        return {
            "receipt": receipts / f"{registry.thing(ref).entry}.tlog-proof",
            "keys": receipts,
            "policy": old,
            "genesis": registry.home.genesis.hex(),
        }

    digest = world.body(ref).file.removeprefix("sha256:")
    source = tmp_path / "one" / "shards" / f"{digest}.parquet"
    with Shard.open(source=source, **given(tmp_path / "one")) as shard:  # the key that is in doubt signed nothing of it
        assert shard.rows == 12
    made = registry.thing(ref).entry
    registry.revoke_key(registry.keys.role("producer").public.fingerprint, "compromised", suspect_from=made + 1)
    with Shard.open(source=source, **given(tmp_path / "two")) as shard:
        assert shard.rows == 12
    registry.add_key("producer", public_name="other")
    registry.revoke_key(registry.keys.role("producer").public.fingerprint, "compromised", suspect_from=made)
    with pytest.raises(Inconclusive, match=f"which signed entry {made}, was revoked as suspect from entry {made}"):
        Shard.open(source=source, **given(tmp_path / "three"))
