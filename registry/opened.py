"""A registry that is open: its folder, keys, store and log, and the few things that everything else is made of."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Self

from msgspec import UNSET, UnsetType

from inbond.ledger import audit
from inbond.ledger.keys import SigningKey
from inbond.ledger.log import Log
from inbond.ledger.reader import LedgerReader
from inbond.registry import names
from inbond.registry.home import CONFIG, POLICY, Home
from inbond.registry.keychain import Keychain
from inbond.registry.objects import ObjectStore
from inbond.registry.recorder import Recorded, Recorder, Said
from inbond.registry.rules import RegistryRules
from inbond.schemas.errors import InbondError, InvalidInput, NotPermitted, StoreError, VerificationError
from inbond.schemas.scalars import Role


class OpenRegistry:
    """What the parts of this package share. People hold a `Registry`, which adds the verbs."""

    def __init__(self, home: Home, *, accept_clock: bool = False) -> None:
        self.home = home
        self.folder = home.folder
        self.origin = home.origin
        self.keys = Keychain(home.folder / "keys")
        self.store = ObjectStore(home.folder / "objects")
        self.rules = RegistryRules(self.store)
        log_key = self._log_key()
        self.log = Log(home.folder, self.rules, log_key, accept_clock=accept_clock, genesis=home.genesis)
        if home.origin != self.log.origin:
            self.log.close()
            raise VerificationError(f"{home.folder / CONFIG}: expected origin {self.log.origin}, found {home.origin}")
        self.recorder = Recorder(self.log)

    def _log_key(self) -> SigningKey | InbondError | None:
        """The log's key; the error where its file may not be read: who reads only needs none."""
        try:
            return self.keys.role(Role.LOG) if self.keys.has(Role.LOG) else None
        except (NotPermitted, StoreError) as error:
            return error

    def close(self) -> None:
        """Close the log."""
        self.log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def operator(self) -> str:
        """The reference of the operator's party."""
        return self.home.operator

    @cached_property
    def policy_text(self) -> str:
        """The trust policy that this registry publishes for outsiders."""
        return (self.folder / POLICY).read_text()

    @contextmanager
    def reading(self) -> Iterator[LedgerReader]:
        """One snapshot of the log and the catalogue."""
        with self.log.reading() as reader:
            yield reader

    def resolve(self, text: str, *kinds: str, size: int | None = None) -> str:
        """The reference of what `text` names; see `names.resolve`."""
        with self.reading() as reader:
            return names.resolve(reader.connection, text, *kinds, size=size)

    def size_at(self, as_of: int | None) -> int | None:
        """`as_of`, checked to be a size of this log."""
        if as_of is None:
            return None
        with self.reading() as reader:
            if not 0 < as_of <= reader.size:
                raise InvalidInput(f"--as-of: expected a size from 1 to {reader.size}, found {as_of}")
        return as_of

    def record(self, kind: str, body: Any, role: str | SigningKey, *more: SigningKey, amends: str | None = None) -> Recorded:
        """Sign a statement with the key of `role` (and `more` keys) and put it on record."""
        key = role if isinstance(role, SigningKey) else self.keys.role(role)
        named: str | UnsetType = UNSET if amends is None else amends
        return self.recorder.record(Said(kind, body, [key, *more], amends=named))

    def audit(self, progress: audit.Progress | None = None) -> audit.AuditReport:
        """Replay the whole log and compare everything that was stored."""
        return audit.audit_log(self.log, RegistryRules(self.store), progress)

    def owner_key(self, ref: str, *roles: Role) -> SigningKey:
        """The key at hand, among `roles`, whose party made `ref`."""
        with self.reading() as reader:
            owner = names.owner_of(reader.connection, ref)
        for role in roles:
            if self.keys.has(role) and self.recorder.party_of(self.keys.role(role)) == owner:
                return self.keys.role(role)
        raise NotPermitted(f"{ref} belongs to {owner}: expected a key of that party in the role {' or '.join(roles)}, found none")
