"""What people type, as a reference: a name, a reference or the beginning of its id, a digest, a file."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Connection, exists, select

from inbond.registry import tables as t
from inbond.registry.current import FIXED, first_of, newest_of
from inbond.schemas.errors import InvalidInput, NotFound
from inbond.schemas.kinds import KINDS

MIN_PREFIX = 6
_COMPARED = 2000
_EVER = 2**62
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
    which says what came later or is called much the same, or InvalidInput listing the choices where several fit.

    A name is what a thing is called now, where it was corrected; the reference is that of the statement that made it.
    """
    if found := _fitting(connection, text, kinds, _EVER if size is None else size):
        firsts = first_of(connection, [row.ref for row in found if row.kind in FIXED])
        things = {firsts.get(row.ref, row.ref): row for row in found}
        ref = _one(text, list(things.values()))
        return firsts.get(ref, ref)
    what = " or ".join(kinds) or "thing"
    came = _came(connection, text, kinds) if size is not None else None
    if came is not None:
        raise NotFound(f"{text} is not on record at size {size}: it came with entry {came}", hint=f"--as-of {came + 1}")
    alike = _alike(connection, text, kinds, _EVER if size is None else size)
    meant = f"; did you mean {' or '.join(alike)}?" if alike else ""
    raise NotFound(
        f"no {what} is called {text!r}{meant}",
        hint=_ADD.get(kinds[0]) if kinds else "inbond dataset list, student list, teacher list",
    )


def _fitting(connection: Connection, text: str, kinds: Sequence[str], limit: int) -> Sequence[Any]:
    """The things before entry `limit` that `text` may mean; none, or several, where it does not say which."""
    c = t.things.c
    every = select(c.ref, c.kind, c.name, c.seq, c.owner).where(c.seq < limit)
    if kinds:
        every = every.where(t.things.c.kind.in_(kinds))
    kind, colon, rest = text.partition(":")
    if colon and kind in KINDS:
        may_be_id = len(rest) >= MIN_PREFIX and _is_hex(rest) and kind in (kinds or KINDS)
        if may_be_id and (found := _identified(connection, kind, rest, limit)):
            return found
        if named := _named(connection, every.where(t.things.c.kind == kind), rest, limit):
            return named
    bare = text.removeprefix("sha256:")
    by_digest = every.where(t.things.c.digest == f"sha256:{bare}").order_by(t.things.c.seq)
    if len(bare) == 64 and _is_hex(bare) and (found := connection.execute(by_digest.limit(9)).all()):
        return found
    if named := _named(connection, every, text, limit):
        return named
    if MIN_PREFIX <= len(text) <= 32 and _is_hex(text):
        return [row for kind in kinds or KINDS for row in _identified(connection, kind, text, limit)]
    return []


def _came(connection: Connection, text: str, kinds: Sequence[str]) -> int | None:
    """The entry with which the first thing that `text` means came on record; None where there is none."""
    seq, limit = None, _EVER
    while found := _fitting(connection, text, kinds, limit):
        seq = limit = min(int(row.seq) for row in found)
    return seq


def _alike(connection: Connection, text: str, kinds: Sequence[str], limit: int) -> list[str]:
    """At most three names, among the newest, that look like `text`."""
    kind, colon, rest = text.partition(":")
    wanted, kinds = (rest, (kind,)) if colon and kind in KINDS else (text, kinds)
    c = t.things.c
    query = select(c.name).where(c.name.is_not(None), c.seq < limit).order_by(c.seq.desc())
    if kinds:
        query = query.where(c.kind.in_(kinds))
    names = connection.execute(query.limit(_COMPARED)).scalars()
    by_form: dict[str, str] = {}
    for name in names:  # without a version too, as people type it: the newest stands for the others
        by_form.setdefault(name.lower(), name)
        if "@" not in wanted:
            by_form.setdefault(name.rpartition("@")[0].lower(), name)
    close = get_close_matches(wanted.lower(), [form for form in by_form if form], n=6)
    return list(dict.fromkeys(by_form[form] for form in close))[:3]


def name_of(connection: Connection, ref: str) -> str:
    """What people call a thing, its reference where it has no name."""
    return names_of(connection, [ref])[ref]


def names_of(connection: Connection, refs: Iterable[str | None], size: int | None = None) -> dict[str, str]:
    """What people call each reference as of `size` entries, itself where it has no name; corrected names count."""
    wanted = sorted({ref for ref in refs if ref})
    newest = newest_of(connection, wanted, size)
    listed, named = sorted(set(newest.values())), dict[str, str]()
    for start in range(0, len(listed), 500):
        query = select(t.things.c.ref, t.things.c.name).where(t.things.c.ref.in_(listed[start : start + 500]))
        named.update({row.ref: row.name for row in connection.execute(query) if row.name})
    return {ref: named.get(newest[ref], ref) for ref in wanted}


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
    found = connection.execute(every.where(starting(t.things.c.name, f"{name}@")).order_by(t.things.c.seq.desc())).all()
    if len({(row.kind, row.owner, row.name.rpartition("@")[0]) for row in found}) > 1:  # nor is another party's the newest
        return found
    return [row for row in found if row.name == found[0].name]


def _identified(connection: Connection, kind: str, id: str, limit: int) -> Sequence[Any]:
    """The things of a kind whose id begins with `id`: found by the index of references alone."""
    c = t.things.c
    fits = c.ref == f"{kind}:{id}" if len(id) == 32 else starting(c.ref, f"{kind}:{id}")
    return connection.execute(select(c.ref, c.kind, c.name, c.seq, c.owner).where(fits, c.seq < limit).limit(9)).all()


def starting(column: Any, text: str) -> Any:
    """Whether a column begins with `text`, as a range that its index can be asked for."""
    return (column >= text) & (column < text[:-1] + chr(ord(text[-1]) + 1))


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
