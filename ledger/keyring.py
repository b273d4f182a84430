"""Which key may do what at which place in the log: a fold over `genesis` and `key` statements.

Roles hold from the entry that grants them on. A revoked key signs nothing after its revocation; `suspect_from` marks
entries before it that should be looked at again. Admin statements need the threshold that genesis states. Log keys, which
sign checkpoints and nothing else, are kept apart (logkeys.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from msgspec import UNSET, UnsetType

from inbond.ledger.keys import ED25519, PublicKey, VerifierKey
from inbond.ledger.logkeys import TYPES, LogKeys, fingerprint_of
from inbond.ledger.rules import Draft, Signer
from inbond.schemas.errors import InvalidInput, NotPermitted
from inbond.schemas.statement import Statement
from inbond.schemas.statements import Genesis, Key

_APART = (
    "key statement: expected the role log, alone, for a vkey and other roles for a public_key: a log key signs nothing but "
    "checkpoints"
)


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
    log: LogKeys = field(default_factory=LogKeys)

    def copy(self) -> "Keyring":
        """An independent keyring with the same keys."""
        return Keyring(self.origin, self.threshold, dict(self.keys), self.log.copy())

    @property
    def log_keys(self) -> list[VerifierKey]:
        """Every key that has been the log's, oldest first; which of them signs what, `log` says."""
        return list(self.log.since)

    def admins(self) -> list[str]:
        """The fingerprints of the admin keys that are not revoked."""
        return [keyid for keyid, state in self.keys.items() if "admin" in state.roles and state.revoked is None]

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
        if not any(key.type == ED25519 for key in log_keys):
            raise InvalidInput("genesis: expected an Ed25519 log key (type 01), as not every reader has ML-DSA-44, found none")
        if len({(key.name, key.key_id) for key in log_keys}) != len(log_keys):
            raise InvalidInput("genesis: expected log keys of different key ids, found two alike")
        for public in own_keys(draft.statement).values():
            _check_apart(public, log_keys)

    def _admit_key(self, draft: Draft, body: Key) -> None:
        admins = {s.keyid for s in draft.signers if "admin" in s.roles and s.keyid in self.keys}
        if len(admins) < self.threshold:
            raise NotPermitted(
                f"key statement: expected signatures of {self.threshold} admin keys, found {len(admins)}",
                hint="sign with the registry's admin key",
            )
        if not isinstance(body.vkey, UnsetType):
            self._admit_log_key(body, _log_key(body.vkey, self.origin))
            return
        found = self.keys.get(body.fingerprint)
        public = _named_key(body)
        _check_fingerprint(body, public.fingerprint)
        if body.revocation is not UNSET:
            if found is None:
                self._admit_log_revocation(body)
            return
        if "log" in body.roles:
            raise InvalidInput(f"{_APART}; found {', '.join(body.roles)} for a public_key")
        _check_apart(public, self.log_keys)
        if body.fingerprint not in {signer.keyid for signer in draft.signers}:
            raise NotPermitted(f"key statement: expected a signature of the enrolled key {body.fingerprint[:16]}, found none")
        if found is not None and found.revoked is not None:
            raise NotPermitted(f"key {body.fingerprint[:16]} was revoked by entry {found.revoked} and cannot be enrolled again")

    def _admit_log_key(self, body: Key, key: VerifierKey) -> None:
        """A log key signs no statement: it shows possession by its first checkpoint."""
        _check_fingerprint(body, fingerprint_of(key))
        if body.revocation is not UNSET:
            self._admit_log_revocation(body)
            return
        if body.roles != ("log",):
            raise InvalidInput(f"{_APART}; found {', '.join(body.roles)} for a vkey")
        if body.not_after is not UNSET:
            raise InvalidInput("log key: expected no end in not_after, found one: it ends when the next one is named, or revoked")
        if body.fingerprint in self.keys:
            raise InvalidInput(f"key {body.fingerprint[:16]} signs statements: expected a log key of its own")
        if (key.name, key.key_id) in {(each.name, each.key_id) for each in self.log.since}:
            raise InvalidInput(f"log key: expected a new one, found {key.name}+{key.key_id.hex()}, which this log has had before")

    def _admit_log_revocation(self, body: Key) -> None:
        named = [key for key in self.log.since if fingerprint_of(key) == body.fingerprint]
        if not named:
            raise InvalidInput(f"expected to revoke a key of this log, found no key {body.fingerprint[:16]}")
        if self.log.current(ED25519) == tuple(named):
            raise InvalidInput(
                f"key {body.fingerprint[:16]} is the Ed25519 key that signs this log's checkpoints: expected its successor on an "
                "entry before, found none",
                hint="inbond key rotate log --revoke REASON puts both on record, in this order",
            )

    def _apply_genesis(self, body: Genesis, statement: Statement) -> None:
        self.origin = statement.header.registry
        self.threshold = int(body.threshold)
        party = f"party:{statement.header.id}"
        for keyid, public in own_keys(statement).items():
            self.keys[keyid] = KeyState(public, party, key_roles(body, public), 0, "unknown")
        for vkey in body.log_keys:
            self.log.enrol(VerifierKey.parse(vkey), 0)

    def _apply_key(self, body: Key, seq: int) -> None:
        found = self.keys.get(body.fingerprint)
        if not isinstance(body.revocation, UnsetType):
            suspect = body.revocation.suspect_from_seq
            since = None if isinstance(suspect, UnsetType) else int(suspect)
            self.log.revoke(body.fingerprint, seq, since)
            if found is not None:
                first = seq if found.revoked is None else found.revoked
                self.keys[body.fingerprint] = replace(
                    found, revoked=first, suspect_from=found.suspect_from if since is None else since
                )
            return
        if isinstance(body.public_key, UnsetType):
            if not isinstance(body.vkey, UnsetType):
                self.log.enrol(VerifierKey.parse(body.vkey), seq)
            return
        public = PublicKey.from_base64(body.public_key)
        limit = None if isinstance(body.not_after, UnsetType) else body.not_after
        self.keys[body.fingerprint] = KeyState(
            public, body.party, frozenset(body.roles), found.since if found else seq, body.custody, limit
        )


def _named_key(body: Key) -> PublicKey:
    if isinstance(body.public_key, UnsetType):
        raise InvalidInput("key statement: expected a public_key or a vkey, found neither")
    return PublicKey.from_base64(body.public_key)


def _log_key(vkey: str, origin: str) -> VerifierKey:
    key = VerifierKey.parse(vkey)
    if key.name != origin or key.type not in TYPES:
        raise InvalidInput(
            f"log key: expected an Ed25519 or ML-DSA-44 key (type 01 or 06) named {origin}, found {key.name}, type {key.type:02x}"
        )
    return key


def _check_fingerprint(body: Key, expected: str) -> None:
    if body.fingerprint != expected:
        raise InvalidInput(f"key statement: expected fingerprint {expected} of the key it names, found {body.fingerprint}")


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
