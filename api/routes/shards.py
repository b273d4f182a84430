"""Bytes of shards, against a grant or a delivery; and the two statements that the registry itself signs."""

import msgspec
from litestar import Response, get, post
from litestar.concurrency import sync_to_thread
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler
from sqlalchemy import Connection, select

from inbond.api.auth import MEMBER, only
from inbond.api.bodies import Delivering
from inbond.api.conditional import IMMUTABLE
from inbond.api.files import FileResponse
from inbond.api.problems import RangeNotSatisfiable
from inbond.api.routes.collections import Posted, posted
from inbond.api.routes.declared import WRITING, Id, MaybeRef, also, told
from inbond.api.served import Served, answer
from inbond.api.tokens import Principal
from inbond.registry import tables as t
from inbond.registry.objects import bare
from inbond.registry.place import Recorded
from inbond.registry.signers import requested
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InvalidInput, NotPermitted, PolicyDenied
from inbond.schemas.scalars import Role

_PARQUET = "application/vnd.apache.parquet"
_OCTETS = "application/octet-stream"
_MAKING = (Role.PRODUCER, Role.COMPLIANCE)


class Delivered(msgspec.Struct):
    """The deliveries that are on record, one for each object."""

    deliveries: list[Posted]


@get("/v1/shards/{id:str}/blocks", sync_to_thread=True, media_type=_OCTETS, **told("get_shard_blocks", MEMBER, tags=("shards",)))
def blocks(served: NamedDependency[Served], who: NamedDependency[Principal | None], id: Id) -> Response[bytes]:
    """The hashes of a shard's 64 KiB blocks, joined: their RFC 6962 root is in its statement."""
    ref = served.thing(who, f"shard:{id}").ref
    with served.place.reading() as reader:
        digest = _file_of(reader.connection, ref)
    data = served.place.store.get_blocks(digest)
    return Response(data, media_type=_OCTETS, headers={"cache-control": f"private, {IMMUTABLE}"})


@get(
    "/v1/shards/{id:str}/content",
    sync_to_thread=True,
    media_type=_PARQUET,
    **told(
        "get_shard_content",
        MEMBER,
        PolicyDenied,
        RangeNotSatisfiable,
        tags=("shards",),
        responses=also(206, bytes, "The range that was asked for.", _PARQUET),
    ),
)
def content(
    served: NamedDependency[Served],
    who: NamedDependency[Principal | None],
    id: Id,
    grant: MaybeRef = None,
    delivery: MaybeRef = None,
) -> FileResponse:
    """A shard's file, whole or one range of it, under a grant or a delivery to the party that asks.

    Several ranges at once are ignored, and the whole is sent. 403 where the grant has expired, its run is closed, it does
    not cover the shard, or rows of it are withdrawn.
    """
    under = grant or delivery
    if under is None or (grant is not None and delivery is not None):
        raise InvalidInput("expected a grant or a delivery, found neither or both", hint="?grant=REF or ?delivery=REF")
    if under.partition(":")[0] != ("grant" if grant else "delivery"):
        raise InvalidInput(f"{'grant' if grant else 'delivery'}: expected a reference of that kind, found {under}")
    ref = served.thing(who, f"shard:{id}").ref
    with served.place.reading() as reader:
        served.permits.check(reader, ref, under, "" if who is None else who.party)
        digest = _file_of(reader.connection, ref)
    return FileResponse(served.place.store.open(digest), digest, cache="private, no-cache")


@post(
    "/v1/grants",
    **told(
        "post_grant_request",
        only(Role.TRAINER),
        *WRITING,
        tags=("grants",),
        body=True,
        responses=also(200, Posted, "It was granted already."),
    ),
)
async def ask_grant(
    served: NamedDependency[Served], who: NamedDependency[Principal | None], data: JSONBody[Envelope]
) -> Response[Posted]:
    """Ask for a grant with a request signed by a run's key: a DSSE envelope of application/vnd.inbond.request+json.

    The gate is asked; where it is shut the answer is 403 with what would settle it. The same request again gets the same grant.
    """

    def grant() -> Response[Posted]:
        run = requested(data).run
        owner = served.thing(who, run).owner
        if who is None or who.party != owner:
            raise NotPermitted(f"{run} is of {owner}: expected a token of that party")
        [placed] = served.placed([served.place.grant(data)])
        return posted(placed.ref, placed.seq, placed.receipt, new=not placed.duplicate)

    return await sync_to_thread(grant)


@post(
    "/v1/deliveries",
    **told(
        "post_delivery",
        only(Role.TRAINER, *_MAKING),
        *WRITING,
        tags=("deliveries",),
        body=True,
        responses=also(200, Delivered, "All of it was on record already."),
    ),
)
async def deliver(
    served: NamedDependency[Served], who: NamedDependency[Principal | None], data: JSONBody[Delivering]
) -> Response[Delivered]:
    """Have deliveries put on record, after which the bytes may be fetched.

    Of all that a grant for files covers, for a trainer of the party that it was given to; or of one dataset version or shard,
    for a producer or compliance of the party that made it.
    """

    def record() -> Response[Delivered]:
        placed = served.placed(_deliver(served, who, data))
        made = answer(Delivered([Posted(item.ref, item.seq, item.receipt.decode()) for item in placed]))
        made.status_code = 200 if all(item.duplicate for item in placed) else 201
        made.headers["cache-control"] = "no-store"
        return made

    return await sync_to_thread(record)


def _deliver(served: Served, who: Principal | None, wanted: Delivering) -> list[Recorded]:
    if who is None or (wanted.grant is None) == (wanted.object is None) or (wanted.grant and (wanted.recipient or wanted.extent)):
        raise InvalidInput("expected either a grant, or an object with its recipient and extent, found neither or both")
    if wanted.grant is not None:
        owner = served.place.things([wanted.grant])
        if not owner or wanted.grant.partition(":")[0] != "grant":
            raise InvalidInput(f"expected a grant that is on record, found {wanted.grant}")
        principal = served.place.statement(wanted.grant).body.principal
        _expect(who, principal, wanted.grant, Role.TRAINER)
        return served.place.deliver(grant=wanted.grant)
    object = served.thing(who, str(wanted.object))
    _expect(who, object.owner, object.ref, *_MAKING)
    return served.place.deliver(object=object.ref, recipient=wanted.recipient, extent=wanted.extent)


def _expect(who: Principal, party: str, ref: str, *roles: Role) -> None:
    if who.party != party or not who.roles & set(map(str, roles)):
        raise NotPermitted(f"{ref} is of {party}: expected a token of that party in the role {' or '.join(roles)}")


def _file_of(connection: Connection, shard: str) -> str:
    """The bare digest of a shard's file, as the catalogue has it: whoever gets the bytes compares them with the statement."""
    return bare(connection.execute(select(t.shards.c.file).where(t.shards.c.ref == shard)).scalar_one())


ROUTES: tuple[ControllerRouterHandler, ...] = (blocks, content, ask_grant, deliver)
