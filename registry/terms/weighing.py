"""What the engine makes of what is on record: verdict and obligations of a student, and the NOTICE that a release carries.

Nothing is recorded.
"""

from collections.abc import Sequence

from sqlalchemy import select

from inbond.ledger.reader import LedgerReader
from inbond.registry import tables as t
from inbond.registry.mentions import references, within
from inbond.registry.names import names_of
from inbond.registry.terms.answers import Weighed
from inbond.registry.terms.engine import evaluate
from inbond.registry.terms.gathering import question_of, shards_of
from inbond.registry.terms.obligations import clashes, notice, texts


def weigh(reader: LedgerReader, student: str, datasets: Sequence[str], at: str, size: int | None = None) -> Weighed:
    """What the engine says of a student and the rows of `datasets`, or where none is given of all that its runs were to read."""
    connection, p = reader.connection, t.dataset_parts.c
    shards = (
        shards_of(connection, student, size)
        if not datasets
        else list(connection.execute(select(p.shard).where(p.dataset.in_(datasets)).distinct()).scalars())
    )
    question = question_of(connection, student, shards, at, size=size)
    found = evaluate(question)
    clashing = tuple(clashes(found.obligations, question.plan))
    told = within(each.text for each in found.reasons)
    called = names_of(connection, {student, *references([found.reasons, found.obligations]), *told}, size)
    written = notice(called[student], found.obligations, called)
    return Weighed(
        student, found, clashing, tuple(texts(found.obligations)), written, called,
        reader.size if size is None else size,
    )  # fmt: skip
