"""The columns of a shard, as Arrow types (DESIGN §6).

Imports pyarrow; nothing that `--help` needs may import this module.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import pyarrow as pa

from inbond.schemas.canonical import encode

# Nested fields are called "element", as Parquet calls them, so a file needs no second copy of the schema in its footer.
_STRINGS = pa.list_(pa.field("element", pa.string(), nullable=False))
_TURN = pa.struct([pa.field("role", pa.string(), nullable=False), pa.field("content", pa.string(), nullable=False)])

TEXT_SCHEMA = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("salt", pa.binary(16), nullable=False),
        pa.field("prompt_id", pa.string()),  # null where the prompt is not known
        pa.field("sample", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("prompt", pa.list_(pa.field("element", _TURN, nullable=False))),  # null: not known; []: there was none
        pa.field("own_turns", pa.list_(pa.field("element", pa.int32(), nullable=False)), nullable=False),
        pa.field("response", pa.string(), nullable=False),
        pa.field("reasoning", pa.string()),
        pa.field("extra", pa.string()),
        pa.field("refs", _STRINGS, nullable=False),
        pa.field("label", pa.string()),
        pa.field("input_ids", pa.list_(pa.field("element", pa.uint32(), nullable=False))),
        pa.field("finish_reason", pa.string()),
        pa.field("request_id", pa.string()),
        pa.field("requested_model", pa.string()),
        pa.field("served_model", pa.string()),
        pa.field("sampling", pa.string()),
        pa.field("subject_refs", _STRINGS),
        pa.field("created_at", pa.timestamp("ms", tz="UTC")),
        pa.field("prompt_tokens", pa.int32()),
        pa.field("response_tokens", pa.int32()),
    ]
)

STREAM_COLUMNS = ("k", "ids", "head", "gaps", "tail", "chosen", "tokens")
"""The blobs of a record's log-probabilities, in framing order; `inbond.registry.shards.logits` says what they hold."""

LOGITS_SCHEMA = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("salt", pa.binary(16), nullable=False),
        pa.field("n_pos", pa.int32(), nullable=False),
        pa.field("first_pos", pa.int32(), nullable=False),
        pa.field("ids_sha256", pa.binary(32), nullable=False),
        *(pa.field(name, pa.binary(), nullable=False) for name in STREAM_COLUMNS),
    ]
)
"""A logits shard: row i is about row i of its text shard, with no positions (n_pos 0, empty blobs) where that has none.

`ids_sha256` is the SHA-256 of the record's token ids as little-endian u32, zeros where there are none.
"""

CONTENT_COLUMNS = ("prompt", "own_turns", "response", "reasoning", "extra", "refs", "label")
"""What the record id commits to, in framing order."""

OTHER_COLUMNS = tuple(n for n in TEXT_SCHEMA.names if n not in {"record_id", "salt", *CONTENT_COLUMNS})
"""What the record leaf commits to beside salt and record id, in framing order."""

NUMERIC_COLUMNS = ("sample", "created_at", "prompt_tokens", "response_tokens")
"""The columns that may carry statistics: minima and maxima of text would repeat text in the footer."""


def describe(schema: pa.Schema) -> list[dict[str, Any]]:
    """A canonical description: name, type and nullability of each column, in order."""
    return [_describe(field) for field in schema]


def _describe(field: pa.Field) -> dict[str, Any]:
    kind = field.type
    described: dict[str, Any] = {"name": field.name, "nullable": field.nullable}
    if pa.types.is_list(kind):
        return described | {"type": "list", "fields": _fields([kind.value_field])}
    if pa.types.is_struct(kind):
        return described | {"type": "struct", "fields": _fields(kind)}
    return described | {"type": str(kind)}


def _fields(fields: Iterable[pa.Field]) -> list[dict[str, Any]]:
    return [_describe(field) for field in fields]


def _id(schema: pa.Schema, kind: str) -> str:
    return "sha256:" + sha256(encode({"columns": describe(schema), "kind": kind, "v": 1})).hexdigest()


SCHEMA_ID = _id(TEXT_SCHEMA, "text")
"""Names `TEXT_SCHEMA` in statements: SHA-256 of the canonical description."""

LOGITS_SCHEMA_ID = _id(LOGITS_SCHEMA, "logits")
"""Names `LOGITS_SCHEMA` likewise."""
