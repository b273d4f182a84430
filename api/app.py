"""The HTTP server as one ASGI app: routes, who may call them, how errors are told, and what stands round all of it.

`create_app` is the whole composition; importing this makes nothing. From outside to inside a request meets: `Edge` (id, log,
path, HEAD, patience), `Tagging` (ETags, 304), Litestar's router, `Authentication` (who), `guard` (may they), the route.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from litestar import Litestar, Request, Response, Router
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.types import ControllerRouterHandler

from inbond.api import openapi, problems
from inbond.api.appending import Appender
from inbond.api.auth import Authentication, Authenticator, check_rules, guard
from inbond.api.bodies import ApiRequest
from inbond.api.conditional import Tagging
from inbond.api.edge import Edge, seen_of
from inbond.api.logs import RequestLog
from inbond.api.metrics import Metrics
from inbond.api.routes import every
from inbond.api.served import Served
from inbond.api.settings import Settings
from inbond.api.tokens import Principal, TokenStore
from inbond.ledger.highwater import state_folder
from inbond.ledger.witnessing import Witnessing
from inbond.registry.fetching import Objects
from inbond.registry.permits import Permits
from inbond.registry.registry import Registry


def create_app(
    registry: Registry,
    *,
    settings: Settings | None = None,
    log: RequestLog | None = None,
    more: Sequence[ControllerRouterHandler] = (),
) -> Litestar:
    """The app that serves `registry`, a folder. `more` are routes beside the API's, each with its rule.

    Raises TypeError for a route without a rule who may call it, and InvalidInput for a policy.txt that cannot be read: a
    server that forgot its witnesses would promise what it does not keep.
    """
    place, limits, lines = registry.local, settings or Settings(), log or RequestLog()
    private = _private(place.folder, state_folder())
    metrics = Metrics()
    served = Served(
        place=place,
        settings=limits,
        appender=Appender(place.log, limits.max_waiting, metrics.batch),
        objects=Objects(place.store),
        permits=Permits(),
        witnessing=Witnessing(place.log, place.published.policy.witnesses, place.folder, every=limits.witness_every),
        metrics=metrics,
        private=private,
    )

    def tell(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        """The answer to an error of any kind."""
        told, seen = problems.explained(error), seen_of(request.scope)
        if told.status >= 500:
            lines.failure(seen, error)
        return Response(
            problems.body_of(told, seen.id, private),
            status_code=told.status,
            media_type=problems.MEDIA_TYPE,
            headers=problems.headers_of(told) | _allowed(error),
        )

    app = Litestar(
        route_handlers=[Router(path="/", route_handlers=[*every.routes(public_entries=limits.public_entries), *more])],
        guards=[guard],
        middleware=[Authentication(Authenticator(TokenStore(place.folder), limits.token_wait))],
        exception_handlers={Exception: tell},
        dependencies={
            "served": Provide(lambda: served, sync_to_thread=False),
            "who": Provide(_who, sync_to_thread=False),
        },
        lifespan=[_lifespan(served)],
        request_class=ApiRequest,
        request_max_body_size=limits.max_body,
        openapi_config=openapi.config(),
        logging_config=None,
        state=State({"served": served}),
    )
    check_rules(app)
    app.asgi_handler = Edge(Tagging(app.asgi_handler), lines, limits.body_wait, private, metrics.request)
    return app


def _who(request: Request[Principal | None, Any, Any], served: NamedDependency[Served]) -> Principal | None:
    """Who asks.

    It takes `served` to come after it: for what may come side by side Litestar makes tasks, a tenth of the cost of a request.
    """
    return request.user


def _lifespan(served: Served) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    """Threads, appender and the asking of witnesses live as long as the app is served; what was taken is on record at its end."""

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        with ThreadPoolExecutor(served.settings.threads, "inbond-answer") as threads:
            asyncio.get_running_loop().set_default_executor(threads)
            served.appender.start()
            served.witnessing.start()
            try:
                yield
            finally:
                await served.appender.close()
                await asyncio.to_thread(served.witnessing.stop)

    return running


def _private(*folders: Path) -> tuple[str, ...]:
    """The ways to write folders that no answer names; the longest first."""
    written = {str(way) for folder in folders for way in (folder, folder.absolute(), folder.resolve())}
    return tuple(sorted((way for way in written if len(way) > 1), key=len, reverse=True))


def _allowed(error: Exception) -> dict[str, str]:
    """The methods that a route has, where another was asked for."""
    found = getattr(error, "headers", None) or {}
    return {"allow": found["allow"]} if "allow" in found else {}
