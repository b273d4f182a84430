"""Objects: bytes named by their SHA-256, such as shards, texts, and lists too long for a statement; and any store of them.

What a store does is said here once. `stores/folder.py` keeps objects in a folder, `stores/bucket.py` in an S3 bucket.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

from inbond.ledger import merkle
from inbond.registry.shards.blocks import BLOCK, HASH_BYTES, block_hashes, join_hashes
from inbond.schemas.canonical import decode, encode
from inbond.schemas.errors import InvalidInput, NotFound, StoreError, VerificationError
from inbond.schemas.scalars import ObjectList

BLOCKS, IDS = ".blocks", ".ids"
BESIDE = (BLOCKS, IDS)
"""What lies beside an object under its name and can be made of it again: block hashes, and an index of record ids."""

Values = list[Any]  # named here, because `list` is a method below
_HEX = re.compile(r"[0-9a-f]{64}")
_COPY = 1 << 20


def is_digest(text: str) -> bool:
    """Whether `text` is 64 lower-case hex digits."""
    return _HEX.fullmatch(text) is not None


def bare(digest: str) -> str:
    """The 64 hex digits of `digest`, which may begin with "sha256:". Raises InvalidInput for anything else."""
    digits = digest.removeprefix("sha256:")
    if not is_digest(digits):
        raise InvalidInput(f"expected a digest, sha256: and 64 lower-case hex digits, found {digest!r}")
    return digits


@contextmanager
def failures_of(what: str, name: object) -> Iterator[None]:
    """Turn what the file system raises into StoreError, saying of what."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{what} {name}: {error.strerror or error}") from error


class Listed(NamedTuple):
    """One object of a store: bare hex digest, bytes, seconds since it was put there."""

    digest: str
    size: int
    age_seconds: float


class ObjectSink(Protocol):
    """Where a verb puts bytes before it names them in a statement; every digest is checked by whoever keeps them."""

    def put_bytes(self, data: bytes) -> str:
        """Keep `data`; returns its bare digest when it is durable there."""

    def put_file(self, file: BinaryIO, digest: str) -> str:
        """Keep the bytes of a scratch file that the caller has hashed to `digest`."""

    def put_blocks(self, digest: str, leaf_hashes: bytes) -> None:
        """Keep the joined block hashes of an object beside it."""

    def put_lines(self, values: Iterable[Any]) -> ObjectList:
        """Keep a list as canonical JSON lines."""

    def scratch(self) -> AbstractContextManager[BinaryIO]:
        """A new file on this machine, for reading and writing, gone at the end unless it was put."""


class ObjectStore(ABC):
    """A place of objects named by digest. `address` is where. Digests are taken with or without "sha256:", given bare.

    Raises StoreError where the place fails.
    """

    address: str

    # -- what each kind of store has of its own ----------------------------------------------------------------------------

    @abstractmethod
    def put_bytes(self, data: bytes) -> str:
        """Keep `data`; returns its digest when it is durable. Keeping the same again changes nothing."""

    @abstractmethod
    def put_file(self, file: BinaryIO, digest: str) -> str:
        """Keep a file from `scratch()`, whose bytes the caller has hashed to `digest`; returns that when it is durable.

        Raises VerificationError where an object of that name exists with another size: it is damaged.
        """

    @abstractmethod
    def open(self, digest: str) -> BinaryIO:
        """The object as a seekable file, unverified: for `VerifiedFile`, or who hashes all of it. Raises NotFound."""

    @abstractmethod
    def has(self, digest: str) -> bool:
        """Whether the object is there; says nothing about its bytes."""

    @abstractmethod
    def size(self, digest: str) -> int:
        """Bytes that the object has. Raises NotFound."""

    @abstractmethod
    def list(self) -> Iterator[Listed]:
        """Every object, in order of digest; what lies beside one is not listed, it goes with it."""

    @abstractmethod
    def remove(self, digest: str) -> None:
        """Delete an object and what lies beside it, durably. Raises NotFound. Whether it may go, the caller must know."""

    @abstractmethod
    def put_beside(self, digest: str, suffix: str, data: bytes) -> None:
        """Keep what can be made again of an object beside it (`BESIDE`), in place of what was there."""

    @abstractmethod
    def beside(self, digest: str, suffix: str) -> BinaryIO | None:
        """What lies beside an object as a seekable file, unverified; None where there is nothing that can be read."""

    @abstractmethod
    def scratch(self) -> AbstractContextManager[BinaryIO]:
        """A new file of this machine, for reading and writing; gone at the end unless it was put."""

    @abstractmethod
    def clean_scratch(self) -> tuple[Path, ...]:
        """Delete what killed writers left, and nothing that a living one holds; returns the paths that went."""

    # -- what all of them have ---------------------------------------------------------------------------------------------

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
            _compare(digest, file_digest(cast(Any, file), "sha256").hexdigest(), file.tell())

    def copy_to(self, target: "ObjectStore", digest: str) -> None:
        """Keep an object in another store too, hashed on the way. Raises as `get`."""
        digest, hashing = bare(digest), sha256()
        with self.open(digest) as file, target.scratch() as copy, failures_of("object", digest):
            while data := file.read(_COPY):
                hashing.update(data)
                copy.write(data)
            _compare(digest, hashing.hexdigest(), file.tell())
            target.put_file(copy, digest)

    def put_blocks(self, digest: str, leaf_hashes: bytes) -> None:
        """Keep the joined block hashes of an object beside it."""
        self.put_beside(digest, BLOCKS, leaf_hashes)

    def get_blocks(self, digest: str, size: int | None = None) -> bytes:
        """The joined block hashes of an object, computed from its bytes where they are missing or of the wrong number.

        They are unverified either way: whoever uses them compares their root with a signed one. `size` is the object's, where
        it is known.
        """
        found = self.beside(digest, BLOCKS)
        if found is not None:
            with found, failures_of("block hashes of object", digest):
                data = found.read()
            if len(data) == -(-(self.size(digest) if size is None else size) // BLOCK) * HASH_BYTES:
                return data
        with self.open(digest) as file, failures_of("object", digest):
            return join_hashes(block_hashes(file))

    def put_lines(self, values: Iterable[Any]) -> ObjectList:
        """Keep a list as canonical JSON lines. The root is the RFC 6962 root over the lines without their newlines."""
        data, named = as_lines(values)
        self.put_bytes(data)
        return named

    def read_lines(self, digest: str, root: str, count: int) -> Values:
        """The list that `put_lines` kept. Raises NotFound, or VerificationError where bytes, root or count differ."""
        return lines_of(self.get(digest), ObjectList(digest=digest, root=root, count=count))

    def absent(self, digest: str) -> NotFound:
        """The error for an object that is not there."""
        return NotFound(f"object {digest} is not in the store {self.address}", hint=_OTHER_COPY, object=digest)


_OTHER_COPY = "put it back from another copy, such as a backup (inbond restore); inbond verify says what else is amiss"


def expect_size(digest: str, size: int, found: int, where: str) -> None:
    """Raise VerificationError unless the object that is there has the size of the one that is put."""
    if found != size:
        raise VerificationError(
            f"object {digest}: expected {size} bytes in the store, found {found}: it is damaged",
            hint=f"remove {where} and put the object again",
            object=digest,
        )


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
            f"object {digest}: expected bytes of this SHA-256, found {found} over {size} bytes", hint=_OTHER_COPY, object=digest
        )
