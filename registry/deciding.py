"""Asking the gate, and asking people: a question by one key, a ruling by another that has seen it."""

import secrets
from collections.abc import Sequence

from sqlalchemy import func, select

from inbond.registry import gate, names
from inbond.registry import tables as t
from inbond.registry.gate import Ruled
from inbond.registry.opened import OpenRegistry
from inbond.registry.recorder import Recorded, now
from inbond.registry.words import word
from inbond.schemas import canonical
from inbond.schemas.declared import known, not_applicable
from inbond.schemas.errors import PolicyDenied
from inbond.schemas.scalars import Role
from inbond.schemas.statements import DecisionAsk, DecisionRule, Question, Ruling, Verdict

_SCOPE = "training of the student on outputs under these terms"


def ask(registry: OpenRegistry, student: str, terms: str, grounds: str, until: str | None) -> Recorded:
    """Ask whether `student` may learn under `terms`, with the trainer's key."""
    subjects = (registry.resolve(student, "student"), registry.resolve(terms, "terms"))
    body = DecisionAsk(
        question=Question.AUTHORISATION,
        subjects=subjects,
        scope=_SCOPE,
        from_=now(),
        until=known(until) if until else not_applicable(),
        grounds=keep_text(registry, grounds),
        authoriser=not_applicable(),
    )
    return registry.record("decision", body, Role.TRAINER)


def rule(registry: OpenRegistry, ask: str, ruling: str, grounds: str, until: str | None) -> Recorded:
    """Rule on the ask, with the compliance key."""
    ref = registry.resolve(ask, "decision")
    with registry.reading() as reader:
        body = reader.connection.execute(select(t.things.c.body).where(t.things.c.ref == ref)).scalar_one()
    asked = canonical.decode(bytes(body), DecisionAsk, what=f"ask {ref}")
    answer = DecisionRule(
        ask=ref,
        question=asked.question,
        subjects=asked.subjects,
        ruling=word(Ruling, ruling, "ruling"),
        scope=asked.scope,
        from_=now(),
        until=known(until) if until else asked.until,
        grounds=keep_text(registry, grounds),
        authoriser=asked.authoriser,
    )
    return registry.record("decision", answer, Role.COMPLIANCE)


def settle(
    registry: OpenRegistry, student: str, terms: str, ruling: str, grounds: str, until: str | None = None
) -> tuple[Recorded | None, Recorded]:
    """Rule on the open ask about `student` and `terms`; where there is none, ask first. Returns (ask or None, ruling)."""
    found, asked = open_ask(registry, student, terms), None
    if found is None:
        asked = ask(registry, student, terms, grounds, until)
        found = asked.ref
    return asked, rule(registry, found, ruling, grounds, until)


def open_ask(registry: OpenRegistry, student: str, terms: str) -> str | None:
    """The newest ask about exactly these two that nobody has ruled on."""
    d, ruled, other = t.decisions.c, t.decisions.alias(), t.decisions.alias()
    with registry.reading() as reader:
        wanted = {names.resolve(reader.connection, student, "student"), names.resolve(reader.connection, terms, "terms")}
        query = (
            select(d.ref)
            .where(d.phase == "ask", d.question == Question.AUTHORISATION.value, d.subject.in_(wanted))
            .where(d.ref.not_in(select(ruled.c.ask).where(ruled.c.ask.is_not(None))))
            .where(d.ref.not_in(select(other.c.ref).where(other.c.subject.not_in(wanted))))
            .group_by(d.ref, d.seq)
            .having(func.count() == len(wanted))
            .order_by(d.seq.desc())
            .limit(1)
        )
        return reader.connection.execute(query).scalar()


def check(registry: OpenRegistry, datasets: Sequence[str], student: str) -> Ruled:
    """What the gate says of `student` and these datasets now; nothing is recorded."""
    with registry.reading() as reader:
        connection = reader.connection
        refs = [names.resolve(connection, dataset, "dataset") for dataset in datasets]
        who = names.resolve(connection, student, "student")
        shards = connection.execute(select(t.dataset_parts.c.shard).where(t.dataset_parts.c.dataset.in_(refs)).distinct())
        return gate.evaluate(connection, who, shards.scalars(), now())


def refusal(registry: OpenRegistry, ruled: Ruled, student: str) -> PolicyDenied:
    """The refusal as an error that names teacher and document, and the commands that would settle it."""
    shut = [reason for reason in ruled.reasons if reason.verdict is not Verdict.PERMITTED]
    with registry.reading() as reader:
        name = names.name_of(reader.connection, student)
        lines, hints = [], []
        for reason in shut:
            teacher = names.name_of(reader.connection, reason.teacher)
            if reason.terms is None:
                lines.append(f"{teacher}: {reason.text}")
                hints.append(f"inbond terms add FILE --teacher {teacher} --effective YYYY-MM-DD")
            else:
                terms = names.name_of(reader.connection, reason.terms)
                lines.append(f"{teacher} under {terms}: {reason.text}")
                hints.append(f"inbond decide rule --student {name} --terms {terms} permit --grounds TEXT")
    return PolicyDenied(
        f"{name} may not learn from this ({ruled.verdict.value}): " + "; ".join(dict.fromkeys(lines)),
        hint="\n".join(dict.fromkeys(hints)),
        verdict=ruled.verdict.value,
    )


def keep_text(registry: OpenRegistry, text: str) -> str:
    """Keep free text as an erasable object, salted so that its digest says nothing about it; returns the digest."""
    return f"sha256:{registry.store.put_bytes(secrets.token_bytes(32) + text.encode())}"
