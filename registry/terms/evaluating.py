"""The grants of a student evaluated again: the verdict that each carries, and what the gate would say now."""

from sqlalchemy import select

from inbond.ledger.reader import LedgerReader
from inbond.registry import tables as t
from inbond.registry.current import EVER
from inbond.registry.gate import Ruled
from inbond.registry.lists import handed_out, layout_of, sources_of
from inbond.registry.names import names_of
from inbond.registry.terms import asking
from inbond.registry.terms.answers import Reevaluated, TermsEvaluation
from inbond.schemas import canonical
from inbond.schemas.statements import Grant, GrantMode


def evaluation_of(reader: LedgerReader, student: str, at: str, size: int | None = None) -> TermsEvaluation:
    """Each grant of `student` in the first `size` entries: its verdict then, and as these entries say it, used at `at`."""
    g, c = t.grants.c, t.things.c
    query = select(g.ref, g.run, g.mode, c.body).join(t.things, c.ref == g.ref)
    query = query.where(g.student == student, g.seq < (EVER if size is None else size)).order_by(g.seq)
    asked: dict[tuple[str, str], Ruled] = {}
    found = []
    for row in reader.connection.execute(query).all():
        body: Grant = canonical.decode(bytes(row.body), Grant, what=row.ref)
        if (row.run, row.mode) not in asked:
            asked[row.run, row.mode] = _ruled(reader, student, row.run, body.mode, at, size)
        now = asked[row.run, row.mode]
        rules = tuple(sorted({each.rule for each in now.reasons if each.verdict not in asking.OPEN}))
        found.append(Reevaluated(row.ref, row.run, body.mode, int(body.evaluated.facts_size), body.verdict, now.verdict, rules))
    names = names_of(reader.connection, [student, *(each.run for each in found)], size)
    return TermsEvaluation(student, tuple(found), names, reader.size if size is None else size)


def _ruled(reader: LedgerReader, student: str, run: str, mode: GrantMode, at: str, size: int | None) -> Ruled:
    connection = reader.connection
    sources = sources_of(connection, run)
    parts = handed_out(connection, mode, sources, layout_of(connection, sources).spans)
    return asking.evaluate(connection, student, parts, at, size)[0]
