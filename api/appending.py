"""Statements on their way into the log: whoever waits at the same time goes in one transaction.

One thread appends and makes the receipts; what comes meanwhile waits and is the next batch. So a batch is as large as the
log is slow, one COMMIT serves all of it, and nobody hears "on record" before that COMMIT has returned.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from sqlalchemy import select

from inbond.ledger import dsse, merkle, tables
from inbond.ledger.batch import Appended
from inbond.ledger.log import Log
from inbond.ledger.reader import LedgerReader
from inbond.ledger.receipts import Receipt
from inbond.schemas import statement
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InbondError, InvalidInput, StoreError

MAX_BATCH: Final = 512
"""The most statements in one transaction, but for those that came together."""

_AT_ONCE: Final = 500


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


@dataclass(frozen=True, slots=True)
class _Waiting:
    sent: Sequence[Envelope]
    admit: Admit
    answer: "asyncio.Future[Sequence[Placed | InbondError]]"
    since: float


class Appender:
    """Takes statements from many requests; `start` and `close` run in the event loop that serves them.

    `heard` is told of every batch.
    """

    def __init__(self, log: Log, max_waiting: int, heard: Callable[[Batched], None]) -> None:
        self._log, self._max, self._heard = log, max_waiting, heard
        self._waiting: list[_Waiting] = []
        self._count = 0  # statements among them
        self._came = asyncio.Event()
        self._closing = False
        self._thread = ThreadPoolExecutor(1, "inbond-append")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to take statements."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Take no more, and return when everything that was taken is answered."""
        self._closing = True
        self._came.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown()

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

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._came.wait()
            self._came.clear()
            while self._waiting:
                await self._answer(loop, self._take())
            if self._closing:
                return

    def _take(self) -> Sequence[_Waiting]:
        """Those who wait longest, up to `MAX_BATCH` statements, and one in any case."""
        count = 0
        for taken, each in enumerate(self._waiting):
            count += len(each.sent)
            if taken and count > MAX_BATCH:
                break
        else:
            taken = len(self._waiting)
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        self._count -= sum(len(each.sent) for each in batch)
        return batch

    async def _answer(self, loop: asyncio.AbstractEventLoop, batch: Sequence[_Waiting]) -> None:
        began = perf_counter()
        sent = [(each.admit, envelope) for each in batch for envelope in each.sent]
        placed: Sequence[Placed | InbondError] = []
        failed: InbondError | None = None
        try:
            placed = await loop.run_in_executor(self._thread, self._append, sent)
        except InbondError as error:
            failed = error
        except Exception as error:
            failed = StoreError("the statements could not be appended")
            failed.__cause__ = error
        waited = [began - each.since for each in batch for _ in each.sent]
        self._heard(Batched([failed] * len(sent) if failed else placed, perf_counter() - began, waited))
        at = 0
        for each in batch:
            results = placed[at : at + len(each.sent)]
            at += len(each.sent)
            if each.answer.done():
                continue  # whoever waited has gone
            if failed is None:
                each.answer.set_result(results)
            else:
                each.answer.set_exception(failed)

    def _append(self, sent: Sequence[tuple[Admit, Envelope]]) -> list[Placed | InbondError]:
        refs = [_ref_of(envelope, admit) for admit, envelope in sent]
        appended = iter(self._log.append(envelope for (_, envelope), ref in zip(sent, refs, strict=True) if isinstance(ref, str)))
        outcome = [ref if isinstance(ref, InbondError) else next(appended) for ref in refs]
        with self._log.reading() as reader:
            receipts = receipts_of(reader, [result.seq for result in outcome if isinstance(result, Appended)])
        return [
            Placed(str(ref), result.seq, receipts[result.seq], result.duplicate) if isinstance(result, Appended) else result
            for ref, result in zip(refs, outcome, strict=True)
        ]


def receipts_of(reader: LedgerReader, seqs: Iterable[int]) -> dict[int, bytes]:
    """The receipts of entries under the newest head, each with its entry: nodes of the tree are read once for all of them."""
    wanted = sorted(set(seqs))
    found: dict[int, bytes] = {}
    e = tables.entries.c
    for start in range(0, len(wanted), _AT_ONCE):
        for seq, data in reader.connection.execute(select(e.seq, e.data).where(e.seq.in_(wanted[start : start + _AT_ONCE]))):
            proof = merkle.inclusion_proof(seq, reader.size, reader.node)
            found[seq] = Receipt(seq, tuple(proof), reader.note, bytes(data)).to_bytes()
    return found


def _ref_of(envelope: Envelope, admit: Admit) -> str | InbondError:
    """What a statement will make if the log takes it; the error that refuses one which is not admitted."""
    try:
        kind, ref = statement.claimed(dsse.payload_of(envelope))
        admit(kind)
    except InbondError as error:
        return error
    return ref
