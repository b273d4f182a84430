"""All routes of the API."""

from litestar.types import ControllerRouterHandler

from inbond.api.routes import batches, collections, health, imports, keys, ledger, objects, questions, shards, terms, things


def routes(*, public_entries: bool = False) -> list[ControllerRouterHandler]:
    """Every route, to be registered together: Litestar loses those that come to a path later."""
    return [
        *health.ROUTES,
        *ledger.routes(public_entries=public_entries),
        *keys.ROUTES,
        *things.ROUTES,
        *collections.routes(),
        *batches.ROUTES,
        *questions.routes(),
        *terms.ROUTES,
        *imports.ROUTES,
        *shards.ROUTES,
        *objects.ROUTES,
    ]
