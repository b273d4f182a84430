"""Many statements in one request: put on record or refused one by one, in the order in which they stand."""

from typing import Any, Final

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, UnsetType

from inbond.api import problems
from inbond.api.appending import Placed
from inbond.api.auth import Access
from inbond.api.bodies import Batch
from inbond.api.edge import seen_of
from inbond.api.routes.collections import BY_REGISTRY, access_to_post
from inbond.api.routes.declared import told
from inbond.api.served import Served, answer
from inbond.api.tokens import Principal
from inbond.registry.places.paths import COLLECTIONS
from inbond.schemas.errors import InbondError, InvalidInput

_MAX_BODY: Final = 16 << 20

_ACCESS: Final = {kind: access_to_post(kind) for kind in COLLECTIONS if kind not in BY_REGISTRY}
_ANY: Final = Access(frozenset[str]().union(*(access.roles or () for access in _ACCESS.values())))


class Settled(msgspec.Struct, kw_only=True):
    """What became of one statement. `status` is that of the answer which a request of its own would have had.

    201 for a statement that is on record now, 200 for one that was before; else there is a `problem`.
    """

    status: int
    ref: str | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    receipt: str | UnsetType = UNSET
    problem: dict[str, Any] | UnsetType = UNSET


class SettledBatch(msgspec.Struct):
    """What became of each statement, in the order of the request. `receipt` is a C2SP tlog-proof with the entry's bytes."""

    results: list[Settled]


@post(
    "/v1/batches",
    status_code=200,
    request_max_body_size=_MAX_BODY,
    **told("post_batch", _ANY, tags=("things",), body=True),
)
async def append_all(
    served: NamedDependency[Served],
    who: NamedDependency[Principal | None],
    request: Request[Any, Any, Any],
    data: JSONBody[Batch],
) -> Response[SettledBatch]:
    """Put statements of any kinds on record, as many POSTs to their collections would: each is taken or refused on its own.

    They are judged in order, so a statement may refer to one before it. The same batch once more changes nothing.
    """

    def admit(kind: str) -> None:
        access = _ACCESS.get(kind)
        if access is None:
            raise InvalidInput(
                f"expected a statement of a kind that clients sign, found a {kind} statement",
                hint="POST /v1/grants, /v1/deliveries",
            )
        access.check(who)

    id = seen_of(request.scope).id
    placed = await served.appender.append_all(data.statements, admit)
    made = answer(SettledBatch([_settled(each, id, served.private) for each in placed]))
    made.headers["cache-control"] = "no-store"
    return made


def _settled(result: Placed | InbondError, id: str, private: tuple[str, ...]) -> Settled:
    if isinstance(result, InbondError):
        return Settled(status=result.status, problem=problems.problem(result, id, private))
    status = 200 if result.duplicate else 201
    return Settled(status=status, ref=result.ref, seq=result.seq, receipt=result.receipt.decode())


ROUTES: tuple[ControllerRouterHandler, ...] = (append_all,)
