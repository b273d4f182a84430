"""One record shown without the others: its columns, its salt, and its path to the record root of the signed shard."""

from typing import Annotated

import msgspec
from msgspec import Meta

from inbond.ledger import merkle
from inbond.registry.objects import bare
from inbond.registry.shards import arrow
from inbond.registry.shards.reader import ShardReader
from inbond.registry.shards.records import Record, leaf_data
from inbond.schemas.canonical import decode, encode
from inbond.schemas.errors import InvalidInput, VerificationError
from inbond.schemas.scalars import Hex32


class RecordProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file's content, as canonical JSON: what `check` needs beside the root and the number of rows.

    `shard` is the SHA-256 of the shard's file and is not proved by this: the statement that names it holds the root.
    """

    proof: Annotated[tuple[Hex32, ...], Meta(max_length=64)]
    record: Record
    row: Annotated[int, Meta(ge=0)]
    rows: Annotated[int, Meta(ge=1)]
    salt: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    shard: Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$")]
    v: Annotated[int, Meta(ge=1, le=1)] = 1


def prove(reader: ShardReader, row: int) -> bytes:
    """The proof of one row, as canonical JSON. Reads that row's columns, and of the others all but their content.

    Raises InvalidInput for a row that the shard does not have, VerificationError where the shard is not what was signed.
    """
    if not 0 <= row < reader.rows:
        raise InvalidInput(f"{reader.name}: expected a row within [0, {reader.rows}), found {row}")
    table = reader.read(rows=[range(row, row + 1)])
    leaves = reader.record_leaves()
    proof = RecordProof(
        proof=tuple(node.hex() for node in merkle.inclusion_proof(row, reader.rows, _nodes(leaves))),
        record=arrow.to_records(table)[0],
        row=row,
        rows=reader.rows,
        salt=arrow.salts(table)[0].hex(),
        shard=f"sha256:{reader.digest}",
    )
    data = encode(proof)
    check(data, reader.record_root.hex(), reader.rows)
    return data


def read(data: bytes) -> RecordProof:
    """Parse a proof without checking it. Raises InvalidInput for what is not canonical or not a proof."""
    return decode(data, RecordProof, what="record proof")


def check(data: bytes, record_root: str, rows: int) -> Record:
    """The record of a proof, once its leaf leads to `record_root` in a tree of `rows` records, both from a statement.

    Raises InvalidInput for what is not a proof, VerificationError where it proves something else.
    """
    proof = read(data)
    if proof.rows != rows:
        raise VerificationError(f"record proof: expected a shard of {rows} records, found {proof.rows}")
    leaf = merkle.leaf_hash(leaf_data(proof.record, bytes.fromhex(proof.salt)))
    path = [bytes.fromhex(node) for node in proof.proof]
    try:
        merkle.verify_inclusion(proof.row, rows, leaf, path, bytes.fromhex(bare(record_root)))
    except VerificationError as error:
        raise VerificationError(f"record proof, row {proof.row}: {error.message}") from None
    return proof.record


def _nodes(leaves: list[bytes]) -> merkle.NodeReader:
    """Hashes of perfect subtrees, all levels computed once."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([merkle.node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)])
    return lambda level, index: levels[level][index]
