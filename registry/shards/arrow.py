"""Between records and Arrow tables, whole columns at a time (one value at a time is several times slower)."""

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, repeat
from operator import attrgetter
from typing import Any

import pyarrow as pa

from inbond.registry.shards.records import KINDS, Message, Record
from inbond.schemas.columns import CONTENT_COLUMNS, TEXT_SCHEMA
from inbond.schemas.errors import InvalidInput

MIN_MOMENT = -62_135_596_800_000  # 0001-01-01T00:00:00.000Z in ms
MAX_MOMENT = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z

_NO_CONTENT: dict[str, Any] = dict.fromkeys(CONTENT_COLUMNS) | {"own_turns": (), "response": "", "refs": ()}


def to_table(records: Sequence[Record], ids: Sequence[bytes], salts: bytes, prompts: Sequence[bytes | None]) -> pa.Table:
    """`records` as a table of `TEXT_SCHEMA`, with their record ids, joined salts and prompt ids.

    Raises InvalidInput, naming the field, for a value that its column cannot hold.
    """
    _check(records)
    values: dict[str, Sequence[Any]] = {name: list(map(attrgetter(name), records)) for name in Record.__struct_fields__}
    values["record_id"] = [identity.hex() for identity in ids]
    values["prompt_id"] = [None if prompt is None else prompt.hex() for prompt in prompts]
    arrays = []
    for field in TEXT_SCHEMA:
        try:
            if field.name == "salt":
                arrays.append(pa.Array.from_buffers(field.type, len(records), [None, pa.py_buffer(salts)]))
            else:
                arrays.append(_array(values[field.name], field))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise InvalidInput(f"field {field.name}: expected values of {field.type}: {error}") from None
    return pa.Table.from_arrays(arrays, schema=TEXT_SCHEMA)


def to_records(table: pa.Table) -> list[Record]:
    """The records of a table; where it has no content columns the records have no content and serve `others_digest`."""
    columns = [
        _column(table.column(name)) if name in table.column_names else repeat(_NO_CONTENT[name], len(table))
        for name in Record.__struct_fields__
    ]
    return [Record(*values) for values in zip(*columns, strict=True)]


def record_ids(table: pa.Table) -> list[bytes]:
    """The raw record ids of a table that has that column."""
    return [_digest(text, "record_id") for text in _strings(table.column("record_id"))]


def prompt_ids(table: pa.Table) -> list[bytes | None]:
    """The raw prompt ids of a table that has that column."""
    return [None if text is None else _digest(text, "prompt_id") for text in _strings(table.column("prompt_id"))]


def salts(table: pa.Table) -> list[bytes]:
    """The salts of a table that has that column."""
    found: list[bytes] = table.column("salt").to_pylist()
    return found


def _check(records: Sequence[Record]) -> None:
    """What the types of the columns do not say."""
    for number, record in enumerate(records):
        if record.kind not in KINDS:
            raise InvalidInput(f"record {number}, field kind: expected one of {sorted(KINDS)}, found {record.kind!r}")
        if record.created_at is not None and not MIN_MOMENT <= record.created_at <= MAX_MOMENT:
            raise InvalidInput(
                f"record {number}, field created_at: expected milliseconds in years 1 to 9999, found {record.created_at}"
            )
        if record.own_turns:
            turns = len(record.prompt or ())
            if list(record.own_turns) != sorted({turn for turn in record.own_turns if 0 <= turn < turns}):
                raise InvalidInput(
                    f"record {number}, field own_turns: expected rising indices below {turns}, found {record.own_turns}"
                )


def _array(values: Sequence[Any], field: pa.Field) -> pa.Array:
    one = values[0]
    if (one is None or one == ()) and values.count(one) == len(values):  # most columns of most imports
        return _empty_lists(len(values), field.type) if one == () else pa.nulls(len(values), field.type)
    if field.name == "prompt":
        return _prompts(values)
    if pa.types.is_list(field.type):
        return _lists(values, field)
    return pa.array(values, field.type)


def _prompts(prompts: Sequence[tuple[Message, ...] | None]) -> pa.Array:
    kind = TEXT_SCHEMA.field("prompt").type
    messages = [message for prompt in prompts if prompt for message in prompt]
    turns = pa.StructArray.from_arrays(
        [
            pa.array([message.role for message in messages], pa.string()),
            pa.array([message.content for message in messages], pa.string()),
        ],
        fields=list(kind.value_type),
    )
    return _list_array(prompts, turns, kind)


def _lists(values: Sequence[Sequence[Any] | None], field: pa.Field) -> pa.Array:
    flat = pa.array(list(chain.from_iterable(value for value in values if value)), field.type.value_type)
    return _list_array(values, flat, field.type)


def _empty_lists(count: int, kind: pa.DataType) -> pa.Array:
    offsets = pa.repeat(pa.scalar(0, pa.int32()), count + 1)
    return pa.ListArray.from_arrays(offsets, pa.array([], kind.value_type), type=kind)


def _list_array(lists: Sequence[Sequence[Any] | None], flat: pa.Array, kind: pa.DataType) -> pa.Array:
    offsets = pa.array(accumulate((len(values) if values else 0 for values in lists), initial=0), pa.int32())
    mask = pa.array([values is None for values in lists], pa.bool_()) if None in lists else None
    return pa.ListArray.from_arrays(offsets, flat, type=kind, mask=mask)


def _column(column: pa.ChunkedArray) -> Any:
    """Python values as `Record` holds them."""
    kind = column.type
    if column.null_count == len(column):
        return [None] * len(column)
    if pa.types.is_string(kind):
        return _strings(column)
    if pa.types.is_list(kind):
        return [value for chunk in column.chunks for value in _list_values(chunk)]
    if pa.types.is_timestamp(kind):
        return column.cast(pa.int64()).to_pylist()
    return column.to_pylist()


def _strings(column: pa.ChunkedArray) -> list[Any]:
    # Through numpy objects: three times faster than to_pylist, which makes a scalar of each value.
    return [text for chunk in column.chunks for text in chunk.to_numpy(zero_copy_only=False).tolist()]


def _list_values(lists: pa.ListArray) -> Iterable[Any]:
    first, *ends = lists.offsets.to_pylist()
    inner = lists.values.slice(first, ends[-1] - first if ends else 0)
    if pa.types.is_struct(inner.type):
        roles, contents = (_strings(pa.chunked_array([inner.field(name)])) for name in ("role", "content"))
        flat: list[Any] = list(map(Message, roles, contents))
    elif pa.types.is_string(inner.type):
        flat = _strings(pa.chunked_array([inner]))
    else:
        flat = inner.to_pylist()
    valid = [True] * len(lists) if not lists.null_count else lists.is_valid().to_pylist()
    starts = [first, *ends[:-1]]
    return [
        tuple(flat[start - first : end - first]) if there else None for start, end, there in zip(starts, ends, valid, strict=True)
    ]


def _digest(text: str, name: str) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except (ValueError, TypeError):
        digest = b""
    if len(digest) != 32 or digest.hex() != text:
        raise InvalidInput(f"column {name}: expected 64 lower-case hex digits, found {text!r}")
    return digest
