"""The log itself, in C2SP form: checkpoint, tiles, entry bundles, entries, receipts, consistency proofs."""

import dataclasses
from typing import Annotated, Final, cast

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter, QueryParameter
from litestar.types import ControllerRouterHandler

from inbond.api.auth import AUDITOR, PUBLIC, Access, refuse_to_show
from inbond.api.bodies import ApiRequest
from inbond.api.compression import encoded
from inbond.api.conditional import IMMUTABLE
from inbond.api.routes.declared import Seq, told
from inbond.api.served import Served, answer, as_text
from inbond.api.tokens import Principal
from inbond.ledger import dsse
from inbond.ledger.encoding import to_base64
from inbond.ledger.entries import parse_entry
from inbond.ledger.tiles import TILE_HEIGHT, TILE_WIDTH, TileName, encode_bundle, parse_path
from inbond.schemas import statement
from inbond.schemas.errors import InvalidInput, NotFound
from inbond.schemas.scalars import Role

_OCTETS: Final = "application/octet-stream"
_PUBLIC_FOR_EVER: Final = f"public, {IMMUTABLE}"
_PRIVATE_FOR_EVER: Final = f"private, {IMMUTABLE}"

Level = Annotated[str, PathParameter(pattern="^[0-9]{1,2}$", description="The level of a tile.")]
Number = Annotated[
    str, PathParameter(pattern="^[/x0-9.p]+$", description="The number of a tile in groups of three digits, and its width.")
]
Size = Annotated[int, QueryParameter(ge=1, le=2**53 - 1, description="A size of the log.")]
MaybeSize = Annotated[int | None, QueryParameter(ge=1, le=2**53 - 1, description="A size of the log that was signed.")]


class Consistency(msgspec.Struct):
    """That the tree of size `new` begins with that of size `old`: the RFC 6962 proof, its hashes in base64."""

    old: int
    new: int
    proof: list[str]


@get("/ledger/checkpoint", sync_to_thread=True, media_type="text/plain", **told("get_checkpoint", PUBLIC, tags=("ledger",)))
def checkpoint(served: NamedDependency[Served]) -> Response[str]:
    """The newest checkpoint that has the quorum of the registry's policy, else the newest: a signed note (C2SP tlog-checkpoint).

    It carries the cosignatures that witnesses have given it.
    """
    with served.place.reading() as reader:
        return as_text(served.place.published.newest(reader), cache="no-cache")


@get(
    "/ledger/tile/{level:str}/{number:path}",
    sync_to_thread=True,
    media_type=_OCTETS,
    **told("get_tile", PUBLIC, tags=("ledger",)),
)
def tile(served: NamedDependency[Served], level: Level, number: Number) -> Response[bytes]:
    """A tile of hashes (C2SP tlog-tiles), full, or as wide as it was at some size. Hashes do not compress."""
    name = _tile_name(f"tile/{level}{number}")
    with served.place.reading() as reader:
        _check_there(name, reader.size >> (TILE_HEIGHT * int(level)))
        data = reader.tile(int(level), name.n)[: 32 * name.width]
    return Response(data, media_type=_OCTETS, headers={"cache-control": _PUBLIC_FOR_EVER})


def _bundles(access: Access, cache: str) -> HTTPRouteHandler:
    @get(
        "/ledger/tile/entries/{number:path}",
        sync_to_thread=True,
        media_type=_OCTETS,
        **told("get_entry_bundle", access, tags=("ledger",)),
    )
    def bundle(served: NamedDependency[Served], number: Number, request: ApiRequest) -> Response[bytes]:
        """The entries under a tile of level 0 (C2SP tlog-tiles); in gzip where the client accepts that."""
        name = _tile_name(f"tile/entries{number}")
        with served.place.reading() as reader:
            _check_there(name, reader.size)
            first = name.n * TILE_WIDTH
            data = encode_bundle([entry for _, entry in reader.entries(first, first + name.width)])
        data, headers = encoded(data, request.headers.get("accept-encoding"))
        return Response(data, media_type=_OCTETS, headers={"cache-control": cache, **headers})

    return bundle


@get("/v1/ledger/consistency", sync_to_thread=True, **told("prove_consistency", PUBLIC, tags=("ledger",)))
def consistency(served: NamedDependency[Served], old: Size, new: Size) -> Response[Consistency]:
    """The proof that nothing of the log's first `old` entries was changed at size `new`."""
    with served.place.reading() as reader:
        proof = reader.consistency(old, new)
    return answer(Consistency(old, new, [to_base64(value) for value in proof]))


@get("/v1/ledger/entries/{seq:str}", sync_to_thread=True, **told("get_entry", PUBLIC, tags=("ledger",)))
def entry(served: NamedDependency[Served], who: NamedDependency[Principal | None], seq: Seq) -> Response[dict[str, object]]:
    """The bytes of an entry, for auditors and whoever may see the statement in it."""
    with served.place.reading() as reader:
        data = reader.entry(int(seq))
    if (hidden := _hidden(served, who, data)) is not None:
        raise refuse_to_show(who, hidden)
    headers = {"cache-control": _PRIVATE_FOR_EVER}
    return Response(cast(dict[str, object], data), media_type="application/json", headers=headers)


@get(
    "/v1/ledger/entries/{seq:str}/receipt",
    sync_to_thread=True,
    media_type="text/plain",
    **told("get_receipt", PUBLIC, tags=("ledger",)),
)
def receipt(
    served: NamedDependency[Served], who: NamedDependency[Principal | None], seq: Seq, size: MaybeSize = None
) -> Response[str]:
    """The receipt of an entry (C2SP tlog-proof), with its bytes for whoever may see the statement in it.

    Under the checkpoint of `size`; unless given, under the one that is shown, where it covers the entry, else the newest. So a
    receipt is refreshed: it comes with all cosignatures that there are by now.
    """
    found = served.place.receipt(int(seq), size)
    if found.extra is not None and _hidden(served, who, found.extra) is not None:
        found = dataclasses.replace(found, extra=None)
    return as_text(found.to_bytes())


def _hidden(served: Served, who: Principal | None, data: bytes) -> str | None:
    """The reference of an entry's statement where `who` may not see it."""
    if served.settings.public_entries or (who is not None and Role.AUDITOR in who.roles):
        return None
    ref = statement.read(dsse.payload_of(parse_entry(data).dsse)).ref
    thing = served.place.things([ref])[ref]
    return None if served.visible(who, [thing]) else ref


def _tile_name(path: str) -> TileName:
    try:
        return parse_path(path)
    except InvalidInput as error:
        raise NotFound(error.message) from None


def _check_there(name: TileName, there: int) -> None:
    if name.n * TILE_WIDTH + name.width > there:
        raise NotFound(f"expected a tile within the {there} hashes that there are by now, found {name.path}")


def routes(*, public_entries: bool) -> list[ControllerRouterHandler]:
    """The routes of the log; entry bundles are for auditors, or for everybody."""
    bundles = _bundles(PUBLIC, _PUBLIC_FOR_EVER) if public_entries else _bundles(AUDITOR, _PRIVATE_FOR_EVER)
    return [checkpoint, tile, bundles, consistency, entry, receipt]
