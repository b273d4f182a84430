"""Keys: enrolled by the admins, and revoked."""

from msgspec import UNSET, UnsetType

from inbond.ledger.keys import SigningKey
from inbond.ledger.logkeys import fingerprint_of
from inbond.registry import rotating
from inbond.registry.admins import admins_at_hand, keyring_of, record
from inbond.registry.opened import OpenRegistry
from inbond.registry.place import Recorded
from inbond.registry.recorder import Said
from inbond.registry.words import word
from inbond.schemas.errors import Conflict, InvalidInput, NotFound
from inbond.schemas.scalars import Role
from inbond.schemas.statements import Custody, Key, Revocation, RevocationReason, Visibility


def add_key(registry: OpenRegistry, role: Role, party: str | None, file_name: str | None) -> Recorded:
    """Make a key, enrol it, and keep it; see `enrolment`."""
    return record(registry, [enrolment(registry, role, party, file_name)])[0]


def revoke_key(registry: OpenRegistry, fingerprint: str, reason: str, suspect_from: int | None) -> Recorded:
    """Revoke a key; see `revocation`."""
    said = revocation(registry, fingerprint, reason, suspect_from)
    [recorded] = record(registry, [said])
    if said.body.vkey is not UNSET:
        rotating.settle(registry)
    return recorded


def enrolment(registry: OpenRegistry, role: Role, party: str | None, file_name: str | None) -> Said:
    """Make a key for `role` of `party` (the operator unless given), keep it as `<file_name or role>.key`; what enrols it.

    A key file that is there but on no entry is enrolled: its maker was interrupted. One that was revoked makes room.
    """
    if role == Role.LOG:
        raise InvalidInput(
            f"expected a role that is enrolled ({', '.join(_ENROLLED)}), found {role.value}", hint="inbond key rotate log"
        )
    name = file_name or role.value
    key = _left_over(registry, name)
    is_new = key is None
    if key is None:
        key = SigningKey.generate(f"{registry.origin}/{name}")
    owner = registry.operator if party is None else registry.resolve(party, "party")
    admins = admins_at_hand(registry)
    body = Key(public_key=key.public.base64, fingerprint=key.public.fingerprint, party=owner, roles=(role,), custody=Custody.FILE)
    if is_new:
        registry.keys.keep(name, key)
    speaker = registry.recorder.party_of(admins[0])
    return Said("key", body, [*admins, key], visibility=Visibility.PUBLIC, party=speaker)


def revocation(registry: OpenRegistry, fingerprint: str, reason: str, suspect_from: int | None) -> Said:
    """What revokes the key whose fingerprint begins with `fingerprint`.

    An admin's key ends only while enough others are left to sign what comes after.
    """
    keyring = keyring_of(registry)
    log_keys = {fingerprint_of(key): key for key in keyring.log_keys}
    found = [keyid for keyid in (*keyring.keys, *log_keys) if keyid.startswith(fingerprint)]
    if len(found) != 1 or len(fingerprint) < 6:
        raise NotFound(
            f"expected the beginning of one key's fingerprint, found {len(found)} for {fingerprint!r}", hint="inbond key list"
        )
    [keyid] = found
    why = word(RevocationReason, reason, "reason")
    if keyid in log_keys:
        body = rotating.ended(log_keys[keyid], registry.operator, why, suspect_from)
    else:
        left = set(keyring.admins()) - {keyid}
        if len(left) < keyring.threshold:
            raise InvalidInput(
                f"key {keyid[:16]}: expected {keyring.threshold} other admins, who sign what is said of keys later, "
                f"found {len(left)}",
                hint="inbond key add --role admin --name NAME, then revoke this one",
            )
        state = keyring.keys[keyid]
        suspect: int | UnsetType = UNSET if suspect_from is None else suspect_from
        body = Key(
            public_key=state.public.base64,
            fingerprint=keyid,
            party=state.party,
            roles=tuple(Role(role) for role in sorted(state.roles)),
            custody=Custody(state.custody),
            revocation=Revocation(reason=why, suspect_from_seq=suspect),
        )
    return Said("key", body, admins_at_hand(registry), visibility=Visibility.PUBLIC)


def _left_over(registry: OpenRegistry, name: str) -> SigningKey | None:
    """The key in a file that no entry enrolled, None where there is none. Raises Conflict where the key is in use."""
    if not registry.keys.has(name):
        return None
    key = registry.keys.role(name)
    state = keyring_of(registry).keys.get(key.public.fingerprint)
    if state is None:
        return key
    if state.revoked is None:
        raise Conflict(f"{registry.keys.folder / name}.key exists: expected a new name", hint="inbond key add --name NAME")
    registry.keys.put_away(name, key)
    return None


_ENROLLED = [role.value for role in Role if role != Role.LOG]
