"""Names and references: what a name means, and what is known of a reference."""

from typing import Annotated, Final

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from inbond.api.auth import ANYONE_KNOWN
from inbond.api.routes.declared import REF, TEXT, AsOf, each, told
from inbond.api.served import Served, answer
from inbond.api.tokens import Principal
from inbond.registry.place import Thing
from inbond.schemas.errors import InvalidInput
from inbond.schemas.kinds import KINDS
from inbond.schemas.scalars import Ref

MOST: Final = 100
_KIND: Final = "^[a-z_]{1,32}$"

Kind = Annotated[str, Meta(pattern=_KIND)]

Name = Annotated[
    str, QueryParameter(pattern=TEXT, max_length=600, description="What people type: a name, a reference, a digest.")
]
Kinds = Annotated[
    list[Kind] | None,
    QueryParameter(
        name="kind", max_items=30, description="The kinds that are meant; any unless given.", schema_extra=each(_KIND)
    ),
]
Refs = Annotated[
    list[Ref],
    QueryParameter(name="ref", min_items=1, max_items=MOST, description="References, at most 100.", schema_extra=each(REF)),
]


class Resolved(msgspec.Struct):
    """What a name means."""

    ref: str


class Things(msgspec.Struct):
    """What is known of those references that are on record and may be seen."""

    things: list[Thing]


@get("/v1/resolve", sync_to_thread=True, **told("resolve", ANYONE_KNOWN, tags=("things",)))
def resolve(
    served: NamedDependency[Served],
    who: NamedDependency[Principal | None],
    name: Name,
    kinds: Kinds = None,
    as_of: AsOf = None,
) -> Response[Resolved]:
    """The reference that a name means; 400 where it fits several, 404 where it fits nothing that may be seen."""
    wanted = tuple(dict.fromkeys(kinds or ()))
    if strange := sorted(set(wanted) - set(KINDS)):
        raise InvalidInput(f"kind: expected kinds of statements ({', '.join(KINDS)}), found {strange[0][:40]!r}")
    return answer(Resolved(served.meant(who, name, *wanted, size=as_of)))


@get("/v1/things", sync_to_thread=True, **told("get_things", ANYONE_KNOWN, tags=("things",)))
def things(served: NamedDependency[Served], who: NamedDependency[Principal | None], refs: Refs) -> Response[Things]:
    """What is known of references; those that are not on record, or may not be seen, are left out."""
    found = served.place.things(refs)
    shown = served.visible(who, found.values())
    return answer(Things([thing for ref, thing in found.items() if ref in shown]))


ROUTES: tuple[ControllerRouterHandler, ...] = (resolve, things)
