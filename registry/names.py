"""What people type, as a reference: a name, a reference or the beginning of its id, a digest, a file."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from inbond.registry import tables as t
from inbond.schemas.errors import InvalidInput, NotFound
from inbond.schemas.kinds import KINDS

MIN_PREFIX = 6
_ADD = {
    "party": "inbond party add NAME",
    "teacher": "inbond teacher add PARTY/MODEL@VERSION",
    "student": "inbond student add NAME",
    "terms": "inbond terms add FILE --teacher TEACHER",
    "dataset": "inbond import FORMAT FILE --teacher TEACHER --dataset NAME",
}


def resolve(connection: Connection, text: str, *kinds: str, size: int | None = None) -> str:
    """The reference that `text` names among things of `kinds` (any kind if none is given), up to `size` entries.

    `text` is `kind:id`, `kind:` with the beginning of an id, an id's beginning of at least six digits, a digest
    (`sha256:…` or bare), or a name: of a party, `party/model@version`, `student@version`, `dataset@version` (without a
    version: the newest), a run's name, a terms' title. Raises NotFound, or InvalidInput listing the choices where several
    fit.
    """
    limit = 2**62 if size is None else size
    base = select(t.things.c.ref, t.things.c.kind, t.things.c.name, t.things.c.seq).where(t.things.c.seq < limit)
    if kinds:
        base = base.where(t.things.c.kind.in_(kinds))
    kind, colon, rest = text.partition(":")
    if colon and kind in KINDS:
        found = connection.execute(base.where(t.things.c.ref.startswith(f"{kind}:{rest}", autoescape=True)).limit(9)).all()
        if len(rest) >= MIN_PREFIX and found:
            return _one(text, found)
    bare = text.removeprefix("sha256:")
    by_digest = base.where(t.things.c.digest == f"sha256:{bare}").order_by(t.things.c.seq)
    if len(bare) == 64 and _is_hex(bare) and (found := connection.execute(by_digest).all()):
        return str(found[0].ref)
    if found := connection.execute(base.where(t.things.c.name == text).limit(9)).all():
        return _one(text, found)
    newest = base.where(t.things.c.name.startswith(f"{text}@", autoescape=True)).order_by(t.things.c.seq.desc())
    if "@" not in text and (found := connection.execute(newest).all()):
        names = {row.name.rpartition("@")[0] for row in found}
        if len(names) == 1 and len({row.kind for row in found}) == 1:
            return str(found[0].ref)
        return _one(text, found[:9])
    if MIN_PREFIX <= len(text) <= 32 and _is_hex(text):
        every = [f"{kind}:{text}" for kind in kinds or KINDS]
        for start in every:
            if found := connection.execute(base.where(t.things.c.ref.startswith(start, autoescape=True)).limit(9)).all():
                return _one(text, found)
    what = " or ".join(kinds) or "thing"
    raise NotFound(
        f"no {what} is called {text!r}", hint=_ADD.get(kinds[0]) if kinds else "inbond dataset list, student list, teacher list"
    )


def name_of(connection: Connection, ref: str) -> str:
    """What people call a thing, its reference where it has no name."""
    name = connection.execute(select(t.things.c.name).where(t.things.c.ref == ref)).scalar()
    return str(name) if name else ref


def owner_of(connection: Connection, ref: str) -> str:
    """The party that made a thing."""
    owner = connection.execute(select(t.things.c.owner).where(t.things.c.ref == ref)).scalar()
    if owner is None:
        raise NotFound(f"{ref} is not on record")
    return str(owner)


def _one(text: str, found: Sequence[Any]) -> str:
    if len(found) == 1:
        return str(found[0].ref)
    choices = ", ".join(f"{row.ref} ({row.name})" for row in found[:8])
    raise InvalidInput(f"{text!r} fits several things: expected one of {choices}", hint="type the reference instead of the name")


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)
