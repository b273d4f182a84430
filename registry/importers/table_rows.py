"""Rows of a Parquet file, read in bounded memory: as JSON objects for importers of those, or as they are.

A row takes part as the object of its columns that are not null, so every importer of JSON reads tables too: what is null
in a table, also within a structure, is what JSON Lines leave out. Row numbers stand for lines in messages. NaN and infinities
become null, as JSON has no word for them, but for a log-probability that is NaN: it is a fault, which must not pass for one
that the source left out, and becomes the string "NaN".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from inbond.registry.importers import table_limits
from inbond.registry.importers.element import MAX_RECORD, Element
from inbond.registry.importers.inputs import InputFile
from inbond.schemas.errors import InvalidInput

_encode = msgspec.json.Encoder().encode
_THRIFT = 64 << 20


def table_elements(file: InputFile, columns: tuple[str, ...] | None, *, as_rows: bool) -> Iterator[Element]:
    """The rows of `file`, in order. Raises InvalidInput for a file that is no sound Parquet or lacks one of `columns`."""
    table_limits.check_footer(file)
    with _parsing(file.name):
        source = pq.ParquetFile(
            file, pre_buffer=False, buffer_size=1 << 20, thrift_string_size_limit=_THRIFT, thrift_container_size_limit=1 << 20
        )
        metadata = source.metadata
        table_limits.check_rows(metadata, file)
        leaves = _leaves(source, columns, file.name)
    number = 0
    for group in range(metadata.num_row_groups):
        if not metadata.row_group(group).num_rows:
            continue
        with _parsing(file.name):
            rows = table_limits.batch_rows(metadata.row_group(group), leaves, file)
        batches = source.iter_batches(
            batch_size=rows, row_groups=[group], columns=None if columns is None else list(columns), use_threads=False
        )
        while True:
            with _parsing(file.name):
                batch = next(batches, None)
                if batch is None:
                    break
                batch.validate(full=True)
            for place in range(batch.num_rows):
                number += 1
                if as_rows:
                    yield Element(b"", number, number, row=(batch, place))
                else:
                    yield _as_json(batch, place, number)


def _as_json(batch: pa.RecordBatch, place: int, number: int) -> Element:
    row = {
        name: _plain(name, value)
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
        if (value := column[place].as_py()) is not None
    }
    raw = _encode(row)
    return Element(b"", number, number, True) if len(raw) > MAX_RECORD else Element(raw, number, number)


def _plain(name: str, value: Any) -> Any:
    """The value of a column or member: no structure in it has a member that is null, as a table has every member in every row."""
    if isinstance(value, dict):
        return {member: _plain(member, held) for member, held in value.items() if held is not None}
    if isinstance(value, list) and value:
        if isinstance(value[0], dict | list):
            return [_plain(name, held) for held in value]
        if "logprob" in name.lower():
            return ["NaN" if held != held else held for held in value]
    elif value != value and "logprob" in name.lower():
        return "NaN"
    return value


def _leaves(source: pq.ParquetFile, columns: tuple[str, ...] | None, name: str) -> list[int]:
    """The numbers of the leaf columns that are read."""
    names = source.schema_arrow.names
    for column in names:
        if names.count(column) > 1:
            raise InvalidInput(f"{name}: expected one column of each name, found two called {column!r}", file=name)
    for column in columns or ():
        if column not in names:
            raise InvalidInput(
                f"{name}: expected a column {column}, found none (there are: {', '.join(names)[:200]})",
                hint="inbond import --list describes the formats",
                file=name,
            )
    wanted = set(names if columns is None else columns)
    schema = source.schema
    return [place for place in range(len(schema)) if schema.column(place).path.partition(".")[0] in wanted]


@contextmanager
def _parsing(name: str) -> Iterator[None]:
    """Errors of pyarrow as ours."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, ValueError) as error:
        text = " ".join(str(error).split())[:200]
        raise InvalidInput(f"{name}: expected a Parquet file that can be read, found {text}", file=name) from None
