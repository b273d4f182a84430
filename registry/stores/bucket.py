"""An S3 bucket of objects named by the SHA-256 of their bytes, through `obstore` (the extra `s3`).

    <prefix>/sha256/ab/ab12…        an object, whole or absent
    <prefix>/sha256/ab/ab12….blocks what lies beside it, as in a folder

Nothing is published under a digest that its bytes do not have: what is sent is hashed on its way, and an upload that turns out
to be other bytes is broken off before it is completed. Small objects are put if absent (`If-None-Match: *`), larger ones in
parts, in bounded memory, unless an object of that size is there: two writers of one name write the same bytes. Requests that
fail in passing (connections, 5xx) are repeated with back-off. An object that is put again after `_YOUNG` is written again, so
that who clears up sees that somebody wants it.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from inbond.registry.objects import BESIDE, Listed, ObjectStore, bare, expect_size, is_digest
from inbond.registry.places.remote_file import RemoteFile
from inbond.registry.stores.scratch import Scratch
from inbond.schemas.errors import InbondError, InvalidInput, NotFound, NotPermitted, StoreError, VerificationError

SCHEME = "s3://"
PART = 8 << 20
"""Bytes of a part of an upload; what is no longer is put at once."""

RETRIES: dict[str, Any] = {
    "max_retries": 6,
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
    "retry_timeout": timedelta(seconds=60),
}
"""How often a request is repeated, with pauses that grow."""

_URL = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,62})(?:/((?:[A-Za-z0-9!_.*'()=-]+/?)*))?")
_PLAIN = re.compile(r"[A-Za-z0-9:/._\[\]-]{1,200}")
_AT_ONCE = 4  # parts under way
_YOUNG = timedelta(hours=12)
_LISTED = 1000


class Location(NamedTuple):
    """A bucket, a prefix in it (no slash at either end), and where that is unless the environment says otherwise."""

    bucket: str
    prefix: str
    endpoint: str | None = None
    region: str | None = None

    @property
    def url(self) -> str:
        """As it is written."""
        return f"{SCHEME}{self.bucket}/{self.prefix}".rstrip("/")


def split_url(url: str, endpoint: str | None = None, region: str | None = None) -> Location:
    """The place that `s3://bucket/prefix` names, at an endpoint and in a region where they are given.

    Raises InvalidInput for another form.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise InvalidInput(f"store: expected s3://BUCKET or s3://BUCKET/PREFIX, found {re.sub('//.*@', '//', url[:200])!r}")
    for what, value in (("endpoint", endpoint), ("region", region)):
        if value is not None and not _PLAIN.fullmatch(value):
            raise InvalidInput(f"store: expected an {what} without user, password and spaces, found another")
    return Location(found[1], (found[2] or "").strip("/"), endpoint, region)


def here(location: Location) -> Location:
    """The same place where this process finds it: endpoint and region of the AWS environment come before those recorded."""
    env = os.environ
    endpoint = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or env.get("AWS_ENDPOINT") or location.endpoint
    region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or location.region
    return split_url(location.url, endpoint, region)


class BucketStore(ObjectStore):
    """The objects under a prefix of a bucket; `scratch` is the folder of this machine for what is being written.

    Keys come from the AWS environment variables (AWS_ACCESS_KEY_ID and its like) or the machine's role. May be used from several
    threads and processes. Raises InvalidInput where `obstore` is not installed, StoreError and NotPermitted where S3 fails.
    """

    def __init__(self, location: Location, scratch: Path | None = None, retries: dict[str, Any] | None = None) -> None:
        self.location, self.address = location, location.url
        self._bucket = Bucket(location, retries)
        self._scratch = None if scratch is None else Scratch(scratch)

    def check_reachable(self) -> None:
        """Raise StoreError, saying what is wrong, unless the bucket exists and may be read and written."""
        self._bucket.expect()
        self.put_bytes(b"")

    def put_bytes(self, data: bytes) -> str:
        """Keep `data`; returns its digest when it is durable. Keeping the same again changes nothing."""
        digest = sha256(data).hexdigest()
        if not self._is_there(digest, len(data)):
            self._bucket.put(_key(digest), data, replace=False)
        return digest

    def put_file(self, file: BinaryIO, digest: str) -> str:
        """Send the scratch `file`, whose bytes the caller has hashed to `digest`; they are hashed again on their way."""
        digest = bare(digest)
        file.flush()
        size = os.fstat(file.fileno()).st_size
        if not self._is_there(digest, size):
            file.seek(0)
            if size <= PART:
                data = file.read()
                _expect(digest, sha256(data).hexdigest())
                self._bucket.put(_key(digest), data, replace=False)
            else:
                self._bucket.put(_key(digest), _hashed(file, size, digest), replace=True)
        return digest

    def open(self, digest: str) -> BinaryIO:
        """The object as a file that is read by ranges, unverified. Raises NotFound."""
        digest = bare(digest)
        try:
            return self._bucket.open(_key(digest))
        except NotFound:
            raise self.absent(digest) from None

    def get(self, digest: str) -> bytes:
        """The bytes of an object, hashed before they are returned."""
        digest = bare(digest)
        data = self._bucket.read(_key(digest))
        if data is None:
            raise self.absent(digest)
        _expect(digest, sha256(data).hexdigest())
        return data

    def has(self, digest: str) -> bool:
        """Whether the object is there; says nothing about its bytes."""
        return self._bucket.head(_key(bare(digest))) is not None

    def size(self, digest: str) -> int:
        """Bytes that the object has. Raises NotFound."""
        found = self._bucket.head(_key(bare(digest)))
        if found is None:
            raise self.absent(bare(digest))
        return found[0]

    def list(self) -> Iterator[Listed]:
        """Every object, in order of digest; what lies beside one is not listed, it goes with it."""
        now = datetime.now(UTC)
        for name, size, modified in self._bucket.list("sha256"):
            digest = name.rpartition("/")[2]
            if is_digest(digest):
                yield Listed(digest, size, max(0.0, (now - modified).total_seconds()))

    def remove(self, digest: str) -> None:
        """Delete an object and what lies beside it. Raises NotFound. Whether it may go, the caller must know."""
        digest = bare(digest)
        if not self.has(digest):
            raise self.absent(digest)
        self._bucket.delete([*(_key(digest) + suffix for suffix in BESIDE), _key(digest)])

    def put_beside(self, digest: str, suffix: str, data: bytes) -> None:
        """Keep what can be made again of an object beside it, in place of what was there."""
        self._bucket.put(_key(bare(digest)) + suffix, data, replace=True)

    def beside(self, digest: str, suffix: str) -> BinaryIO | None:
        """What lies beside an object, read by ranges; None where there is nothing that can be read."""
        try:
            return self._bucket.open(_key(bare(digest)) + suffix)
        except InbondError:
            return None

    def scratch(self) -> AbstractContextManager[BinaryIO]:
        """A new file of this machine, for reading and writing; gone at the end."""
        return _temporary() if self._scratch is None else self._scratch.new()

    def clean_scratch(self) -> tuple[Path, ...]:
        """Delete what killed writers left on this machine, and nothing that a living one holds."""
        return () if self._scratch is None else self._scratch.clean()

    def _is_there(self, digest: str, size: int) -> bool:
        """Whether an object of this size is in place, and young enough for those who clear up."""
        found = self._bucket.head(_key(digest))
        if found is None:
            return False
        expect_size(digest, size, found[0], f"{self.address}/{_key(digest)}")
        return datetime.now(UTC) - found[1] < _YOUNG


class Bucket:
    """Names and bytes under a prefix of a bucket, and S3's failures in words that help."""

    def __init__(self, location: Location, retries: dict[str, Any] | None = None) -> None:
        try:
            import obstore
            from obstore.store import S3Store
        except ImportError:
            raise InvalidInput(
                f"{location.url}: expected the package obstore, which reads and writes S3, found it missing",
                hint='pip install "inbond[s3]"',
            ) from None
        location = here(location)
        self._s3, self.address = obstore, location.url
        options: dict[str, Any] = {}
        if location.endpoint is not None:
            options["endpoint"] = location.endpoint
        if location.region is not None:
            options["region"] = location.region
        client: dict[str, Any] = {"allow_http": (location.endpoint or "").startswith("http://"), "timeout": timedelta(seconds=60)}
        with self._failures(""):
            self._store = S3Store(
                location.bucket,
                prefix=location.prefix or None,
                client_options=cast(Any, client),
                retry_config=cast(Any, RETRIES if retries is None else retries),
                **options,
            )

    def expect(self) -> None:
        """Raise unless the bucket can be asked."""
        with self._failures(""):
            next(iter(self._s3.list(self._store, chunk_size=1)), None)

    def put(self, name: str, data: Any, *, replace: bool) -> None:
        """Write `name`: bytes, or an iterator of pieces, which are sent in parts. Without `replace` only if it is absent."""
        with self._failures(name):
            try:
                self._s3.put(
                    self._store,
                    name,
                    data,
                    mode="overwrite" if replace else "create",
                    use_multipart=not isinstance(data, bytes),
                    chunk_size=PART,
                    max_concurrency=_AT_ONCE,
                )
            except self._s3.exceptions.AlreadyExistsError:
                return  # by somebody who was faster, or from an answer that got lost: names are of their bytes

    def head(self, name: str) -> tuple[int, datetime] | None:
        """Size, and when it was written; None where it is not there. Raises where the bucket is not."""
        try:
            with self._failures(name):
                found = self._s3.head(self._store, name)
        except NotFound:
            self.expect()
            return None
        return found["size"], found["last_modified"]

    def read(self, name: str) -> bytes | None:
        """All bytes; None where it is not there."""
        try:
            with self._failures(name):
                return bytes(self._s3.get(self._store, name).bytes())
        except NotFound:
            self.expect()
            return None

    def open(self, name: str) -> BinaryIO:
        """A file that is read by ranges. Raises NotFound."""
        found = self.head(name)
        if found is None:
            raise NotFound(f"{self.address}/{name} does not exist")

        def fetch(first: int, last: int, unwanted: Any) -> bytes:
            with self._failures(name):
                data = bytes(self._s3.get_range(self._store, name, start=first, end=last))
            if len(data) != last - first:
                raise StoreError(f"{self.address}/{name}: expected {last - first} bytes from byte {first}, found {len(data)}")
            return data

        return cast(BinaryIO, RemoteFile(fetch, found[0]))

    def list(self, folder: str) -> Iterator[tuple[str, int, datetime]]:
        """Name, size and time of writing of everything in a folder, by name."""
        with self._failures(folder):
            for page in self._s3.list(self._store, folder, chunk_size=_LISTED):
                for item in page:
                    yield item["path"], item["size"], item["last_modified"]

    def delete(self, names: Any) -> None:
        """Delete names; those that are not there are left at that."""
        with self._failures(names[-1]):
            for name in names:
                self._s3.delete(self._store, name)

    @contextmanager
    def _failures(self, name: str) -> Iterator[None]:
        what = f"{self.address}/{name}" if name else self.address
        errors = self._s3.exceptions
        try:
            yield
        except (errors.BaseError, OSError, ValueError) as error:
            text = " ".join(str(error).split())
            if "NoSuchBucket" in text:
                raise StoreError(f"{self.address}: expected a bucket that exists, found none", hint="create it first") from None
            if isinstance(error, FileNotFoundError | errors.NotFoundError):
                raise NotFound(f"{what} does not exist") from None
            denied = isinstance(error, errors.PermissionDeniedError | errors.UnauthenticatedError)
            if denied or "403 Forbidden" in text or "401 Unauthorized" in text:  # lists have no error of their own for it
                raise NotPermitted(
                    f"{what}: expected access, found that S3 denies it: {_brief(text)}",
                    hint="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's role, need GetObject, PutObject, "
                    "DeleteObject and ListBucket there",
                ) from None
            hint = "AWS_ENDPOINT_URL names another endpoint than Amazon's, AWS_REGION the region"
            raise StoreError(f"{what}: S3 failed: {_brief(text)}", hint=hint) from None


def _hashed(file: BinaryIO, size: int, digest: str) -> Iterator[bytes]:
    """The pieces of a file; the last one only once all of them have been found to have the digest."""
    hashing, seen = sha256(), 0
    while data := file.read(PART):
        hashing.update(data)
        seen += len(data)
        if seen >= size:
            _expect(digest, hashing.hexdigest())
        yield data


def _expect(digest: str, found: str) -> None:
    if found != digest:
        raise VerificationError(f"object {digest}: expected bytes of this SHA-256, found {found}", object=digest)


@contextmanager
def _temporary() -> Iterator[BinaryIO]:
    with tempfile.NamedTemporaryFile(prefix="inbond-") as file:
        yield cast(BinaryIO, file)


def _key(digest: str) -> str:
    return f"sha256/{digest[:2]}/{digest}"


def _brief(text: str) -> str:
    """A library's error without its debugging form, which repeats it at length."""
    return text.partition(" Debug source: ")[0].partition("Debug source:")[0].strip()[:600]
