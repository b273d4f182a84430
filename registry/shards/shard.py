"""A shard by itself: its file, a receipt of its statement and a trust policy, wherever the file lies, and no registry.

For example, with the folder that `inbond deliver` or `inbond dataset export` wrote::

    with Shard.open("shards/ab12….parquet", receipt="receipts/7.tlog-proof", keys="receipts", genesis="5f…") as shard:
        table = shard.to_arrow(["prompt", "response"])
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import pyarrow as pa

from inbond.ledger.policy import TrustPolicy
from inbond.registry.evidence import Evidence, Given, receipt_of, receipts_of
from inbond.registry.objects import bare
from inbond.registry.places.environment import pin_of, policy_of
from inbond.registry.shards.opening import reader_of
from inbond.registry.shards.parquet import Rows, ranges
from inbond.registry.shards.records import Record
from inbond.registry.shards.sources import Source, opened
from inbond.schemas import statements
from inbond.schemas.errors import InvalidInput, VerificationError
from inbond.schemas.statement import Statement
from inbond.schemas.statements import ShardKind

if TYPE_CHECKING:
    import polars as pl


class Shard:
    """A shard whose statement was proved. `statement` is what was signed, `ref` its reference; use it in a `with`, or close it.

    Every byte is hashed against the statement before it is parsed, and only what a read needs is fetched. May be used from
    several threads. Raises VerificationError, naming the shard, for bytes that are not the signed ones.
    """

    def __init__(self, statement: Statement, file: BinaryIO, leaf_hashes: bytes | None) -> None:
        if not isinstance(statement.body, statements.Shard):
            file.close()
            raise VerificationError(f"{statement.ref}: expected the statement of a shard, found one of a {statement.kind}")
        self.statement, self.ref, self.body = statement, statement.ref, statement.body
        self._reader: Any = reader_of(file, self.body, self.ref, leaf_hashes)

    @classmethod
    def open(
        cls,
        source: Source,
        *,
        receipt: Given,
        keys: Given | Iterable[Given] = (),
        policy: str | Path | TrustPolicy | None = None,
        genesis: str | None = None,
        blocks: bytes | Path | str | None = None,
        token: str | None = None,
    ) -> Self:
        """Open the shard whose statement `receipt` (tlog-proof with the entry, its bytes or its file) proves.

        `source` is a path, an s3:// or http(s):// URL, or a seekable file. `keys` are the receipts of genesis and of every key
        entry: a folder of them, or each; others among them do not matter. `policy` is a trust policy's text, or its file as a
        Path, `genesis` the hex leaf hash of entry 0; unless given, both come from INBOND_POLICY and INBOND_GENESIS. `blocks` are
        the file's joined block hashes, or their file; unless given they are looked for beside the source, and computed from all
        of it where they are not there. `token` is for a server that wants one.

        Raises VerificationError where policy, receipt, signatures, roles or bytes do not fit, and Inconclusive where what is
        given proves nothing.
        """
        pin = pin_of(genesis)
        if pin is None:
            raise InvalidInput("expected genesis, the leaf hash of the log's entry 0 in hex, found none", hint="INBOND_GENESIS")
        proof = receipt_of(receipt)
        draft = Evidence(policy_of(policy), pin, receipts_of(keys)).statement(proof)
        if not isinstance(draft.body, statements.Shard):
            raise VerificationError(
                f"receipt of entry {proof.index}: expected that of a shard's statement, found that of {draft.ref}"
            )
        file, joined = opened(source, blocks, int(draft.body.size), bare(draft.body.file), token)
        return cls(draft.statement, file, joined)

    @property
    def kind(self) -> str:
        """What its rows hold: text or logits."""
        return self.body.kind.value

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return int(self.body.rows)

    def to_arrow(self, columns: Sequence[str] | None = None, rows: Rows = None) -> pa.Table:
        """The named columns (all by default) of the given rows (all by default), in the order given."""
        found: pa.Table = self._reader.read(columns, ranges(rows))
        return found

    def to_polars(self, columns: Sequence[str] | None = None, rows: Rows = None) -> "pl.DataFrame":
        """The same as a polars data frame."""
        import polars as pl

        found = pl.from_arrow(self.to_arrow(columns, rows))
        assert isinstance(found, pl.DataFrame)
        return found

    def records(self, rows: Rows = None) -> Iterator[Record]:
        """The records of a text shard's rows, one by one, in bounded memory."""
        if self.body.kind is not ShardKind.TEXT:
            raise InvalidInput(f"{self.ref}: expected a text shard, found one of {self.kind}", hint="logits() reads it")
        found: Iterator[Record] = self._reader.records(ranges(rows))
        return found

    def logits(self) -> Any:
        """The `LogitsReader` of a logits shard: dense and ragged views of its distributions. It is closed with this."""
        if self.body.kind is not ShardKind.LOGITS:
            raise InvalidInput(f"{self.ref}: expected a logits shard, found one of {self.kind}", hint="records() reads it")
        return self._reader

    def check_records(self) -> None:
        """Compute every record's commitment again from its row, and compare their root with the signed one."""
        self._reader.check_records()

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
