"""A folder of objects named by the SHA-256 of their bytes.

    <folder>/sha256/ab/ab12…        an object, whole and synced, or absent
    <folder>/sha256/ab/ab12….blocks its block hashes; can be computed again from the object
    <folder>/sha256/ab/ab12….ids    an index of its record ids, likewise (shards/ids.py)
    <folder>/scratch/<random>       something being written

An object appears by rename, after its bytes are synced; the folder is synced before the caller hears of it. So a
statement that is logged after `put_*` returned never names an object that a power cut can take back.
"""

import errno
import io
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from inbond.ledger.files import sync_folder
from inbond.registry.objects import BESIDE, Listed, ObjectStore, bare, expect_size, failures_of, is_digest
from inbond.registry.stores.scratch import Scratch
from inbond.schemas.errors import StoreError


class FolderStore(ObjectStore):
    """A content-addressed folder, made where it is missing and can be made. Several processes may use one.

    Raises StoreError where the file system fails.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.address = str(self.folder)
        self._objects = self.folder / "sha256"
        self._scratch = Scratch(self.folder / "scratch")
        with failures_of("object store", self.folder):
            for made in (self._objects, self._scratch.folder):
                if not made.is_dir():
                    try:
                        made.mkdir(parents=True, exist_ok=True)
                    except OSError as error:
                        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                            raise
                        continue  # who only reads needs no folder to write in; whoever writes hears of it then
                    sync_folder(made.parent)
                    sync_folder(self.folder.parent)

    def put_bytes(self, data: bytes) -> str:
        """Keep `data`; returns its digest when it is durable. Keeping the same again changes nothing."""
        digest = sha256(data).hexdigest()
        if self._is_there(digest, len(data)):
            return digest
        with self.scratch() as file:
            file.write(data)
            return self.put_file(file, digest)

    def put_file(self, file: BinaryIO, digest: str) -> str:
        """Move the scratch `file`, whose bytes the caller has hashed to `digest`, into its place; returns the digest.

        `file` comes from `scratch()`. The bytes are synced, then renamed, then the folder is synced. Where the object
        exists the scratch file is dropped. Raises VerificationError where what exists has another size: it is damaged.
        """
        digest = bare(digest)
        with failures_of("object", digest):
            file.flush()
            os.fsync(file.fileno())
            if self._is_there(digest, os.fstat(file.fileno()).st_size):
                return digest
            target = self.path(digest)
            if not target.parent.is_dir():
                target.parent.mkdir(exist_ok=True)
                sync_folder(self._objects)
            os.rename(file.name, target)
            sync_folder(target.parent)
        return digest

    def open(self, digest: str) -> io.BufferedReader:
        """The object's file, unverified: for `VerifiedFile`, or for a caller who hashes all of it. Raises NotFound."""
        digest = bare(digest)
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError:
            raise self.absent(digest) from None
        except OSError as error:
            raise StoreError(f"object {digest} cannot be opened: {error}") from None

    def path(self, digest: str, suffix: str = "") -> Path:
        """Where the object lies, or would lie; with a `suffix`, what is beside it."""
        digest = bare(digest)
        return self._objects / digest[:2] / f"{digest}{suffix}"

    def has(self, digest: str) -> bool:
        """Whether the object is there; says nothing about its bytes."""
        return self.path(digest).is_file()

    def size(self, digest: str) -> int:
        """Bytes that the object's file has. Raises NotFound."""
        with self.open(digest) as file:
            return os.fstat(file.fileno()).st_size

    def list(self) -> Iterator[Listed]:
        """Every object, in order of digest; block hashes are not listed, they go with their object."""
        now = time.time()
        for path in sorted(self._objects.glob("??/*")):
            if is_digest(path.name):
                with suppress(FileNotFoundError):  # removed by somebody since
                    found = path.stat()
                    yield Listed(path.name, found.st_size, max(0.0, now - found.st_mtime))

    def remove(self, digest: str) -> None:
        """Delete an object and what lies beside it, durably. Raises NotFound. Whether it may go, the caller must know."""
        path = self.path(digest)
        with failures_of("object", path.name):
            for suffix in BESIDE:
                self.path(digest, suffix).unlink(missing_ok=True)
            try:
                path.unlink()
            except FileNotFoundError:
                raise self.absent(path.name) from None
            sync_folder(path.parent)

    def put_beside(self, digest: str, suffix: str, data: bytes) -> None:
        """Keep what can be made again of an object beside it, in place of what was there."""
        path = self.path(digest)
        with self.scratch() as file, failures_of(f"{suffix} of object", path.name):
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.rename(file.name, self.path(digest, suffix))
            sync_folder(path.parent)

    def beside(self, digest: str, suffix: str) -> BinaryIO | None:
        """What lies beside an object, unverified; None where there is nothing that can be read."""
        try:
            return self.path(digest, suffix).open("rb")
        except OSError:
            return None

    def scratch(self) -> AbstractContextManager[BinaryIO]:
        """A new file, for reading and writing, on the store's file system; gone at the end unless it was put."""
        return self._scratch.new()

    def clean_scratch(self) -> tuple[Path, ...]:
        """Delete what killed writers left, and nothing that a living one holds; returns the paths that went."""
        return self._scratch.clean()

    def _is_there(self, digest: str, size: int) -> bool:
        """Whether an object of this size is in place; if so it is made durable, and young for those who clear up."""
        path = self.path(digest)
        try:
            with path.open("rb") as file:
                found = os.fstat(file.fileno()).st_size
                os.utime(file.fileno())
                os.fsync(file.fileno())  # the process that put it may not have come so far
        except FileNotFoundError:
            return False
        expect_size(digest, size, found, str(path))
        sync_folder(path.parent)
        return True
