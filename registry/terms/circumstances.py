"""How a shard's outputs came to be, as far as terms ask: shards that were made alike say the same.

The catalogue keeps this beside each statement about a shard, as canonical JSON, so that ten thousand shards are asked about
by what differs among them.
"""

import msgspec
from msgspec import UnsetType

from inbond.schemas.canonical import bytes_of
from inbond.schemas.statements import CreatedBy, Shard


class Circumstances(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Models with at least one row (teacher, role); when, by whom and on which route, under which acceptances.

    `bound` is the party that made the outputs, None where it is not known; `bought`: it sold them. None of `acceptances`:
    not known.
    """

    models: tuple[tuple[str, str], ...]
    generated: tuple[str, str] | None = None
    bound: str | None = None
    bought: bool = False
    route: tuple[str, ...] = ()
    acceptances: tuple[str, ...] | None = None


def circumstances_of(owner: str, body: Shard) -> str:
    """What a statement of `owner` about a shard says of its making."""
    stated = body.generated.known
    by = body.created_by.value_or(CreatedBy.UNKNOWN)
    supplier = body.supplier.value_or("") or None
    found = Circumstances(
        models=tuple(sorted({(each.teacher, each.role.value) for each in body.models if each.rows.value_or(1)})),
        generated=None if isinstance(stated, UnsetType) else (stated.first, stated.last),
        bound=owner if by is CreatedBy.OPERATOR else supplier if by in (CreatedBy.CONTRACTOR, CreatedBy.THIRD_PARTY) else None,
        bought=by is CreatedBy.THIRD_PARTY,
        route=tuple(body.route.value_or(())),
        acceptances=tuple(sorted(body.acceptances.value_or(()))) if body.acceptances.is_known else None,
    )
    return bytes_of(found).decode()


def read(text: str) -> Circumstances:
    """What `circumstances_of` wrote."""
    return msgspec.json.decode(text, type=Circumstances)
