"""Who calls, and what they may: tokens become principals, every route carries its rule, one function judges each object.

A route's rule is data on its handler (`opt`), read by one guard. `check_rules` stops the start of an app that has a route
without one, and `table` lists them, so that a test asks every route in every role.
"""

import asyncio
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final, TypeAlias

from litestar import Litestar, Request
from litestar.concurrency import sync_to_thread
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.params import QueryParameter
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from inbond.api import tokens
from inbond.api.edge import seen_of
from inbond.api.tokens import MONITOR, TOKEN_ROLES, Principal, Token, TokenStore
from inbond.registry.place import Thing
from inbond.schemas.errors import InbondError, InvalidInput, NotPermitted, StoreError, Unauthenticated, VerificationError
from inbond.schemas.scalars import Role
from inbond.schemas.statements import Visibility

Asked: TypeAlias = Request[Principal | None, Token | None, State]
"""A request with its principal, None for anybody."""

RULE: Final = "access"
"""Where a handler keeps its `Access`."""

_MAX_KNOWN: Final = 4096
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_OPEN_KINDS: Final = ("genesis", "key")
_BEARER: Final = re.compile(r"bearer +(\S+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may call a route: everybody where `roles` is None, else whoever has one of them."""

    roles: frozenset[str] | None

    @property
    def opt(self) -> dict[str, Any]:
        """The rule as a handler carries it."""
        return {RULE: self}

    def check(self, who: Principal | None) -> None:
        """Raise unless `who` may call."""
        if self.roles is None or (who is not None and who.roles & self.roles):
            return
        wanted = ", ".join(sorted(self.roles))
        if who is None:
            raise Unauthenticated(f"expected a bearer token of one of the roles {wanted}, found none", hint="inbond token add")
        raise NotPermitted(f"expected a token of one of the roles {wanted}, found {', '.join(sorted(who.roles))}")


def only(*roles: str) -> Access:
    """The rule of a route that is for these roles."""
    return Access(frozenset(map(str, roles)))


MEMBERS: Final = frozenset(map(str, TOKEN_ROLES)) - {str(Role.PROVIDER), MONITOR}
"""The roles of those who work with the registry; a provider alone sees what is public, and its own."""

PUBLIC: Final = Access(None)
MEMBER: Final = Access(MEMBERS)
ANYONE_KNOWN: Final = Access(MEMBERS | {str(Role.PROVIDER)})
AUDITOR: Final = only(Role.AUDITOR)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table: a route's method, path and operation, and who may call it."""

    method: str
    path: str
    operation: str
    access: Access


def table(app: Litestar) -> list[Rule]:
    """Every route of an app with its rule, by path and method. Raises TypeError for a route that has none."""
    rules = []
    for route, handler in _handlers(app):
        access = handler.opt.get(RULE)
        if not isinstance(access, Access):
            raise TypeError(f"{', '.join(handler.http_methods)} {route.path}: expected a rule who may call it (opt={RULE!r})")
        rules += [Rule(method, route.path_format, str(handler.operation_id), access) for method in sorted(handler.http_methods)]
    return sorted(rules, key=lambda rule: (rule.path, rule.method))


def check_rules(app: Litestar) -> None:
    """Raise TypeError unless every route has a rule: an app that would let somebody in by oversight does not start."""
    table(app)


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let a request in that its route's rule admits, and that asks nothing the route does not know."""
    request: Asked = Request(connection.scope)
    access = handler.opt.get(RULE)
    if not isinstance(access, Access):
        raise NotPermitted("this route has no rule who may call it")
    access.check(request.user)
    _check_query(request, handler)


class Authentication(ASGIMiddleware):
    """Finds who calls by the token in `Authorization`; a token that is not in force is refused wherever it is shown."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, authenticator: "Authenticator") -> None:
        self._authenticator = authenticator

    async def handle(self, scope: Any, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Set the principal, None where no token is shown."""
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        principal = None
        if given:
            if len(given) > 1:
                raise InvalidInput("expected one Authorization header, found several")
            principal = await self._authenticator.principal(given[0].decode("latin-1"))
            seen = seen_of(scope)
            seen.token, seen.party = principal.token, principal.party
        scope["user"], scope["auth"] = principal, None
        if scope["method"] == "OPTIONS":
            await _answer_options(scope, send, principal)
        else:
            await next_app(scope, receive, send)


class Authenticator:
    """Looks tokens up, and believes what it found for a few seconds, so that not every request opens the file."""

    def __init__(self, store: TokenStore, wait: float) -> None:
        self._store, self._wait = store, wait
        self._known: dict[str, tuple[float, tuple[Token, bytes] | None]] = {}
        self._asked: dict[str, asyncio.Future[tuple[Token, bytes] | None]] = {}

    async def principal(self, header: str) -> Principal:
        """Who shows this `Authorization` header. Raises Unauthenticated, which never repeats what was shown."""
        match = _BEARER.fullmatch(header)
        try:
            id = tokens.parse(match[1]) if match else None
        except InvalidInput:
            id = None
        if match is None or id is None:
            raise Unauthenticated("expected 'Authorization: Bearer inb_…', found something else", hint="inbond token add")
        found = await self._find(id)
        if found is None or not tokens.matches(match[1], found[1]):
            raise Unauthenticated("expected a token of this registry, found another", hint="inbond token list")
        token = found[0]
        if not token.in_force(_now()):
            why = f"was revoked at {token.revoked}" if token.revoked else f"expired at {token.expires}"
            raise Unauthenticated(f"token {token.id} {why}: expected one in force", hint="inbond token add")
        return Principal(token.id, token.party, frozenset(token.roles))

    async def _find(self, id: str) -> tuple[Token, bytes] | None:
        known = self._known.get(id)
        if known is not None and monotonic() - known[0] < self._wait:
            return known[1]
        asked = self._asked.get(id)
        if asked is None:  # whoever else wants to know meanwhile waits for the same answer
            asked = self._asked[id] = asyncio.ensure_future(self._look(id))
            asked.add_done_callback(lambda _: self._asked.pop(id))
        return await asyncio.shield(asked)

    async def _look(self, id: str) -> tuple[Token, bytes] | None:
        now = monotonic()
        try:
            found = await sync_to_thread(self._store.find, id)
        except VerificationError as error:  # not of what was shown: the file is damaged
            raise StoreError(error.message) from error
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[id] = (now, found)
        return found


def may_see(who: Principal | None, thing: Thing, about: Collection[str] = ()) -> bool:
    """Whether `who` may be given a thing's statement; `about` are the parties that it is about.

    Public: all, and so are statements about keys, by which everything else is checked. Otherwise its owner, and auditors; what
    is for the parties also every member, and a provider that it is about.
    """
    if thing.visibility == Visibility.PUBLIC.value or thing.kind in _OPEN_KINDS:
        return True
    if who is None or who.roles == {MONITOR}:
        return False
    if thing.owner == who.party or Role.AUDITOR in who.roles:
        return True
    if thing.visibility != Visibility.PARTIES.value:
        return False
    return bool(who.roles & MEMBERS) or (Role.PROVIDER in who.roles and who.party in about)


def refuse_to_show(who: Principal | None, ref: str) -> InbondError:
    """The error for whoever may not see a thing."""
    if who is None:
        return Unauthenticated(f"{ref} is not public: expected a bearer token, found none", hint="inbond token add")
    return NotPermitted(f"{ref} is not for party {who.party} in the role {', '.join(sorted(who.roles))}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:23] + "Z"


def _handlers(app: Litestar) -> Iterator[tuple[HTTPRoute, HTTPRouteHandler]]:
    """The handlers that we have written; Litestar adds one for OPTIONS to each route."""
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            raise TypeError(f"{route.path}: expected HTTP routes only")
        for handler in route.route_handlers:
            if set(handler.http_methods) != {"OPTIONS"}:
                yield route, handler


async def _answer_options(scope: Scope, send: Send, who: Principal | None) -> None:
    """Say which methods a route has, to whoever may use one of them."""
    template = scope.get("path_template")
    mine = [handler for route, handler in _handlers(scope["litestar_app"]) if template in (route.path, route.path_format)]
    refused: list[InbondError] = []
    for handler in mine:
        try:
            handler.opt[RULE].check(who)
        except InbondError as error:
            refused.append(error)
    if len(refused) == len(mine):
        raise refused[0]
    methods = {"OPTIONS"}.union(*(handler.http_methods for handler in mine))
    headers = [(b"allow", ", ".join(sorted(methods)).encode())]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _check_query(request: Asked, handler: BaseRouteHandler) -> None:
    """A parameter that the route does not know is a mistake that nobody would notice; so is one of two values."""
    known = _parameters(handler)
    found = list(request.query_params.multi_items())
    names = [name for name, _ in found]
    for name, value in found:
        if name not in known:
            expected = ", ".join(sorted(known)) or "none"
            raise InvalidInput(f"expected query parameters among {expected}, found {_shown(name)}")
        if not known[name] and names.count(name) > 1:
            raise InvalidInput(f"{name}: expected one value, found {names.count(name)}")
        if _CONTROLS.search(value):
            raise InvalidInput(f"{name}: expected text without control characters, found some")


def _parameters(handler: BaseRouteHandler) -> dict[str, bool]:
    """The query parameters of a handler, and whether each may be repeated."""
    kept: dict[str, bool] | None = handler.opt.get("query")
    if kept is None:
        kept = dict(_declared(handler))
        handler.opt["query"] = kept
    return kept


def _declared(handler: BaseRouteHandler) -> Iterable[tuple[str, bool]]:
    for name, field in handler.parsed_fn_signature.parameters.items():
        kind = field.kwarg_definition
        if isinstance(kind, QueryParameter):  # a dependency has the kind of which this is one
            yield (
                kind.name or name,
                field.is_non_string_sequence or any(each.is_non_string_sequence for each in field.inner_types),
            )


def _shown(name: str) -> str:
    return repr(name[:40])
