"""Whether what a grant rests on still permits it: the gate is asked again when what it asks about changed, and not otherwise.

Asked for every segment and every read of a shard, this must not evaluate all clauses each time. An answer that opened the
gate is kept until something that the gate asks about goes on record (a document, a reading, an acceptance, a decision, a run,
a correction of anything), or until a moment passes at which the same entries say something else, such as the end of a ruling.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, exists, func, literal_column, or_, select

from inbond.ledger.prepared import Prepared
from inbond.registry import tables as t
from inbond.registry.gate import Ruled
from inbond.registry.terms import asking
from inbond.registry.terms.moments import start_of

KINDS = ("terms", "terms_fact", "acceptance", "decision", "operator", "run")
"""The kinds of statements each of which may change an answer; of others, those that correct one.

A run is among them as its student may be a teacher here, whose own teachers are then more. Whoever asks later, such as an
audit that begins in the middle, must come to the same answer.
"""

_KEPT = 4096
_T = t.things.c
_LAST = select(func.max(t.things.alias().c.seq)).scalar_subquery()
_NEWEST = Prepared(select(_T.ref, _T.seq).where(_T.seq == _LAST).order_by(_T.ref), [])
_STANDS = Prepared(select(_T.ref).where(_T.ref == bindparam("ref"), _T.seq == bindparam("seq")), ["ref", "seq"])
_ASKED = _T.kind.in_([literal_column(f"'{kind}'") for kind in KINDS])
_CHANGED = Prepared(select(exists(select(_T.ref).where(_T.seq > bindparam("seq"), or_(_ASKED, _T.amends.is_not(None))))), ["seq"])


@dataclass(frozen=True, slots=True)
class _Held:
    """An answer that opened the gate: until when it holds, and the newest thing on record that was looked at for changes."""

    ruled: Ruled
    until: str | None
    newest: str
    seq: int


class Standing:
    """Answers that opened the gate, by what they are about. May be used from several threads: the worst is to ask twice."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def ask(self, connection: Connection, about: str, student: str, shards: Callable[[], Iterable[str]], at: str) -> Ruled:
        """The gate's answer for `student` and `shards` at time `at`, recalls apart; `about` names the two.

        Called with times that do not go back.
        """
        held = self._held.get(about)
        newest, seq = _NEWEST.rows(connection)[0]
        if held is None or not self._holds(connection, held, at):
            answer = asking.answer(connection, student, shards(), at)
            self._held.pop(about, None)
            if answer.ruled.verdict not in asking.OPEN:
                return answer.ruled
            held = _Held(answer.ruled, answer.until, newest, seq)
        if len(self._held) >= _KEPT:
            self._held.clear()
        self._held[about] = _Held(held.ruled, held.until, newest, seq)
        return held.ruled

    def _holds(self, connection: Connection, held: _Held, at: str) -> bool:
        """Whether nothing changed; where a transaction was taken back, what was looked at may not be there any more."""
        in_time = held.until is None or start_of(at) < held.until
        return in_time and bool(_STANDS.rows(connection, held.newest, held.seq)) and not _CHANGED.rows(connection, held.seq)[0][0]
