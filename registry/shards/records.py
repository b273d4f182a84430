r"""One record of a text shard: its fields, its content id and its leaf under the record root.

The framing (DESIGN §6) is injective and independent of Parquet, so a record keeps its id wherever it is stored:

    value  = 00 (null) | 01 ‖ body
    string = u64be length ‖ UTF-8        number = as its decimal string
    list   = u64be count ‖ values        struct = its fields' values, in order

    record id = SHA-256("inbond-record-v1\n" ‖ values of prompt, own_turns, response, reasoning, extra, refs, label)
    prompt id = SHA-256("inbond-prompt-v1\n" ‖ value of prompt)
    leaf data = salt (16) ‖ record id (32) ‖ SHA-256(values of prompt_id, sample, kind, input_ids … response_tokens)

The random salt makes a leaf hash useless for guessing a record whose siblings are shown.
"""

from collections.abc import Sequence
from hashlib import sha256
from struct import Struct as Packing
from typing import NamedTuple

import msgspec

from inbond.schemas.errors import InvalidInput

RECORD_DOMAIN = b"inbond-record-v1\n"
PROMPT_DOMAIN = b"inbond-prompt-v1\n"
SALT_BYTES = 16
KINDS = frozenset({"completion", "judgement", "scored"})


class Message(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One turn of a prompt. What a source had beside role and text (parts, names, tool calls) is in `Record.extra`."""

    role: str
    content: str


class Record(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One prompt with one output, as the columns of a text shard without record_id, salt and prompt_id.

    `prompt` holds everything before the last turn; None says that the prompt is not known, () that there was none.
    `own_turns` are the indices of prompt turns that this teacher wrote. `extra`, `sampling` and `label` are JSON or
    plain text kept as the source had it. `refs` (`shard:row`) names what a judgement or preference is about. `kind` is
    one of completion, judgement, scored. `created_at` is in ms since 1970 UTC. None is "the source did not say".
    """

    prompt: tuple[Message, ...] | None
    own_turns: tuple[int, ...]
    response: str
    reasoning: str | None = None
    extra: str | None = None
    refs: tuple[str, ...] = ()
    label: str | None = None
    sample: int = 0
    kind: str = "completion"
    input_ids: tuple[int, ...] | None = None
    finish_reason: str | None = None
    request_id: str | None = None
    requested_model: str | None = None
    served_model: str | None = None
    sampling: str | None = None
    subject_refs: tuple[str, ...] | None = None
    created_at: int | None = None
    prompt_tokens: int | None = None
    response_tokens: int | None = None


class Identified(NamedTuple):
    """A record with its `content_ids`, computed before."""

    record: Record
    ids: tuple[bytes, bytes | None]


def text_size(record: Record) -> int:
    """Characters in a record's large fields: cheap to count, and within a factor of the bytes they take."""
    size = len(record.response)
    for text in (record.reasoning, record.extra, record.label):
        if text is not None:
            size += len(text)
    for message in record.prompt or ():
        size += len(message.content)
    return size if record.input_ids is None else size + 4 * len(record.input_ids)


def record_id(record: Record) -> bytes:
    """The 32-byte content id: equal for equal content, whatever else is known about the record."""
    return content_ids(record)[0]


def prompt_id(record: Record) -> bytes | None:
    """The 32-byte id of the prompt, the same for every answer to it; None where the prompt is not known."""
    return content_ids(record)[1]


def content_ids(record: Record) -> tuple[bytes, bytes | None]:
    """(record id, prompt id), framing the prompt once. Raises InvalidInput for text that has no UTF-8 form."""
    try:
        prompt = _prompt_value(record.prompt)
        response = record.response.encode()
        content = b"".join(
            (
                RECORD_DOMAIN,
                prompt,
                _numbers(record.own_turns) if record.own_turns else _EMPTY_LIST,
                _present(1, len(response)),
                response,
                _NULL if record.reasoning is None else _string(record.reasoning),
                _NULL if record.extra is None else _string(record.extra),
                _strings(record.refs) if record.refs else _EMPTY_LIST,
                _NULL if record.label is None else _string(record.label),
            )
        )
    except UnicodeEncodeError as error:
        raise InvalidInput(f"expected text that UTF-8 can carry, found an unpaired surrogate: {error}") from None
    if record.prompt is None:
        return sha256(content).digest(), None
    return sha256(content).digest(), sha256(PROMPT_DOMAIN + prompt).digest()


def others_digest(record: Record, prompt: bytes | None) -> bytes:
    """SHA-256 over the values of the columns beside content, salt and record_id; `prompt` is the prompt id."""
    rest = (
        record.finish_reason,
        record.request_id,
        record.requested_model,
        record.served_model,
        record.sampling,
        record.subject_refs,
        record.created_at,
        record.prompt_tokens,
        record.response_tokens,
    )
    try:
        others = b"".join(
            (
                _NULL if prompt is None else _STRING_64 + prompt.hex().encode(),
                _number(record.sample),
                _string(record.kind),
                _NULL if record.input_ids is None else _numbers(record.input_ids),
                _NULLS if rest == _NONE_KNOWN else b"".join(map(_value, rest)),
            )
        )
    except UnicodeEncodeError as error:
        raise InvalidInput(f"expected text that UTF-8 can carry, found an unpaired surrogate: {error}") from None
    return sha256(others).digest()


def record_leaf(salt: bytes, record_id: bytes, others: bytes) -> bytes:
    """The data of one leaf under the record root; `others` is from `others_digest`. Hash it with `leaf_hash`."""
    if len(salt) != SALT_BYTES or len(record_id) != 32 or len(others) != 32:
        raise InvalidInput(
            f"expected a salt of 16 bytes and two digests of 32, found {len(salt)}, {len(record_id)} and {len(others)}"
        )
    return salt + record_id + others


def leaf_data(record: Record, salt: bytes) -> bytes:
    """`record_leaf` from a whole record."""
    content, prompt = content_ids(record)
    return record_leaf(salt, content, others_digest(record, prompt))


_present = Packing(">BQ").pack
_NULL = b"\x00"
_STRUCT = b"\x01"
_EMPTY_LIST = _present(1, 0)
_STRING_64 = _present(1, 64)


_NONE_KNOWN = (None,) * 9
_NULLS = _NULL * 9


def _value(value: str | int | tuple[str, ...] | None) -> bytes:
    if isinstance(value, str):
        return _string(value)
    return _number(value) if value is None or isinstance(value, int) else _strings(value)


def _string(value: str | None) -> bytes:
    if value is None:
        return _NULL
    body = value.encode()
    return _present(1, len(body)) + body


def _number(value: int | None) -> bytes:
    if value is None:
        return _NULL
    body = b"%d" % value
    return _present(1, len(body)) + body


def _strings(values: Sequence[str]) -> bytes:
    if not values:
        return _EMPTY_LIST
    return _present(1, len(values)) + b"".join(map(_string, values))


def _numbers(values: Sequence[int]) -> bytes:
    if not values:
        return _EMPTY_LIST
    return _present(1, len(values)) + b"".join(map(_number, values))


def _prompt_value(prompt: Sequence[Message] | None) -> bytes:
    if prompt is None:
        return _NULL
    parts = [_present(1, len(prompt))]
    for message in prompt:
        parts += (_STRUCT, _string(message.role), _string(message.content))
    return b"".join(parts)
