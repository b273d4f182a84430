"""The API as an OpenAPI 3.1 document: what Litestar makes of the routes, with every problem described once."""

from typing import Any, Final

import msgspec
from litestar import Litestar, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.routes import BaseRoute
from litestar.types import ControllerRouterHandler

from inbond import __version__
from inbond.api.bodies import Batch, Delivering, Publishing, Releasing
from inbond.schemas.entry import Envelope

SECURITY: Final = "token"
"""What the document calls our tokens."""

_TAGS: Final = {
    "server": "Whether it works, and which registry it serves.",
    "ledger": "The log in C2SP form: checkpoints, tiles, receipts, proofs. All of it that is not somebody's is for everybody.",
    "things": "Names and references.",
    "lineage": "What came from what, as far as the ledger says.",
    "gate": "What the gate says.",
    "imports": "What an import asks before it goes on.",
    "objects": "Lists and texts that statements name by digest.",
}
_ABOUT: Final = """Statements are signed by whoever makes them; the server puts them on record and never holds their keys.
`POST` takes DSSE envelopes and answers with receipts that prove offline what was put on record. Answers to questions name the
tree size that they are about. References are `<kind>:<32 hex digits>`, times RFC 3339 in UTC. Problems are RFC 9457, and their
`type` never changes. A list goes on with `after`, the `next` of the page before. Parameters that a route does not know are an
error, and so is one that is given twice."""


def config() -> OpenAPIConfig:
    """What Litestar needs to make the document; our own route hands it out."""
    token = SecurityScheme(type="http", scheme="bearer", bearer_format="inb_<8 hex>_<43 base62>", description="inbond token add")
    return OpenAPIConfig(
        title="inbond",
        version=__version__,
        summary="A registry of what teacher models said, with a ledger of who learned from it.",
        description=_ABOUT,
        components=Components(security_schemes={SECURITY: token}),
        tags=[Tag(name=name, description=text) for name, text in _TAGS.items()],
        use_handler_docstrings=True,
        openapi_router=_NoPages(path="/v1/schema", route_handlers=[]),
    )


def document(app: Litestar) -> dict[str, Any]:
    """The document."""
    made = app.openapi_schema.to_schema()
    shared: dict[str, Any] = {}
    names: dict[bytes, str] = {}
    for item in made["paths"].values():
        for operation in item.values():
            for status, response in operation.get("responses", {}).items():
                if int(status) >= 400:
                    operation["responses"][status] = _shared(response, shared, names)
    made["components"]["responses"] = dict(sorted(shared.items()))
    made["components"]["schemas"] |= _bodies()
    return made


def _bodies() -> dict[str, Any]:
    """What is posted, as msgspec reads it: other members than those are refused, which Litestar does not say."""
    posted = [Envelope, Batch, Delivering, Publishing, Releasing]
    _, found = msgspec.json.schema_components(posted, ref_template="#/components/schemas/{name}")
    return dict(found)


def _shared(response: Any, shared: dict[str, Any], names: dict[bytes, str]) -> dict[str, str]:
    """A reference to a response that many operations have, which is kept under the names of its examples."""
    for media in response["content"].values():
        for example in media["examples"].values():
            example.pop("id", None)  # Litestar's own, not OpenAPI's
    key = msgspec.json.encode(response)
    if key not in names:
        examples = [name for media in response["content"].values() for name in media["examples"]]
        names[key] = "Or".join(examples)
        shared[names[key]] = response
    return {"$ref": f"#/components/responses/{names[key]}"}


class _NoPages(Router):
    """Where Litestar would put pages beside the document, without rules of ours: nowhere."""

    def register(self, value: ControllerRouterHandler) -> list[BaseRoute]:
        """Take nothing."""
        return []
