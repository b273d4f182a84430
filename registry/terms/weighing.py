"""What the engine makes of an open registry: verdict and obligations of a student, and the NOTICE that a release carries.

Needs the registry's folder. Nothing is recorded.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from inbond.registry import tables as t
from inbond.registry.opened import OpenRegistry
from inbond.registry.terms.engine import evaluate
from inbond.registry.terms.gathering import question_of, shards_of
from inbond.registry.terms.obligations import Clash, clashes, notice
from inbond.registry.terms.question import Evaluation, Plan
from inbond.registry.times import now


@dataclass(frozen=True, slots=True)
class Weighed:
    """The engine's answer about `student`, as of `tree_size`; `called` is what people call the things that it names."""

    student: str
    plan: Plan
    evaluation: Evaluation
    clashes: tuple[Clash, ...]
    called: dict[str, str]
    tree_size: int

    @property
    def name(self) -> str:
        """What people call the student."""
        return self.called[self.student]

    def notice(self) -> str:
        """The text of its NOTICE file."""
        return notice(self.name, self.evaluation.obligations, self.called)


def weigh(registry: OpenRegistry, student: str, datasets: Iterable[str] | None = None, *, size: int | None = None) -> Weighed:
    """What the engine says now of a student and the rows of `datasets`, or of everything that its runs were to read."""
    who = registry.resolve(student, "student", size=size)
    wanted = None if datasets is None else [registry.resolve(each, "dataset", size=size) for each in datasets]
    with registry.reading() as reader:
        p = t.dataset_parts.c
        shards = (
            shards_of(reader.connection, who, size)
            if wanted is None
            else list(reader.connection.execute(select(p.shard).where(p.dataset.in_(wanted)).distinct()).scalars())
        )
        question = question_of(reader.connection, who, shards, now(), size=size)
        tree_size = reader.size if size is None else size
    found = evaluate(question)
    mentioned = {who, *(each.model for each in found.obligations), *(one for each in found.obligations for one in each.via)}
    mentioned |= {ref for each in found.reasons for ref in (each.model, each.document) if ref}
    clashing = clashes(found.obligations, question.plan)
    return Weighed(who, question.plan, found, tuple(clashing), registry.called(mentioned), tree_size)
