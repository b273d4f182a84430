"""Whether the server lives, whether it can work, what it serves, and its OpenAPI document."""

from time import monotonic
from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import State as AppState
from litestar.di import NamedDependency
from litestar.types import ControllerRouterHandler

from inbond.api.auth import PUBLIC, only
from inbond.api.metrics import MEDIA_TYPE
from inbond.api.openapi import document
from inbond.api.routes.declared import told
from inbond.api.served import Served, answer, as_text
from inbond.api.state import State, state_of
from inbond.api.tokens import MONITOR
from inbond.schemas.errors import InbondError, StoreError

_BELIEVED: Final = 1.0


class Health(msgspec.Struct):
    """The server can do what it is for."""

    status: str


class RegistryFacts(msgspec.Struct):
    """Which registry this is: what a client pins, and its newest size. `policy` is a C2SP tlog-policy."""

    origin: str
    genesis: str
    operator: str
    policy: str
    tree_size: int


@get("/health/live", sync_to_thread=False, **told("live", PUBLIC, tags=("server",)))
def live() -> Response[Health]:
    """Whether the process answers."""
    return answer(Health("ok"))


@get("/health/ready", sync_to_thread=True, **told("ready", PUBLIC, tags=("server",)))
def ready(served: NamedDependency[Served], request: Request[Any, Any, AppState]) -> Response[State]:
    """Whether the registry can be read and written: its database, its store, its log key, and the newest checkpoint.

    With how it stands: sizes, the age of the newest head, witnesses. What was found is believed for a second. A 503 says that it
    cannot work; the server's log says why. An old head or a lagging witness does not keep it from its work.
    """
    checked: tuple[float, State] | None = request.app.state.get("ready")
    if checked is None or monotonic() - checked[0] > _BELIEVED:
        try:
            _check(served)
            checked = monotonic(), state_of(served.place, served.witnessing)
        except InbondError as error:
            raise StoreError(error.message) from error
        request.app.state["ready"] = checked
    return answer(checked[1])


@get(
    "/metrics",
    sync_to_thread=True,
    media_type="text/plain",
    **told("get_metrics", only(MONITOR), tags=("server",)),
)
def metrics(served: NamedDependency[Served]) -> Response[str]:
    """What the server measures of itself, as Prometheus reads it (text format 0.0.4)."""
    made = as_text(served.metrics.text(state_of(served.place, served.witnessing)), cache="no-store")
    made.media_type = MEDIA_TYPE
    return made


@get("/v1/registry", sync_to_thread=True, **told("get_registry", PUBLIC, tags=("server",)))
def facts(served: NamedDependency[Served]) -> Response[RegistryFacts]:
    """Which registry this is."""
    place = served.place
    with place.reading() as reader:
        size = reader.size
    return answer(RegistryFacts(place.origin, place.genesis.hex(), place.operator, place.policy_text, size))


@get("/v1/schema/openapi.json", sync_to_thread=True, **told("get_openapi", PUBLIC, tags=("server",)))
def openapi(request: Request[Any, Any, AppState]) -> Response[dict[str, Any]]:
    """The API as an OpenAPI 3.1 document."""
    made: Response[dict[str, Any]] | None = request.app.state.get("openapi")
    if made is None:
        made = request.app.state["openapi"] = answer(document(request.app))
    return made


def _check(served: Served) -> None:
    place = served.place
    place.log.append([])  # takes the locks of a write, and compares the checkpoint outside; writes nothing
    with place.reading() as reader:
        head = place.log.keyring_at(reader).log.open(reader.note, place.origin)
        if head.size != reader.size:
            raise StoreError(f"expected a checkpoint of size {reader.size}, found one of size {head.size}")
    with place.store.scratch() as file:
        file.write(b"ready")
        file.flush()  # a full disk says so here


ROUTES: tuple[ControllerRouterHandler, ...] = (live, ready, metrics, facts, openapi)
