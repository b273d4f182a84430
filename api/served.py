"""What the routes share: the registry's folder, the limits, and how answers are made."""

import base64
import hashlib
import hmac
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import msgspec
from litestar import Response
from litestar.enums import MediaType

from inbond.api.appending import Appender, Placed
from inbond.api.auth import MEMBERS, may_see, refuse_to_show
from inbond.api.metrics import Metrics
from inbond.api.settings import Settings
from inbond.api.tokens import Principal
from inbond.ledger.witnessing import Witnessing
from inbond.registry import about
from inbond.registry.fetching import Objects
from inbond.registry.mentions import references
from inbond.registry.permits import Permits
from inbond.registry.place import Recorded, Thing
from inbond.registry.places.folder import FolderPlace
from inbond.schemas.errors import InbondError, InvalidInput, NotFound, NotPermitted
from inbond.schemas.scalars import Role

T = TypeVar("T")

_JSON: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Served:
    """A registry that is served. `private` are names of folders that no answer tells."""

    place: FolderPlace
    settings: Settings
    appender: Appender
    objects: Objects
    permits: Permits
    witnessing: Witnessing
    metrics: Metrics
    private: tuple[str, ...]

    def thing(self, who: Principal | None, ref: str) -> Thing:
        """What is known of a thing. Raises NotFound, or what keeps `who` from seeing it."""
        found = self.place.things([ref]).get(ref)
        if found is None:
            raise NotFound(f"{ref} is not on record")
        if not self.visible(who, [found]):
            raise refuse_to_show(who, ref)
        return found

    def visible(self, who: Principal | None, things: Iterable[Thing]) -> set[str]:
        """The references of those things that `who` may see."""
        listed = list(things)
        shown = {thing.ref for thing in listed if may_see(who, thing)}
        hidden = [thing for thing in listed if thing.ref not in shown]
        if hidden and who is not None:
            with self.place.reading() as reader:
                parties = about.parties_of(reader.connection, [thing.ref for thing in hidden])
            shown |= {thing.ref for thing in hidden if may_see(who, thing, parties[thing.ref])}
        return shown

    def named(self, who: Principal | None, names: Mapping[str, str]) -> dict[str, str]:
        """What people call things, but for those that `who` may not see: their references say nothing."""
        things = self.place.things(names)
        shown = self.visible(who, things.values())
        return {ref: name if ref in shown or ref not in things else ref for ref, name in names.items()}

    def whole(self, who: Principal | None, found: T) -> T:
        """An answer that `who` may be given as it is. Raises NotPermitted where it names anything that `who` may not see."""
        if not self.hears_all(who):
            things = self.place.things(references(found))
            if hidden := things.keys() - self.visible(who, things.values()):
                raise NotPermitted(
                    f"this answer rests on {len(hidden)} statements that are not for party {who.party if who else 'nobody'}"
                )
        return found

    def hears_all(self, who: Principal | None) -> bool:
        """Whether `who` may hear the names of whatever is on record: auditors, and the operator's own members."""
        return who is not None and (Role.AUDITOR in who.roles or (who.party == self.place.operator and bool(who.roles & MEMBERS)))

    def meant(self, who: Principal | None, name: str, *kinds: str, size: int | None = None) -> str:
        """The reference that a name means to `who`. Raises NotFound, and where several fit InvalidInput.

        What else there is by that name, or one like it, is told to those alone who may hear all.
        """
        nothing = NotFound(f"no thing that you may see is called {name[:80]!r}")
        try:
            ref = self.place.find(name, *kinds, size=size)
        except InbondError:
            if self.hears_all(who):
                raise
            raise nothing from None
        if not self.visible(who, self.place.things([ref]).values()):
            raise nothing
        return ref

    def placed(self, recorded: Iterable[Recorded]) -> list[Placed]:
        """What was put on record here, with receipts."""
        listed = list(recorded)
        with self.place.reading() as reader:
            receipts = reader.receipts(item.seq for item in listed)
        return [Placed(item.ref, item.seq, receipts[item.seq], item.duplicate) for item in listed]


def answer(value: T) -> Response[T]:
    """An answer in JSON, encoded in the thread that made it."""
    return Response(cast(T, _JSON.encode(value)), media_type=MediaType.JSON)


def as_text(data: bytes, *, cache: str | None = None) -> Response[str]:
    """An answer in plain text."""
    headers = {"cache-control": cache} if cache else {}
    return Response(cast(str, data), media_type=MediaType.TEXT, headers=headers)


def page_token(route: str, wanted: Mapping[str, str], after: int) -> str:
    """Where a list goes on: says nothing to people, and is of use for this list with these filters alone."""
    return base64.urlsafe_b64encode(struct.pack(">Q", after) + _bound_to(route, wanted, after)).decode().rstrip("=")


def read_page_token(route: str, wanted: Mapping[str, str], token: str) -> int:
    """The place that a token means. Raises InvalidInput for one of another list, or that is none."""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        after = int(struct.unpack(">Q", data[:8])[0])
    except (ValueError, struct.error):
        data, after = b"", 0
    if len(data) != 24 or not hmac.compare_digest(data[8:], _bound_to(route, wanted, after)) or after >= 2**53:
        raise InvalidInput("after: expected the token `next` of a page of this list with these filters, found another")
    return after


def _bound_to(route: str, wanted: Mapping[str, Any], after: int) -> bytes:
    return hashlib.sha256(msgspec.json.encode([route, sorted(wanted.items()), after])).digest()[:16]
