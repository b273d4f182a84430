"""Reading a log out of its database, in one snapshot: heads, entries, tiles, receipts, consistency proofs."""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection, bindparam, select

from inbond.ledger import merkle, tables
from inbond.ledger.prepared import Prepared
from inbond.ledger.receipts import Receipt, write_all
from inbond.ledger.tiles import node_reader
from inbond.schemas.errors import InvalidInput, NotFound, VerificationError

_PAGE = 512


_HEAD = Prepared(select(tables.head), [])
_TILE = Prepared(
    select(tables.tiles.c.data).where(tables.tiles.c.level == bindparam("level"), tables.tiles.c.n == bindparam("n")),
    ["level", "n"],
)
_ENTRIES = Prepared(
    select(tables.entries.c.seq, tables.entries.c.data).where(
        tables.entries.c.seq >= bindparam("first"), tables.entries.c.seq < bindparam("last")
    ),
    ["first", "last"],
)
_ENTRY = Prepared(select(tables.entries.c.data).where(tables.entries.c.seq == bindparam("wanted")), ["wanted"])


def stored_tile(connection: Connection, level: int, n: int) -> bytes:
    """The stored bytes of a tile; VerificationError if there is none."""
    rows = _TILE.rows(connection, level, n)
    if len(rows) != 1 or not isinstance(rows[0][0], bytes):
        raise VerificationError(f"tile {level}/{n}: expected the one that follows from the entries, found none or a damaged one")
    return rows[0][0]


class LedgerReader:
    """One snapshot of the log. Every answer is about the same head."""

    size: int
    root: bytes
    leaf: bytes
    time: str
    frontier: bytes
    note: bytes

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        rows = _HEAD.rows(connection)
        if len(rows) != 1:
            raise VerificationError(f"the ledger's table head: expected one row, found {'none' if not rows else 'more'}")
        for column, value in zip(tables.head.columns, rows[0], strict=True):
            if not isinstance(value, column.type.python_type):
                raise VerificationError(f"head.{column.name}: expected {column.type.python_type.__name__}, found {value!r:.60}")
        id, size, self.root, self.leaf, self.time, self.frontier, self.note = rows[0]
        if id != 1:
            raise VerificationError(f"the ledger's table head: expected the row 1, found row {id}")
        self.size = size
        self.node = node_reader(self.tile)
        self._roots: dict[int, bytes] = {self.size: self.root}

    def tile(self, level: int, n: int) -> bytes:
        """The stored bytes of a tile, as wide as it is by now."""
        return stored_tile(self.connection, level, n)

    def root_at(self, size: int) -> bytes:
        """The root of the first `size` entries, computed from tiles."""
        if size not in self._roots:
            self._check_size(size)
            self._roots[size] = merkle.root_at(size, self.node)
        return self._roots[size]

    def entry(self, seq: int) -> bytes:
        """The bytes of one entry."""
        rows = _ENTRY.rows(self.connection, seq)
        if not rows and 0 <= seq < self.size:
            raise VerificationError(f"entry {seq} is missing: expected it in a log of size {self.size}")
        if not rows:
            raise NotFound(f"entry {seq} does not exist: expected 0 to {self.size - 1}")
        if not isinstance(rows[0][0], bytes):
            raise VerificationError(f"entry {seq} is damaged: expected bytes, found {rows[0][0]!r:.60}")
        return rows[0][0]

    def entries(self, first: int = 0, last: int | None = None, kinds: tuple[str, ...] = ()) -> Iterator[tuple[int, bytes]]:
        """(seq, bytes) of the entries in [first, last), of some kinds or all, in order, a page at a time."""
        last = self.size if last is None else last
        while first < last:
            query = select(tables.entries.c.seq, tables.entries.c.data).where(
                tables.entries.c.seq >= first, tables.entries.c.seq < last
            )
            if kinds:
                query = query.where(tables.entries.c.kind.in_(kinds))
            page = self.connection.execute(query.order_by(tables.entries.c.seq).limit(_PAGE)).all()
            yield from ((row.seq, bytes(row.data)) for row in page)
            if len(page) < _PAGE:
                return
            first = page[-1].seq + 1

    def seq_of(self, header_id: str) -> int:
        """The seq of the statement with this header id."""
        query = select(tables.entries.c.seq).where(tables.entries.c.header_id == bytes.fromhex(header_id))
        seq = self.connection.execute(query).scalar_one_or_none()
        if seq is None:
            raise NotFound(f"no statement has the header id {header_id}")
        return int(seq)

    def checkpoint(self, size: int | None = None) -> bytes:
        """The signed note of the newest checkpoint, or of the checkpoint at `size`."""
        if size is None or size == self.size:
            return self.note
        query = select(tables.checkpoints.c.note).where(tables.checkpoints.c.size == size)
        note = self.connection.execute(query).scalar_one_or_none()
        if note is None:
            raise NotFound(f"no checkpoint of size {size} was signed: checkpoints exist where a batch ended")
        return bytes(note)

    def checkpoints(self) -> Iterator[tuple[int, bytes]]:
        """(size, note) of every checkpoint, by size."""
        for row in self.connection.execute(select(tables.checkpoints).order_by(tables.checkpoints.c.size)):
            yield row.size, bytes(row.note)

    def receipt(self, seq: int, size: int | None = None, *, with_entry: bool = True) -> Receipt:
        """A receipt (`tlog-proof`) of entry `seq` under the checkpoint at `size`, the newest unless given."""
        size = self.size if size is None else size
        self._check_size(size)
        if not 0 <= seq < size:
            raise NotFound(f"entry {seq} is not in a log of size {size}")
        proof = merkle.inclusion_proof(seq, size, self.node)
        return Receipt(seq, tuple(proof), self.checkpoint(size), self.entry(seq) if with_entry else None)

    def receipts(self, seqs: Iterable[int]) -> dict[int, bytes]:
        """The receipts of entries under the newest checkpoint, each with its entry, as they are written, by seq."""
        wanted = sorted(set(seqs))
        if wanted and not 0 <= wanted[0] <= wanted[-1] < self.size:
            raise NotFound(f"expected entries of a log of size {self.size}, found {wanted[0]} to {wanted[-1]}")
        found: dict[int, bytes] = {}
        for first, last in _runs(wanted):
            found.update(_ENTRIES.rows(self.connection, first, last))
        for seq in wanted:
            if not isinstance(found.get(seq), bytes):
                raise VerificationError(
                    f"entry {seq}: expected its bytes in a log of size {self.size}, found {found.get(seq)!r:.60}"
                )
        return write_all(merkle.inclusion_proofs(wanted, self.size, self.node), self.note, found)

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """The RFC 6962 consistency proof from size `old` to `new`, the newest unless given."""
        new = self.size if new is None else new
        self._check_size(new)
        if not 0 < old <= new:
            raise InvalidInput(f"expected sizes with 0 < old <= new, found {old} and {new}")
        return merkle.consistency_proof(old, new, self.node)

    def _check_size(self, size: int) -> None:
        if not 0 < size <= self.size:
            raise NotFound(f"size {size} is beyond this log: expected 1 to {self.size}")


def _runs(wanted: Sequence[int]) -> Iterator[tuple[int, int]]:
    """[first, last) of the numbers that follow each other in `wanted`."""
    start = 0
    for at in range(1, len(wanted) + 1):
        if at == len(wanted) or wanted[at] != wanted[at - 1] + 1:
            yield wanted[start], wanted[at - 1] + 1
            start = at
