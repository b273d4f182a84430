"""What `inbond verify PATH` does: outsiders' evidence is checked by the code that outsiders use."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from inbond.api.cli.exported import checked_lineage
from inbond.registry.delivering import DATA, LINEAGE
from inbond.schemas.errors import InvalidInput, NotFound, VerificationError

if TYPE_CHECKING:
    from inbond.registry.registry import Registry

Found = tuple[dict[str, Any], list[str], str]
"""Data for --json, lines for people, and the verdict."""

_RECEIPT = b"c2sp.org/tlog-proof@v1\n"


def verify_path(path: Path, home: Path | str | None) -> Found:
    """Check a bundle, an exported log, a receipt, a record's proof, or a file that is on record, under the policy of `home`."""
    from inbond.registry.registry import Registry

    if home is None:
        raise NotFound(
            "no registry: expected one whose policy.txt and genesis hash to trust, found none near",
            hint=f"inbond-verify --policy FILE --genesis HASH {path}\ninbond --registry DIR_OR_URL verify {path}",
        )
    with Registry.open(home) as registry:
        if path.is_dir():
            return _evidence(path, registry)
        with path.open("rb") as file:
            start = file.read(len(_RECEIPT))
        if start == _RECEIPT:
            return _evidence(path, registry)
        return _record(path, registry) if start.startswith((b'{"proof":[', b'{"logits":{')) else _file(path, registry)


def _evidence(path: Path, registry: "Registry") -> Found:
    """What `inbond-verify` says: the same code, asked as an outsider asks it."""
    from inbond.ledger import verify

    said, complained = io.StringIO(), io.StringIO()
    with TemporaryDirectory() as folder:
        policy = Path(folder) / "policy.txt"
        policy.write_text(registry.policy_text)
        with redirect_stdout(said), redirect_stderr(complained), suppress(SystemExit):  # as argparse leaves at what it refuses
            pins = ["--policy", str(policy), "--genesis", registry.place.genesis.hex()]
            verify.main(
                [*pins, *(["--without-shards"] if path.is_dir() and not _has_shards(path) else []), "--json", "--", str(path)]
            )
    if not said.getvalue():
        reason = (complained.getvalue().strip() or "no answer").splitlines()[-1]
        raise InvalidInput(f"{path}: {reason.removeprefix('inbond-verify: error: ')}")
    found = json.loads(said.getvalue())
    if (path / LINEAGE).is_file():
        more = checked_lineage(path, found["checks"])
        found["checks"] = [
            check for check in found["checks"] if check["status"] != "noted" or not _is_of_export(path, check)
        ] + more
        for check in more:
            found["counts"][check["status"]] += 1
        found["verdict"] = "FAILED" if found["counts"]["FAILED"] else found["verdict"]
    verdict = {"ok": "proved", "FAILED": "differs"}.get(found["verdict"], "inconclusive")
    lines = [f"{check['status']:<7} {check['what']}: {check['text']}" for check in found["checks"]]
    return {"verdict": verdict, "counts": found["counts"], "checks": found["checks"]}, lines, verdict


def _is_of_export(path: Path, check: dict[str, str]) -> bool:
    """Whether a check says that it did not look at what an export has beside a bundle: we do."""
    return check["what"] in (str(path / LINEAGE), str(path / DATA))


def _has_shards(path: Path) -> bool:
    """Whether a folder holds shards; an export in a format of others and the proof of a record hold none, and say so."""
    return not ((path / LINEAGE).is_file() or (path / "records").is_dir()) or (path / "shards").is_dir()


def _record(path: Path, registry: "Registry") -> Found:
    from inbond.registry.shards import proofs

    data = path.read_bytes()
    claimed = proofs.read(data)
    ref = registry.resolve(claimed.shard, "shard")
    shard = registry.place.statement(ref).body
    what = f"row {claimed.row} of {ref}"
    return _attempt(path, what, lambda: proofs.check(data, shard.record_root, int(shard.rows)))


def _file(path: Path, registry: "Registry") -> Found:
    import hashlib

    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        ref = registry.resolve(f"sha256:{digest}")
    except NotFound:
        raise NotFound(f"{path}: nothing on record has the SHA-256 {digest}", hint=f"inbond inspect {path}") from None
    return _attempt(path, f"the bytes that {ref} names", lambda: registry.place.statement(ref))


def _attempt(path: Path, what: str, prove: Any) -> Found:
    status, verdict, text = "proved", "proved", what
    try:
        prove()
    except VerificationError as error:
        status, verdict, text = "FAILED", "differs", error.message
    data = {"verdict": verdict, "checks": [{"status": status, "what": str(path), "text": text}]}
    return data, [f"{status:<7} {path}: {text}"], verdict
