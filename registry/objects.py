"""A folder of objects named by the SHA-256 of their bytes: shards, texts, and lists too long for a statement.

    <folder>/sha256/ab/ab12…        an object, whole and synced, or absent
    <folder>/sha256/ab/ab12….blocks its block hashes; can be computed again from the object
    <folder>/sha256/ab/ab12….ids    an index of its record ids, likewise (shards/ids.py)
    <folder>/scratch/<random>       something being written

An object appears by rename, after its bytes are synced; the folder is synced before the caller hears of it. So a
statement that is logged after `put_*` returned never names an object that a power cut can take back. Every scratch file
is held under `flock` by its writer: what `clean_scratch` can lock belongs to nobody alive.
"""

import errno
import fcntl
import io
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from inbond.ledger import merkle
from inbond.ledger.files import sync_folder
from inbond.registry.shards.blocks import BLOCK, HASH_BYTES, block_hashes, join_hashes
from inbond.schemas.canonical import decode, encode
from inbond.schemas.errors import InvalidInput, NotFound, StoreError, VerificationError
from inbond.schemas.scalars import ObjectList

Values = list[Any]  # named here, because `list` is a method below
_HEX = re.compile(r"[0-9a-f]{64}")
_COPY = 1 << 20
_BLOCKS, _IDS = ".blocks", ".ids"


def bare(digest: str) -> str:
    """The 64 hex digits of `digest`, which may begin with "sha256:". Raises InvalidInput for anything else."""
    digits = digest.removeprefix("sha256:")
    if not _HEX.fullmatch(digits):
        raise InvalidInput(f"expected a digest, sha256: and 64 lower-case hex digits, found {digest!r}")
    return digits


@contextmanager
def failures_of(what: str, name: object) -> Iterator[None]:
    """Turn what the file system raises into StoreError, saying of what."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{what} {name}: {error.strerror or error}") from error


class _ScratchFile(io.BufferedRandom):
    """A file that says StoreError where its bytes cannot be written, whoever writes them: a full disk is no defect of theirs."""

    def write(self, data: Any, /) -> int:
        """As every file."""
        with failures_of("scratch file", self.name):
            return super().write(data)

    def flush(self) -> None:
        """As every file."""
        with failures_of("scratch file", self.name):
            super().flush()


class Listed(NamedTuple):
    """One object of the store, as found on disk: bare hex digest, its path, seconds since it was put there."""

    digest: str
    path: Path
    age_seconds: float


class ObjectStore:
    """A content-addressed folder, made where it is missing and can be made.

    Digests are taken with or without "sha256:", given bare. Several processes may use one folder.

    Raises StoreError where the file system fails.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._objects = self.folder / "sha256"
        self._scratch = self.folder / "scratch"
        with failures_of("object store", self.folder):
            for made in (self._objects, self._scratch):
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

    def get(self, digest: str) -> bytes:
        """The bytes of an object, hashed before they are returned. Raises NotFound, or VerificationError naming it."""
        digest = bare(digest)
        with self.open(digest) as file, failures_of("object", digest):
            data = file.read()
        compare(digest, data)
        return data

    def check(self, digest: str) -> None:
        """Hash an object of any size where it lies. Raises as `get`."""
        digest = bare(digest)
        with self.open(digest) as file, failures_of("object", digest):
            _compare(digest, file_digest(file, "sha256").hexdigest(), file.tell())

    def open(self, digest: str) -> io.BufferedReader:
        """The object's file, unverified: for `VerifiedFile`, or for a caller who hashes all of it. Raises NotFound."""
        digest = bare(digest)
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError:
            raise NotFound(f"object {digest} is not in the store {self.folder}", object=digest) from None
        except OSError as error:
            raise StoreError(f"object {digest} cannot be opened: {error}") from None

    def copy_to(self, target: "ObjectStore", digest: str) -> None:
        """Keep an object in another store too, hashed on the way. Raises as `get`."""
        digest, hashing = bare(digest), sha256()
        with self.open(digest) as file, target.scratch() as copy, failures_of("object", digest):
            while data := file.read(_COPY):
                hashing.update(data)
                copy.write(data)
            _compare(digest, hashing.hexdigest(), file.tell())
            target.put_file(copy, digest)

    def path(self, digest: str) -> Path:
        """Where the object lies, or would lie."""
        digest = bare(digest)
        return self._objects / digest[:2] / digest

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
            if _HEX.fullmatch(path.name):
                with suppress(FileNotFoundError):  # removed by somebody since
                    yield Listed(path.name, path, max(0.0, now - path.stat().st_mtime))

    def remove(self, digest: str) -> None:
        """Delete an object and what lies beside it, durably. Raises NotFound. Whether it may go, the caller must know."""
        path = self.path(digest)
        with failures_of("object", path.name):
            for suffix in (_BLOCKS, _IDS):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            try:
                path.unlink()
            except FileNotFoundError:
                raise NotFound(f"object {path.name} is not in the store {self.folder}", object=path.name) from None
            sync_folder(path.parent)

    def put_blocks(self, digest: str, leaf_hashes: bytes) -> None:
        """Keep the joined block hashes of an object beside it."""
        path = self.path(digest)
        with self.scratch() as file, failures_of("block hashes of object", path.name):
            file.write(leaf_hashes)
            file.flush()
            os.fsync(file.fileno())
            os.rename(file.name, path.with_name(path.name + _BLOCKS))
            sync_folder(path.parent)

    def get_blocks(self, digest: str) -> bytes:
        """The joined block hashes of an object, computed from its file where they are missing or of the wrong number.

        They are unverified either way: whoever uses them compares their root with a signed one.
        """
        path = self.path(digest)
        try:
            data = path.with_name(path.name + _BLOCKS).read_bytes()
        except OSError:
            data = None
        if data is not None and len(data) == -(-self.size(digest) // BLOCK) * HASH_BYTES:
            return data
        with self.open(digest) as file, failures_of("object", path.name):
            return join_hashes(block_hashes(file))

    def put_lines(self, values: Iterable[Any]) -> ObjectList:
        """Keep a list as canonical JSON lines. The root is the RFC 6962 root over the lines without their newlines."""
        data, named = as_lines(values)
        self.put_bytes(data)
        return named

    def read_lines(self, digest: str, root: str, count: int) -> Values:
        """The list that `put_lines` kept. Raises NotFound, or VerificationError where bytes, root or count differ."""
        return lines_of(self.get(digest), ObjectList(digest=digest, root=root, count=count))

    @contextmanager
    def scratch(self) -> Iterator[BinaryIO]:
        """A new file, for reading and writing, on the store's file system; gone at the end unless it was put."""
        with failures_of("scratch file in", self._scratch):
            path, file = self._new_scratch()
        try:
            yield file
        finally:
            # Unlinked while still locked, and only if it is still ours: after a put this name is free.
            path.unlink(missing_ok=True)
            with suppress(StoreError):  # what could not be written has been said, or is not wanted
                file.close()

    def clean_scratch(self) -> tuple[Path, ...]:
        """Delete what killed writers left, and nothing that a living one holds; returns the paths that went."""
        gone = []
        for path in sorted(self._scratch.iterdir()) if self._scratch.is_dir() else ():
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

    def _new_scratch(self) -> tuple[Path, BinaryIO]:
        while True:
            path = self._scratch / secrets.token_hex(16)
            file = _ScratchFile(io.FileIO(path, "x+"))  # closed by scratch()
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return path, file
            file.close()  # a clean-up came between creation and lock

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
        if found != size:
            raise VerificationError(
                f"object {digest}: expected {size} bytes in the store, found {found}: it is damaged",
                hint=f"remove {path} and put the object again",
                object=digest,
            )
        sync_folder(path.parent)
        return True


def as_lines(values: Iterable[Any]) -> tuple[bytes, ObjectList]:
    """A list as an object's bytes (canonical JSON, a line each), and as statements name it."""
    lines = [encode(value) for value in values]
    data = b"".join(line + b"\n" for line in lines)
    root = merkle.root_of([merkle.leaf_hash(line) for line in lines])
    return data, ObjectList(digest=f"sha256:{sha256(data).hexdigest()}", root=f"sha256:{root.hex()}", count=len(lines))


def lines_of(data: bytes, named: ObjectList) -> Values:
    """The list in an object's bytes, whose digest was compared; VerificationError where lines, root or count differ."""
    name = f"list {bare(named.digest)}"
    lines = data.split(b"\n")
    if lines.pop() != b"":
        raise VerificationError(f"{name}: expected a newline at the end of every line, found none at the last")
    if len(lines) != named.count:
        raise VerificationError(f"{name}: expected {named.count} lines, found {len(lines)}")
    found = merkle.root_of([merkle.leaf_hash(line) for line in lines]).hex()
    if found != bare(named.root):
        raise VerificationError(f"{name}: expected root {bare(named.root)} over its lines, found {found}")
    return [decode(line, what=f"{name}, line {number}") for number, line in enumerate(lines, 1)]


def compare(digest: str, data: bytes) -> None:
    """Raise VerificationError unless `digest` is that of `data`."""
    _compare(bare(digest), sha256(data).hexdigest(), len(data))


def _compare(digest: str, found: str, size: int) -> None:
    if found != digest:
        raise VerificationError(
            f"object {digest}: expected bytes of this SHA-256, found {found} over {size} bytes", object=digest
        )
