"""A registry's backup, and a registry made of one.

registry.toml, policy.txt   as in the registry, whose objects may lie in a bucket all the same
log/                        the log (`ledger.backup`), which anyone can audit where it lies
objects/                    the object store
access.db, witnessed.db     tokens and cosignatures, where there are any
keys/                       the operator's keys, only if that was asked for

A backup is taken while the registry is in use, and brought up to date by the next one into the same folder. What its log
names is among its objects: they were there before, and are copied before its newest checkpoint is written.
"""

import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from inbond.ledger import backup
from inbond.ledger.database import locked, translated
from inbond.ledger.files import appearing, make_folders, write_durably
from inbond.ledger.log import Log
from inbond.registry import checking
from inbond.registry.checking import Checked
from inbond.registry.home import CONFIG, POLICY, Home, config_text, store_in
from inbond.registry.objects import ObjectStore
from inbond.registry.opened import OpenRegistry
from inbond.registry.registry import Registry
from inbond.registry.rules import RegistryRules
from inbond.registry.stores.bucket import here, split_url
from inbond.registry.stores.folder import FolderStore
from inbond.schemas.errors import InbondError, InvalidInput, NotFound, StoreError, VerificationError

Progress = Callable[[str, int, int], None]

_LOG, _OBJECTS, _KEYS = "log", "objects", "keys"
_DATABASES = ("access.db", "witnessed.db")


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a backup holds: the size of its log, its objects and how many of them this run copied, and whether it has keys."""

    size: int
    objects: int
    copied: int
    keys: bool


@dataclass(frozen=True, slots=True)
class Restored:
    """A registry made of a backup, after everything in it was verified. `behind` says why it cannot be written, if so."""

    home: Home
    size: int
    checked: Checked
    behind: str | None


def back_up(registry: OpenRegistry, folder: Path, *, keys: bool = False, progress: Progress | None = None) -> BackedUp:
    """Write a backup of a registry's folder, or bring one up to date; other processes may write meanwhile.

    Raises InvalidInput for a folder that holds something else, or the backup of another registry.
    """
    config = config_text(replace(registry.home, bucket=None))
    there = folder / CONFIG
    if there.is_file():
        if there.read_bytes() != config:
            raise InvalidInput(f"{folder}: expected a backup of {registry.origin}, found one of another registry")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(f"{folder}: expected a new or empty folder, or an earlier backup, found something else")
    try:
        make_folders(folder, 0o700)
        with locked(folder / ".lock"), registry.reading() as reader:
            write_durably(there, config)
            write_durably(folder / POLICY, (registry.folder / POLICY).read_bytes())
            objects, copied = _copy_objects(registry.store, FolderStore(folder / _OBJECTS), progress)
            for name in _DATABASES:
                if (registry.folder / name).is_file():
                    _copy_database(registry.folder / name, folder / name)
            if keys:
                _copy_keys(registry.folder / _KEYS, folder / _KEYS)
            backup.back_up(reader, folder / _LOG, _counting(progress, "writing the log"))
            return BackedUp(reader.size, objects, copied, (folder / _KEYS).is_dir())
    except OSError as error:
        raise StoreError(f"{folder}: the backup could not be written: {error}") from error


def restore(
    source: Path,
    folder: Path,
    *,
    database: str | None = None,
    store: str | None = None,
    progress: Progress | None = None,
) -> Restored:
    """Make a registry in `folder` from a backup, with its log there or in a PostgreSQL `database`, its objects there or in S3.

    Log, catalogue and objects are verified before the folder gets its name; where anything differs nothing is left, except
    in a `database`, whose tables the caller drops, and in a `store` (s3://bucket/prefix). Raises VerificationError then.
    """
    if not (source / CONFIG).is_file() or not (source / _LOG).is_dir():
        raise NotFound(f"{source}: expected a backup with {CONFIG} and {_LOG}/, found none", hint="inbond backup DIR")
    home = replace(Home.read(source), bucket=None if store is None else here(split_url(store)))
    with appearing(folder, 0o700) as building:
        restored = _fill(building, source, home, database, progress)
    return replace(restored, home=replace(home, folder=folder))


def _fill(folder: Path, source: Path, home: Home, database: str | None, progress: Progress | None) -> Restored:
    write_durably(folder / CONFIG, config_text(home))
    write_durably(folder / POLICY, (source / POLICY).read_bytes())
    store = store_in(folder, home.bucket)
    _copy_objects(FolderStore(source / _OBJECTS), store, progress)
    for name in _DATABASES:
        if (source / name).is_file():
            _copy_database(source / name, folder / name)
    if (source / _KEYS).is_dir():
        _copy_keys(source / _KEYS, folder / _KEYS)
    size = backup.restore(source / _LOG, folder, RegistryRules(store), database, _counting(progress, "restoring the log"))
    with Registry.open(folder) as registry:
        behind = _behind(registry.log)
        checked = checking.verify(registry, None, progress)
    problems = [problem for problem in checked.problems if problem != behind]
    if problems:
        raise VerificationError(f"{source}: this backup cannot be restored: {problems[0]}", hint="take an earlier backup")
    return Restored(home, size, checked, behind and behind.replace(str(folder), "the restored registry"))


def _behind(log: Log) -> str | None:
    """Why the restored log cannot be written, where this machine has seen it grow further."""
    try:
        log.check_high_water()
    except InbondError as error:
        return error.message
    return None


def _copy_objects(source: ObjectStore, target: ObjectStore, progress: Progress | None) -> tuple[int, int]:
    """Copy every object that is not there yet, hashing its bytes on the way; returns how many there are, and were copied."""
    wanted = list(source.list())
    copied = 0
    for count, item in enumerate(wanted, 1):
        if not target.has(item.digest):
            source.copy_to(target, item.digest)
            copied += 1
        if progress:
            progress("copying objects", count, len(wanted))
    return len(wanted), copied


def _copy_database(source: Path, target: Path) -> None:
    """Copy an SQLite file that may be in use, as of one moment."""
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with (
            translated(source),
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as live,
            closing(sqlite3.connect(beside)) as copy,
        ):
            live.backup(copy)
        write_durably(target, beside.read_bytes(), 0o600)
    finally:
        beside.unlink(missing_ok=True)


def _copy_keys(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*.key")):
        to = target / path.relative_to(source)
        make_folders(to.parent, 0o700)
        write_durably(to, path.read_bytes(), 0o600)


def _counting(progress: Progress | None, what: str) -> backup.Progress | None:
    return None if progress is None else lambda done, total: progress(what, done, total)
