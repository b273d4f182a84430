"""What one process has converted, as bytes for another of the same import.

Records go as MessagePack, which costs a fraction of making them; what is rarer (log-probabilities, rejects, the error that ends
it all) is pickled beside them, numbers as arrays. Both ends are processes of one import over a pipe of their own.
"""

import pickle
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from inbond.registry.importers.base import Rejected, StopImport
from inbond.registry.importers.observed import Observed, TokenLogprobs
from inbond.registry.importers.parts import Part
from inbond.registry.importers.texts import Texts
from inbond.registry.shards.records import Record, content_ids, text_size

FRAME_SIZE = 256 << 10

_ITEM, _ENTRY = 300, 16  # about the bytes that an item takes beside its text, and one log-probability


class _Frame(msgspec.Struct, array_like=True, gc=False):
    """Successive items of one input: `beside` is a pickled dict of those that are no plain record, by their place among all."""

    source: int
    read: int  # bytes of the input, since the frame before
    items: int
    records: list[Record]
    ids: list[tuple[bytes, bytes | None]]
    beside: bytes = b""
    texts: list[bytes] = []
    is_new_table: bool = False  # texts begin a table of their own
    lines: int = 0  # of the part that ends with this frame
    elements: int = 0


class _Codes(NamedTuple):
    """Texts, whose table the other end has."""

    codes: NDArray[np.int64]


class FrameWriter:
    """Packs items for `send(payload, is_last)`, about FRAME_SIZE of them at a time."""

    def __init__(self, send: Callable[[bytes, bool], None]) -> None:
        self._send = send
        self._encode = msgspec.msgpack.Encoder().encode
        self._table: list[bytes] = []
        self._known = 0  # texts of the table that the other end has, or gets with the next frame
        self.begin(0)

    def begin(self, source: int) -> None:
        """What follows is of the input of this number."""
        self._frame = _Frame(source, 0, 0, [], [], texts=[])
        self._beside: dict[int, Any] = {}
        self._size = 0

    def read(self, count: int) -> None:
        """Take note of bytes that were read of the input."""
        self._frame.read += count

    def add(self, item: Record | Observed | Rejected) -> None:
        """Take the next item."""
        other: Any = None
        if isinstance(item, Rejected):
            other = item
        elif isinstance(item, Observed):
            other = self._packed(item)
        frame = self._frame
        if other is not None:
            self._beside[frame.items] = other
        if not isinstance(item, Rejected):
            record = item.record if isinstance(item, Observed) else item
            frame.records.append(record)
            frame.ids.append(content_ids(record))
            self._size += text_size(record)
        frame.items += 1
        self._size += _ITEM
        if self._size >= FRAME_SIZE:
            self._flush(False)

    def end(self, part: Part | None) -> None:
        """The input, or its part, is at its end."""
        if part is not None:
            self._frame.lines, self._frame.elements = part.lines, part.records
        self._flush(False)

    def finish(self, error: BaseException | None = None) -> None:
        """The unit is at its end, where `error` ended it."""
        if error is not None:
            self._beside[self._frame.items] = error
            self._frame.items += 1
        self._flush(True)

    def _flush(self, is_last: bool) -> None:
        frame = self._frame
        if self._beside:
            frame.beside = pickle.dumps(self._beside, pickle.HIGHEST_PROTOCOL)
        self._send(self._encode(frame), is_last)
        self.begin(frame.source)

    def _packed(self, item: Observed) -> tuple[TokenLogprobs | None, TokenLogprobs | None]:
        for found in (item.generated, item.scored):
            if found is not None and isinstance(found.tokens, Texts):
                self._use(found.tokens.table)
                break
        return self._packed_one(item.generated), self._packed_one(item.scored)

    def _use(self, table: list[bytes]) -> None:
        """Have the other end know all texts of `table`, of which a frame has one."""
        if table is not self._table:
            self._flush(False)
            self._table, self._known, self._frame.is_new_table = table, 0, True
        self._frame.texts += table[self._known :]
        self._known = len(table)

    def _packed_one(self, found: TokenLogprobs | None) -> TokenLogprobs | None:
        if found is None:
            return None
        self._size += _ENTRY * len(found.alternatives)
        return msgspec.structs.replace(
            found,
            tokens=self._codes(found.tokens),
            alternatives=self._codes(found.alternatives),
            chosen=_floats(found.chosen),
            logprobs=_floats(found.logprobs),
        )

    def _codes(self, tokens: Any) -> Any:
        if not isinstance(tokens, Texts):
            return tokens
        return _Codes(tokens.codes) if tokens.table is self._table else list(tokens)


class FrameReader:
    """Unpacks the frames of one writer, in their order."""

    def __init__(self) -> None:
        self._decode = msgspec.msgpack.Decoder(_Frame).decode
        self._table: list[bytes] = []

    def open(self, payload: bytes) -> "Opened":
        """The frame as it is to be read."""
        frame = self._decode(payload)
        if frame.is_new_table:
            self._table = []
        self._table += frame.texts
        return Opened(frame, self._table)


class Opened:
    """One frame: `source` is the number of its input, `read` the bytes read of it since the frame before."""

    def __init__(self, frame: _Frame, table: list[bytes]) -> None:
        self._frame, self._table = frame, table
        self.source, self.read, self.lines, self.elements = frame.source, frame.read, frame.lines, frame.elements

    def items(self, lines: int, elements: int) -> Iterator[Record | Observed | Rejected]:
        """The items; `lines` and `elements` came before the part in the same input. Raises the error that ended the unit."""
        frame = self._frame
        beside: dict[int, Any] = pickle.loads(frame.beside) if frame.beside else {}
        records = zip(frame.records, frame.ids, strict=True)
        for place in range(frame.items):
            other = beside.get(place)
            if other is None or isinstance(other, tuple):
                record, ids = next(records)
                generated, scored = (None, None) if other is None else map(self._unpacked, other)
                yield Observed(record, generated, scored, ids)
            elif isinstance(other, Rejected):
                yield msgspec.structs.replace(other, line=other.line + lines, number=other.number + elements)
            else:
                if isinstance(other, StopImport):
                    other.line, other.number = other.line + lines, other.number + elements
                raise other

    def _unpacked(self, found: TokenLogprobs | None) -> TokenLogprobs | None:
        if found is None:
            return None
        return msgspec.structs.replace(found, tokens=self._texts(found.tokens), alternatives=self._texts(found.alternatives))

    def _texts(self, tokens: Any) -> Any:
        return Texts(tokens.codes, self._table) if isinstance(tokens, _Codes) else tokens


def _floats(values: Any) -> Any:
    """An array, None as NaN; the values as they are where they are no numbers, which somebody else has to say."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return values
