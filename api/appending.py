"""Statements on their way into the log: whoever waits at the same time goes in one transaction.

One thread appends and makes the receipts; of what comes meanwhile another has the signatures checked, and it is the next
batch. So a batch is as large as the log is slow, one COMMIT serves all of it, and nobody hears "on record" before that COMMIT
has returned.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Final, TypeVar

from inbond.ledger import dsse
from inbond.ledger.batch import Appended
from inbond.ledger.log import Log
from inbond.ledger.submission import Submission
from inbond.schemas import statement
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InbondError, InvalidInput, StoreError

MAX_BATCH: Final = 512
"""The most statements in one transaction, but for those that came together."""

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Placed:
    """A statement on record: what it made, where, its receipt with the entry, and whether it had been there before."""

    ref: str
    seq: int
    receipt: bytes
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Batched:
    """A batch that went through the log: what became of each statement, and seconds: its own, and what each waited for it."""

    outcomes: Sequence[Placed | InbondError]
    seconds: float
    waited: Sequence[float]


Admit = Callable[[str], None]
"""Raises what keeps statements of a kind out."""


@dataclass(slots=True)
class _Waiting:
    """One request's statements; once they were looked at, what each will make, and the log's own form of it."""

    sent: Sequence[Envelope]
    admit: Admit
    answer: "asyncio.Future[Sequence[Placed | InbondError]]"
    since: float
    ready: Sequence["_Ready"] = ()


_Ready = tuple[str, Submission | InbondError]


class Appender:
    """Takes statements from many requests; `start` and `close` run in the event loop that serves them.

    `heard` is told of every batch.
    """

    def __init__(self, log: Log, max_waiting: int, heard: Callable[[Batched], None]) -> None:
        self._log, self._max, self._heard = log, max_waiting, heard
        self._waiting: list[_Waiting] = []
        self._ready: list[_Waiting] = []
        self._count = 0  # statements among both
        self._came, self._looked_at, self._taken = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._closing = self._closed = False
        self._threads = ThreadPoolExecutor(2, "inbond-append")
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to take statements."""
        self._tasks = [asyncio.create_task(self._look_at()), asyncio.create_task(self._write())]

    async def close(self) -> None:
        """Take no more, and return when everything that was taken is answered."""
        self._closing = True
        self._came.set()
        for task in self._tasks:
            await task
        self._threads.shutdown()

    async def append(self, kind: str, envelope: Envelope) -> Placed:
        """Put a statement of `kind` on record. Raises what refuses it; StoreError where too many wait already."""

        def admit(found: str) -> None:
            if found != kind:
                raise InvalidInput(
                    f"expected a {kind} statement, found a {found} statement", hint="post it to its own collection"
                )

        [placed] = await self.append_all([envelope], admit)
        if isinstance(placed, InbondError):
            raise placed
        return placed

    async def append_all(self, envelopes: Sequence[Envelope], admit: Admit) -> Sequence[Placed | InbondError]:
        """Put at most `MAX_BATCH` statements on record, in order; what is refused stands as its error in its place.

        Raises StoreError where too many wait already, and when it is not known what was written.
        """
        if self._closing or self._count + len(envelopes) > self._max:
            raise StoreError(f"expected at most {self._max} statements to wait, found {self._count + len(envelopes)}")
        answer: asyncio.Future[Sequence[Placed | InbondError]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(envelopes, admit, answer, perf_counter()))
        self._count += len(envelopes)
        self._came.set()
        return await answer

    async def _look_at(self) -> None:
        """Have statements parsed and their signatures checked as they come, while a batch before them is written."""
        while True:
            await self._came.wait()
            self._came.clear()
            while self._waiting:
                some, self._waiting = _first(self._waiting)
                try:
                    ready = await self._in_thread(self._prepared, some)
                except InbondError as error:
                    self._count -= sum(len(each.sent) for each in some)
                    _fail(some, error)
                    continue
                for each, prepared in zip(some, ready, strict=True):
                    each.ready = prepared
                self._ready += some
                self._looked_at.set()
                while sum(len(each.sent) for each in self._ready) > MAX_BATCH:
                    self._taken.clear()
                    await self._taken.wait()
            if self._closing:
                self._closed = True
                return self._looked_at.set()

    async def _write(self) -> None:
        while True:
            await self._looked_at.wait()
            self._looked_at.clear()
            while self._ready:
                batch, self._ready = _first(self._ready)
                self._count -= sum(len(each.sent) for each in batch)
                self._taken.set()
                await self._answer(batch)
            if self._closed:
                return

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        began = perf_counter()
        ready = [each for waiting in batch for each in waiting.ready]
        placed: Sequence[Placed | InbondError] = []
        failed: InbondError | None = None
        try:
            placed = await self._in_thread(self._append, ready)
        except InbondError as error:
            failed = error
        waited = [began - each.since for each in batch for _ in each.sent]
        self._heard(Batched([failed] * len(ready) if failed else placed, perf_counter() - began, waited))
        if failed is not None:
            return _fail(batch, failed)
        at = 0
        for each in batch:
            if not each.answer.done():  # whoever waited may have gone
                each.answer.set_result(placed[at : at + len(each.sent)])
            at += len(each.sent)

    async def _in_thread(self, work: Callable[[Given], Made], given: Given) -> Made:
        """What `work` makes; whatever else it raises is a StoreError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, given)
        except InbondError:
            raise
        except Exception as error:
            raise StoreError("the statements could not be appended") from error

    def _prepared(self, some: Sequence[_Waiting]) -> list[list[_Ready]]:
        refs = [[_ref_of(envelope, each.admit) for envelope in each.sent] for each in some]
        admitted = (
            envelope
            for each, found in zip(some, refs, strict=True)
            for envelope, ref in zip(each.sent, found, strict=True)
            if isinstance(ref, str)
        )
        prepared = iter(self._log.prepare(admitted))
        return [[(ref, next(prepared)) if isinstance(ref, str) else ("", ref) for ref in found] for found in refs]

    def _append(self, ready: Sequence[_Ready]) -> list[Placed | InbondError]:
        outcome = self._log.append_prepared([sent for _, sent in ready])
        with self._log.reading() as reader:
            receipts = reader.receipts(result.seq for result in outcome if isinstance(result, Appended))
        return [
            Placed(ref, result.seq, receipts[result.seq], result.duplicate) if isinstance(result, Appended) else result
            for (ref, _), result in zip(ready, outcome, strict=True)
        ]


def _first(waiting: list[_Waiting]) -> tuple[list[_Waiting], list[_Waiting]]:
    """Those who wait longest, up to `MAX_BATCH` statements, and one in any case; and the others."""
    count = 0
    for taken, each in enumerate(waiting):
        count += len(each.sent)
        if taken and count > MAX_BATCH:
            return waiting[:taken], waiting[taken:]
    return waiting, []


def _fail(some: Sequence[_Waiting], error: InbondError) -> None:
    for each in some:
        if not each.answer.done():
            each.answer.set_exception(error)


def _ref_of(envelope: Envelope, admit: Admit) -> str | InbondError:
    """What a statement will make if the log takes it; the error that refuses one which is not admitted."""
    try:
        kind, ref = statement.claimed(dsse.payload_of(envelope))
        admit(kind)
    except InbondError as error:
        return error
    return ref
