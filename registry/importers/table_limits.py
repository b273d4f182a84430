"""What a Parquet file of unknown origin may declare, compared with its size before anything is allocated for it.

A file of a kilobyte can declare 2^62 rows, pages of two gigabytes or a row of a billion elements. Footer and page headers
say how much there is, so what is out of all proportion is refused. Honest files repeat themselves too, and small columns
pack well: nothing is refused that fits into memory whatever it packs.
"""

import signal
import subprocess
import sys
from functools import lru_cache

import pyarrow.parquet as pq

from inbond.registry.importers.inputs import InputFile
from inbond.registry.shards.thrift import struct
from inbond.schemas.errors import InvalidInput

MAX_PAGE = 256 << 20
FREE_PAGE = 64 << 20
MAX_RATIO = 256
FREE_ELEMENTS = 16 << 20
MAX_FOOTER = 64 << 20
BATCH_BYTES = 16 << 20
MAX_BATCH_ROWS = 512

_HEADER = 64 << 10
_DATA_PAGES = {0: 5, 3: 8}  # type of page: the field that describes it
_DICTIONARY, _DICTIONARY_HEADER = 2, 7


def check_footer(file: InputFile) -> None:
    """Compare the declared length of the footer with the file. Raises InvalidInput."""
    file.seek(max(0, file.size - 8))
    end = file.read(8)
    size = int.from_bytes(end[:4], "little")
    if end[4:] != b"PAR1" or size > min(MAX_FOOTER, file.size - 12):
        found = f"one of {size}" if end[4:] == b"PAR1" else "none at its end: is the file cut off?"
        raise InvalidInput(f"{file.name}: expected a Parquet footer of at most {MAX_FOOTER} bytes, found {found}", file=file.name)
    file.seek(file.size - 8 - size)
    _check_that_it_can_be_parsed(b"PAR1" + file.read(), file.name)
    file.seek(0)


def _check_that_it_can_be_parsed(footer: bytes, name: str) -> None:
    """Look at all that a footer declares in a process of its own: some damage ends pyarrow's process with no exception."""
    if (ended := _looked(footer)) < 0:
        raise InvalidInput(
            f"{name}: expected a sound Parquet footer, found one that ends its parser ({signal.Signals(-ended).name}): the file "
            "is damaged",
            file=name,
        )


@lru_cache(maxsize=4)
def _looked(footer: bytes) -> int:
    return subprocess.run([sys.executable, "-c", _LOOK], input=footer, capture_output=True, check=False).returncode


_LOOK = """
import sys
import pyarrow as pa
import pyarrow.parquet as pq
limits = {"thrift_string_size_limit": 64 << 20, "thrift_container_size_limit": 1 << 20}
found = pq.ParquetFile(pa.BufferReader(sys.stdin.buffer.read()), **limits)
found.schema_arrow
for group in map(found.metadata.row_group, range(found.metadata.num_row_groups)):
    for chunk in map(group.column, range(group.num_columns)):
        chunk.to_dict()
"""


def check_rows(metadata: pq.FileMetaData, file: InputFile) -> None:
    """Refuse more rows than the file has bytes, and row groups that do not add up to them."""
    if not 0 <= metadata.num_rows <= file.size:
        raise InvalidInput(
            f"{file.name}: expected at most one row a byte, found {metadata.num_rows} rows declared in {file.size} bytes",
            file=file.name,
        )
    counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    if sum(counts) != metadata.num_rows or min(counts, default=0) < 0:
        raise InvalidInput(
            f"{file.name}: expected row groups of {metadata.num_rows} rows in all, found {sum(counts)}", file=file.name
        )


def batch_rows(group: pq.RowGroupMetaData, columns: list[int], file: InputFile) -> int:
    """How many rows of a row group to decode at once, its pages compared with what the footer declares of them.

    Raises InvalidInput for pages and chunks that declare far more than their bytes can hold.
    """
    a_row = 0
    for column in columns:
        chunk = group.column(column)
        what = f"{file.name}: column {chunk.path_in_schema}"
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        start = min(start, chunk.data_page_offset)
        size, values = chunk.total_compressed_size, chunk.num_values
        if start < 4 or not 0 <= size <= file.size - start or values < 0:
            raise InvalidInput(
                f"{what}: expected its bytes within [4, {file.size}), found {size} from {start} on", file=file.name
            )
        if "." not in chunk.path_in_schema and values != group.num_rows:
            raise InvalidInput(f"{what}: expected {group.num_rows} values, one a row, found {values}", file=file.name)
        if values - group.num_rows > max(FREE_ELEMENTS, MAX_RATIO * size):
            raise InvalidInput(
                f"{what}: expected elements in proportion to {size} bytes, found {values} declared", file=file.name
            )
        largest, unpacked = _check_pages(file, what, start, size, values)
        a_row += max(unpacked // max(1, group.num_rows), largest)
    return max(1, min(MAX_BATCH_ROWS, BATCH_BYTES // max(1, a_row)))


def _check_pages(file: InputFile, what: str, start: int, size: int, values: int) -> tuple[int, int]:
    """(bytes of the dictionary, bytes of all pages) of a chunk, unpacked."""
    at, end = start, start + size
    dictionary = total = 0
    while at < end and values >= 0:
        file.seek(at)
        try:
            header, length = struct(file.read(min(_HEADER, end - at)), 0)
            kind, unpacked, packed = header[1], header[2], header[3]
            count = header[_DATA_PAGES[kind]][1] if kind in _DATA_PAGES else 0
        except (KeyError, IndexError, TypeError, RecursionError):
            raise InvalidInput(f"{what}: expected a page at byte {at}, found something else", file=file.name) from None
        if not (packed >= 0 and at + length + packed <= end and count >= 0):
            raise InvalidInput(
                f"{what}: expected a page of at most {end - at - length} bytes at byte {at}, found {packed}", file=file.name
            )
        if not 0 <= unpacked <= min(MAX_PAGE, max(FREE_PAGE, MAX_RATIO * packed)):
            raise InvalidInput(
                f"{what}: expected a page of at most {MAX_PAGE} bytes, in proportion to its {packed}, found {unpacked} declared",
                hint="Write the file again with smaller pages.",
                file=file.name,
            )
        if kind == _DICTIONARY:
            dictionary = max(
                dictionary, unpacked // max(1, header[_DICTIONARY_HEADER][1]), unpacked if unpacked > FREE_PAGE else 0
            )
        values -= count
        total += unpacked
        at += length + packed
    if values < 0:
        raise InvalidInput(f"{what}: expected as many values as the footer declares, found more", file=file.name)
    return dictionary, total
