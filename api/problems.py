"""Errors as RFC 9457 problems: one shape for whatever goes wrong, and the same in the OpenAPI document.

Every class of `schemas.errors` owns its type, title and status. What only HTTP knows (a method, a range, a body that is too
long or too slow) stands here, as kinds of invalid input.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException, ValidationException
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example
from msgspec import UNSET, UnsetType

from inbond.schemas import errors
from inbond.schemas.errors import InbondError, InvalidInput, NotFound

MEDIA_TYPE: Final = "application/problem+json"


class MethodNotAllowed(InvalidInput):
    """The route is there, the method is not."""

    type = "urn:inbond:problem:method-not-allowed"
    title = "Method not allowed"
    status = 405


class TooSlow(InvalidInput):
    """The body did not arrive in time."""

    type = "urn:inbond:problem:too-slow"
    title = "Request body too slow"
    status = 408


class TooLarge(InvalidInput):
    """The body is longer than the route takes."""

    type = "urn:inbond:problem:too-large"
    title = "Request body too large"
    status = 413


class WrongMediaType(InvalidInput):
    """The body says that it is something else than the route takes."""

    type = "urn:inbond:problem:wrong-media-type"
    title = "Unsupported media type"
    status = 415


class HeadTooLarge(InvalidInput):
    """The request's line and header fields are longer than is read."""

    type = "urn:inbond:problem:head-too-large"
    title = "Request header fields too large"
    status = 431


class BadFraming(InvalidInput):
    """Where the request's body ends can be read in two ways."""

    type = "urn:inbond:problem:bad-framing"
    title = "Ambiguous length"
    status = 400


class ClientLeft(InvalidInput):
    """The client closed the connection before its body was whole; nobody hears this."""

    type = "urn:inbond:problem:client-left"
    title = "Client left"
    status = 499


class RangeNotSatisfiable(InvalidInput):
    """The range begins beyond the end of the bytes."""

    type = "urn:inbond:problem:range-not-satisfiable"
    title = "Range not satisfiable"
    status = 416


class Problem(msgspec.Struct, kw_only=True):
    """What went wrong. `type` is stable, `detail` says what was expected and what was found, `hint` what to do next.

    `instance` names the request, as the server's log does. Some problems have further members.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    hint: str | UnsetType = UNSET


def problem(error: InbondError, request_id: str, private: Sequence[str] = ()) -> dict[str, Any]:
    """An error as the members of its problem. `private` are names of folders of this machine, which stay here.

    So does what the database or the file system says: the log has it.
    """
    detail, hint = error.message, error.hint
    if isinstance(error, errors.StoreError):
        detail, hint = _STORE, _IN_THE_LOG
    for folder in private:
        detail, hint = detail.replace(folder, "…"), hint and hint.replace(folder, "…")
    own = {
        "type": error.type,
        "title": error.title,
        "status": error.status,
        "detail": detail,
        "instance": f"urn:inbond:request:{request_id}",
    }
    return {**error.members, **own, **({"hint": hint} if hint else {})}


def body_of(error: InbondError, request_id: str, private: Sequence[str] = ()) -> bytes:
    """The problem's bytes."""
    return msgspec.json.encode(problem(error, request_id, private), enc_hook=str)


def headers_of(error: InbondError) -> dict[str, str]:
    """The header fields that belong to a problem."""
    fields = {"content-type": MEDIA_TYPE, "cache-control": "no-store"}
    if isinstance(error, errors.Unauthenticated):
        fields["www-authenticate"] = 'Bearer realm="inbond"'
    if error.status == 503:
        fields["retry-after"] = "1"
    if error.status in (408, 413, 431) or isinstance(error, BadFraming):
        fields["connection"] = "close"  # what is left of the body is not read, or is not known to be one
    if isinstance(error, RangeNotSatisfiable):
        fields["content-range"] = f"bytes */{error.members['size']}"
    return fields


def explained(error: Exception) -> InbondError:
    """Any exception as an error of ours; what nobody expected says no more than that."""
    if isinstance(error, InbondError):
        return error
    if isinstance(error, MethodNotAllowedException):
        return MethodNotAllowed("expected a method that this route has")
    if isinstance(error, NotFoundException):
        return NotFound("no route has this path", hint="GET /v1/schema/openapi.json lists all routes")
    if isinstance(error, ValidationException):
        return InvalidInput(f"expected a request as documented, found {_wrong(error)}")
    if isinstance(error, HTTPException) and error.status_code == 413:
        return TooLarge("expected a shorter body")
    if isinstance(error, HTTPException) and error.status_code < 500:
        return InvalidInput(f"expected a well-formed request: {error.detail}")
    return InbondError("unexpected error", hint=_IN_THE_LOG)


def documented(kinds: Iterable[type[InbondError]]) -> dict[int, ResponseSpec]:
    """The OpenAPI responses for errors of these classes, each with an example; classes of one status share a response."""
    by_status: dict[int, list[type[InbondError]]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    return {
        status: ResponseSpec(
            Problem,
            description="; ".join(f"{kind.title}: {_said(kind)}" for kind in some),
            media_type=MEDIA_TYPE,
            generate_examples=False,
            examples=[_example(kind) for kind in some],
        )
        for status, some in sorted(by_status.items())
    }


_IN_THE_LOG: Final = "its operator finds why in the log"
_STORE: Final = "the registry's store failed, or is in a state in which nothing is written"

_DETAILS: Final[dict[type[InbondError], tuple[str, str | None]]] = {
    InbondError: ("unexpected error", _IN_THE_LOG),
    InvalidInput: ("as_of: expected a size from 1 to 86, found 900", None),
    errors.VerificationError: ("envelope: expected a valid signature by 4f2a…, found one that does not verify", None),
    errors.NotPermitted: ("expected a token of one of the roles producer, found trainer", "inbond token add --role producer"),
    errors.Unauthenticated: ("expected a bearer token, found none", "inbond token add --role ROLE"),
    errors.PolicyDenied: (
        "acme/mini@1 may not learn from this (needs_authorisation): openai/gpt-4o@2024-05-13 under tos@2024-01-31: no decision "
        "of compliance is in force for this student and these terms",
        "inbond decide rule --student acme/mini@1 --terms tos@2024-01-31 permit --grounds TEXT",
    ),
    NotFound: ("no student is called 'acme/mimi'; did you mean acme/mini@1?", "inbond student add NAME"),
    errors.Conflict: ("header id 00…00: expected the payload that is on record under it, found another", None),
    errors.StoreError: (_STORE, _IN_THE_LOG),
    MethodNotAllowed: ("expected a method that this route has", None),
    TooSlow: ("expected the whole body within 30 seconds", None),
    TooLarge: ("expected a body of at most 131072 bytes", None),
    WrongMediaType: ("expected a body of application/json, found text/plain", None),
    RangeNotSatisfiable: ("expected a range that begins before byte 4096", None),
}


def _said(kind: type[InbondError]) -> str:
    return (kind.__doc__ or "").partition("\n")[0]


def _example(kind: type[InbondError]) -> Example:
    detail, hint = _DETAILS[kind]
    return Example(id=kind.__name__, summary=kind.title, value=problem(kind(detail, hint=hint), "0" * 32))


_MISSING = re.compile(r"Missing required (\w+) parameter '([\w-]+)'")
"""What Litestar says where a request lacks a parameter."""


def _wrong(error: ValidationException) -> str:
    if missing := _MISSING.search(error.detail):
        return f"no {missing[1]} parameter {missing[2]}"
    found = error.extra if isinstance(error.extra, list) else []
    told = [f"{item.get('key', '')}: {item.get('message', '')}".removeprefix(": ") for item in found if isinstance(item, dict)]
    return "; ".join(told) or "something else"
