"""Where an audit reads a log from: its database here; files in a folder or at an address in published.py.

A source hands out chunks of entries in order, each of which compares what is kept beside the entries with what an
examination found, and shows the tiles that are kept. Nothing that a source says is believed.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import bindparam, func, select

from inbond.ledger import tables
from inbond.ledger.auditing.examining import Examined
from inbond.ledger.comparing import differing_column, key_of, shown
from inbond.ledger.database import translated
from inbond.ledger.prepared import Prepared
from inbond.ledger.reader import LedgerReader
from inbond.ledger.tiles import TILE_WIDTH
from inbond.schemas.errors import VerificationError

LARGE = 8 << 20
"""Bytes of entries in a chunk beyond which the next one is smaller."""


class Chunk(Protocol):
    """Some entries in a row: as many as were wanted, or fewer where there are no more."""

    entries: list[bytes]

    def where(self, index: int) -> str:
        """Where an entry lies, as the beginning of a message."""

    def compare(self, examined: Examined) -> None:
        """Raise VerificationError unless what is kept beside these entries is what follows from them."""

    def check_others(self) -> None:
        """Raise VerificationError for other copies of these entries, which have been examined, that differ."""


class Source(Protocol):
    """Where an audit reads a log from."""

    name: str
    head: str
    """What the newest checkpoint is called in messages."""

    rows: bool
    """Whether entries are rows, with hashes of their payloads beside them."""

    def checkpoint(self) -> bytes:
        """The newest checkpoint, a signed note."""

    def genesis(self) -> bytes:
        """The bytes of entry 0; VerificationError where there are none."""

    def first_leaf(self, size: int) -> bytes:
        """What the tiles of a log of `size` entries say is the leaf hash of entry 0; not verified."""

    def chunks(self, first: int, size: int, step: int) -> Iterator[Chunk]:
        """The entries in [first, size), `step` at a time, in order; `first` and `step` are multiples of a tile's width."""

    def tile(self, level: int, n: int, width: int = TILE_WIDTH) -> bytes:
        """A tile of hashes as it is kept."""

    def check_tile(self, level: int, n: int, data: bytes) -> None:
        """Raise VerificationError unless a tile is kept with exactly the bytes `data`."""

    def check_end(self, size: int) -> None:
        """Raise VerificationError for entries that a log of `size` entries does not have."""

    def check_rest(self, size: int, first: int) -> None:
        """Raise VerificationError for anything else that is kept of a log and that one of `size` entries does not have.

        All its tiles have been checked before; those that belong to entries before `first` alone, by an earlier audit.
        """

    def notes(self, above: int, upto: int) -> Sequence[tuple[int, bytes]]:
        """(size, note) of every checkpoint that is kept beside the newest one, for sizes in (above, upto]."""


_e, _s, _t, _c = tables.entries.c, tables.signers.c, tables.tiles.c, tables.checkpoints.c
_BETWEEN = ["first", "last"]
_ENTRIES = Prepared(
    select(tables.entries).where(_e.seq >= bindparam("first"), _e.seq < bindparam("last")).order_by(_e.seq), _BETWEEN
)
_SIGNERS = Prepared(
    select(_s.seq, _s.keyid).where(_s.seq >= bindparam("first"), _s.seq < bindparam("last")).order_by(_s.seq, _s.keyid), _BETWEEN
)
_NOTES = Prepared(
    select(_c.size, _c.note).where(_c.size > bindparam("first"), _c.size <= bindparam("last")).order_by(_c.size), _BETWEEN
)
_TILE = Prepared(select(_t.data).where(_t.level == bindparam("level"), _t.n == bindparam("n")), ["level", "n"])


class DatabaseSource:
    """A log in its database, in one snapshot."""

    rows = True

    def __init__(self, name: str, reader: LedgerReader) -> None:
        self.name, self._reader = name, reader
        self._path, self.head = Path(name), f"{name}: checkpoint"

    def checkpoint(self) -> bytes:
        """The newest checkpoint, a signed note."""
        return self._reader.note

    def genesis(self) -> bytes:
        """The bytes of entry 0."""
        with translated(self._path):
            return self._reader.entry(0)

    def first_leaf(self, size: int) -> bytes:
        """What the tiles say is the leaf hash of entry 0; not verified."""
        return self.tile(0, 0)[:32]

    def chunks(self, first: int, size: int, step: int) -> Iterator["DatabaseChunk"]:
        """The entries in [first, size), `step` at a time."""
        while first < size:
            last = min(first + step, size)
            rows = self._rows(_ENTRIES, first, last)
            if not rows:
                return
            chunk = DatabaseChunk(first, rows, self._rows(_SIGNERS, first, last))
            yield chunk
            first = last
            step = TILE_WIDTH if sum(map(len, chunk.entries)) > LARGE else step

    def tile(self, level: int, n: int, width: int = TILE_WIDTH) -> bytes:
        """A tile of hashes as it is kept."""
        rows = self._rows(_TILE, level, n)
        return rows[0][0][: 32 * width] if rows and isinstance(rows[0][0], bytes) else b""

    def check_tile(self, level: int, n: int, data: bytes) -> None:
        """Raise VerificationError unless the row of a tile holds exactly `data`."""
        rows = self._rows(_TILE, level, n)
        if not rows:
            raise VerificationError(f"table tiles: row level={level}, n={n} is missing")
        if rows[0][0] != data:
            raise VerificationError(
                f"table tiles: row level={level}, n={n}: column data: expected {shown(data)}, found {shown(rows[0][0])}"
            )

    def check_end(self, size: int) -> None:
        """Raise VerificationError for rows of entries and signers that a log of `size` entries does not have."""
        for table in (tables.entries, tables.signers):
            beyond = select(table).where((table.c.seq < 0) | (table.c.seq >= size)).order_by(*table.primary_key.columns)
            with translated(self._path):
                row = self._reader.connection.execute(beyond.limit(1)).first()
            if row is not None:
                raise VerificationError(f"table {table.name}: row {key_of(table, row)} follows from no entry")

    def check_rest(self, size: int, first: int) -> None:
        """Raise VerificationError for rows of tiles and checkpoints that a log of `size` entries does not have."""
        connection = self._reader.connection
        with translated(self._path):
            levels = select(_t.level, func.count(), func.min(_t.n), func.max(_t.n)).group_by(_t.level).order_by(_t.level)
            for level, count, least, most in connection.execute(levels):
                expected = -(-(size >> 8 * level) // TILE_WIDTH) if 0 <= level < 8 else 0
                if count < expected:
                    raise VerificationError(f"table tiles: expected {expected} rows of level {level}, found {count}")
                if (count, least, most) != (expected, 0, expected - 1):
                    n = least if least < 0 or not expected else most
                    raise VerificationError(f"table tiles: row level={level}, n={n} follows from no entry")
            sizes = select(_c.size).where((_c.size < 1) | (_c.size > size)).order_by(_c.size)
            for beyond in connection.execute(sizes.limit(1)).scalars():
                raise VerificationError(f"checkpoint {beyond}: expected sizes from 1 to {size} in a log of {size} entries")

    def notes(self, above: int, upto: int) -> list[tuple[int, bytes]]:
        """(size, note) of every stored checkpoint with a size in (above, upto]."""
        rows = self._rows(_NOTES, above, upto)
        for size, note in rows:
            if not isinstance(note, bytes):
                raise VerificationError(f"table checkpoints: row size={size}: column note: expected bytes, found {shown(note)}")
        return [(size, note) for size, note in rows]

    def _rows(self, query: Prepared, *values: Any) -> list[tuple[Any, ...]]:
        with translated(self._path):
            return query.rows(self._reader.connection, *values)


class DatabaseChunk:
    """Rows of entries and signers."""

    def __init__(self, first: int, rows: list[tuple[Any, ...]], signers: list[tuple[Any, ...]]) -> None:
        self._first, self._rows, self._signers = first, rows, signers
        self.entries: list[bytes] = [row[-1] for row in rows]
        for row in rows:
            if not isinstance(row[-1], bytes):
                raise VerificationError(f"table entries: row seq={row[0]}: column data: expected bytes, found {shown(row[-1])}")

    def where(self, index: int) -> str:
        """Nothing: the number of an entry says where it lies."""
        return ""

    def compare(self, examined: Examined) -> None:
        """Raise VerificationError, naming row and column, unless every other column is what follows from the entry."""
        count, first = examined.count, self._first
        for seq, row in enumerate(self._rows, first):
            if row[0] != seq:
                raise VerificationError(f"table entries: row seq={seq} is missing")
        rows, last = self._rows[:count], first + count
        prevs = (bytes.fromhex(examined.prev.decode()) + examined.leaves)[:-32]
        columns = (examined.ids, 16), (examined.payloads, 32), (prevs, 32), (examined.leaves, 32)
        if not _equal(rows, examined.kinds, columns):
            pieces = [[data[at : at + size] for at in range(0, len(data), size)] for data, size in columns]
            wanted = list(zip(range(first, last), examined.kinds, *pieces, self.entries, strict=False))
            if wanted != rows:
                raise differing_column(tables.entries, rows, wanted)
        keyids: list[list[bytes]] = [[]] * count
        for group in examined.groups:
            raw = sorted(map(bytes.fromhex, group.keyids))
            for at in group.at:
                keyids[at] = raw
        signers = [(first + at, keyid) for at, some in enumerate(keyids) for keyid in some]
        found = self._signers
        if found and found[-1][0] >= last:
            found = [row for row in found if row[0] < last]
        if signers != found:
            raise differing_column(tables.signers, found, signers)

    def check_others(self) -> None:
        """Nothing: a database holds an entry once."""


def _equal(rows: list[tuple[Any, ...]], kinds: list[str], columns: Sequence[tuple[bytes, int]]) -> bool:
    """Whether rows hold these columns, for most at the cost of joining them."""
    if not rows:
        return True
    _seqs, found, *others, _data = zip(*rows, strict=True)
    if list(found) != kinds:
        return False
    try:
        return all(
            set(map(len, values)) == {size} and b"".join(values) == data
            for values, (data, size) in zip(others, columns, strict=True)
        )
    except TypeError:  # a value whose type was changed by damage
        return False
