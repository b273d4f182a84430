"""Artefacts of every format version verify with today's code, byte for byte where signatures are deterministic."""

import hashlib
import shutil
from pathlib import Path

import pytest

from inbond.ledger import checkpoints, dsse, merkle, notes, receipts, verify
from inbond.ledger.audit import audit_folder
from inbond.ledger.cosigner import read_signer
from inbond.ledger.entries import entry_bytes, parse_entry
from inbond.ledger.keys import ML_DSA_44, SigningKey, VerifierKey
from inbond.ledger.policy import TrustPolicy
from inbond.ledger.replay import draft_of
from inbond.ledger.tiles import decode_bundle
from inbond.registry.rules import RegistryRules
from inbond.registry.shards import proofs
from inbond.registry.shards.reader import ShardReader
from inbond.registry.shards.records import Message
from inbond.registry.stores.folder import FolderStore
from inbond.schemas import canonical, statement
from inbond.schemas.statements import Shard

VERSIONS = sorted(path for path in Path(__file__).parent.iterdir() if path.is_dir() and path.name.startswith("v"))


@pytest.fixture(params=VERSIONS, ids=lambda path: path.name)
def golden(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


@pytest.fixture
def genesis(golden: Path) -> str:
    return (golden / "genesis.txt").read_text().strip()


def entries(golden: Path) -> list[bytes]:
    [bundle] = [path for path in (golden / "log/tile/entries").rglob("*") if path.is_file()]
    return decode_bundle(bundle.read_bytes(), int(bundle.name))


def shards(golden: Path) -> list[tuple[str, Shard]]:
    read = [statement.read(dsse.payload_of(parse_entry(data).dsse)) for data in entries(golden)]
    return [(each.ref, each.body) for each in read if isinstance(each.body, Shard)]


def test_the_lone_verifier_accepts_bundle_log_and_receipt(golden: Path, genesis: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("bundle", "log", "receipt.tlog-proof"):
        code = verify.main(["--policy", str(golden / "policy.txt"), "--genesis", genesis, str(golden / name)])
        output = capsys.readouterr().out
        # A single receipt leaves the keys that signed it out: inconclusive, and it says so.
        assert code == (6 if name.endswith("proof") else 0), output


def test_the_audit_of_the_exported_log_is_clean(golden: Path, genesis: str, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "objects")
    for path in [*(golden / "bundle/objects").iterdir(), *(golden / "bundle/shards").iterdir()]:
        store.put_bytes(path.read_bytes())
    store.put_bytes(b"You may.\n")  # archived terms are not handed out with a bundle
    report = audit_folder(golden / "log", RegistryRules(store), bytes.fromhex(genesis))
    assert (report.verdict, report.problem) == ("clean", None)
    assert report.signatures > report.size > 20


def test_entries_statements_and_envelopes_are_written_as_they_were(golden: Path) -> None:
    for data in entries(golden):
        entry = parse_entry(data)
        assert entry_bytes(entry) == data
        read = statement.read(dsse.payload_of(entry.dsse))
        assert statement.make(read.kind, read.body, read.header, read.subject_digest) == dsse.payload_of(entry.dsse)


def test_the_keys_sign_what_they_signed(golden: Path, tmp_path: Path) -> None:
    held, log_keys = {}, []
    for path in sorted((golden / "keys").rglob("*.key")):
        copy = tmp_path / path.name
        shutil.copyfile(path, copy)
        copy.chmod(0o600)  # version control keeps no such mode
        key = read_signer(copy)
        if isinstance(key, SigningKey):
            held[key.public.fingerprint] = key
        if path.stem.startswith("log") and "replaced" not in path.stem:
            log_keys.append(key)
    again = 0
    for data in entries(golden):
        envelope = parse_entry(data).dsse
        if all(signature.keyid in held for signature in envelope.signatures):
            signed = dsse.sign(dsse.payload_of(envelope), [held[signature.keyid] for signature in envelope.signatures])
            assert signed == envelope
            again += 1
    assert again > 15
    note = (golden / "log/checkpoint").read_bytes()
    parsed = notes.parse(note)
    head = checkpoints.parse(parsed.text)
    signed = notes.parse(checkpoints.sign(head, log_keys, time=1)).signatures
    by_name = {(line.name, line.key_id): line.blob for line in parsed.signatures}
    for key, line in zip(log_keys, signed, strict=True):
        blob = by_name[line.name, line.key_id]
        assert key.verifier.verify(parsed.text, blob)
        assert blob == line.blob or key.verifier.type == ML_DSA_44  # which signs otherwise each time


def test_the_receipt_proves_its_entry(golden: Path) -> None:
    receipt = receipts.parse((golden / "receipt.tlog-proof").read_bytes())
    policy = TrustPolicy.parse((golden / "policy.txt").read_bytes())
    assert receipt.extra is not None
    assert receipt.to_bytes() == (golden / "receipt.tlog-proof").read_bytes()
    assert receipts.verify(receipt, merkle.leaf_hash(receipt.extra), policy).size > receipt.index


def test_the_shard_reads_in_part_and_whole(golden: Path) -> None:
    for ref, body in shards(golden):
        path = golden / "bundle/shards" / f"{body.file.removeprefix('sha256:')}.parquet"
        assert f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" == body.file
        with ShardReader(
            path.open("rb"),
            digest=body.file,
            size=body.size,
            block_root=body.block_root,
            record_root=body.record_root,
            rows=body.rows,
            name=ref,
        ) as reader:
            reader.check_records()
            assert [record.response for record in reader.records([range(0, 3)])] == [
                "A warehouse under seal.",
                "Der Zöllner – mit zwei Schlüsseln. 🔑",
                "",
            ]
            prompts = reader.read(["prompt_id"]).column(0).to_pylist()
            assert prompts[0] == prompts[4] != prompts[1]


def test_the_record_proof_shows_one_record(golden: Path) -> None:
    data = (golden / "record.json").read_bytes()
    [(_, body)] = shards(golden)
    record = proofs.check(data, body.record_root, body.rows)
    assert (record.prompt, record.response) == ((Message("user", "Say nothing."),), "")
    assert str(2**60 + 2) in (record.extra or "")
    assert canonical.encode(canonical.decode(data)) == data


def test_who_signs_the_checkpoints_of_each_version(golden: Path) -> None:
    """The checkpoints of v1 carry one signature; those of v2 two, by other keys before the rotation than after."""
    receipt = receipts.parse((golden / "receipt.tlog-proof").read_bytes())
    lines = [notes.parse(note).signatures for note in (receipt.checkpoint, (golden / "log/checkpoint").read_bytes())]
    before, after = ([line.key_id for line in each] for each in lines)
    if golden.name == "v1":
        assert (before, len(after)) == (after, 1)
    else:
        assert (len(before), len(after), before[0] == after[0], before[1] == after[1]) == (2, 2, False, True)
    first = draft_of(entries(golden)[0])
    assert [VerifierKey.parse(vkey).key_id for vkey in first.body.log_keys] == before


def test_a_policy_from_before_the_rotation_follows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden = Path(__file__).parent / "v2"
    first = draft_of(entries(golden)[0]).body.log_keys[0]
    (tmp_path / "policy.txt").write_text(f"log {first}\nquorum none\n")
    genesis = (golden / "genesis.txt").read_text().strip()
    for name in ("bundle", "log"):
        assert verify.main(["--policy", str(tmp_path / "policy.txt"), "--genesis", genesis, str(golden / name)]) == 0
        assert "the log's key has changed" in capsys.readouterr().out
