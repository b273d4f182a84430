"""The log's keys: a new one takes over from the one before, or one ends.

The new key is on disk before a statement names it, and the statement is on record before files are renamed and policy.txt is
written, so whoever dies in between leaves a log that goes on: `settle` does what is left, and so does the next rotation.
"""

from dataclasses import dataclass
from pathlib import Path

from msgspec import UNSET, UnsetType

from inbond.ledger.files import write_durably
from inbond.ledger.keys import ED25519, ML_DSA_44, VerifierKey
from inbond.ledger.logkeys import fingerprint_of
from inbond.registry.admins import Sheet, admins_at_hand, keyring_of, record, write_sheet
from inbond.registry.home import POLICY
from inbond.registry.keychain import LOG_FILES
from inbond.registry.opened import OpenRegistry
from inbond.registry.place import Recorded
from inbond.registry.policies import updated
from inbond.registry.recorder import Said
from inbond.schemas.errors import InvalidInput, StoreError
from inbond.schemas.scalars import Role
from inbond.schemas.statements import Custody, Key, Revocation, RevocationReason, Visibility

KINDS = {"ed25519": ED25519, "ml-dsa-44": ML_DSA_44}


@dataclass(frozen=True, slots=True)
class Rotation:
    """How a log's key changed. `recorded` are the entries, none where a sheet was written or where there was only the rest to do.

    `before` are the keys that signed until then, `policy` says whether policy.txt was written anew.
    """

    key: VerifierKey
    before: tuple[VerifierKey, ...]
    recorded: tuple[Recorded, ...]
    policy: bool


def rotate(
    registry: OpenRegistry,
    type: int = ED25519,
    reason: RevocationReason | None = None,
    suspect_from: int | None = None,
    out: Path | None = None,
) -> Rotation:
    """Make a new log key of a type and let it take over; with a `reason` the key before it is revoked as well.

    The first checkpoint after it carries the signatures of both, or of the new one alone where the old one is revoked.
    `suspect_from` is the size from which on somebody else may have signed with the old key. A rotation that was interrupted
    after its statement is only brought to its end.
    """
    keys = registry.keys
    known = keyring_of(registry).log
    key = keys.next_log_key(type)
    if key is not None and key.verifier in known.since:
        before = known.at(known.since[key.verifier]).current(type)
        return Rotation(key.verifier, before, (), settle(registry))
    signers = admins_at_hand(registry)
    if key is None:
        key = keys.make_next_log_key(type, registry.origin)
    registry.log.signers.hold(key)
    before = known.current(type)
    bodies = [_body(key.verifier, registry.operator)]
    if reason is not None:
        bodies += [ended(old, registry.operator, reason, suspect_from) for old in before]
    said = [Said("key", body, signers, visibility=Visibility.PUBLIC) for body in bodies]
    if out is not None:
        write_sheet(registry, said, out)
        return Rotation(key.verifier, before, (), policy=False)
    return Rotation(key.verifier, before, tuple(record(registry, said)), settle(registry))


def type_of(kind: str) -> int:
    """The type of key that is called ed25519 or ml-dsa-44; InvalidInput for another name."""
    if kind not in KINDS:
        raise InvalidInput(f"expected a kind of log key, {' or '.join(KINDS)}, found {kind!r}")
    return KINDS[kind]


def record_sheet(registry: OpenRegistry, path: Path) -> list[Recorded]:
    """Put a sheet that enough admins have signed on record, and do what follows from it for the log's keys.

    Raises InvalidInput for a server: what follows is a matter of the folder.
    """
    sheet, _ = Sheet.read(path), registry.local
    recorded = registry.recorder.put(sheet.envelopes)
    if any(each.body.vkey is not UNSET for each in sheet.statements):
        settle(registry)
    return recorded


def settle(registry: OpenRegistry) -> bool:
    """Make policy.txt and the names of key files say what the log says of its keys; whether policy.txt was changed."""
    known = keyring_of(registry).log
    path = registry.folder / POLICY
    try:
        text = path.read_bytes()
        new = updated(text, known)
        if new != text:
            write_durably(path, new)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
    except InvalidInput as error:
        hint = "the log's key is changed; mend the file, and repeat the command"
        raise InvalidInput(f"{path}: {error.message}", hint=hint) from None
    for type in LOG_FILES:
        key = registry.keys.next_log_key(type)
        if key is not None and key.verifier in known.since:
            registry.keys.switch_log_key(type)
    return new != text


def ended(key: VerifierKey, party: str, reason: RevocationReason, suspect_from: int | None) -> Key:
    """The statement's body that revokes a log key."""
    suspect: int | UnsetType = UNSET if suspect_from is None else suspect_from
    return _body(key, party, Revocation(reason=reason, suspect_from_seq=suspect))


def _body(key: VerifierKey, party: str, revocation: Revocation | UnsetType = UNSET) -> Key:
    return Key(
        vkey=key.format(),
        fingerprint=fingerprint_of(key),
        party=party,
        roles=(Role.LOG,),
        custody=Custody.FILE,
        revocation=revocation,
    )
