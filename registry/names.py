"""What people type, as a reference: a name, a reference or the beginning of its id, a digest, a file."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, exists, or_, select

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
    version: the newest), a run's name, a terms' title. `kind:NAME` is the name among things of that kind. Raises NotFound,
    or InvalidInput listing the choices where several fit.
    """
    limit = 2**62 if size is None else size
    c = t.things.c
    every = select(c.ref, c.kind, c.name, c.seq, c.owner).where(c.seq < limit)
    if kinds:
        every = every.where(t.things.c.kind.in_(kinds))
    kind, colon, rest = text.partition(":")
    if colon and kind in KINDS:
        starting = every.where(t.things.c.ref.startswith(f"{kind}:{rest}", autoescape=True))
        if len(rest) >= MIN_PREFIX and (found := connection.execute(starting.limit(9)).all()):
            return _one(text, found)
        if found := _named(connection, every.where(t.things.c.kind == kind), rest, limit):
            return _one(text, found)
    bare = text.removeprefix("sha256:")
    by_digest = every.where(t.things.c.digest == f"sha256:{bare}").order_by(t.things.c.seq)
    if len(bare) == 64 and _is_hex(bare) and (found := connection.execute(by_digest.limit(9)).all()):
        return _one(text, found)
    if found := _named(connection, every, text, limit):
        return _one(text, found)
    if MIN_PREFIX <= len(text) <= 32 and _is_hex(text):
        starting = every.where(or_(*(t.things.c.ref.startswith(f"{kind}:{text}") for kind in kinds or KINDS)))
        if found := connection.execute(starting.limit(9)).all():
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


def _named(connection: Connection, every: Any, name: str, limit: int) -> Sequence[Any]:
    """The things called `name`; without a version, those of the newest version, or all where they are of several kinds.

    Where statements correct one another, the name means the newest.
    """
    later = t.things.alias()
    every = every.where(~exists(select(later.c.ref).where(later.c.amends == t.things.c.ref, later.c.seq < limit)))
    if found := connection.execute(every.where(t.things.c.name == name).limit(9)).all():
        return found
    if "@" in name:
        return []
    found = connection.execute(
        every.where(t.things.c.name.startswith(f"{name}@", autoescape=True)).order_by(t.things.c.seq.desc())
    ).all()
    if len({(row.kind, row.owner, row.name.rpartition("@")[0]) for row in found}) > 1:  # nor is another party's the newest
        return found
    return [row for row in found if row.name == found[0].name]


def _one(text: str, found: Sequence[Any]) -> str:
    if len(found) == 1:
        return str(found[0].ref)
    choices = ", ".join(f"{row.ref} ({row.name})" for row in found[:8])
    by_kind = [f"{row.kind}:{row.name}" for row in found]
    hint = "type the reference instead of the name"
    if len({row.kind for row in found}) == len(found) and all(row.name for row in found):
        hint = f"type {' or '.join(by_kind)}"
    raise InvalidInput(f"{text!r} fits several things: expected one of {choices}", hint=hint)


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)
