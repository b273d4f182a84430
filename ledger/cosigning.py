"""A witness (C2SP tlog-witness): the logs that it knows, the keys that it cosigns with, the state that it keeps.

Bytes in, bytes out; `api/witness.py` puts it on HTTP. Safe to call from many threads.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence

from inbond.ledger import notes, witness
from inbond.ledger.cosigner import Cosigner
from inbond.ledger.loglist import KnownLog
from inbond.ledger.notes import NoteSignature
from inbond.ledger.witness import AddCheckpoint, Latest
from inbond.ledger.witness_state import WitnessState
from inbond.schemas.errors import InbondError, NotFound, VerificationError

Clock = Callable[[], float]

_log = logging.getLogger("inbond.witness")


class Pushback(InbondError):
    """The log asks more often than was agreed, or there is no room for one more request; `retry_after` is in seconds."""

    type = "urn:inbond:problem:pushback"
    title = "Too many requests"
    status = 429

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message, retry_after=retry_after)
        self.retry_after = retry_after


class Witness:
    """A witness. Raises InvalidInput for logs and keys that do not go together."""

    def __init__(
        self, state: WitnessState, cosigners: Sequence[Cosigner], logs: Sequence[KnownLog], *, clock: Clock = time.time
    ) -> None:
        witness.check_keys(logs, [each.verifier for each in cosigners])
        self._state = state
        self._cosigners = tuple(cosigners)
        self._logs = {log.origin: log for log in logs}
        self._budgets = {log.origin: _Budget(log.qpd, clock()) for log in logs}
        self._clock = clock

    def add_checkpoint(self, body: bytes) -> bytes:
        """The answer to a request: lines of cosignatures, which are on disk. Raises what witness.py lists, and Pushback."""
        request = witness.parse(body)
        own = witness.authenticate(request, self._logs)
        now, budget = self._clock(), self._budgets[request.checkpoint.origin]
        step = request.checkpoint.size > request.old
        if step:
            budget.check(now)
        made = self._advance(request, own, int(now))
        if step:  # only one that succeeded, which its log alone can bring about: others cannot use the budget up
            budget.spend()
        mine = {(each.name, each.verifier.key_id) for each in self._cosigners}
        lines = [each.line() for each in notes.parse(made.note).signatures if (each.name, each.key_id) in mine]
        return "".join(line + "\n" for line in lines).encode()

    def _advance(self, request: AddCheckpoint, own: tuple[NoteSignature, ...], now: int) -> Latest:
        new = request.checkpoint
        try:
            made = self._state.advance(request, own, self._cosigners, now)
        except VerificationError as error:
            _log.error("%s, of a checkpoint that the log has signed, size %d: %s", new.origin, new.size, error.message)
            raise
        _log.info("%s: cosigned size %d, root %s", new.origin, new.size, new.root.hex())
        return made

    def checkpoint(self, origin_sha256: str) -> bytes:
        """The newest cosigned checkpoint of the log whose origin has this hash, in hex; NotFound if there is none."""
        latest = self._state.latest_by_hash(origin_sha256)
        if latest is None:
            raise NotFound(f"no checkpoint: expected the hash of a log that was cosigned here, found {origin_sha256[:64]!r}")
        return latest.note


class _Budget:
    """So many steps a day, of which an hour's worth, or sixty, may come at once."""

    def __init__(self, per_day: int, now: float) -> None:
        self._rate = per_day / 86_400
        self._most = max(60.0, self._rate * 3600)
        self._left, self._at = self._most, now
        self._lock = threading.Lock()

    def check(self, now: float) -> None:
        """Raise Pushback if there is none left."""
        with self._lock:
            self._left = min(self._most, self._left + max(0.0, now - self._at) * self._rate)
            self._at = now
            if self._left < 1:
                wait = math.ceil((1 - self._left) / self._rate)
                raise Pushback(f"too many requests: expected the next one in {wait} seconds", wait)

    def spend(self) -> None:
        """Take one."""
        with self._lock:
            self._left -= 1
