"""What a file is, told from its bytes, and where a registry has it on record."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inbond.schemas.errors import InbondError

if TYPE_CHECKING:
    from inbond.registry.registry import Registry
    from inbond.schemas.statements import Seen

SMALL = 1 << 21
_OBJECTS = {
    "shard": "a shard", "terms": "the text of terms", "release": "released weights", "dataset": "a list of a dataset's parts",
}  # fmt: skip


@dataclass
class Inspected:
    """What a file is. `on_record` says in words where it stands, empty where it does not; `refs` names what it is there.

    `data` is for --json; people are shown the members in `told` (all unless some are named), and then `lines`.
    """

    what: str
    data: dict[str, Any] = field(default_factory=dict)
    refs: tuple[str, ...] = ()
    on_record: str = ""
    told: tuple[str, ...] | None = None
    lines: list[str] = field(default_factory=list)


def inspected(path: Path, registry: "Registry | None") -> Inspected:
    """What `path` is; with a registry also whether it is on record there."""
    if path.is_dir():
        return _folder(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        start = file.read(SMALL)
    found = _by_content(path, start, digest, registry) or Inspected("a file")
    found.data = {"sha256": digest, "bytes": path.stat().st_size, **found.data}
    if registry is not None and not found.on_record:
        _look_up(registry, digest, found)
    return found


def _by_content(path: Path, start: bytes, digest: str, registry: "Registry | None") -> Inspected | None:
    if path.stat().st_size <= len(start):
        kinds: list[tuple[bytes, Callable[[bytes, Registry | None], Inspected]]] = [
            (b"c2sp.org/tlog-proof@v1\n", _receipt),
            (b"PRIVATE+KEY+", _key),
            (b'{"proof":[', _record_proof),
            (b'{"logits":{', _record_proof),
            (b"log ", _policy),
        ]
        for beginning, read in kinds:
            if start.startswith(beginning):
                try:
                    return read(start, registry)
                except InbondError as error:
                    return Inspected(f"a damaged file of ours: {error.message}")
        try:
            return _checkpoint(start, registry)
        except InbondError:
            pass
    return _parquet(path, digest, registry) if start.startswith(b"PAR1") else None


def _receipt(data: bytes, registry: "Registry | None") -> Inspected:
    from inbond.ledger import checkpoints, merkle, notes, receipts
    from inbond.ledger.entries import parse_entry

    receipt = receipts.parse(data)
    head = checkpoints.parse(notes.parse(receipt.checkpoint).text)
    found = Inspected("a receipt (tlog-proof)", {"entry": receipt.index, "log": head.origin, "size": head.size})
    if receipt.extra is not None:
        entry = parse_entry(receipt.extra)
        found.data |= {"kind": entry.kind, "time": entry.time}
    if registry is not None and head.origin == registry.origin and receipt.extra is not None:
        here = registry.place.receipt(receipt.index).extra if receipt.index < int(registry.place.head().size) else None
        if here is not None:
            ours = merkle.leaf_hash(here) == merkle.leaf_hash(receipt.extra)
            found.on_record = f"entry {receipt.index} here {'is the same' if ours else 'DIFFERS from the one it holds'}"
    return found


def _checkpoint(data: bytes, registry: "Registry | None") -> Inspected:
    from inbond.ledger import checkpoints, notes

    head = checkpoints.parse(notes.parse(data).text)
    found = Inspected("a checkpoint (signed note)", {"log": head.origin, "size": head.size, "root": head.root.hex()})
    if registry is not None and head.origin == registry.origin:
        newest = registry.place.head()
        if head.size > newest.size:
            found.on_record = f"larger than this log, which has {newest.size} entries"
        elif registry.is_local or head.size == newest.size:
            same = _root_at(registry, head.size, newest) == head.root.hex()
            found.on_record = f"size {head.size} here has {'the same root' if same else 'ANOTHER root'}"
    return found


def _root_at(registry: "Registry", size: int, newest: "Seen") -> str:
    """The root at a size, which for a server is the newest."""
    if size == newest.size:
        return newest.root.removeprefix("sha256:")
    with registry.reading() as reader:
        return reader.root_at(size).hex()


def _record_proof(data: bytes, _: "Registry | None") -> Inspected:
    from inbond.registry.shards import proofs

    proof = proofs.read(data)
    return Inspected("a proof of one record", {"shard file": proof.shard, "row": proof.row, "of": proof.rows})


def _key(data: bytes, registry: "Registry | None") -> Inspected:
    from inbond.ledger.cosigner import parse_signer
    from inbond.ledger.logkeys import fingerprint_of

    key = parse_signer(data.decode("ascii", "replace").strip()).verifier
    fingerprint = fingerprint_of(key)
    found = Inspected("a private key: show it to nobody", {"name": key.name, "fingerprint": fingerprint})
    if registry is not None:
        from inbond.registry.listing import ListedKey

        for item in registry.every(ListedKey, fingerprint=fingerprint):
            found.on_record = f"enrolled in entry {item.entry} as {', '.join(item.roles)}"
    return found


def _policy(data: bytes, _: "Registry | None") -> Inspected:
    from inbond.ledger.policy import TrustPolicy

    policy = TrustPolicy.parse(data)
    return Inspected("a trust policy (tlog-policy)", {"logs": [log.vkey.name for log in policy.logs], "quorum": policy.quorum})


def _parquet(path: Path, digest: str, registry: "Registry | None") -> Inspected:
    from inbond.api.cli.inspecting_shards import looked_at

    found = looked_at(path, digest, registry)
    told = ("sha256", "bytes", "damage", "rows", "row_groups", "positions", "bytes_per_token")
    return Inspected(found.what, found.data, told=told, lines=found.lines)


def _folder(path: Path) -> Inspected:
    inside = {each.name for each in path.iterdir()}
    counts = {
        name: len(list((path / name).iterdir()))
        for name in ("receipts", "shards", "objects", "records")
        if (path / name).is_dir()
    }
    if "registry.toml" in inside:
        return Inspected("a registry")
    if "receipts" in counts:
        return Inspected("a bundle", counts | ({"log": "whole"} if "log" in inside else {}))
    if "checkpoint" in inside:
        return Inspected("an exported log (tlog-tiles)")
    return Inspected("a folder")


def _look_up(registry: "Registry", digest: str, found: Inspected) -> None:
    """By digest: what is named by it, and shards that were made from it."""
    from inbond.registry.listing import ListedDataset, ListedRelease, ListedShard, ListedTerms

    lists: tuple[type[Any], ...] = (ListedShard, ListedTerms, ListedRelease, ListedDataset)
    for what in lists:
        if items := list(registry.every(what, digest=f"sha256:{digest}")):
            first = registry.thing(items[0].ref)
            found.what = found.what if found.lines else _OBJECTS.get(first.kind, found.what)
            found.refs = tuple(item.ref for item in items)
            named = f" {first.name}" if first.name else ""
            found.on_record = f"{first.ref}{named}, entry {first.entry}"
            return
    if made := [item.ref for item in registry.every(ListedShard, input=f"sha256:{digest}")]:
        found.what, found.refs = "a file that was imported", tuple(made)
        more = f" and {len(made) - 3} more" if len(made) > 3 else ""
        found.on_record = f"made into {', '.join(made[:3])}{more}"
