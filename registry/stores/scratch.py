"""Files on their way into a store, on this machine: each held under `flock` by its writer, gone at the end unless it was put.

What `clean` can lock belongs to nobody alive.
"""

import fcntl
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from inbond.registry.objects import failures_of
from inbond.schemas.errors import StoreError


class ScratchFile(io.BufferedRandom):
    """A file that says StoreError where its bytes cannot be written, whoever writes them: a full disk is no defect of theirs."""

    def write(self, data: Any, /) -> int:
        """As every file."""
        with failures_of("scratch file", self.name):
            return super().write(data)

    def flush(self) -> None:
        """As every file."""
        with failures_of("scratch file", self.name):
            super().flush()


class Scratch:
    """A folder of files that are being written, made when the first one is. Several processes may use one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def new(self) -> Iterator[BinaryIO]:
        """A new file, for reading and writing; gone at the end unless it was renamed."""
        with failures_of("scratch file in", self.folder):
            path, file = self._made()
        try:
            yield file
        finally:
            # Unlinked while still locked, and only if it is still ours: after a put this name is free.
            path.unlink(missing_ok=True)
            with suppress(StoreError):  # what could not be written has been said, or is not wanted
                file.close()

    def clean(self) -> tuple[Path, ...]:
        """Delete what killed writers left, and nothing that a living one holds; returns the paths that went."""
        gone = []
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            try:
                descriptor = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
                gone.append(path)
            except BlockingIOError:
                pass
            finally:
                os.close(descriptor)
        return tuple(gone)

    def _made(self) -> tuple[Path, BinaryIO]:
        self.folder.mkdir(exist_ok=True)
        while True:
            path = self.folder / secrets.token_hex(16)
            file = ScratchFile(io.FileIO(path, "x+"))  # closed by new()
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return path, file
            file.close()  # a clean-up came between creation and lock
