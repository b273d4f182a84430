"""Keys: enrolled by the admin key, and revoked."""

from msgspec import UNSET, UnsetType

from inbond.ledger.keyring import KeyState
from inbond.ledger.keys import SigningKey
from inbond.registry.opened import OpenRegistry
from inbond.registry.recorder import Recorded, Said
from inbond.registry.words import word
from inbond.schemas.errors import Conflict, InvalidInput, NotFound
from inbond.schemas.scalars import Role
from inbond.schemas.statements import Custody, Key, Revocation, RevocationReason, Visibility


def add_key(registry: OpenRegistry, role: Role, party: str | None, file_name: str | None) -> Recorded:
    """Make a key for `role` of `party` (the operator unless given), enrol it, and keep it as `<file_name or role>.key`.

    A key file that is there but on no entry is enrolled: its maker was interrupted. One that was revoked makes room.
    """
    if role in (Role.LOG, Role.ADMIN):
        raise InvalidInput(f"expected a role that is enrolled ({', '.join(_ENROLLED)}), found {role.value}")
    name = file_name or role.value
    key = _left_over(registry, name)
    is_new = key is None
    if key is None:
        key = SigningKey.generate(f"{registry.origin}/{name}")
    owner = registry.operator if party is None else registry.resolve(party, "party")
    admin = registry.keys.role(Role.ADMIN)
    body = Key(public_key=key.public.base64, fingerprint=key.public.fingerprint, party=owner, roles=(role,), custody=Custody.FILE)
    if is_new:
        registry.keys.keep(name, key)
    return registry.recorder.record(
        Said("key", body, [admin, key], visibility=Visibility.PUBLIC, party=registry.recorder.party_of(admin))
    )


def revoke_key(registry: OpenRegistry, fingerprint: str, reason: str, suspect_from: int | None) -> Recorded:
    """Revoke the key whose fingerprint begins with `fingerprint`."""
    states = _keys(registry)
    found = [keyid for keyid in states if keyid.startswith(fingerprint)]
    if len(found) != 1 or len(fingerprint) < 6:
        raise NotFound(
            f"expected the beginning of one key's fingerprint, found {len(found)} for {fingerprint!r}", hint="inbond key list"
        )
    state = states[found[0]]
    suspect: int | UnsetType = UNSET if suspect_from is None else suspect_from
    body = Key(
        public_key=state.public.base64,
        fingerprint=found[0],
        party=state.party,
        roles=tuple(Role(role) for role in sorted(state.roles)),
        custody=Custody(state.custody),
        revocation=Revocation(reason=word(RevocationReason, reason, "reason"), suspect_from_seq=suspect),
    )
    return registry.recorder.record(Said("key", body, [registry.keys.role(Role.ADMIN)], visibility=Visibility.PUBLIC))


def _left_over(registry: OpenRegistry, name: str) -> SigningKey | None:
    """The key in a file that no entry enrolled, None where there is none. Raises Conflict where the key is in use."""
    known = _keys(registry)
    if not registry.keys.has(name):
        return None
    key = registry.keys.role(name)
    state = known.get(key.public.fingerprint)
    if state is None:
        return key
    if state.revoked is None:
        raise Conflict(f"{registry.keys.folder / name}.key exists: expected a new name", hint="inbond key add --name NAME")
    registry.keys.put_away(name, key)
    return None


def _keys(registry: OpenRegistry) -> dict[str, KeyState]:
    """Every key, where the log itself can be asked: enrolling is a matter of the folder's keeper."""
    with registry.reading() as reader:
        return registry.log.keyring_at(reader).keys


_ENROLLED = [role.value for role in Role if role not in (Role.LOG, Role.ADMIN)]
