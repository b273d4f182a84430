"""Verified reads of a Parquet file that a statement describes: any columns, any rows, no byte parsed before it was checked.

The footer is fetched, verified, read (footers.py) and bounded (limits.py) when the file is opened. A read then finds the column
chunks that it needs, fetches the blocks that hold them, hashes these and no others, and decodes a row group when its bytes are
verified, while other threads fetch and hash those behind it. That is the same for a file of this machine and for one elsewhere,
of which ranges are asked for.
"""

import io
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import accumulate
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from inbond.registry.objects import ObjectStore, bare
from inbond.registry.shards import blocks, footers, limits
from inbond.registry.shards.fetched import Fetched
from inbond.schemas.errors import InvalidInput, VerificationError

Rows = range | Sequence[range] | None
"""Half-open row ranges; None is all of them."""

_MAGIC = b"PAR1"
_TAIL = len(_MAGIC) + 4
_AT_ONCE = 512 << 10  # bytes of row groups that are decoded together: less is not worth a task
_AT_ONCE_ELSEWHERE = 2 << 20  # the same of a file that is asked for by range: less is not worth a request
_AHEAD = 32 << 20  # bytes that are under way at once
_MOST = 8  # tasks that are under way at once


class VerifiedParquet:
    """A Parquet file of `schema` and `rows` rows, opened by what its statement says.

    `source` is the store that holds it, or its file; `leaf_hashes` are the file's joined block hashes (without them they are
    computed from the file: it is read once whole). `digest` and `block_root` are hex, with or without "sha256:". `kind` is what
    its shards are called, `name` what errors call this one. May be used from several threads; reads take turns.

    Raises NotFound, and VerificationError for bytes that are not those of the statement, or that are but do not hold such rows.
    """

    def __init__(
        self,
        source: ObjectStore | BinaryIO,
        *,
        digest: str,
        size: int,
        block_root: str,
        rows: int,
        schema: pa.Schema,
        kind: str = "text",
        name: str | None = None,
        leaf_hashes: bytes | None = None,
    ) -> None:
        self.digest, self.rows, self.schema = bare(digest), rows, schema
        self.name = name or f"shard sha256:{self.digest}"
        self._kind = kind
        if isinstance(source, ObjectStore):
            raw: BinaryIO = source.open(self.digest)
            joined: bytes | None = source.get_blocks(self.digest, size)
        else:
            raw, joined = source, leaf_hashes
        try:
            if joined is None:
                joined = _hashed(raw, size, self.name)
            hashes = blocks.split_hashes(joined, size, self.name)
            root = bytes.fromhex(bare(block_root))
            self.file = blocks.VerifiedFile(raw, size=size, hashes=hashes, root=root, name=self.name)
            with self.parsing():
                self._open_footer()
        except BaseException:
            raw.close()
            raise

    def read(self, columns: Sequence[str] | None = None, rows: Sequence[range] | None = None) -> pa.Table:
        """The named columns (all by default) of the given row ranges (half-open; all by default), in the order given.

        A read of everything verifies every byte of the file. Raises InvalidInput for a column or a range that the shard does not
        have, VerificationError for altered bytes.
        """
        names = self._names(columns)
        tables = list(self._tables(names, rows, whole=columns is None and rows is None))
        return pa.concat_tables(tables) if tables else pa.schema([self.schema.field(n) for n in names]).empty_table()

    def batches(self, columns: Sequence[str] | None = None, rows: Sequence[range] | None = None) -> Iterator[pa.Table]:
        """As `read`, piece by piece: memory is bounded by some row groups. The pieces' borders mean nothing."""
        yield from self._tables(self._names(columns), rows)

    def rows_of(self, group: int) -> int:
        """How many rows a row group has."""
        return self.starts[group + 1] - self.starts[group]

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    @contextmanager
    def parsing(self) -> Iterator[None]:
        """What pyarrow or a column's values raise, as our errors. The bytes are the signed ones, so their maker erred."""
        try:
            yield
        except InvalidInput as error:
            raise VerificationError(f"{self.name}: {error.message}") from None
        except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError, MemoryError) as error:
            raise VerificationError(f"{self.name}: expected a {self._kind} shard in Parquet form, found: {error}") from None

    # -- the footer --------------------------------------------------------------------------------------------------------

    def _open_footer(self) -> None:
        size = self.file.size()
        end = self.file.read_at(max(size - blocks.BLOCK, 0), blocks.BLOCK)  # one request, nearly always
        length = int.from_bytes(end[-_TAIL:-4], "little")
        if bytes(end[-4:]) != _MAGIC or not 0 < length <= size - _TAIL - len(_MAGIC):
            raise VerificationError(f"{self.name}: expected a {self._kind} shard in Parquet form, found no footer of one")
        if length + _TAIL > len(end):
            end = self.file.read_at(size - length - _TAIL, length + _TAIL)
        self.end = end
        self._data_end = size - length - _TAIL
        said = bytes(end[-length - _TAIL : -_TAIL])
        footer, declared = footers.read_footer(said, self.schema, self._kind, self.name)
        limits.check_footer(footer, declared, self.rows, size, self._data_end, self.name)
        self._footer, self.pointers = footer, footer.pointers
        self.metadata: pq.FileMetaData = pq.read_metadata(pa.BufferReader(pa.py_buffer(end[-length - _TAIL :])))
        self.starts: list[int] = [0, *footer.rows.cumsum().tolist()]
        self._leaves: dict[str, list[int]] = {}
        for index, leaf in enumerate(footer.leaves):
            self._leaves.setdefault(leaf.path.partition(".")[0], []).append(index)

    def _chunks(self, group: int, names: Iterable[str]) -> list[limits.Chunk]:
        return [limits.Chunk.of(self._footer, group, leaf) for name in names for leaf in self._leaves[name]]

    # -- rows --------------------------------------------------------------------------------------------------------------

    def _tables(self, names: list[str], rows: Sequence[range] | None, *, whole: bool = False) -> Iterator[pa.Table]:
        """The rows wanted, piece by piece, in order: what comes next is fetched, verified and decoded meanwhile."""
        with closing(_Line(self, names, self._tasks(names, self._pieces(rows), whole=whole))) as line:
            yield from line.tables()

    def _tasks(self, names: list[str], pieces: Iterable["_Piece"], *, whole: bool) -> Iterator["_Task"]:
        """Pieces that are decoded together, with the bytes that hold them: all of the file where it is wanted `whole`."""
        covered, task = 0, _Task()
        least = _AT_ONCE if self.file.ranged is None else _AT_ONCE_ELSEWHERE
        for piece in pieces:
            if piece.group not in task.groups:
                if task.bytes >= least or (task.groups and piece.group < task.groups[-1]):
                    yield task
                    task = _Task()
                chunks = self._chunks(piece.group, names)
                task.groups.append(piece.group)
                task.chunks += chunks
                task.spans += [(chunk.start, chunk.end) for chunk in chunks]
                if whole:
                    end = max(self._data_end if piece.group == len(self.starts) - 2 else 0, *(chunk.end for chunk in chunks))
                    task.spans.append((covered, end))
                    covered = end
            task.pieces.append(piece)
        if whole:
            task.spans.append((covered, self.file.size()))
        yield task

    def _pieces(self, rows: Sequence[range] | None) -> Iterator["_Piece"]:
        for wanted in self._ranges(rows):
            for group, first in enumerate(self.starts[:-1]):
                begin, end = max(wanted.start, first), min(wanted.stop, self.starts[group + 1])
                if begin < end:
                    yield _Piece(group, begin - first, end - first)

    def _ranges(self, rows: Sequence[range] | None) -> Sequence[range]:
        if rows is None:
            return [range(self.rows)]
        for wanted in rows:
            if wanted.step != 1 or not 0 <= wanted.start <= wanted.stop <= self.rows:
                raise InvalidInput(f"{self.name}: expected row ranges within [0, {self.rows}), found {wanted}")
        return rows

    def _names(self, columns: Sequence[str] | None) -> list[str]:
        if columns is None:
            return list(self.schema.names)
        for name in columns:
            if name not in self.schema.names:
                raise InvalidInput(f"expected columns among {', '.join(self.schema.names)}, found {name!r}")
        return list(columns)


class _Piece(NamedTuple):
    """Rows [begin, end) of a row group."""

    group: int
    begin: int
    end: int


class _Task:
    """Row groups that are decoded together, and what is wanted of them, in order."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.pieces: list[_Piece] = []
        self.chunks: list[limits.Chunk] = []
        self.spans: list[tuple[int, int]] = []

    @property
    def bytes(self) -> int:
        """How many bytes its chunks have."""
        return sum(chunk.end - chunk.start for chunk in self.chunks)


class _Line:
    """Tasks in the order in which they are wanted, the next of which are fetched, verified and decoded by other threads."""

    def __init__(self, parquet: "VerifiedParquet", names: list[str], tasks: Iterator[_Task]) -> None:
        self._parquet, self._names, self._tasks = parquet, names, tasks
        self._pool: ThreadPoolExecutor | None = None
        self._begun: deque[tuple[Fetched, Future[list[pa.Table]], int]] = deque()

    def tables(self) -> Iterator[pa.Table]:
        """What the tasks give."""
        task, ahead = next(self._tasks), next(self._tasks, None)
        if ahead is None:  # most reads of a few rows or of small columns: nothing to hand over
            yield from self._decoded(task, self._fetched(task))
            return
        self._pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="inbond-decode")
        self._begin(task)
        under_way = task.bytes
        while ahead is not None or self._begun:
            while ahead is not None and (len(self._begun) < 2 or (under_way < _AHEAD and len(self._begun) < _MOST)):
                self._begin(ahead)
                under_way += ahead.bytes
                ahead = next(self._tasks, None)
            fetched, decoding, size = self._begun.popleft()
            with fetched:
                yield from decoding.result()
            under_way -= size

    def close(self) -> None:
        """End what is under way."""
        for _, decoding, _ in self._begun:
            decoding.cancel()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        for fetched, _, _ in self._begun:
            fetched.close()

    def _begin(self, task: _Task) -> None:
        assert self._pool is not None
        fetched = self._fetched(task)
        self._begun.append((fetched, self._pool.submit(self._decoded, task, fetched), task.bytes))

    def _fetched(self, task: _Task) -> Fetched:
        return Fetched(self._parquet.file, task.spans, self._parquet.end)

    def _decoded(self, task: _Task, fetched: Fetched) -> list[pa.Table]:
        names, parquet = self._names, self._parquet
        fetched.ready()
        for chunk in task.chunks:
            chunk.check_pages(fetched.view(chunk.start, chunk.end), parquet.name)
        with parquet.parsing():
            # pre_buffer would copy what is in memory already. Threads of pyarrow's may let go of `fetched` as late as when Python
            # ends, and then end it with abort().
            opened = pq.ParquetFile(pa.PythonFile(fetched, mode="r"), metadata=parquet.metadata, pre_buffer=False)
            table = opened.read_row_groups(task.groups, columns=names, use_threads=False).select(names)
        starts = dict(zip(task.groups, accumulate((parquet.rows_of(group) for group in task.groups), initial=0), strict=False))
        if [(piece.group, piece.begin, piece.end) for piece in task.pieces] == [(g, 0, parquet.rows_of(g)) for g in task.groups]:
            return [table]
        return [table.slice(starts[piece.group] + piece.begin, piece.end - piece.begin) for piece in task.pieces]


def ranges(rows: Rows) -> Sequence[range] | None:
    """One range as several."""
    return [rows] if isinstance(rows, range) else rows


def _hashed(file: BinaryIO, size: int, name: str) -> bytes:
    found = file.seek(0, io.SEEK_END)
    if found != size:  # before all of another file is read
        raise VerificationError(f"{name}: expected {size} bytes, found {found}", hint=blocks.OTHER_BYTES)
    file.seek(0)
    return blocks.join_hashes(blocks.block_hashes(file))
