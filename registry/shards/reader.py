"""Verified reads of a text shard: any columns, any rows, no byte parsed before it was checked.

Bytes are read as `parquet.VerifiedParquet` does. That the rows are what their record ids say is a second question, answered by
`check_records` against the signed record root.
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Self

import pyarrow as pa

from inbond.ledger import merkle
from inbond.registry.objects import ObjectStore, bare
from inbond.registry.shards import arrow
from inbond.registry.shards.parquet import VerifiedParquet
from inbond.registry.shards.picking import gathered
from inbond.registry.shards.records import Record, content_ids, others_digest, record_leaf
from inbond.schemas.columns import OTHER_COLUMNS, TEXT_SCHEMA
from inbond.schemas.errors import VerificationError


class ShardReader:
    """One text shard, opened by what its statement says.

    `source` is the store that holds it, or its file; `leaf_hashes` are the file's joined block hashes (without them they are
    computed from the file: it is read once whole). `digest`, `block_root` and `record_root` are hex, with or without
    "sha256:". `name` is what errors call the shard. Opening verifies the footer. May be used from several threads.

    Raises NotFound, and VerificationError for bytes that are not those of the statement, or that are but do not hold a
    text shard of `rows` records.
    """

    def __init__(
        self,
        source: ObjectStore | BinaryIO,
        *,
        digest: str,
        size: int,
        block_root: str,
        record_root: str,
        rows: int,
        name: str | None = None,
        leaf_hashes: bytes | None = None,
    ) -> None:
        self.record_root, self.rows = bytes.fromhex(bare(record_root)), rows
        self._parquet = VerifiedParquet(
            source,
            digest=digest,
            size=size,
            block_root=block_root,
            rows=rows,
            schema=TEXT_SCHEMA,
            name=name,
            leaf_hashes=leaf_hashes,
        )
        self.digest, self.name, self._parsing = self._parquet.digest, self._parquet.name, self._parquet.parsing

    def read(self, columns: Sequence[str] | None = None, rows: Sequence[range] | None = None) -> pa.Table:
        """The named columns (all by default) of the given row ranges (half-open; all by default), in the order given.

        Raises InvalidInput for a column or a range that the shard does not have, VerificationError for altered bytes.
        """
        return self._parquet.read(columns, rows)

    def batches(self, columns: Sequence[str] | None = None, rows: Sequence[range] | None = None) -> Iterator[pa.Table]:
        """As `read`, piece by piece: memory is bounded by some row groups. The pieces' borders mean nothing."""
        return self._parquet.batches(columns, rows)

    def records(self, rows: Sequence[range] | None = None) -> Iterator[Record]:
        """The records of the given row ranges."""
        names = Record.__struct_fields__
        for table in self.batches(names) if rows is None else gathered(self, names, rows):
            with self._parsing():
                records = arrow.to_records(table)
            yield from records

    def check_records(self) -> None:
        """Compute every record id, prompt id and leaf again from the rows, and compare ids and record root.

        Raises VerificationError, naming the row, or the shard where the root differs.
        """
        leaves: list[bytes] = []
        for table in self.batches():
            with self._parsing():
                rows = zip(
                    arrow.to_records(table),
                    arrow.record_ids(table),
                    arrow.prompt_ids(table),
                    arrow.salts(table),
                    strict=True,
                )
                for record, stored, stored_prompt, salt in rows:
                    content, prompt = content_ids(record)
                    if (content, prompt) != (stored, stored_prompt):
                        raise VerificationError(
                            f"{self.name}, row {len(leaves)}: expected record id {content.hex()} and prompt id "
                            f"{prompt and prompt.hex()} from its content, found {stored.hex()} and "
                            f"{stored_prompt and stored_prompt.hex()}"
                        )
                    leaves.append(merkle.leaf_hash(record_leaf(salt, content, others_digest(record, prompt))))
        self._check_root(leaves)

    def record_leaves(self) -> list[bytes]:
        """The leaf hashes under the record root, from stored ids and without reading content; checked against the root."""
        leaves: list[bytes] = []
        for table in self.batches(("record_id", "salt", *OTHER_COLUMNS)):
            with self._parsing():
                prompts = arrow.prompt_ids(table)
                for content, salt, record, prompt in zip(
                    arrow.record_ids(table), arrow.salts(table), arrow.to_records(table), prompts, strict=True
                ):
                    leaves.append(merkle.leaf_hash(record_leaf(salt, content, others_digest(record, prompt))))
        self._check_root(leaves)
        return leaves

    def close(self) -> None:
        """Close the file."""
        self._parquet.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_root(self, leaves: Sequence[bytes]) -> None:
        found = merkle.root_of(leaves)
        if len(leaves) != self.rows or found != self.record_root:
            raise VerificationError(
                f"{self.name}: expected record root {self.record_root.hex()} over {self.rows} records, "
                f"found {found.hex()} over {len(leaves)}"
            )
