"""A registry that is open: its place, the keys at hand, and the few things that everything else is made of."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self, TypeVar

from msgspec import UNSET, UnsetType

from inbond.ledger import audit
from inbond.ledger.keys import SigningKey
from inbond.ledger.log import Log
from inbond.ledger.reader import LedgerReader
from inbond.registry.home import Home
from inbond.registry.keychain import Keychain
from inbond.registry.listing import MAX_PAGE
from inbond.registry.objects import ObjectStore
from inbond.registry.place import Place, Recorded, Thing
from inbond.registry.places.folder import FolderPlace
from inbond.registry.recorder import Recorder, Said
from inbond.registry.rules import RegistryRules
from inbond.registry.training.cursors import Cursors
from inbond.schemas.errors import InvalidInput, NotFound, NotPermitted
from inbond.schemas.scalars import Role
from inbond.schemas.statement import Statement

L = TypeVar("L")


class OpenRegistry:
    """What the parts of this package share. People hold a `Registry`, which adds the verbs.

    Verbs ask `place`, so that they do the same on a folder and on a server. `local` and what it is asked for here (log,
    store, rules, home, folder, reading, audit) are a folder's alone.
    """

    def __init__(self, place: Place, keys: Keychain, cursors: Cursors) -> None:
        self.place, self.keys, self.cursors = place, keys, cursors
        self.origin, self.operator = place.origin, place.operator
        self.recorder = Recorder(place)

    def close(self) -> None:
        """Close the log, or the connection."""
        self.place.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def policy_text(self) -> str:
        """The trust policy that this registry publishes for outsiders, or the one that a server is held to."""
        return self.place.policy_text

    # -- what verbs ask ----------------------------------------------------------------------------------------------------

    def resolve(self, text: str, *kinds: str, size: int | None = None) -> str:
        """The reference of what `text` names; see `names.resolve`."""
        return self.place.find(text, *kinds, size=size)

    def thing(self, ref: str) -> Thing:
        """What is known of a reference."""
        found = self.place.things([ref]).get(ref)
        if found is None:
            raise NotFound(f"{ref} is not on record")
        return found

    def newest(self, ref: str) -> Statement:
        """The newest statement about the thing that `ref` made: what is known of it now."""
        return self.place.statement(self.thing(ref).newest)

    def called(self, refs: Iterable[str | None]) -> dict[str, str]:
        """What people call each reference, itself where it has no name."""
        wanted = list(dict.fromkeys(ref for ref in refs if ref))
        things = self.place.things(wanted)
        return {ref: (things[ref].name if ref in things else None) or ref for ref in wanted}

    def every(self, what: type[L], **wanted: str) -> Iterator[L]:
        """All items of one of the classes of `listing` that `wanted` fits, oldest first."""
        after: int | None = -1
        while after is not None:
            page = self.place.page(what, after, MAX_PAGE, **wanted)
            yield from page.items
            after = page.next

    def record(self, kind: str, body: Any, role: str | SigningKey, *more: SigningKey, amends: str | None = None) -> Recorded:
        """Sign a statement with the key of `role` (and `more` keys) and put it on record."""
        key = role if isinstance(role, SigningKey) else self.keys.role(role)
        named: str | UnsetType = UNSET if amends is None else amends
        return self.recorder.record(Said(kind, body, [key, *more], amends=named))

    def owner_key(self, ref: str, *roles: Role) -> SigningKey:
        """The key at hand, among `roles`, whose party made `ref`."""
        owner = self.thing(ref).owner
        for role in roles:
            if self.keys.has(role) and self.recorder.party_of(self.keys.role(role)) == owner:
                return self.keys.role(role)
        raise NotPermitted(f"{ref} belongs to {owner}: expected a key of that party in the role {' or '.join(roles)}, found none")

    # -- what only a folder has --------------------------------------------------------------------------------------------

    @property
    def is_local(self) -> bool:
        """Whether this is a folder of this machine."""
        return isinstance(self.place, FolderPlace)

    @property
    def local(self) -> FolderPlace:
        """The folder. Raises InvalidInput for a server."""
        if not isinstance(self.place, FolderPlace):
            raise InvalidInput(
                f"this needs the registry's folder: expected one, found {self.place.address}: run it where that is served"
            )
        return self.place

    @property
    def log(self) -> Log:
        """The folder's log."""
        return self.local.log

    @property
    def store(self) -> ObjectStore:
        """The folder's objects."""
        return self.local.store

    @property
    def rules(self) -> RegistryRules:
        """What its log asks before a statement may stand."""
        return self.local.rules

    @property
    def home(self) -> Home:
        """Where the folder lies, and what pins it."""
        return self.local.home

    @property
    def folder(self) -> Path:
        """The folder itself."""
        return self.local.folder

    def reading(self) -> AbstractContextManager[LedgerReader]:
        """One snapshot of the folder's log and catalogue."""
        return self.local.reading()

    def audit(
        self, progress: audit.Progress | None = None, options: audit.Options | None = None, *, catalogue: bool = True
    ) -> audit.AuditReport:
        """Replay the folder's whole log and compare everything that was stored."""
        return self.local.audit(progress, options, catalogue=catalogue)
