"""The keys of the log: public, because everything else is checked by them."""

from typing import Annotated

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import PathParameter
from litestar.types import ControllerRouterHandler

from inbond.api.auth import PUBLIC
from inbond.api.routes.declared import told
from inbond.api.served import Served, answer
from inbond.registry.listing import ListedKey
from inbond.schemas.errors import NotFound

Fingerprint = Annotated[str, PathParameter(pattern="^[0-9a-f]{64}$", description="The SHA-256 of the raw public key.")]


@get("/v1/keys/{fingerprint:str}", sync_to_thread=True, **told("get_key", PUBLIC, tags=("keys",)))
def key(served: NamedDependency[Served], fingerprint: Fingerprint) -> Response[ListedKey]:
    """A key, and every entry that is about it."""
    found = served.place.page(ListedKey, fingerprint=fingerprint).items
    if not found:
        raise NotFound(f"no key has the fingerprint {fingerprint}", hint="GET /v1/keys lists all keys")
    return answer(found[0])


ROUTES: tuple[ControllerRouterHandler, ...] = (key,)
