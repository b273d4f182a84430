"""Files that are whole or absent: written beside, synced, renamed into place, the folder synced."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inbond.schemas.errors import Conflict


def write_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Put `data` at `path` such that after a crash either the old or the new content is there, whole."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".inbond-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def appearing(folder: Path, mode: int = 0o777) -> Iterator[Path]:
    """A folder to build in, which gets the name `folder` when the block ends well, and is gone when it does not.

    Raises Conflict where something is there already; an empty folder gives way.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"{folder} exists and is not empty: expected a new or empty folder")
    make_folders(folder.parent)
    building = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.inbond-new"
    building.mkdir(mode=mode)
    try:
        yield building
        if folder.exists():
            folder.rmdir()
        os.rename(building, folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    sync_folder(folder.parent)


def make_folders(folder: Path, mode: int = 0o777) -> None:
    """Make `folder` and the folders above it that are missing, each durable in the one above."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=mode, exist_ok=True)
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and creations in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
