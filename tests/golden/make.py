"""Make the golden artefacts of a format version: `python tests/golden/make.py tests/golden/v2`.

They are made once a version and then kept for ever: tests/golden/test_golden.py checks that today's code still reads and
verifies them. Ids, salts and keys are random, so making them again gives other bytes.

v1  checkpoints signed with Ed25519
v2  checkpoints signed with Ed25519 and ML-DSA-44; the Ed25519 key of the log is rotated, so the checkpoint in the receipt carries
    the signatures of the keys before, and that of the log those of the keys after

    keys/           every key of the small registry, runs' keys included (test keys: they protect nothing)
    policy.txt      the trust policy · genesis.txt  the hash that a verifier pins
    log/            the log as static files (checkpoint, tiles, entry bundles)
    bundle/         receipts of every entry, shards, objects
    receipt.tlog-proof   the first shard's receipt · record.json  the proof of its row 2
"""

import base64
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from inbond.registry.delivering import export_everything
from inbond.registry.reading import open_shard
from inbond.registry.registry import Registry
from inbond.registry.shards.proofs import prove

ANSWERS = [
    ("What is a bond?", "A warehouse under seal."),
    ("Wer öffnet das Tor?", "Der Zöllner – mit zwei Schlüsseln. 🔑"),
    ("Say nothing.", ""),
    ("Control characters?", "tab\tand NUL\x00 and DEL\x7f"),
    ("What is a bond?", "A warehouse under seal."),
]


def main(target: Path) -> None:
    """Make the artefacts in `target`, which must not hold any yet."""
    if any(target.iterdir()):
        raise SystemExit(f"{target} holds artefacts: they are kept for ever; make a new version's folder")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        os.environ["INBOND_STATE"] = str(work / "state")
        source = work / "answers.jsonl"
        source.write_text(
            "".join(
                json.dumps({"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}], "n": 2**60 + n})
                + "\n"
                for n, (q, a) in enumerate(ANSWERS)
            )
        )
        with Registry.init(work / "registry", f"golden.example/{target.name}") as registry:
            tell(registry, source)
            shard = first_shard(registry)
            with registry.reading() as reader:
                receipt = reader.receipt(reader.seq_of(shard.partition(":")[2])).to_bytes()
            registry.rotate_log_key()
            registry.add_party("after-the-rotation")
            export_everything(registry, work / "bundle")
            registry.export_log(work / "log")
            with open_shard(registry.place, shard) as opened:
                (target / "record.json").write_bytes(prove(opened, 2))
            (target / "receipt.tlog-proof").write_bytes(receipt)
            (target / "genesis.txt").write_text(registry.log.genesis_leaf.hex() + "\n")
            (target / "policy.txt").write_text(registry.policy_text)
        for name in ("bundle", "log"):
            shutil.copytree(work / name, target / name)
        shutil.copytree(work / "registry" / "keys", target / "keys")


def tell(registry: Registry, source: Path) -> None:
    """A story that uses every kind of statement that this version has a flow for."""
    registry.import_files("messages", [source], teacher="golden/teacher@1", dataset="answers", create=True)
    registry.add_terms(b"You may.\n", party="golden", title="golden-terms", effective="2026-01-01", access_path="unknown")
    registry.add_student("golden.example/student")
    asked = registry.ask("golden.example/student", "golden-terms", "why not")
    registry.rule(asked.ref, "permit", "agreed")
    records = list(registry.pull("answers", student="golden.example/student", run="streamed", segment=2))
    if len(records) != len(ANSWERS):
        raise SystemExit("golden: expected every record to be pulled")
    registry.close_run("streamed", "released")
    registry.release("golden.example/student", b"weights")
    registry.add_teacher("golden.example/student-as-teacher@1", same_as="golden.example/student", create=True)
    key = registry.add_key("auditor")
    registry.revoke_key(registry.keys.role("auditor").public.fingerprint, "retired")
    print(f"golden: {key.seq + 4} entries")


def first_shard(registry: Registry) -> str:
    """The reference of the first shard."""
    with registry.reading() as reader:
        return next(f"shard:{_header_id(data)}" for _, data in reader.entries(kinds=("shard",)))


def _header_id(entry: bytes) -> str:
    payload = json.loads(base64.b64decode(json.loads(entry)["dsse"]["payload"]))
    return str(payload["predicate"]["header"]["id"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
