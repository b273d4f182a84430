"""What is known of a thing now: its first statement names it for ever, its newest one says what is known.

A thing is known by the statement that made it, its *first*; other statements refer to that one alone, whatever is
corrected later (admission holds this for the kinds of `FIXED`). A statement that corrects it, or declares what was not
known, is of the same kind, repeats the rest, and names in its header the newest one before it (`amends`). So facts are
those of the newest statement, and everything else about the thing (rows of a shard, runs of a student, rulings) is found
under the first. `first_of` and `newest` lead from any statement about a thing to these two.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, select

from inbond.registry import tables as t
from inbond.schemas import canonical
from inbond.schemas.declared import unknown
from inbond.schemas.errors import NotFound
from inbond.schemas.kinds import KINDS
from inbond.schemas.statements import Genesis, Party, Shard

MEASURED = Shard.__struct_fields__[: Shard.__struct_fields__.index("models")]
"""The fields of a shard that were measured; the others were declared."""

FIXED: Mapping[str, tuple[str, ...]] = {
    "party": (),
    "operator": ("party",),
    "terms": ("party", "title", "version", "text"),
    "terms_fact": ("terms", "clause"),
    "acceptance": ("terms", "party", "means"),
    "teacher": (),
    "source": (),
    "shard": MEASURED,
    "student": ("id", "version"),
    "release": ("student", "weights", "runs", "merged_from", "released", "policy", "obligations"),
}
"""The kinds of things of which facts can be declared later, with the fields that every statement about one has alike."""

EVER = 2**62
_AT_ONCE = 500


def newest(connection: Connection, ref: str, size: int | None = None) -> tuple[str, Any]:
    """(reference, body) of the newest statement about the thing that `ref` is about, as of `size` entries (all unless given).

    `ref` may be any statement about it. The body is a struct of inbond.schemas.statements; that of the operator's party,
    which genesis made, is a `Party` too. Raises NotFound for a thing that is not on record at that size.
    """
    return newest_bodies(connection, [ref], size)[ref]


def newest_bodies(connection: Connection, refs: Iterable[str], size: int | None = None) -> dict[str, tuple[str, Any]]:
    """`newest` of each of `refs`, in a few queries for all of them."""
    tips = newest_of(connection, refs, size)
    c = t.things.c
    bodies: dict[str, Any] = {}
    for chunk in _chunks(sorted(set(tips.values()))):
        for row in connection.execute(select(c.ref, c.seq, c.body).where(c.ref.in_(chunk), c.seq < _limit(size))):
            bodies[row.ref] = body_of(row.ref, row.seq, bytes(row.body))
    if missing := [ref for ref, tip in tips.items() if tip not in bodies]:
        raise NotFound(f"{missing[0]} is not on record" + ("" if size is None else f" at size {size}"))
    return {ref: (tip, bodies[tip]) for ref, tip in tips.items()}


def newest_of(connection: Connection, refs: Iterable[str], size: int | None = None) -> dict[str, str]:
    """The newest statement about the thing of each of `refs`, itself where nothing corrects it; see `newest`."""
    wanted = list(dict.fromkeys(refs))
    firsts = first_of(connection, wanted)
    ends = {first: first for first in firsts.values()}
    seqs: dict[str, int] = {}
    tips = {first: first for first in ends}  # by a statement that may be corrected: the thing it is about
    c = t.things.c
    while tips:
        later: dict[str, str] = {}
        for chunk in _chunks(sorted(tips)):
            query = select(c.ref, c.amends, c.seq).where(c.amends.in_(chunk), c.seq < _limit(size)).order_by(c.seq)
            for row in connection.execute(query):
                first = tips[row.amends]
                later[row.ref] = first
                if row.seq > seqs.get(first, -1):
                    ends[first], seqs[first] = row.ref, row.seq
        tips = later
    return {ref: ends[firsts[ref]] for ref in wanted}


def first_of(connection: Connection, refs: Iterable[str]) -> dict[str, str]:
    """The statement that made the thing of each of `refs`: itself unless it corrects another."""
    wanted = list(dict.fromkeys(refs))
    found = {ref: ref for ref in wanted}
    waiting = {ref: [ref] for ref in wanted}  # by a statement that may correct another: those that it stands behind
    c = t.things.c
    while waiting:
        earlier: dict[str, list[str]] = {}
        for chunk in _chunks(sorted(waiting)):
            query = select(c.ref, c.amends).where(c.ref.in_(chunk), c.amends.is_not(None))
            for row in connection.execute(query):
                earlier.setdefault(row.amends, []).extend(waiting[row.ref])
        found.update({ref: first for first, refs in earlier.items() for ref in refs})
        waiting = earlier
    return found


def party_of(genesis: Genesis) -> Party:
    """The operator's party as genesis states it."""
    operator = genesis.operator
    return Party(legal_name=operator.legal_name, aliases=(operator.name,), domicile=unknown())


def body_of(ref: str, seq: int, data: bytes) -> Any:
    """The body that entry `seq` gave a thing; entry 0 gives the operator's party. Raises InvalidInput for other bytes."""
    kind = ref.partition(":")[0]
    if kind == "party" and seq == 0:
        return party_of(canonical.decode(data, Genesis, what=ref))
    return canonical.decode(data, _type(kind), what=ref)


@cache
def _type(kind: str) -> Any:
    """The type of a kind's bodies, one or a union of two."""
    one: Any = KINDS[kind].bodies[0]
    for other in KINDS[kind].bodies[1:]:
        one = one | other
    return one


def _limit(size: int | None) -> int:
    return EVER if size is None else size


def _chunks(items: list[str]) -> Iterable[list[str]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))
