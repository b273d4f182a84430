"""A shard's reader by what its statement says: of text, or of log-probabilities."""

from typing import TYPE_CHECKING, Any, BinaryIO

from msgspec import UnsetType

from inbond.registry.shards.describing import check_told
from inbond.registry.shards.logits import LogitsCodec
from inbond.registry.shards.logits_reader import LogitsReader
from inbond.registry.shards.reader import ShardReader
from inbond.schemas.statements import Shard

if TYPE_CHECKING:
    from inbond.registry.objects import ObjectStore


def reader_of(
    source: "ObjectStore | BinaryIO", body: Shard, name: str, leaf_hashes: bytes | None = None
) -> ShardReader | LogitsReader:
    """The verifying reader of the shard that `body` describes; see `ShardReader` for the rest.

    What a logits shard's file says of itself must be what `body` says. A file is closed where opening it fails, too.
    """
    said: dict[str, Any] = {
        "digest": body.file,
        "size": int(body.size),
        "block_root": body.block_root,
        "record_root": body.record_root,
        "rows": int(body.rows),
        "name": name,
        "leaf_hashes": leaf_hashes,
    }
    if isinstance(body.codec, UnsetType):
        return ShardReader(source, **said)
    try:
        codec = LogitsCodec.of(body.codec)
    except BaseException:
        if hasattr(source, "close"):
            source.close()
        raise
    reader = LogitsReader(source, codec=codec, **said)
    try:
        check_told(reader.pointers, body, name)
    except BaseException:
        reader.close()
        raise
    return reader
