"""A log asks its witnesses to cosign its newest head (C2SP tlog-witness), while appends go on.

One request is in flight to each server of witnesses, and at most one round begins every ten seconds; a round has a second
request where the first one taught us what the witness has cosigned last. Turns are claimed in `witnessed.db`, so this holds
over processes too. A witness that pushes back, fails or lies is asked again later and later, up to ten minutes; nothing of
it reaches whoever appends. `start` and `stop` belong to a server's life; `cosign_now` is for a command that waits.

A witness may know more than we do: a checkpoint that our key has signed and our database does not hold means that the
database has fallen back to an older state, or that there are two. Such a checkpoint is verified, kept as evidence, and put
where the log looks before it writes (highwater.py): it then refuses to sign and says why. A witness's bare word changes
nothing.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from inbond.ledger import checkpoints, notes, witness_client
from inbond.ledger.checkpoints import Checkpoint
from inbond.ledger.highwater import HighWater
from inbond.ledger.keys import VerifierKey
from inbond.ledger.log import Log
from inbond.ledger.policy import Witness
from inbond.ledger.witness import AddCheckpoint
from inbond.ledger.witness_client import Answer, Cosigned, Elsewhere, Refused
from inbond.ledger.witnessed import LONGEST_WAIT, Turn, Witnessed
from inbond.schemas.errors import InbondError, VerificationError

EVERY = 10.0  # seconds between two rounds with one witness
DEADLINE = 15.0  # for one answer
MOST_PATIENCE = 600.0  # the longest pause after failures
QUESTIONS = 3  # in one round

_log = logging.getLogger("inbond.witnessing")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server, and the keys that it cosigns with by our policy."""

    url: str
    witnesses: tuple[Witness, ...]

    @property
    def keys(self) -> list[VerifierKey]:
        """The keys whose cosignatures can be verified here."""
        return [each.vkey for each in self.witnesses if each.vkey.supported]


@dataclass(frozen=True, slots=True)
class WitnessStatus:
    """How things stand with one key of a witness. `size` and `time` are of the largest checkpoint that it has cosigned."""

    name: str
    url: str
    size: int | None
    time: int | None
    asked: float
    next: float
    problem: str | None
    evidence: bytes | None


class Witnessing:
    """Asks the `witnesses` that have an address, for a log in `folder`."""

    def __init__(
        self,
        log: Log,
        witnesses: Iterable[Witness],
        folder: Path,
        *,
        every: float = EVERY,
        deadline: float = DEADLINE,
        poll: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        by_url: dict[str, list[Witness]] = {}
        for each in witnesses:
            if each.url is not None:
                by_url.setdefault(witness_client.check_url(each.url), []).append(each)
        self.endpoints = [Endpoint(url, tuple(found)) for url, found in by_url.items()]
        self.kept = Witnessed(folder)
        self._ledger = log
        self._every, self._deadline, self._poll, self._clock = every, deadline, poll, clock
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def start(self) -> None:
        """Begin to ask, in a thread of its own; nothing to do without witnesses."""
        if self.endpoints and self._thread is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._run, args=[self._loop], name="inbond-witnesses", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End; questions in flight are given up."""
        if self._thread is not None and self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None
        self.kept.close()

    def cosign_now(self, note: bytes | None = None, wait: float = 30.0) -> bytes:
        """Ask every witness for a checkpoint of this log (the newest) as soon as its turn is due, `wait` seconds at most.

        Returns the note with all cosignatures that there are by then; which are enough is for a policy to say.
        """
        if note is None:
            with self._ledger.reading() as reader:
                note = reader.note
        asyncio.run(self._cosign(note, wait))
        return self.cosigned(note)

    def cosigned(self, note: bytes) -> bytes:
        """A checkpoint of this log with all cosignatures that were kept for it."""
        return self.kept.cosigned(note)

    def status(self) -> list[WitnessStatus]:
        """How things stand with every witness that has an address."""
        found = []
        for endpoint in self.endpoints:
            turn = self.kept.turn(endpoint.url)
            for each in endpoint.witnesses:
                size, time = self.kept.newest(each.vkey.name, each.vkey.key_id) or (None, None)
                last = (turn.asked, turn.next, turn.problem, turn.evidence)
                found.append(WitnessStatus(each.name, endpoint.url, size, time, *last))
        return found

    # In the background ------------------------------------------------------------------------------------------------

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.run_until_complete(self._watch())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()

    async def _watch(self) -> None:
        """Look at the head every second; begin a round with each witness that is due and has not cosigned it."""
        rounds: dict[str, asyncio.Task[bool]] = {}
        async with witness_client.new_client() as client:
            while not self._stop.is_set():
                try:
                    wanted = await asyncio.to_thread(self._wanted)
                except Exception as error:  # whatever it is, it must not end the asking
                    _log.warning("witnesses were not asked: %s", error)
                    wanted = []
                for endpoint in wanted:
                    if endpoint.url not in rounds or rounds[endpoint.url].done():
                        rounds[endpoint.url] = asyncio.create_task(self._round(client, endpoint, None))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), self._poll)
            for task in rounds.values():
                task.cancel()
            await asyncio.gather(*rounds.values(), return_exceptions=True)

    def _wanted(self) -> list[Endpoint]:
        with self._ledger.reading() as reader:
            head = Checkpoint(self._ledger.origin, reader.size, reader.root)
        now = self._clock()
        return [each for each in self.endpoints if self._lacks(each, head) and _is_due(self.kept.turn(each.url), now)]

    def _lacks(self, endpoint: Endpoint, head: Checkpoint) -> bool:
        there = {(each.name, each.key_id) for each in self.kept.signatures(head)}
        return any((key.name, key.key_id) not in there for key in endpoint.keys)

    # One by one -------------------------------------------------------------------------------------------------------

    async def _cosign(self, note: bytes, wait: float) -> None:
        async with witness_client.new_client() as client:
            await asyncio.gather(*(self._when_due(client, endpoint, note, wait) for endpoint in self.endpoints))

    async def _when_due(self, client: httpx.AsyncClient, endpoint: Endpoint, note: bytes, wait: float) -> None:
        head = checkpoints.parse(notes.parse(note).text)
        end = time.monotonic() + wait
        while await asyncio.to_thread(self._lacks, endpoint, head):
            if await self._round(client, endpoint, note):
                return
            turn = await asyncio.to_thread(self.kept.turn, endpoint.url)
            pause = min(1.0, max(0.05, turn.next - self._clock()))
            if time.monotonic() + pause > end:
                return
            await asyncio.sleep(pause)

    async def _round(self, client: httpx.AsyncClient, endpoint: Endpoint, note: bytes | None) -> bool:
        """Ask a witness in its turn, for `note` or the newest head; False when it is not due. No error leaves."""
        began = self._clock()
        lease = (QUESTIONS + 1) * self._deadline
        try:
            turn = await asyncio.to_thread(self.kept.claim, endpoint.url, began, lease)
            if turn is None:
                return False
            done = Outcome(turn.size)
            try:
                await self._questions(client, endpoint, note, done)
            except asyncio.CancelledError:
                done.stopped = True
                raise
            except InbondError as error:
                done.problem = error.message
            finally:  # also when stopped: the turn must not stay taken
                self._finish(turn, done, began)
        except Exception as error:
            _log.warning("witness %s: %s", endpoint.url, error)
        return True

    async def _questions(self, client: httpx.AsyncClient, endpoint: Endpoint, note: bytes | None, done: "Outcome") -> None:
        if not endpoint.keys:
            done.problem = "none of its keys can be used here"
            return
        answer: Answer = Refused("it was not asked")
        for _ in range(QUESTIONS):
            request = await asyncio.to_thread(self._request, done.size, note)
            if request is None:
                break  # it has cosigned more than we hold
            answer = await witness_client.ask(client, endpoint.url, request, endpoint.keys, self._clock(), self._deadline)
            if isinstance(answer, Cosigned):
                done.size, done.helped = request.checkpoint.size, True
                await asyncio.to_thread(self.kept.keep, request.checkpoint, answer.signatures)
                return
            if not isinstance(answer, Elsewhere) or answer.size == done.size:
                break
            done.size = answer.size
        await self._understand(client, endpoint, answer, done)

    def _request(self, old: int, note: bytes | None) -> AddCheckpoint | None:
        """The request from size `old`; None if it is beyond the checkpoint."""
        with self._ledger.reading() as reader:
            new = checkpoints.parse(notes.parse(note or reader.note).text).size
            if old > new:
                return None
            proof = reader.consistency(old, new) if 0 < old < new else []
            return AddCheckpoint.make(old, proof, note or reader.note)

    async def _understand(self, client: httpx.AsyncClient, endpoint: Endpoint, answer: Answer, done: "Outcome") -> None:
        """Say what is wrong; where a witness may know another history than we do, ask for its proof."""
        match answer:
            case Refused(why, status, later):
                done.problem, done.later = why, later
                if status != 422:
                    return
            case _:
                done.problem = f"it says that it has cosigned size {done.size} last, which leads nowhere"
        theirs = await witness_client.newest(client, endpoint.url, self._ledger.origin, self._deadline)
        await asyncio.to_thread(self._compare, theirs, done)

    def _compare(self, theirs: bytes | None, done: "Outcome") -> None:
        """Compare a checkpoint that a witness shows to monitors with our log, if our key has signed it."""
        with self._ledger.reading() as reader:
            held = reader.size
            if done.size > held:
                done.size = 0  # it may be a lie, and nothing can be asked from there: begin anew
            if theirs is None:
                return
            try:
                shown = self._ledger.keyring.log.open(theirs, self._ledger.origin)
            except VerificationError as error:
                done.problem = f"{done.problem}; what it shows to monitors is not of this log: {error.message}"
                return
            if shown.size <= held and reader.root_at(shown.size) == shown.root:
                return
        done.evidence = theirs
        done.problem = (
            f"this log's key has signed size {shown.size} with root {shown.root.hex()}, which the log does not hold (its size "
            f"is {held}): it has fallen back to an older state, or there are two of it"
        )
        _log.error("%s: %s", self._ledger.origin, done.problem)
        self._remember(theirs, shown, older=shown.size <= held)

    def _remember(self, theirs: bytes, shown: Checkpoint, *, older: bool) -> None:
        """Put a checkpoint that contradicts this log where the log looks before it signs anything."""
        file = HighWater(self._ledger.genesis_leaf, self._ledger.origin, self._ledger.keyring.log)
        with file.locked():
            there = file.read()
            if older or there is None or file.open(there).size < shown.size:
                file.write(theirs)

    def _finish(self, turn: Turn, done: "Outcome", began: float) -> None:
        failures = 0 if done.helped else turn.failures + (not done.stopped)
        pause = self._every * (1 if done.stopped else 2 ** min(failures, 10))
        pause = min(pause, max(self._every, MOST_PATIENCE))
        if done.later is not None:
            pause = max(self._every, min(float(done.later), LONGEST_WAIT))
        problem = turn.problem if done.stopped else done.problem
        if problem and problem != turn.problem:
            _log.warning("witness %s: %s", turn.url, problem)
        evidence = None if done.helped else done.evidence or turn.evidence  # who cosigns our head knows our history
        self.kept.finish(turn, next=began + pause, size=done.size, failures=failures, problem=problem, evidence=evidence)


@dataclass(slots=True)
class Outcome:
    """What a round has shown so far."""

    size: int
    helped: bool = False
    stopped: bool = False
    problem: str | None = None
    later: int | None = None
    evidence: bytes | None = None


def _is_due(turn: Turn, now: float) -> bool:
    return turn.next <= now or turn.next > now + 2 * LONGEST_WAIT
