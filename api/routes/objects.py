"""Objects of the store: put before a statement names them, and got by whoever may see a statement that does."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, put
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import PathParameter
from litestar.types import ControllerRouterHandler

from inbond.api.auth import ANYONE_KNOWN, only
from inbond.api.bodies import keep
from inbond.api.conditional import IMMUTABLE
from inbond.api.files import FileResponse
from inbond.api.problems import RangeNotSatisfiable, TooLarge, TooSlow
from inbond.api.routes.declared import SomeRef, also, told
from inbond.api.served import Served, answer
from inbond.api.tokens import Principal
from inbond.registry.objects import bare
from inbond.schemas.errors import NotFound, NotPermitted, VerificationError
from inbond.schemas.scalars import Role

_OCTETS = "application/octet-stream"
_PUTTING = only(Role.PRODUCER, Role.TRAINER, Role.COMPLIANCE, Role.ADMIN)

Digest = Annotated[str, PathParameter(pattern="^(?:sha256:)?[0-9a-f]{64}$", description="The SHA-256 of the bytes.")]


@dataclass
class _Upload(Operation):
    """An operation that takes bytes."""

    def __post_init__(self) -> None:
        """Say so."""
        content = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY))
        self.request_body = RequestBody(content={_OCTETS: content}, required=True)


class Kept(msgspec.Struct):
    """Bytes that are in the store, durably."""

    digest: str
    size: int


@put(
    "/v1/objects/{digest:str}",
    status_code=201,
    request_max_body_size=None,
    operation_class=_Upload,
    **told(
        "put_object",
        _PUTTING,
        VerificationError,
        TooLarge,
        TooSlow,
        tags=("objects",),
        responses=also(200, Kept, "It was there already."),
    ),
)
async def keep_object(request: Request[Any, Any, State], served: NamedDependency[Served], digest: Digest) -> Response[Kept]:
    """Keep bytes under their digest; 200 where they are there already, 422 where they have another digest."""
    size, new = await keep(request, served.place.store, digest, served.settings.max_upload)
    made = answer(Kept(bare(digest), size))
    made.status_code, made.headers["cache-control"] = (201 if new else 200), "no-store"
    return made


@get(
    "/v1/objects/{digest:str}",
    sync_to_thread=True,
    media_type=_OCTETS,
    **told(
        "get_object",
        ANYONE_KNOWN,
        RangeNotSatisfiable,
        VerificationError,
        tags=("objects",),
        responses=also(206, bytes, "The range that was asked for.", _OCTETS),
    ),
)
def get_object(
    served: NamedDependency[Served], who: NamedDependency[Principal | None], digest: Digest, of: SomeRef
) -> FileResponse:
    """The bytes of an object that the statement `of` names: its lists, and texts that are for those who may see it.

    Salted texts are for the party that made the statement, compliance and auditors. A shard's file is not got here.
    """
    thing, wanted = served.thing(who, of), bare(digest)
    found = served.place.statement(thing.ref)
    with served.place.reading() as reader:
        for_all = served.objects.is_for_all(reader.connection, wanted, found)
    if not for_all and (who is None or not (who.party == thing.owner or who.roles & {Role.COMPLIANCE, Role.AUDITOR})):
        raise NotPermitted(f"sha256:{wanted} is for the party of {of}, compliance and auditors")
    if not served.place.store.has(wanted):
        raise NotFound(f"sha256:{wanted} is not in the store", object=wanted)
    return FileResponse(served.place.store.open(wanted), wanted, cache=f"private, {IMMUTABLE}")


ROUTES: tuple[ControllerRouterHandler, ...] = (keep_object, get_object)
