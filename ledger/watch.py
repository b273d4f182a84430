"""A monitor: follows logs from outside, and notices when one shows two histories.

Each round asks every address for its checkpoint, and every witness that the policy gives an address for what it has cosigned of
that log. A head counts when a log of the policy has signed it. It is compared with the newest that this monitor has seen, whoever
showed that, and with what the witnesses show: from tiles that are fetched here, see `contradictions`. So addresses that claim one
origin are compared with each other too.

Two signed heads that contradict each other are evidence, which is written out. Whatever else is wrong is inconclusive: an
address that is silent, slow, sends what is no checkpoint, has fallen behind, or lacks the policy's quorum of witnesses.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inbond.ledger import contradictions, notes, witness_client
from inbond.ledger.contradictions import Contradiction, Signed
from inbond.ledger.fetching import AddressFiles
from inbond.ledger.notes import MAX_NOTE, Note, NoteSignature
from inbond.ledger.policy import NO_QUORUM, TrustPolicy, Witness
from inbond.ledger.watched import Known, Watched
from inbond.schemas.errors import Inconclusive, InvalidInput, StoreError, VerificationError

OK, INCONCLUSIVE, EVIDENCE = "ok", "inconclusive", "evidence"

_ATTEMPTS = 2
_FILES = 4  # how many files' time a comparison may take


@dataclass(frozen=True, slots=True)
class Finding:
    """What a round has found at an address. `evidence` is the folder that it was written to."""

    url: str
    verdict: str
    text: str
    origin: str | None = None
    size: int | None = None
    evidence: Path | None = None


class Watch:
    """Watches the logs at `urls`, or those that the policy gives addresses for. `state` is a file, `evidence` a folder.

    `seconds` are for one file; a head older than `max_age` seconds is inconclusive. Use it as a context manager.
    """

    def __init__(
        self,
        urls: Sequence[str],
        policy: TrustPolicy,
        state: Path,
        evidence: Path,
        *,
        max_age: float | None = None,
        seconds: float = 20.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        wanted = list(dict.fromkeys(urls or [log.url for log in policy.logs if log.url is not None]))
        if not wanted:
            raise InvalidInput("watch: expected the address of a log, on the line or in the policy (log VKEY URL), found none")
        self._policy, self._signed, self._evidence = policy, TrustPolicy(logs=policy.logs), evidence
        self._max_age, self._seconds, self._clock = max_age, seconds, clock
        self._witnesses = {witness_client.check_url(each.url) for each in policy.witnesses if each.url is not None}
        self._held = ExitStack()
        with ExitStack() as held:
            self._urls = {held.enter_context(AddressFiles(url, seconds=seconds, attempts=_ATTEMPTS)): url for url in wanted}
            self._prefixed: set[AddressFiles] = set()
            self._state = Watched(state)
            held.callback(self._state.close)
            self._pool = held.enter_context(ThreadPoolExecutor(min(16, len(wanted)), thread_name_prefix="inbond-watch"))
            self._held = held.pop_all()

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def round(self) -> list[Finding]:
        """Look at every address once, and at the witnesses of the logs that they show."""
        shown = dict(zip(self._urls, self._pool.map(self._ask, self._urls), strict=True))
        heads = {files: each for files, each in shown.items() if isinstance(each, Signed)}
        seen_by = asyncio.run(self._ask_witnesses({each.head.origin for each in heads.values()}))
        found: dict[AddressFiles, Finding] = {}
        for files in sorted(heads, key=lambda each: heads[each].head.size):
            others = [each for each in heads if each is not files and heads[each].head.origin == heads[files].head.origin]
            found[files] = self._judge(files, heads[files], others, seen_by)
        unanswered = {
            files: Finding(self._urls[files], INCONCLUSIVE, why) for files, why in shown.items() if isinstance(why, str)
        }
        return [(found | unanswered)[files] for files in self._urls]

    # -- asking ------------------------------------------------------------------------------------------------------------

    def _ask(self, files: AddressFiles) -> Signed | str:
        """The head that an address shows, signed by its log; else why there is none."""
        try:
            note = files.read("checkpoint", MAX_NOTE)
            if note is None and files not in self._prefixed:
                files.under("ledger")  # the address of a registry, not of its log
                self._prefixed.add(files)
                note = files.read("checkpoint", MAX_NOTE)
            if note is None:
                return "expected a checkpoint, found none"
            return Signed(self._signed.open_checkpoint(note), note)
        except (Inconclusive, VerificationError) as error:
            return error.message

    async def _ask_witnesses(self, origins: Iterable[str]) -> dict[tuple[str, str], bytes | None]:
        """What each witness shows of each log, not verified."""
        wanted = [(url, origin) for url in sorted(self._witnesses) for origin in sorted(origins)]
        async with witness_client.new_client() as client:
            asked = (witness_client.newest(client, url, origin, self._seconds) for url, origin in wanted)
            return dict(zip(wanted, await asyncio.gather(*asked), strict=True))

    # -- judging -----------------------------------------------------------------------------------------------------------

    def _judge(
        self, files: AddressFiles, shown: Signed, others: Sequence[AddressFiles], seen_by: dict[tuple[str, str], bytes | None]
    ) -> Finding:
        head = shown.head
        try:
            before, problems = self._follow(files, shown, others)
            note = notes.parse(shown.note)
            for witness in self._policy.witnesses:
                if witness.url is not None:
                    theirs = seen_by[witness_client.check_url(witness.url), head.origin]
                    note = self._heard(files, shown, witness, theirs, note, problems)
            self._check_quorum(note, head.size, problems)
            self._check_age(note, before, problems)
        except Contradiction as found:
            folder = found.write(self._evidence)
            return Finding(
                self._urls[files], EVIDENCE, f"{found.why}; both notes are in {folder}", head.origin, head.size, folder
            )
        verdict = INCONCLUSIVE if problems else OK
        return Finding(self._urls[files], verdict, "; ".join(problems) or "consistent", head.origin, head.size)

    def _follow(self, files: AddressFiles, shown: Signed, others: Sequence[AddressFiles]) -> tuple[Known, list[str]]:
        """Compare a head with the newest that was seen, and remember it where it is newer; what is wrong but no evidence."""
        while True:
            known = self._known(shown.head.origin)
            if known is None:
                problems = self._attempt([files], partial(contradictions.check, shown))
            else:
                before = Signed(known.head, known.note)
                problems = self._attempt([files, *others], partial(contradictions.compare, before, shown))
                if shown.head.size < known.head.size:
                    there = f"it shows size {shown.head.size}, and size {known.head.size} was seen before"
                    return known, [f"{there}: it lags, or was rolled back", *problems]
            if problems or (known is not None and known.head.size == shown.head.size):
                return known or Known(shown.head, shown.note, self._clock()), problems
            new = Known(shown.head, shown.note, self._clock())
            if self._state.keep(known, new):
                return new, []

    def _known(self, origin: str) -> Known | None:
        """The newest head of a log that was seen. What this policy would not believe is no evidence: InvalidInput."""
        known = self._state.newest(origin)
        if known is not None:
            try:
                head = self._signed.open_checkpoint(known.note)
            except VerificationError as error:
                raise InvalidInput(
                    f"watch: expected to remember a head of {origin} that the policy accepts, found: {error.message}",
                    hint="was it watched under another key before? --state FILE begins anew",
                ) from None
            if head != known.head:
                raise StoreError(f"watch: expected to remember the head of {origin} that was signed, found another beside it")
        return known

    def _attempt(self, sources: Sequence[AddressFiles], work: Callable[[AddressFiles, float], None]) -> list[str]:
        """Do `work` with the first source whose tiles suffice, each until a deadline; what is missing where none's do."""
        missing: list[str] = []
        for each in sources:
            try:
                work(each, time.monotonic() + _FILES * self._seconds)
            except Inconclusive as error:
                missing.append(error.message)
            else:
                return []
        return missing[:1]

    def _heard(
        self, files: AddressFiles, shown: Signed, witness: Witness, theirs: bytes | None, note: Note, problems: list[str]
    ) -> Note:
        """Compare with what a witness shows; returns the note with its cosignature, where that is of the same checkpoint."""
        if theirs is None:
            problems.append(f"witness {witness.name} shows nothing of this log")
            return note
        if not witness.vkey.supported:
            return note
        try:
            head = self._signed.open_checkpoint(theirs)
            parsed, _ = notes.open_note(theirs, [witness.vkey])
        except VerificationError as error:
            problems.append(f"witness {witness.name}: {error.message}")
            return note
        if head.origin != shown.head.origin:
            problems.append(f"witness {witness.name}: expected a head of {shown.head.origin}, found one of {head.origin}")
            return note
        other = Signed(head, theirs)
        missing = self._attempt([files], partial(contradictions.compare, shown, other))
        if missing and head.size > shown.head.size:
            problems.append(f"it lags: witness {witness.name} has cosigned size {head.size}, and it shows size {shown.head.size}")
        else:
            problems += missing
        return _joined(note, parsed.signatures) if parsed.text == note.text else note

    def _check_quorum(self, note: Note, size: int, problems: list[str]) -> None:
        if self._policy.quorum == NO_QUORUM:
            return
        try:
            self._policy.open_checkpoint(note.to_bytes())
        except VerificationError as error:
            problems.append(f"not witnessed at size {size}: {error.message}")

    def _check_age(self, note: Note, known: Known, problems: list[str]) -> None:
        """A head is as old as its newest cosignature that verifies, or as our first sight of it."""
        if self._max_age is None:
            return
        keys = {(each.vkey.name, each.vkey.key_id): each.vkey for each in self._policy.witnesses if each.vkey.supported}
        times = [
            int.from_bytes(each.blob[:8], "big")
            for each in note.signatures
            if (key := keys.get((each.name, each.key_id))) is not None and key.verify(note.text, each.blob)
        ]
        age = self._clock() - max([known.since, *times])
        if age > self._max_age:
            problems.append(f"no newer head for {age:.0f} seconds: expected one within {self._max_age:.0f}")


def _joined(note: Note, signatures: Iterable[NoteSignature]) -> Note:
    """The note with the lines of keys that have none on it yet."""
    there = {(each.name, each.key_id) for each in note.signatures}
    return Note(note.text, (*note.signatures, *(each for each in signatures if (each.name, each.key_id) not in there)))
