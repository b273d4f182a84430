"""What `inbond doctor` looks at."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inbond.api.cli.output import plural
from inbond.schemas.errors import InbondError

if TYPE_CHECKING:
    from inbond.registry.registry import Registry


@dataclass(frozen=True)
class Finding:
    """One check. `status` is ok, note (nothing to do at once) or bad; `exit_code` is not 0 for what is bad."""

    status: str
    what: str
    text: str
    exit_code: int = 0


def examine(folder: Path, remove: bool) -> list[Finding]:
    """Look at everything around the ledger in `folder`; removes unreferenced objects with `remove`."""
    from inbond.registry.registry import Registry

    found = [_sqlite(), *_permissions(folder / "keys"), _state_folder()]
    try:
        registry = Registry.open(folder)
    except InbondError as error:
        return [*found, Finding("bad", "registry", error.message, error.exit_code)]
    with registry:
        checks: list[tuple[str, Callable[[Registry], Finding]]] = [
            ("keys", _keys),
            ("policy.txt", _policy),
            ("witnesses", _witnesses),
            ("tables", _tables),
            ("newest checkpoint", _high_water),
            ("scratch files", _scratch),
            ("unreferenced objects", _remove if remove else _unreferenced),
        ]
        for what, check in checks:
            try:
                found.append(check(registry))
            except InbondError as error:
                found.append(Finding("bad", what, error.message, error.exit_code))
    return found


def _sqlite() -> Finding:
    from inbond.api.state import sqlite_here

    here = sqlite_here()
    if not here.wal_reset_bug:
        return Finding("ok", "SQLite", here.version)
    text = f"{here.version} has the WAL-reset bug that 3.51.3 mends; inbond's own lock keeps clear of it"
    return Finding("note", "SQLite", text)


def _permissions(keys: Path) -> Iterator[Finding]:
    if not keys.is_dir():
        yield Finding("note", "keys", f"no folder {keys}: this registry can be read only")
        return
    wrong = []
    for path, expected in [(keys, 0o700), *((path, 0o600) for path in sorted(keys.rglob("*.key")))]:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & ~expected:
            wrong.append(f"chmod {expected:o} {path}   (found {mode:o}: others can read it)")
    if wrong:
        yield Finding("bad", "permissions", "; ".join(wrong), 1)
    else:
        yield Finding("ok", "permissions", f"{keys} and what is in it can be read by you alone")


def _state_folder() -> Finding:
    from inbond.ledger.highwater import state_folder

    folder = state_folder()
    near = next(each for each in (folder, *folder.parents) if each.exists())
    if not os.access(near, os.W_OK):
        return Finding("bad", "state folder", f"{folder} cannot be written: INBOND_STATE names another", 1)
    return Finding("ok", "state folder", str(folder))


def _keys(registry: "Registry") -> Finding:
    from inbond.ledger.cosigner import read_signer
    from inbond.schemas.scalars import Role

    for path in sorted(registry.keys.folder.rglob("*.key")):
        read_signer(path)
    wanted = (Role.ADMIN, Role.LOG, Role.REGISTRY, Role.PRODUCER, Role.TRAINER, Role.COMPLIANCE)
    missing = [role.value for role in wanted if not registry.keys.has(role)]
    if missing:
        return Finding("note", "keys", f"not at hand: {', '.join(missing)}; what they sign cannot be written here")
    return Finding("ok", "keys", f"{plural(len(list(registry.keys.folder.rglob('*.key'))), 'key file')}, all whole")


def _policy(registry: "Registry") -> Finding:
    from inbond.registry.places.heads import signed_only

    with registry.reading() as reader:
        signed_only(registry.local.published.policy).open_checkpoint(reader.note)
    return Finding("ok", "policy.txt", "accepts the log's signature on the newest checkpoint")


def _witnesses(registry: "Registry") -> Finding:
    from inbond.ledger import checkpoints, notes
    from inbond.ledger.policy import NO_QUORUM
    from inbond.ledger.witnessing import Witnessing

    place = registry.local
    published = place.published
    policy, asking = published.policy, Witnessing(place.log, published.policy.witnesses, place.folder)
    try:
        found = asking.status()
    finally:
        asking.stop()
    if strange := [each.name for each in found if each.evidence is not None]:
        text = f"{', '.join(strange)}: a checkpoint of this log's key that this log does not hold: inbond witness status --json"
        return Finding("bad", "witnesses", text, 3)
    if not policy.witnesses:
        return Finding("ok", "witnesses", "policy.txt names none")
    with registry.reading() as reader:
        size = reader.size
        note = published.accepted(reader)
    late = [f"{each.name} has cosigned size {each.size or 0:,}" for each in found if (each.size or 0) < size]
    late = [*late, *(f"{each.name}: {each.problem}" for each in found if each.problem)]
    if policy.quorum == NO_QUORUM:
        return Finding("note" if late else "ok", "witnesses", "; ".join(late) or f"all have cosigned size {size:,}")
    if note is None:
        text = f"the quorum {policy.quorum!r} was never met, so nobody who wants it can read: inbond witness status"
        return Finding("bad", "witnesses", "; ".join([text, *late]), 6)
    accepted = checkpoints.parse(notes.parse(note).text).size
    text = f"the quorum {policy.quorum!r} is met at size {accepted:,}"
    if accepted == size:
        return Finding("ok", "witnesses", text)
    return Finding("note", "witnesses", "; ".join([f"{text} of {size:,}: inbond witness status", *late]))


def _high_water(registry: "Registry") -> Finding:
    from inbond.ledger.highwater import state_folder

    registry.log.check_high_water()
    path = state_folder() / registry.log.genesis_leaf.hex() / "checkpoint"
    if not path.is_file():
        return Finding("note", "newest checkpoint", f"{path} does not exist: this machine has not seen this log grow")
    with registry.reading() as reader:
        return Finding("ok", "newest checkpoint", f"the database holds what was signed, up to size {reader.size}")


def _tables(registry: "Registry") -> Finding:
    from inbond.registry.upgrading import look

    found = look(registry.local.folder)
    if found.revision == found.newest and not found.differences:
        return Finding("ok", "tables", "those of this version")
    what = found.differences[0] if found.differences else f"revision {found.revision}, not {found.newest}"
    return Finding("bad", "tables", f"another version's ({what}): inbond database upgrade", 1)


def _scratch(registry: "Registry") -> Finding:
    gone = registry.store.clean_scratch()
    text = f"removed {plural(len(gone), 'file')} of interrupted writers" if gone else "none left behind"
    return Finding("ok", "scratch files", text)


def _unreferenced(registry: "Registry") -> Finding:
    from inbond.registry.housekeeping import unreferenced

    found = unreferenced(registry)
    if not found:
        return Finding("ok", "unreferenced objects", "none older than a day")
    size = sum(item.size for item in found)
    text = f"{plural(len(found), 'object')}, {size:,} bytes, older than a day and named by no entry: inbond doctor --remove"
    return Finding("note", "unreferenced objects", text)


def _remove(registry: "Registry") -> Finding:
    from inbond.registry.housekeeping import remove_unreferenced

    gone = remove_unreferenced(registry)
    return Finding("ok", "unreferenced objects", f"removed {plural(len(gone), 'object')}" if gone else "none older than a day")
