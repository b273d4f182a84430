"""One record shown without the others: its columns, its salt, and its path to the record root of the signed shard."""

from base64 import b64decode, b64encode
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from inbond.ledger import merkle
from inbond.registry.objects import bare
from inbond.registry.shards import arrow
from inbond.registry.shards.logits_reader import LogitsReader
from inbond.registry.shards.logits_rows import values_digest
from inbond.registry.shards.reader import ShardReader
from inbond.registry.shards.records import Record, leaf_data, record_leaf
from inbond.schemas.canonical import decode, encode
from inbond.schemas.columns import STREAM_COLUMNS
from inbond.schemas.errors import InvalidInput, VerificationError
from inbond.schemas.scalars import Hex32


class Logits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of a logits shard: its columns as they are stored, blobs in base64 in the order of the columns."""

    first_pos: Annotated[int, Meta(ge=0)]
    ids_sha256: Hex32
    n_pos: Annotated[int, Meta(ge=0)]
    record_id: Hex32
    streams: Annotated[tuple[str, ...], Meta(min_length=len(STREAM_COLUMNS), max_length=len(STREAM_COLUMNS))]

    def leaf(self, salt: bytes) -> bytes:
        """The data of its leaf. Raises InvalidInput for what is no base64."""
        try:
            blobs = [b64decode(stream, validate=True) for stream in self.streams]
        except ValueError as error:
            raise InvalidInput(f"record proof: expected streams in base64: {error}") from None
        values = values_digest(self.n_pos, self.first_pos, bytes.fromhex(self.ids_sha256), blobs)
        return record_leaf(salt, bytes.fromhex(self.record_id), values)


class RecordProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The file's content, as canonical JSON: what `check` needs beside the root and the number of rows.

    It has either `record`, of a text shard, or `logits`. `shard` is the SHA-256 of the shard's file and is not proved by this:
    the statement that names it holds the root.
    """

    proof: Annotated[tuple[Hex32, ...], Meta(max_length=64)]
    row: Annotated[int, Meta(ge=0)]
    rows: Annotated[int, Meta(ge=1)]
    salt: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    shard: Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$")]
    v: Annotated[int, Meta(ge=1, le=1)]
    record: Record | None = None
    logits: Logits | None = None

    def __post_init__(self) -> None:
        if (self.record is None) is (self.logits is None):
            raise ValueError("expected a record or logits, found neither or both")

    def leaf(self) -> bytes:
        """The data of the leaf that it shows."""
        salt = bytes.fromhex(self.salt)
        return leaf_data(self.record, salt) if self.record is not None else self.logits.leaf(salt)  # type: ignore[union-attr]


def prove(reader: ShardReader | LogitsReader, row: int) -> bytes:
    """The proof of one row, as canonical JSON. Reads that row's columns, and of the others all but their content.

    Raises InvalidInput for a row that the shard does not have, VerificationError where the shard is not what was signed.
    """
    if not 0 <= row < reader.rows:
        raise InvalidInput(f"{reader.name}: expected a row within [0, {reader.rows}), found {row}")
    table = reader.read(rows=[range(row, row + 1)])
    leaves = reader.record_leaves()
    proof = RecordProof(
        proof=tuple(node.hex() for node in merkle.inclusion_proof(row, reader.rows, _nodes(leaves))),
        row=row,
        rows=reader.rows,
        salt=arrow.salts(table)[0].hex(),
        shard=f"sha256:{reader.digest}",
        v=1,
        record=arrow.to_records(table)[0] if isinstance(reader, ShardReader) else None,
        logits=_logits(table.to_pylist()[0]) if isinstance(reader, LogitsReader) else None,
    )
    data = encode(proof)
    check(data, reader.record_root.hex(), reader.rows)
    return data


def read(data: bytes) -> RecordProof:
    """Parse a proof without checking it. Raises InvalidInput for what is not canonical or not a proof."""
    return decode(data, RecordProof, what="record proof")


def check(data: bytes, record_root: str, rows: int) -> Record | Logits:
    """The record of a proof, or its row of log-probabilities, once its leaf leads to `record_root` in a tree of `rows` leaves.

    Both are from a statement. Raises InvalidInput for what is not a proof, VerificationError where it proves something else.
    """
    proof = read(data)
    if proof.rows != rows:
        raise VerificationError(f"record proof: expected a shard of {rows} records, found {proof.rows}")
    leaf = merkle.leaf_hash(proof.leaf())
    path = [bytes.fromhex(node) for node in proof.proof]
    try:
        merkle.verify_inclusion(proof.row, rows, leaf, path, bytes.fromhex(bare(record_root)))
    except VerificationError as error:
        raise VerificationError(f"record proof, row {proof.row}: {error.message}") from None
    return proof.record or proof.logits  # type: ignore[return-value]  # it has one of them


def _logits(row: dict[str, Any]) -> Logits:
    return Logits(
        first_pos=row["first_pos"],
        ids_sha256=row["ids_sha256"].hex(),
        n_pos=row["n_pos"],
        record_id=row["record_id"],
        streams=tuple(b64encode(row[name]).decode() for name in STREAM_COLUMNS),
    )


def _nodes(leaves: list[bytes]) -> merkle.NodeReader:
    """Hashes of perfect subtrees, all levels computed once."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([merkle.node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)])
    return lambda level, index: levels[level][index]
