"""Verified reads of a logits shard: any rows, as distributions, rectangles or Arrow columns, no byte parsed unchecked.

Bytes are read as `parquet.VerifiedParquet` does; blobs are decoded many records at once. That the rows are what was signed is a
second question, answered by `check_records` against the record root, and that they belong to a text shard a third
(`check_against`).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inbond.ledger import merkle
from inbond.registry.objects import bare
from inbond.registry.shards import arrow
from inbond.registry.shards.distributions import Distributions
from inbond.registry.shards.logits import LogitsCodec
from inbond.registry.shards.logits_rows import ids_digest, values_digest
from inbond.registry.shards.parquet import Rows, VerifiedParquet, ranges
from inbond.registry.shards.ragged import Dense, Ragged, spans, together
from inbond.registry.shards.records import record_leaf
from inbond.registry.shards.token_codes import RankMap
from inbond.schemas.columns import LOGITS_SCHEMA, STREAM_COLUMNS
from inbond.schemas.errors import InvalidInput, VerificationError

if TYPE_CHECKING:
    from inbond.registry.objects import ObjectStore
    from inbond.registry.shards.reader import ShardReader

_DECODED = ("n_pos", "first_pos", *STREAM_COLUMNS)
_RANK_MAP = b"inbond.rank_map"


class LogitsReader:
    """A logits shard, opened by what its statement says; `codec` is that of the statement (`LogitsCodec.of`).

    The other arguments are those of `ShardReader`; `pointers` is what the file says of itself (describing.py). May be used from
    several threads. Raises NotFound, and VerificationError for bytes that are not those of the statement, or that are but do not
    hold log-probabilities of `rows` rows in this codec.
    """

    def __init__(
        self,
        source: "ObjectStore | BinaryIO",
        *,
        digest: str,
        size: int,
        block_root: str,
        record_root: str,
        rows: int,
        codec: LogitsCodec,
        name: str | None = None,
        leaf_hashes: bytes | None = None,
    ) -> None:
        self.record_root, self.codec = bytes.fromhex(bare(record_root)), codec
        self._parquet = VerifiedParquet(
            source,
            digest=digest,
            size=size,
            block_root=block_root,
            rows=rows,
            schema=LOGITS_SCHEMA,
            kind="logits",
            name=name,
            leaf_hashes=leaf_hashes,
        )
        self.name, self.digest, self.rows = self._parquet.name, self._parquet.digest, rows
        self.pointers = self._parquet.pointers
        try:
            with self._parquet.parsing():
                self._ranks = self._rank_map()
        except BaseException:
            self.close()
            raise

    def read(self, columns: Sequence[str] | None = None, rows: Rows = None) -> pa.Table:
        """The named columns (all by default) of the given rows (all by default), blobs as they are stored."""
        return self._parquet.read(columns, ranges(rows))

    def batches(self, columns: Sequence[str] | None = None, rows: Rows = None) -> Iterator[pa.Table]:
        """As `read`, piece by piece, in bounded memory."""
        return self._parquet.batches(columns, ranges(rows))

    def ragged(self, rows: Rows = None) -> Ragged:
        """The distributions of the given rows, end to end."""
        return together([found for found, _ in self._decoded(ranges(rows))], draws=self.codec.selection.value == "draws")

    def dense(self, rows: Rows = None, k: int | None = None) -> Dense:
        """The same as rectangles of `k` entries a position; see `Ragged.dense`."""
        return self.ragged(rows).dense(k)

    def distributions(self, rows: Rows = None) -> Iterator[Distributions | None]:
        """The distributions of the given rows one by one, None where a row has none, in bounded memory.

        `input_ids` is empty, since the text shard has them, unless ids are of a table: then those of the positions stand there,
        after as many zeros as there are positions before.
        """
        for found, tokens in self._decoded(ranges(rows)):
            at = found.position_edges
            for row in range(len(found)):
                own = tokens[at[row] : at[row + 1]] if len(tokens) else tokens
                before = np.zeros(int(found.first_pos[row]) if len(own) else 0, dtype=np.uint32)
                yield found.record(row, np.concatenate([before, own]))

    def check_records(self) -> None:
        """Compute every leaf again from its row and compare the root with the signed one; decode every blob.

        Raises VerificationError, naming the row of a blob that does not decode.
        """
        leaves = self.record_leaves()
        found = merkle.root_of(leaves)
        if found != self.record_root:
            raise VerificationError(f"{self.name}: expected record root {self.record_root.hex()}, found {found.hex()}")
        for _ in self._decoded(None):
            pass

    def record_leaves(self) -> list[bytes]:
        """The leaf hashes under the record root, computed from the rows."""
        leaves: list[bytes] = []
        for table in self.batches():
            with self._parquet.parsing():
                columns = [table.column(name).to_pylist() for name in ("n_pos", "first_pos", "ids_sha256")]
                blobs = zip(*(table.column(name).to_pylist() for name in STREAM_COLUMNS), strict=True)
                rows = zip(arrow.record_ids(table), arrow.salts(table), *columns, blobs, strict=True)
                for record_id, salt, n_pos, first_pos, ids, row in rows:
                    leaf = record_leaf(salt, record_id, values_digest(n_pos, first_pos, ids, row))
                    leaves.append(merkle.leaf_hash(leaf))
        return leaves

    def check_against(self, text: "ShardReader") -> None:
        """Raise VerificationError unless these are about the rows of `text`: as many, the same records in the same order.

        Where the text has token ids, they are the ones that these were said of, and no fewer than there are positions.
        """
        if text.rows != self.rows:
            raise VerificationError(f"{self.name}: expected {text.rows} rows, those of {text.name}, found {self.rows}")
        mine = _rows(self.batches(("record_id", "n_pos", "first_pos", "ids_sha256")))
        theirs = _rows(text.batches(("record_id", "input_ids")))
        for row, (own, said) in enumerate(zip(mine, theirs, strict=True)):
            if own["record_id"] != said["record_id"]:
                raise VerificationError(
                    f"{self.name}, row {row}: expected record {said['record_id']}, as {text.name} has it, "
                    f"found {own['record_id']}"
                )
            ids = said["input_ids"]
            if ids is not None and own["n_pos"] and self.codec.ids != "table":
                self._check_ids(row, own, ids, text.name)

    def close(self) -> None:
        """Close the file."""
        self._parquet.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_ids(self, row: int, own: dict[str, Any], ids: list[int], text: str) -> None:
        found = ids_digest(np.array(ids, dtype=np.uint32))
        if found != own["ids_sha256"]:
            raise VerificationError(
                f"{self.name}, row {row}: expected log-probabilities of the token ids with the SHA-256 {found.hex()}, as {text} "
                f"has them, found {own['ids_sha256'].hex()}"
            )
        if own["first_pos"] + own["n_pos"] > len(ids):
            raise VerificationError(
                f"{self.name}, row {row}: expected positions within {len(ids)} tokens, found {own['n_pos']} from "
                f"{own['first_pos']} on"
            )

    def _decoded(self, rows: Sequence[range] | None) -> Iterator[tuple[Ragged, NDArray[np.uint32]]]:
        numbers = chain.from_iterable([range(self.rows)] if rows is None else rows)
        for table in self._parquet.batches(_DECODED, rows):
            for first, end in spans(table.column("n_pos").to_pylist()):
                part = table.slice(first, end - first)
                with self._parquet.parsing(), _naming(list(islice(numbers, end - first))):
                    positions, first_pos = (_int64(part.column(name)) for name in ("n_pos", "first_pos"))
                    if len(first_pos) and int(first_pos.min()) < 0:
                        raise InvalidInput(f"first_pos: expected 0 or more, found {int(first_pos.min())}")
                    blobs = [part.column(name).to_pylist() for name in STREAM_COLUMNS]
                    found, tokens = self.codec.decode(blobs, positions, first_pos, self._ranks)
                    _check_decoded(found)
                yield found, tokens

    def _rank_map(self) -> RankMap | None:
        if self.codec.rank_map is None:
            return None
        stored = self.pointers.get(_RANK_MAP)
        if stored is None:
            raise InvalidInput("expected the rank map that the codec names in the file's metadata, found none")
        return RankMap.read(stored.decode("ascii", "replace"), self.codec.vocabulary, self.codec.rank_map)


@contextmanager
def _naming(rows: list[int]) -> Iterator[None]:
    """Say in which of `rows` a blob is that does not decode, where its decoder says so."""
    try:
        yield
    except InvalidInput as error:
        at = error.members.get("record")
        raise InvalidInput(error.message if at is None else f"row {rows[at]}: {error.message}") from None


def _check_decoded(found: Ragged) -> None:
    """What a decoder does not look at and a trainer relies on: log-probabilities and masses are such."""
    for name, values in (("logprobs", found.logprobs), ("chosen", found.chosen)):
        if not len(values) or (values.max() <= 0 and values.min() > -np.inf):  # False also where there is a NaN
            continue
        wrong = ~((values <= 0) & (values > -np.inf)) & ~(np.isnan(values) & (name == "chosen"))
        if wrong.any():
            raise InvalidInput(f"{name}: expected log-probabilities of at most 0, found {values[int(np.argmax(wrong))]}")
    wrong = ~(((found.tail >= 0) & (found.tail <= 1)) | np.isnan(found.tail))
    if wrong.any():
        raise InvalidInput(f"tail: expected masses from 0 to 1, found {found.tail[int(np.argmax(wrong))]}")


def _rows(tables: Iterable[pa.Table]) -> Iterator[dict[str, Any]]:
    for table in tables:
        yield from table.to_pylist()


def _int64(column: pa.ChunkedArray) -> NDArray[np.int64]:
    found: NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    return found
