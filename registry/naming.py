"""What a statement says that it is called: the rules of `names.resolve`, asked of one statement that was proved.

Who has the catalogue looks names up in it. Who has only somebody's word that a text means a thing asks the thing: a
statement that does not say the name is not what was meant. That it is the only one, or the newest, no statement can say.
"""

from collections.abc import Callable, Iterator
from typing import Any

from inbond.registry.names import MIN_PREFIX
from inbond.schemas.kinds import KINDS
from inbond.schemas.statement import Statement
from inbond.schemas.statements import Dataset, Genesis, Party, Release, Report, RunOpen, Shard, Source, Student, Teacher, Terms

StatementOf = Callable[[str], Statement]
"""The proved statement that made a thing."""


def says(statement: Statement, ref: str, text: str, statement_of: StatementOf) -> bool:
    """Whether `text` may mean the thing `ref` that `statement` made: by reference, id, digest, or a name that it says.

    A teacher's name begins with its party's, whose statement `statement_of` gives.
    """
    kind, id = ref.split(":", 1)
    wanted, colon, rest = text.partition(":")
    if colon and wanted in KINDS:
        return wanted == kind and ((len(rest) >= MIN_PREFIX and id.startswith(rest)) or _is_called(statement, rest, statement_of))
    digits = text.removeprefix("sha256:")
    if len(digits) == 64 and f"sha256:{digits}" in _digests(statement.body):
        return True
    return (len(text) >= MIN_PREFIX and id.startswith(text)) or _is_called(statement, text, statement_of)


def _is_called(statement: Statement, text: str, statement_of: StatementOf) -> bool:
    """Whether `text` is one of its names, or one without its version."""
    return any(text in (name, name.rpartition("@")[0]) for name in _names(statement.body, statement_of) if text)


def _names(body: Any, statement_of: StatementOf) -> Iterator[str]:
    if isinstance(body, Genesis):
        yield body.operator.name
    elif isinstance(body, Party):
        yield from body.aliases
        yield from filter(None, [body.legal_name.value_or("")])
    elif isinstance(body, Teacher):
        yield from _teacher_names(body, statement_of)
    elif isinstance(body, Student):
        yield f"{body.id}@{body.version}"
    elif isinstance(body, Dataset):
        yield f"{body.name}@{body.version}"
    elif isinstance(body, Terms):
        yield f"{body.title}@{body.version}"
    elif isinstance(body, RunOpen | Source):
        yield body.name


def _teacher_names(body: Teacher, statement_of: StatementOf) -> Iterator[str]:
    model, version = body.model.value_or(""), body.version.value_or("")
    if not model:
        return
    named = f"{model}@{version}" if version else model
    party = body.party.value_or("")
    parties = _names(statement_of(party).body, statement_of) if party else ()
    for prefix in parties:
        yield f"{prefix}/{named}"
    if not party:
        yield named


def _digests(body: Any) -> tuple[str, ...]:
    if isinstance(body, Dataset):
        return (body.parts.digest,)
    if isinstance(body, Terms):
        return (body.text,)
    if isinstance(body, Shard):
        return (body.file,)
    if isinstance(body, Report):
        return (body.model,)
    return (body.weights,) if isinstance(body, Release) else ()
