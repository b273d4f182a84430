"""Which key may do what at which place in the log: a fold over `genesis` and `key` statements.

Roles hold from the entry that grants them on. A revoked key signs nothing after its revocation; `suspect_from` marks
entries before it that should be looked at again. Admin statements need the threshold that genesis states.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from msgspec import UNSET, UnsetType

from inbond.ledger.keys import ED25519, PublicKey, VerifierKey
from inbond.ledger.rules import Draft, Signer
from inbond.schemas.errors import InvalidInput, NotPermitted
from inbond.schemas.statement import Statement
from inbond.schemas.statements import Genesis, Key


@dataclass(frozen=True, slots=True)
class KeyState:
    """A key as the log knows it. `since` is the seq that enrolled it, `revoked` the seq that revoked it."""

    public: PublicKey
    party: str
    roles: frozenset[str]
    since: int
    custody: str
    not_after: str | None = None
    revoked: int | None = None
    suspect_from: int | None = None


@dataclass
class Keyring:
    """All keys at one size of the log. `apply` moves it on by one genesis or key statement."""

    origin: str = ""
    threshold: int = 1
    keys: dict[str, KeyState] = field(default_factory=dict)
    log_keys: list[VerifierKey] = field(default_factory=list)

    def copy(self) -> "Keyring":
        """An independent keyring with the same keys."""
        return Keyring(self.origin, self.threshold, dict(self.keys), list(self.log_keys))

    def signer(self, keyid: str, time: str) -> Signer | None:
        """The key as a signer at `time`, None when it is unknown.

        Raises NotPermitted when the key is revoked or has expired.
        """
        state = self.keys.get(keyid)
        if state is None:
            return None
        if state.revoked is not None:
            raise NotPermitted(f"key {keyid[:16]} was revoked by entry {state.revoked}: expected a key in force")
        if state.not_after is not None and time[: len(state.not_after)] > state.not_after:
            raise NotPermitted(f"key {keyid[:16]} expired at {state.not_after}: expected a key in force at {time}")
        return Signer(keyid, state.public, state.party, state.roles)

    def admit(self, draft: Draft) -> None:
        """Raise unless a genesis or key statement has the signatures that it needs."""
        if isinstance(draft.body, Genesis):
            self._admit_genesis(draft, draft.body)
        elif isinstance(draft.body, Key):
            self._admit_key(draft, draft.body)

    def apply(self, draft: Draft) -> None:
        """Take the keys of a genesis or key statement; other kinds change nothing."""
        if isinstance(draft.body, Genesis):
            self._apply_genesis(draft.body, draft.statement)
        elif isinstance(draft.body, Key):
            self._apply_key(draft.body, draft.seq)

    def _admit_genesis(self, draft: Draft, body: Genesis) -> None:
        if draft.seq != 0:
            raise InvalidInput(f"expected genesis as entry 0 only, found it offered as entry {draft.seq}")
        admins = {key.fingerprint for key in own_keys(draft.statement).values() if "admin" in key_roles(body, key)}
        signed = {signer.keyid for signer in draft.signers}
        if signed != admins:
            raise NotPermitted(f"genesis: expected a signature of each of its {len(admins)} admin keys, found {len(signed)}")
        if not 1 <= body.threshold <= len(admins):
            raise InvalidInput(f"genesis: expected a threshold from 1 to {len(admins)}, found {body.threshold}")
        registry = draft.statement.header.registry
        if body.origin != registry:
            raise InvalidInput(f"genesis: expected origin {registry} as in its header, found {body.origin}")
        log_keys = [_log_key(vkey, registry) for vkey in body.log_keys]
        for public in own_keys(draft.statement).values():
            _check_apart(public, log_keys)

    def _admit_key(self, draft: Draft, body: Key) -> None:
        admins = {s.keyid for s in draft.signers if "admin" in s.roles and s.keyid in self.keys}
        if len(admins) < self.threshold:
            raise NotPermitted(
                f"key statement: expected signatures of {self.threshold} admin keys, found {len(admins)}",
                hint="sign with the registry's admin key",
            )
        found = self.keys.get(body.fingerprint)
        public = _named_key(body, self.origin)
        if public.fingerprint != body.fingerprint:
            raise InvalidInput(
                f"key statement: expected fingerprint {public.fingerprint} of the key it names, found {body.fingerprint}"
            )
        if body.revocation is not UNSET:
            if found is None and body.fingerprint not in {PublicKey(key.public).fingerprint for key in self.log_keys}:
                raise InvalidInput(f"expected to revoke a key of this log, found no key {body.fingerprint[:16]}")
            return
        is_log_key = not isinstance(body.vkey, UnsetType)
        if is_log_key != ("log" in body.roles) or (is_log_key and len(body.roles) > 1):
            raise InvalidInput(
                "key statement: expected the role log, alone, for a vkey and other roles for a public_key: a log key signs "
                f"nothing but checkpoints; found {', '.join(body.roles)}"
            )
        if is_log_key:
            if found is not None:
                raise InvalidInput(f"key {body.fingerprint[:16]} signs statements: expected a log key of its own")
            return  # a log key shows possession by its first checkpoint
        _check_apart(public, self.log_keys)
        if body.fingerprint not in {signer.keyid for signer in draft.signers}:
            raise NotPermitted(f"key statement: expected a signature of the enrolled key {body.fingerprint[:16]}, found none")
        if found is not None and found.revoked is not None:
            raise NotPermitted(f"key {body.fingerprint[:16]} was revoked by entry {found.revoked} and cannot be enrolled again")

    def _apply_genesis(self, body: Genesis, statement: Statement) -> None:
        self.origin = statement.header.registry
        self.threshold = int(body.threshold)
        party = f"party:{statement.header.id}"
        for keyid, public in own_keys(statement).items():
            self.keys[keyid] = KeyState(public, party, key_roles(body, public), 0, "unknown")
        self.log_keys = [VerifierKey.parse(vkey) for vkey in body.log_keys]

    def _apply_key(self, body: Key, seq: int) -> None:
        found = self.keys.get(body.fingerprint)
        if not isinstance(body.revocation, UnsetType):
            if found is not None:
                suspect = body.revocation.suspect_from_seq
                since = None if isinstance(suspect, UnsetType) else int(suspect)
                first = seq if found.revoked is None else found.revoked
                self.keys[body.fingerprint] = replace(
                    found, revoked=first, suspect_from=found.suspect_from if since is None else since
                )
            return
        if isinstance(body.public_key, UnsetType):
            if not isinstance(body.vkey, UnsetType):
                self.log_keys.append(VerifierKey.parse(body.vkey))
            return
        public = PublicKey.from_base64(body.public_key)
        limit = None if isinstance(body.not_after, UnsetType) else body.not_after
        self.keys[body.fingerprint] = KeyState(
            public, body.party, frozenset(body.roles), found.since if found else seq, body.custody, limit
        )


def _named_key(body: Key, origin: str) -> PublicKey:
    if not isinstance(body.vkey, UnsetType):
        return PublicKey(_log_key(body.vkey, origin).public)
    if not isinstance(body.public_key, UnsetType):
        return PublicKey.from_base64(body.public_key)
    raise InvalidInput("key statement: expected a public_key or a vkey, found neither")


def _log_key(vkey: str, origin: str) -> VerifierKey:
    key = VerifierKey.parse(vkey)
    if key.name != origin or key.type != ED25519:
        raise InvalidInput(f"log key: expected an Ed25519 key (type 01) named {origin}, found {key.name}, type {key.type:02x}")
    return key


def _check_apart(public: PublicKey, log_keys: list[VerifierKey]) -> None:
    if any(public.raw == key.public for key in log_keys):
        raise InvalidInput(
            f"key {public.fingerprint[:16]} is a log key: expected another one, as a log key signs nothing but checkpoints"
        )


def own_keys(statement: Statement) -> dict[str, PublicKey]:
    """The keys that a genesis or key statement itself brings, by fingerprint: it may be signed by them."""
    body = statement.body
    texts: Iterable[str] = ()
    if isinstance(body, Genesis):
        texts = (*body.admins, body.registry_key)
    elif isinstance(body, Key) and not isinstance(body.public_key, UnsetType) and body.revocation is UNSET:
        texts = (body.public_key,)
    keys = [PublicKey.from_base64(text) for text in texts]
    return {key.fingerprint: key for key in keys}


def key_roles(body: Genesis, key: PublicKey) -> frozenset[str]:
    """The roles that genesis gives to one of its keys."""
    roles = {"admin"} if key in [PublicKey.from_base64(text) for text in body.admins] else set()
    return frozenset(roles | ({"registry"} if key == PublicKey.from_base64(body.registry_key) else set()))
