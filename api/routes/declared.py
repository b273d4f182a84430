"""How routes declare themselves: parameters with the form that they must have, and the problems that they may answer with."""

from typing import Annotated, Any, Final

from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import PathParameter, QueryParameter

from inbond.api.auth import Access
from inbond.api.openapi import SECURITY
from inbond.api.problems import (
    MethodNotAllowed,
    TooLarge,
    TooSlow,
    WrongMediaType,
    documented,
)
from inbond.schemas.errors import (
    Conflict,
    InbondError,
    InvalidInput,
    NotFound,
    NotPermitted,
    PolicyDenied,
    StoreError,
    Unauthenticated,
    VerificationError,
)

HEX_32: Final = "^[0-9a-f]{32}$"
REF: Final = "^[a-z][a-z_]{0,31}:[0-9a-f]{32}$"
_MOMENT: Final = "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z)?$"
TEXT: Final = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"
"""Text without control characters."""

_MOST: Final = 2**53 - 1

Id = Annotated[str, PathParameter(pattern=HEX_32, description="The id in the statement's header.")]
Seq = Annotated[str, PathParameter(pattern="^(?:0|[1-9][0-9]{0,15})$", description="The place of an entry in the log.")]
AsOf = Annotated[
    int | None, QueryParameter(ge=1, le=_MOST, description="The tree size that the answer is about; the newest unless given.")
]
SomeRef = Annotated[str, QueryParameter(pattern=REF, description="A reference, <kind>:<32 hex digits>.")]
MaybeRef = Annotated[str | None, QueryParameter(pattern=REF, description="A reference, <kind>:<32 hex digits>.")]
Moment = Annotated[str | None, QueryParameter(pattern=_MOMENT, description="A day, or an instant in UTC with milliseconds.")]

_ALWAYS: Final[tuple[type[InbondError], ...]] = (InvalidInput, NotFound, MethodNotAllowed, StoreError, InbondError)
_KNOWN: Final[tuple[type[InbondError], ...]] = (Unauthenticated, NotPermitted)
_BODY: Final[tuple[type[InbondError], ...]] = (TooSlow, TooLarge, WrongMediaType)
WRITING: Final[tuple[type[InbondError], ...]] = (VerificationError, PolicyDenied, Conflict)


def told(
    operation: str, access: Access, *more: type[InbondError], tags: tuple[str, ...], body: bool = False, **others: Any
) -> dict[str, Any]:
    """What a handler's decorator is told: its operation id, rule, tags and problems."""
    kinds = dict.fromkeys([*_ALWAYS, *_KNOWN, *(_BODY if body else ()), *more])
    required: list[dict[str, list[str]]] = [{SECURITY: []}] if access.roles is not None else [{}, {SECURITY: []}]
    who = "Anybody." if access.roles is None else f"A token of one of: {', '.join(sorted(access.roles))}."
    return {
        "operation_id": operation,
        "summary": operation.replace("_", " ").capitalize(),
        "response_description": f"What was asked for. Who may ask: {who}",
        "opt": access.opt,
        "tags": list(tags),
        "security": required,
        "responses": documented(kinds) | others.pop("responses", {}),
        **others,
    }


def each(pattern: str) -> dict[str, Any]:
    """That every item of a list has a form, which Litestar checks but does not say."""
    return {"items": Schema(type=OpenAPIType.STRING, pattern=pattern)}


def also(status: int, content: Any, description: str, media_type: str = "application/json") -> dict[int, ResponseSpec]:
    """Another answer that is no problem."""
    return {status: ResponseSpec(content, description=description, media_type=media_type, generate_examples=False)}
