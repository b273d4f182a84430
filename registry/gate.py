"""The gate: may this student learn from these rows? What it cannot decide stays shut.

Terms attach to the party, the model and the way it was reached. For every teacher with at least one row, every document
that applies and that nobody has read must be permitted for the student by a compliance decision that is in force; what was
read is for the engine to say (terms/asking.py); and no row may be withdrawn.
There is no override. The table of rules is named by digest in every grant, so that a reader knows which rules were asked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import Connection, or_, select

from inbond.registry import tables as t
from inbond.registry.current import first_of
from inbond.registry.terms.engine import RULES as ENGINE_RULES
from inbond.registry.withdrawn import Part, Withdrawal
from inbond.schemas.errors import PolicyDenied
from inbond.schemas.statement import digest_of
from inbond.schemas.statements import Question, Verdict

_DECISION = {
    "id": "decision-1",
    "text": "A student may learn from a teacher's outputs when, for every document of terms that applies to them and that "
    "nobody has read, compliance has ruled that it may, and the ruling is in force. Anything else is refused.",
}
_RECALL = {
    "id": "recall-1",
    "text": "Rows that a recall withdraws are read by nobody once it is in effect: whatever touches them is refused.",
}
_ENGINE = {
    "id": "engine-1",
    "text": "Where a document that applies has been read, its clauses decide, and rulings what they leave open, as the rules "
    "below say.",
}
_NAME = "urn:inbond:rules:decision-1"
_BY_ENGINE = [{"id": name, "text": text} for name, text in ENGINE_RULES.items()]

RULES = {"id": _NAME, "version": 4, "rules": [_DECISION, _RECALL, _ENGINE, *_BY_ENGINE]}
RULES_DIGEST = digest_of(RULES)

# Every grant is asked under the newest table, whichever it names, so that naming an old one opens nothing; and what stood in an
# older log stands: versions 2 and 3 refuse more, but on statements that no log of an earlier one has (a recall, a reading of
# terms); version 4 asks for no ruling where the engine permits, and refuses nothing that version 3 did not.
_RULED = {
    "id": "decision-1",
    "text": "A student may learn from a teacher's outputs when, for every document of terms that applies to them, "
    "compliance has ruled that it may, and the ruling is in force. Anything else is refused.",
}
_TOO = {
    "id": "engine-1",
    "text": "Where a document that applies has been read, the engine must permit it too, under the rules below.",
}
_OLDER = tuple(
    {"id": _NAME, "version": number, "rules": rules}
    for number, rules in enumerate(([_RULED], [_RULED, _RECALL], [_RULED, _RECALL, _TOO, *_BY_ENGINE]), 1)
)
KNOWN_RULES = frozenset({*map(digest_of, _OLDER), RULES_DIGEST})

_SHOWN = 20

_SEVERITY = [Verdict.PERMITTED, Verdict.NEEDS_AUTHORISATION, Verdict.UNDETERMINED, Verdict.PROHIBITED]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the gate is open or shut: for one teacher under one document, or (then `teacher` is empty) for one shard."""

    teacher: str
    terms: str | None
    verdict: Verdict
    decision: str | None
    text: str
    rule: str = "decision-1"
    recall: str | None = None
    shard: str | None = None
    clause: str | None = None
    fact: str | None = None

    def line(self) -> dict[str, Any]:
        """The reason as a line of the grant's reasons object."""
        line: dict[str, Any] = {"rule": self.rule, "teacher": self.teacher, "verdict": self.verdict.value, "text": self.text}
        for name in ("terms", "decision", "recall", "shard", "clause", "fact"):
            if value := getattr(self, name):
                line[name] = value
        return line


@dataclass(frozen=True, slots=True)
class Ruled:
    """The gate's answer, with a reason for each teacher and document, and for each shard with withdrawn rows."""

    verdict: Verdict
    reasons: tuple[Reason, ...]

    @property
    def decisions(self) -> tuple[str, ...]:
        """The rulings that the answer rests on."""
        return tuple(sorted({reason.decision for reason in self.reasons if reason.decision}))


def shards_of(parts: Iterable[Part]) -> set[str]:
    """The shards that `parts` are of."""
    return {part if isinstance(part, str) else part.shard for part in parts}


def refused_by(found: Sequence[Withdrawal], ruled: Ruled) -> Ruled:
    """`ruled`, refused where something was found to be withdrawn; the first few are named."""
    if not found:
        return ruled
    by_shard: dict[tuple[str, str], Withdrawal] = {}
    for each in found:
        by_shard.setdefault((each.recall, each.shard), each)
    shown, more = list(by_shard.values())[:_SHOWN], len(by_shard) - _SHOWN
    shut = Verdict.PROHIBITED
    reasons = [Reason("", None, shut, None, each.text, "recall-1", each.recall, each.shard) for each in shown]
    if more > 0:
        reasons.append(Reason("", None, shut, None, f"rows of {more} more shards are withdrawn", "recall-1"))
    return Ruled(Verdict.PROHIBITED, (*ruled.reasons, *reasons))


def expect_not_withdrawn(found: Sequence[Withdrawal], what: str) -> None:
    """Raise PolicyDenied, naming the recalls, where something was found to be withdrawn from `what`."""
    if found:
        ruled = refused_by(found, Ruled(Verdict.PERMITTED, ()))
        raise PolicyDenied(
            f"{what}: " + "; ".join(reason.text for reason in ruled.reasons), hint=WITHOUT_IT, recall=found[0].recall
        )


WITHOUT_IT = (
    "inbond dataset list, and pull a version that does not hold these rows, under another --run NAME\n"
    "inbond dataset trim DATASET makes one; where files leave, give --format too: a bundle holds whole shards"
)


def teachers_behind(connection: Connection, shards: Iterable[str], limit: int = 2**62) -> set[str]:
    """Every model that had a hand in `shards`, as their statements name them."""
    teachers: set[str] = set()
    wanted = sorted(set(shards))
    for start in range(0, len(wanted), 500):
        query = select(t.edges.c.dst).where(t.edges.c.src.in_(wanted[start : start + 500]), t.edges.c.relation.like("model:%"))
        query = query.where(t.edges.c.seq < limit)
        teachers.update(connection.execute(query.distinct()).scalars())
    return teachers


def evaluate_teachers(connection: Connection, student: str, teachers: Iterable[str], at: str, limit: int = 2**62) -> Ruled:
    """What rulings say of `student` and the outputs of `teachers` at time `at`, as the first `limit` entries say."""
    newest = _as_corrected(connection, set(teachers), limit)
    reasons = [reason for teacher in sorted(newest) for reason in _teacher(connection, student, teacher, at, limit)]
    if not reasons:
        return Ruled(Verdict.UNDETERMINED, (Reason("", None, Verdict.UNDETERMINED, None, "no teacher is on record"),))
    worst = max((reason.verdict for reason in reasons), key=_SEVERITY.index)
    return Ruled(worst, tuple(reasons))


def applicable_terms(connection: Connection, teacher: str, limit: int = 2**62) -> list[str]:
    """The documents that govern a teacher's outputs; see `terms_of`."""
    return terms_of(connection, [teacher], limit)[teacher]


def terms_of(connection: Connection, teachers: Iterable[str], limit: int = 2**62) -> dict[str, list[str]]:
    """The documents that govern each teacher's outputs: same party, a model pattern that matches, the same access path.

    A path that is not known on either side matches any, and so does a version that is not known, where some version would:
    what is not known must not hide a document.
    """
    wanted = list(dict.fromkeys(teachers))
    c, s = t.teachers.c, t.terms_scopes.c
    rows = [row for chunk in _chunks(wanted) for row in connection.execute(select(t.teachers).where(c.ref.in_(chunk)))]
    scopes: dict[str, list[Any]] = {}
    for chunk in _chunks(sorted({row.party for row in rows if row.party})):
        query = select(t.terms_scopes).where(s.party.in_(chunk), s.seq < limit).order_by(s.seq, s.position)
        for scope in connection.execute(query):
            scopes.setdefault(scope.party, []).append(scope)
    fitting = {row.ref: [scope.ref for scope in scopes.get(row.party, ()) if applies(row, scope)] for row in rows}
    firsts = first_of(connection, [ref for found in fitting.values() for ref in found])  # a correction is one with its document
    return {ref: list(dict.fromkeys(firsts[each] for each in fitting.get(ref, ()))) for ref in wanted}


def applies(teacher: Any, scope: Any) -> bool:
    """Whether a document's scope, which is of the teacher's party, takes in the teacher."""
    names = {teacher.model or "", f"{teacher.model}@{teacher.version}"}
    path_fits = teacher.access_path in (None, "unknown", scope.access_path) or scope.access_path == "unknown"
    model_fits = teacher.model is None or any(fnmatchcase(name, scope.models) for name in names)
    return path_fits and (model_fits or (teacher.version is None and _fits_some_version(teacher.model, scope.models)))


def _chunks(items: list[str]) -> Iterable[list[str]]:
    return (items[start : start + 500] for start in range(0, len(items), 500))


def _fits_some_version(model: str, pattern: str) -> bool:
    """Whether `model@` and something more would match: then a beginning of the pattern matches `model@`."""
    return any(fnmatchcase(f"{model}@", pattern[:end]) for end in range(1, len(pattern) + 1))


def _as_corrected(connection: Connection, teachers: set[str], limit: int) -> set[str]:
    """The newest statements about `teachers`: where one was corrected, what counts is what is known now."""
    found, waiting = set(), sorted(teachers)
    while waiting:
        ref = waiting.pop()
        query = select(t.things.c.ref).where(t.things.c.amends == ref, t.things.c.seq < limit)
        later = list(connection.execute(query).scalars())
        waiting.extend(later)
        if not later:
            found.add(ref)
    return found


def ruling(connection: Connection, student: str, terms: str, at: str, limit: int = 2**62) -> tuple[str, str] | None:
    """The newest ruling in force for student and terms: (decision reference, permit or refuse), None when there is none."""
    d = t.decisions.alias()
    query = (
        select(t.decisions.c.ref, t.decisions.c.ruling)
        .join(d, d.c.ref == t.decisions.c.ref)
        .where(t.decisions.c.subject == student, d.c.subject == terms, t.decisions.c.phase == "rule", t.decisions.c.seq < limit)
        .where(t.decisions.c.question == Question.AUTHORISATION.value)
        .where(t.decisions.c.starts <= at, or_(t.decisions.c.until.is_(None), t.decisions.c.until > at))
        .order_by(t.decisions.c.seq.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.ref, row.ruling)


def _teacher(connection: Connection, student: str, teacher: str, at: str, limit: int) -> list[Reason]:
    documents = applicable_terms(connection, teacher, limit)
    if not documents:
        return [Reason(teacher, None, Verdict.UNDETERMINED, None, "no terms are on record that apply to this teacher")]
    reasons = []
    for terms in documents:
        found = ruling(connection, student, terms, at, limit)
        if found is None:
            verdict, text = Verdict.NEEDS_AUTHORISATION, "no decision of compliance is in force for this student and these terms"
        elif found[1] == "permit":
            verdict, text = Verdict.PERMITTED, "compliance has ruled: permit"
        else:
            verdict, text = Verdict.PROHIBITED, f"compliance has ruled: {found[1]}"
        reasons.append(Reason(teacher, terms, verdict, found[0] if found else None, text))
    return reasons
