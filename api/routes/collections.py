"""The collections: what is on record of a kind, one by one or in pages, and new statements of it.

The routes of all collections are alike, and made alike: a page, a thing, its statement, and a POST that takes a signed
envelope. Grants and deliveries are signed by the registry, so their POST stands elsewhere.
"""

import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter

from inbond.api.auth import ANYONE_KNOWN, PUBLIC, Access, only
from inbond.api.routes.declared import REF, TEXT, WRITING, AsOf, Id, also, told
from inbond.api.served import Served, answer, as_text, page_token, read_page_token
from inbond.api.tokens import TOKEN_ROLES, Principal
from inbond.ledger import dsse
from inbond.registry import names, paging
from inbond.registry.listing import ListedKey
from inbond.registry.mentions import references
from inbond.registry.place import Page, Thing
from inbond.registry.places.paths import COLLECTIONS, LISTS
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InvalidInput, NotPermitted
from inbond.schemas.kinds import KINDS, RUN
from inbond.schemas.scalars import Role
from inbond.schemas.statements import Basis

_MOST_PAGES: Final = 50
_REF: Final = re.compile(REF)  # an id cannot be guessed, so it tells nothing
BY_REGISTRY: Final = ("grant", "delivery")
"""The kinds that the registry signs."""

Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="The most items of a page.")]
After = Annotated[str | None, QueryParameter(pattern="^[A-Za-z0-9_-]{32}$", description="`next` of the page before.")]
Wanted = Annotated[str | None, QueryParameter(pattern=TEXT, max_length=600, description="Only those that this fits.")]


class Detail(msgspec.Struct):
    """A thing with the body of its statement; `names` gives what people call the references in it."""

    thing: Thing
    body: dict[str, Any]
    tree_size: int
    names: dict[str, str]


class Posted(msgspec.Struct):
    """A statement on record: what it made, its entry, and the receipt (C2SP tlog-proof) with the entry's bytes."""

    ref: str
    seq: int
    receipt: str


def routes() -> list[HTTPRouteHandler]:
    """The routes of every collection."""
    lists = {collection: what for what, collection in LISTS.items()}
    made = []
    for kind, collection in COLLECTIONS.items():
        access = PUBLIC if kind == "key" else ANYONE_KNOWN
        made += [_page(collection, lists[collection], access), _statement(kind, collection)]
        if kind != "key":
            made.append(_thing(kind, collection))
        if kind not in BY_REGISTRY:
            made.append(_post(kind, collection))
    return made


def access_to_post(kind: str) -> Access:
    """Who may post statements of a kind: the roles that may sign it, but for run keys, which trainers hold."""
    roles = KINDS[kind].roles
    return only(Role.TRAINER) if RUN in roles else only(*(role for role in TOKEN_ROLES if role in roles))


def location(ref: str) -> str:
    """Where a thing is found."""
    kind, _, id = ref.partition(":")
    return f"/v1/{COLLECTIONS[kind]}/{id}"


def _page(collection: str, what: type, access: Access) -> HTTPRouteHandler:
    """The route of a list, with a query parameter for each of its filters."""
    path = f"/v1/{collection}"
    form = msgspec.defstruct(
        f"PageOf{collection.capitalize()}",
        [("items", list[what]), ("next", str | None), ("tree_size", int), ("names", dict[str, str])],  # type: ignore[valid-type]
        namespace={"__doc__": f"Some of {collection}, oldest first; `next` is what to ask for those that follow."},
        module=__name__,
    )

    def listed(
        served: NamedDependency[Served],
        who: NamedDependency[Principal | None],
        limit: Limit = 100,
        after: After = None,
        **filters: str | int | None,
    ) -> Any:
        wanted = {name: str(value) for name, value in filters.items() if value is not None}
        start = -1 if after is None else read_page_token(path, wanted, after)
        page = _visible_page(served, who, what, start, limit, _meant(served, who, what, wanted))
        following = None if page.next is None else page_token(path, wanted, page.next)
        return answer(form(list(page.items), following, page.tree_size, served.named(who, page.names)))

    listed.__doc__ = f"A page of {collection}."
    _declare(listed, paging.filters_of(what), Response[form])  # type: ignore[valid-type]
    return get(path, sync_to_thread=True, **told(f"list_{collection}", access, tags=(collection,)))(listed)


def _declare(function: Callable[..., Any], filters: tuple[str, ...], returns: Any) -> None:
    """Give `function` a parameter for each filter, in place of those that it takes by any name."""
    signature = inspect.signature(function)
    own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    forms = {name: AsOf if name == paging.AS_OF else Wanted for name in filters}
    added = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=forms[name]) for name in filters]
    function.__signature__ = signature.replace(parameters=[*own, *added], return_annotation=returns)  # type: ignore[attr-defined]
    function.__annotations__ = {each.name: each.annotation for each in (*own, *added)} | {"return": returns}


def _meant(served: Served, who: Principal | None, what: type, wanted: dict[str, str]) -> dict[str, str]:
    """The values of filters, names turned into references, without telling of things that `who` may not see."""
    if served.hears_all(who):
        return wanted
    kinds, size = paging.kinds_by_filter(what), paging.size_in(wanted)
    named = {name for name, value in wanted.items() if name in kinds and _REF.fullmatch(value) is None}
    return {name: served.meant(who, value, *kinds[name], size=size) if name in named else value for name, value in wanted.items()}


def _visible_page(served: Served, who: Principal | None, what: type, after: int, limit: int, wanted: dict[str, str]) -> Page:
    """The next page with something on it that `who` may see, or the last."""
    for _ in range(_MOST_PAGES):
        page = served.place.page(what, after, limit, **wanted)
        if what is ListedKey:
            return page
        shown = served.visible(who, served.place.things(item.ref for item in page.items).values())
        items = tuple(item for item in page.items if item.ref in shown)
        page = Page(items, page.next, page.tree_size, {ref: page.names[ref] for ref in references(items) if ref in page.names})
        if items or page.next is None:
            return page
        after = page.next
    raise InvalidInput("expected filters that fit something you may see; found nothing in many pages", hint="name a filter")


def _thing(kind: str, collection: str) -> HTTPRouteHandler:
    def thing(served: NamedDependency[Served], who: NamedDependency[Principal | None], id: Id) -> Response[Detail]:
        found = served.thing(who, f"{kind}:{id}")
        body = msgspec.to_builtins(served.place.statement(found.ref).body)
        with served.place.reading() as reader:
            size = reader.size
            called = names.names_of(reader.connection, references(body))
        return answer(Detail(found, body, size, served.named(who, called)))

    thing.__doc__ = f"What is on record as a {kind}."
    return get(f"/v1/{collection}/{{id:str}}", sync_to_thread=True, **told(f"get_{kind}", ANYONE_KNOWN, tags=(collection,)))(
        thing
    )


def _statement(kind: str, collection: str) -> HTTPRouteHandler:
    def proof(served: NamedDependency[Served], who: NamedDependency[Principal | None], id: Id) -> Response[str]:
        found = served.thing(who, f"{kind}:{id}")
        return as_text(served.place.receipt(found.entry).to_bytes())

    proof.__doc__ = f"The statement that made a {kind}: its receipt (C2SP tlog-proof) with the entry's bytes."
    declared = told(f"get_{kind}_statement", PUBLIC, tags=(collection,))
    return get(f"/v1/{collection}/{{id:str}}/statement", sync_to_thread=True, media_type="text/plain", **declared)(proof)


def _post(kind: str, collection: str) -> HTTPRouteHandler:
    async def append(
        served: NamedDependency[Served], who: NamedDependency[Principal | None], data: JSONBody[Envelope]
    ) -> Response[Posted]:
        _check_party(who, data)
        placed = await served.appender.append(kind, data)
        return posted(placed.ref, placed.seq, placed.receipt, new=not placed.duplicate)

    append.__doc__ = (
        f"Put a {kind} statement on record: a DSSE envelope, signed by its author. The same once more changes nothing."
    )
    there = also(200, Posted, "It was on record already.")
    declared = told(f"post_{kind}", access_to_post(kind), *WRITING, tags=(collection,), body=True, responses=there)
    return post(f"/v1/{collection}", **declared)(append)


class _Party(msgspec.Struct):
    party: str


class _Header(msgspec.Struct):
    asserted_by: _Party
    basis: str


class _Predicate(msgspec.Struct):
    header: _Header


class _Says(msgspec.Struct):
    """Of a statement, who says it."""

    predicate: _Predicate


_SAYS: Final = msgspec.json.Decoder(_Says)


def _check_party(who: Principal | None, envelope: Envelope) -> None:
    """Raise unless a statement is of the party whose token brings it.

    Whoever holds another's envelope does not decide when it goes on record. What is alleged may be said by anybody; of what is
    no statement the log says so.
    """
    try:
        header = _SAYS.decode(dsse.payload_of(envelope)).predicate.header
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return
    party = header.asserted_by.party
    if header.basis != Basis.ALLEGED and (who is None or who.party != party):
        raise NotPermitted(f"expected a statement of {who.party if who else 'nobody'}, whose token this is, found one of {party}")


def posted(ref: str, seq: int, receipt: bytes, *, new: bool) -> Response[Posted]:
    """The answer to a statement that is on record."""
    made = answer(Posted(ref, seq, receipt.decode()))
    made.status_code, made.headers = (201 if new else 200), {"location": location(ref), "cache-control": "no-store"}
    return made
