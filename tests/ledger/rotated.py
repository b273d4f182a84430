"""A log whose keys change, written by hand: its checkpoints are signed by whomever a test likes."""

import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from inbond.ledger import checkpoints, merkle, verify
from inbond.ledger.audit import audit_files
from inbond.ledger.auditing.report import AuditReport, Options
from inbond.ledger.checkpoints import Checkpoint, LogSigner
from inbond.ledger.keys import SigningKey, VerifierKey
from inbond.ledger.policy import TrustedLog, TrustPolicy
from inbond.ledger.published import FileSource, FolderFiles
from inbond.ledger.receipts import Receipt
from tests.ledger.published import publish
from tests.ledger.world import ORIGIN, NoRules

NOW = 1_790_000_000
"""When ML-DSA-44 signatures were made, in POSIX seconds."""


def note(entries: Sequence[bytes], signers: Sequence[LogSigner]) -> bytes:
    """The checkpoint of these entries."""
    leaves = [merkle.leaf_hash(data) for data in entries]
    return checkpoints.sign(Checkpoint(ORIGIN, len(leaves), merkle.root_of(leaves)), signers, NOW)


def published(folder: Path, entries: Sequence[bytes], signed: bytes) -> Path:
    """The log of these entries as files, under a checkpoint."""
    publish(folder, entries, [SigningKey.from_seed(ORIGIN, bytes(32))])
    (folder / "checkpoint").write_bytes(signed)
    return folder


def bundle(folder: Path, entries: Sequence[bytes], signed: bytes, *, only: Sequence[int] | None = None) -> Path:
    """Receipts of entries (all, or some) with their bytes, under a checkpoint of all of them."""
    leaves = [merkle.leaf_hash(data) for data in entries]
    (folder / "receipts").mkdir(parents=True, exist_ok=True)
    for seq in range(len(entries)) if only is None else only:
        path = merkle.inclusion_proof(seq, len(leaves), lambda level, i: merkle.root_of(leaves[i << level : (i + 1) << level]))
        receipt = Receipt(seq, tuple(path), signed, entries[seq])
        (folder / "receipts" / f"{seq}.tlog-proof").write_bytes(receipt.to_bytes())
    return folder


def trusting(*keys: VerifierKey) -> str:
    """A policy that trusts log keys, and wants no witness."""
    return TrustPolicy(tuple(TrustedLog(key) for key in keys)).format()


class Verdict:
    """What `inbond-verify` says: its exit code, and the lines by status."""

    def __init__(self, policy: str, genesis: bytes, *paths: Path) -> None:
        file, printed = paths[0].parent / "policy.txt", StringIO()
        file.write_text(policy)
        with redirect_stdout(printed):
            self.code = verify.main(["--json", "--policy", str(file), "--genesis", genesis.hex(), *map(str, paths)])
        self.lines = [(line["status"], f"{line['what']}: {line['text']}") for line in json.loads(printed.getvalue())["checks"]]

    def of(self, status: str) -> str:
        """The lines of a status."""
        return "\n".join(text for found, text in self.lines if found == status)


def audited(folder: Path, genesis: bytes, policy: str | None = None) -> AuditReport:
    """What an audit of a log's files finds."""
    trusted = None if policy is None else TrustPolicy.parse(policy)
    return audit_files(FileSource(FolderFiles(folder)), NoRules(), Options(genesis=genesis, policy=trusted))
