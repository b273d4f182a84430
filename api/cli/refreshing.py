"""`inbond log refresh`: receipts that get the cosignatures which have come since."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inbond.api.cli.commands import Session, command
from inbond.api.cli.output import plural
from inbond.schemas.errors import InvalidInput, StoreError, VerificationError

if TYPE_CHECKING:
    from inbond.ledger.policy import TrustPolicy
    from inbond.registry.place import Place
    from inbond.registry.registry import Registry


@command("refresh", "inbond log refresh 12.tlog-proof\ninbond log refresh evidence")
@click.argument("paths", nargs=-1, required=True, metavar="RECEIPT_OR_BUNDLE…", type=click.Path(exists=True, path_type=Path))
@click.pass_context
def refresh(context: click.Context, session: Session, paths: tuple[Path, ...]) -> None:
    """Bring receipts up to the newest checkpoint with the quorum of witnesses.

    Each is replaced when the newer one is proved to continue it; those of a bundle stand under one checkpoint again.
    Leaves with 6 while the quorum of the policy is not met.
    """
    from inbond.ledger.policy import TrustPolicy

    found: list[dict[str, Any]] = []
    with session.open() as registry:
        policy = TrustPolicy.parse(registry.place.policy_text)
        for path in paths:
            found += _bundle(registry, path, policy) if path.is_dir() else [_file(registry.place, path, policy, None)]
    lines = [
        f"{each['file']}: entry {each['entry']} under size {each['size']:,}"
        + (" as before" if each["size"] == each["before"] else f", before {each['before']:,}")
        + ("" if each["accepted"] else ": not witnessed as the policy wants yet")
        for each in found
    ]
    lacking = sum(not each["accepted"] for each in found)
    if len(found) > 20:
        lines = [f"{plural(len(found), 'receipt')} under size {found[-1]['size']:,}, {lacking:,} of them not witnessed yet"]
    session.output.answer({"policy": policy.quorum, "receipts": found}, lines)
    context.exit(6 if lacking else 0)


def _bundle(registry: "Registry", folder: Path, policy: "TrustPolicy") -> Iterator[dict[str, Any]]:
    """Every receipt of a bundle, under the head that the last of them gets; and the log in it."""
    files = sorted((folder / "receipts").glob("*.tlog-proof"), key=lambda path: (len(path.name), path.name))
    if not files:
        raise InvalidInput(f"{folder}: expected a bundle with receipts/*.tlog-proof, found none")
    size = None
    for path in reversed(files):
        done = _file(registry.place, path, policy, size)
        size = done["size"]
        yield done
    if (folder / "log" / "checkpoint").is_file():
        _log(registry, folder / "log")


def _file(place: "Place", path: Path, policy: "TrustPolicy", size: int | None) -> dict[str, Any]:
    from inbond.ledger import checkpoints, notes, receipts
    from inbond.ledger.files import write_durably
    from inbond.registry.refreshing import refresh

    old = receipts.parse(_read(path))
    new = refresh(place, old, size)
    if new != old:
        write_durably(path, new.to_bytes())
    before, after = (checkpoints.parse(notes.parse(each.checkpoint).text).size for each in (old, new))
    accepted = _accepts(policy, new.checkpoint)
    return {"file": str(path), "entry": new.index, "before": before, "size": after, "accepted": accepted}


def _log(registry: "Registry", folder: Path) -> None:
    """Bring an exported log up to date. A server does not export: from there its checkpoint gets the cosignatures of its size."""
    from inbond.ledger import checkpoints, notes
    from inbond.ledger.files import write_durably
    from inbond.registry.places.folder import FolderPlace

    if isinstance(registry.place, FolderPlace):
        registry.export_log(folder)
        return
    path = folder / "checkpoint"
    there = notes.parse(_read(path))
    note = registry.place.receipt(0, checkpoints.parse(there.text).size).checkpoint
    if notes.parse(note).text != there.text:
        raise VerificationError(f"{path}: expected the checkpoint that this registry has of that size, found another")
    write_durably(path, note)


def _read(path: Path) -> bytes:
    from inbond.ledger.receipts import MAX_RECEIPT

    try:
        with path.open("rb") as file:
            return file.read(MAX_RECEIPT + 1)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from None


def _accepts(policy: "TrustPolicy", note: bytes) -> bool:
    try:
        policy.open_checkpoint(note)
    except VerificationError:
        return False
    return True
