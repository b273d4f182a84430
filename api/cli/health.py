"""What `inbond doctor` looks at."""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inbond.api.cli.output import plural
from inbond.schemas.errors import InbondError

if TYPE_CHECKING:
    from inbond.registry.registry import Registry

WAL_RESET_FIXED = (3, 51, 3)


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
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= WAL_RESET_FIXED:
        return Finding("ok", "SQLite", version)
    text = f"{version} has the WAL-reset bug that 3.51.3 mends; inbond's own lock keeps clear of it"
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
    from inbond.ledger.keys import read_key
    from inbond.schemas.scalars import Role

    for path in sorted(registry.keys.folder.rglob("*.key")):
        read_key(path)
    wanted = (Role.ADMIN, Role.LOG, Role.REGISTRY, Role.PRODUCER, Role.TRAINER, Role.COMPLIANCE)
    missing = [role.value for role in wanted if not registry.keys.has(role)]
    if missing:
        return Finding("note", "keys", f"not at hand: {', '.join(missing)}; what they sign cannot be written here")
    return Finding("ok", "keys", f"{plural(len(list(registry.keys.folder.rglob('*.key'))), 'key file')}, all whole")


def _policy(registry: "Registry") -> Finding:
    from inbond.ledger.policy import TrustPolicy

    with registry.reading() as reader:
        TrustPolicy.parse(registry.policy_text).open_checkpoint(reader.note)
    return Finding("ok", "policy.txt", "accepts the newest checkpoint")


def _high_water(registry: "Registry") -> Finding:
    from inbond.ledger.highwater import state_folder

    registry.log.check_high_water()
    path = state_folder() / registry.log.genesis_leaf.hex() / "checkpoint"
    if not path.is_file():
        return Finding("note", "newest checkpoint", f"{path} does not exist: this machine has not seen this log grow")
    with registry.reading() as reader:
        return Finding("ok", "newest checkpoint", f"the database holds what was signed, up to size {reader.size}")


def _scratch(registry: "Registry") -> Finding:
    gone = registry.store.clean_scratch()
    text = f"removed {plural(len(gone), 'file')} of interrupted writers" if gone else "none left behind"
    return Finding("ok", "scratch files", text)


def _unreferenced(registry: "Registry") -> Finding:
    from inbond.registry.housekeeping import unreferenced

    found = unreferenced(registry)
    if not found:
        return Finding("ok", "unreferenced objects", "none older than a day")
    size = sum(item.path.stat().st_size for item in found)
    text = f"{plural(len(found), 'object')}, {size:,} bytes, older than a day and named by no entry: inbond doctor --remove"
    return Finding("note", "unreferenced objects", text)


def _remove(registry: "Registry") -> Finding:
    from inbond.registry.housekeeping import remove_unreferenced

    gone = remove_unreferenced(registry)
    return Finding("ok", "unreferenced objects", f"removed {plural(len(gone), 'object')}" if gone else "none older than a day")
