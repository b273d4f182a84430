"""Where a shard's file may lie: on this machine, in an S3 bucket, on a web server; and its block hashes beside it."""

from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import parse_qsl, urlsplit

from inbond.registry.places.remote_file import RemoteFile
from inbond.registry.places.transport import Transport
from inbond.registry.shards.blocks import BLOCK, HASH_BYTES
from inbond.schemas.errors import InbondError, NotFound, StoreError

Source = str | Path | BinaryIO

_BLOCKS = ".blocks"


def opened(
    source: Source, blocks: bytes | Path | str | None, size: int, digest: str, token: str | None
) -> tuple[BinaryIO, bytes | None]:
    """The file, not verified yet, and its joined block hashes where they are given or lie beside it.

    `size` and `digest` (bare hex) are the signed ones. Raises NotFound or StoreError for a source that cannot be opened.
    """
    joined = blocks if isinstance(blocks, bytes) or blocks is None else _read(Path(blocks))
    if not isinstance(source, str | Path):
        return source, joined
    address = str(source)
    if address.startswith("s3://"):
        return _in_bucket(address, joined)
    if address.startswith(("http://", "https://")):
        return _on_server(address, joined, size, digest, token)
    path = Path(source)
    beside = path.with_name(path.name + _BLOCKS)
    if joined is None and beside.is_file():
        joined = _read(beside)
    return _open(path), joined


def _on_server(address: str, joined: bytes | None, size: int, digest: str, token: str | None) -> tuple[BinaryIO, bytes | None]:
    """A file on a web server that answers range requests, such as a registry's: `…/v1/shards/ID/content?grant=REF`."""
    parts = urlsplit(address)
    transport = Transport(f"{parts.scheme}://{parts.netloc}", token)
    path, params = parts.path, parse_qsl(parts.query, keep_blank_values=True)  # a query may hold what errors must not show
    if joined is None:
        beside = parts.path.removesuffix("/content") + ("/blocks" if parts.path.endswith("/content") else _BLOCKS)
        try:
            joined = transport.get(beside, limit=-(-size // BLOCK) * HASH_BYTES)
        except NotFound:
            joined = None
        except InbondError:
            transport.close()
            raise
    file = RemoteFile(
        lambda first, last, unwanted: transport.piece(path, params, (first, last), size, None, unwanted), size, transport.close
    )
    return cast(BinaryIO, file), joined


def _in_bucket(address: str, joined: bytes | None) -> tuple[BinaryIO, bytes | None]:
    from inbond.registry.stores.bucket import Bucket, split_url  # with obstore, an extra

    folder, _, name = address.rpartition("/")
    there = Bucket(split_url(folder))
    file = there.open(name)
    return file, there.read(name + _BLOCKS) if joined is None else joined


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise NotFound(f"{path}: expected a shard's file, found none") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error.strerror}") from None


def _read(path: Path) -> bytes:
    with _open(path) as file:
        return file.read()
