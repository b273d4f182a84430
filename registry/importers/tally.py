"""Counting what went through an import: records, rejects by reason, empty responses, duplicate ids."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from inbond.registry.importers.base import Rejected
from inbond.registry.importers.failures import FAILED, UNANSWERED
from inbond.registry.importers.observed import Observed
from inbond.registry.shards.records import Record


class Duplicates:
    """Counts how many of the added keys had been added before, in about 8 bytes a key.

    Keys are compared by Python's 64-bit `hash`: two different ones pass for the same with a chance of about n²/2^65.
    """

    def __init__(self, batch: int = 65_536) -> None:
        self._size = batch
        self._added = 0
        self._batch: list[int] = []
        self._sorted: list[NDArray[np.int64]] = []  # distinct hashes; each array at least twice as long as the next

    def add(self, key: object) -> None:
        """Add one hashable key."""
        self._added += 1
        self._batch.append(hash(key))
        if len(self._batch) == self._size:
            self._merge()

    def count(self) -> int:
        """Added keys that were not the first of their kind."""
        self._merge()
        while len(self._sorted) > 1:
            self._fold()
        distinct = len(self._sorted[0]) if self._sorted else 0
        return self._added - distinct

    def _merge(self) -> None:
        if self._batch:
            self._sorted.append(np.unique(np.array(self._batch, dtype=np.int64)))
            self._batch.clear()
        while len(self._sorted) > 1 and len(self._sorted[-2]) < 2 * len(self._sorted[-1]):
            self._fold()

    def _fold(self) -> None:
        last = self._sorted.pop()
        self._sorted[-1] = np.union1d(self._sorted[-1], last)


class Tally:
    """Counts a stream of imported records as it goes by.

    `records`, `empty_responses` (a turn that only calls tools has one too), `rejected` by reason code. A duplicate id is a
    `request_id`, or else an `id` or `custom_id` of the source, that came before with the same sample number; such
    records are kept and counted. `unanswered` are requests without an answer: nothing came that could be rejected.
    """

    def __init__(self) -> None:
        self.records = 0
        self.empty_responses = 0
        self.rejected: Counter[str] = Counter()
        self.unanswered = 0
        self._ids = Duplicates()

    @property
    def duplicate_ids(self) -> int:
        """Records whose source id had come before."""
        return self._ids.count()

    def over(
        self, stream: Iterable[Record | Observed | Rejected], on_reject: Callable[[Rejected], None] | None = None
    ) -> Iterator[Record | Observed]:
        """The records of the stream. A reject goes to `on_reject`; without one it raises InvalidInput.

        A request that failed at the source raises nothing: it is counted among the rejected, and gone.
        """
        for item in stream:
            if isinstance(item, Rejected):
                if item.reason_code == UNANSWERED:
                    self.unanswered += 1
                else:
                    self.rejected[item.reason_code] += 1
                if on_reject is not None:
                    on_reject(item)
                elif item.reason_code not in (FAILED, UNANSWERED):
                    raise item.error()
                continue
            record = item.record if isinstance(item, Observed) else item
            self.records += 1
            if not record.response:
                self.empty_responses += 1
            source_id = _source_id(record)
            if source_id is not None:
                self._ids.add((source_id, record.sample))
            yield item


class _Ids(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(b"")
    custom_id: msgspec.Raw = msgspec.Raw(b"")


_ids = msgspec.json.Decoder(_Ids)


def _source_id(record: Record) -> str | bytes | None:
    if record.request_id is not None:
        return record.request_id
    if record.extra is None or 'id":' not in record.extra:
        return None
    ids = _ids.decode(record.extra)
    return next((raw for raw in (bytes(ids.id), bytes(ids.custom_id)) if raw not in (b"", b"null")), None)
