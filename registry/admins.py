"""What admins say of keys: signed by as many of them as genesis wants, in one place or by one after the other.

A *sheet* is a file that goes from admin to admin: the statements with the signatures that they have so far, one DSSE envelope
in canonical JSON a line. Its order is the order in which they will stand.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from inbond.ledger import dsse
from inbond.ledger.files import write_durably
from inbond.ledger.keyring import Keyring
from inbond.ledger.keys import SigningKey
from inbond.registry.opened import OpenRegistry
from inbond.registry.place import Recorded
from inbond.registry.recorder import Said
from inbond.schemas import canonical, statement
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import Conflict, InvalidInput, NotFound, NotPermitted, StoreError
from inbond.schemas.scalars import Role
from inbond.schemas.statement import Statement

MAX_SHEET = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Sheet:
    """Statements about keys and their signatures so far."""

    envelopes: tuple[Envelope, ...]

    @classmethod
    def read(cls, path: Path) -> "Sheet":
        """The sheet in a file; raises NotFound, StoreError, and InvalidInput for anything but statements about keys."""
        try:
            with path.open("rb") as file:
                data = file.read(MAX_SHEET + 1)
        except FileNotFoundError:
            raise NotFound(f"{path}: expected a sheet for admins to sign, found nothing") from None
        except OSError as error:
            raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
        if not data.endswith(b"\n") or len(data) > MAX_SHEET:
            raise InvalidInput(f"{path}: expected lines of at most {MAX_SHEET} bytes together, found another form")
        sheet = cls(tuple(canonical.decode(line, Envelope, what=str(path)) for line in data[:-1].split(b"\n")))
        for each in sheet.statements:
            if each.kind != "key":
                raise InvalidInput(f"{path}: expected statements about keys, found a {each.kind} statement")
        return sheet

    @property
    def statements(self) -> list[Statement]:
        """What the sheet says."""
        return [statement.read(dsse.payload_of(each)) for each in self.envelopes]

    def signers(self) -> set[str]:
        """The fingerprints of those who have signed every statement."""
        return set.intersection(*({signature.keyid for signature in each.signatures} for each in self.envelopes))

    def signed(self, keys: Sequence[SigningKey]) -> "Sheet":
        """The sheet with the signatures of `keys` too; those that have signed before are left as they are."""
        return Sheet(tuple(_signed(each, keys) for each in self.envelopes))

    def write(self, path: Path, *, new: bool) -> None:
        """Write the file; a `new` one must not be there yet (Conflict)."""
        if new and os.path.lexists(path):
            raise Conflict(f"{path}: expected no file there yet, found one")
        try:
            write_durably(path, b"".join(dsse.envelope_bytes(each) + b"\n" for each in self.envelopes))
        except OSError as error:
            raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def keyring_of(registry: OpenRegistry) -> Keyring:
    """Every key, where the log itself can be asked: keys are a matter of the folder's keeper."""
    with registry.reading() as reader:
        return registry.log.keyring_at(reader)


def admins_at_hand(registry: OpenRegistry) -> list[SigningKey]:
    """The admin keys that are here, as many as a statement needs; NotPermitted where there is none."""
    keyring = keyring_of(registry)
    found = registry.keys.admins(keyring.admins())
    if not found:
        key = registry.keys.role(Role.ADMIN)
        raise NotPermitted(
            f"admin key {key.public.fingerprint[:16]}: expected one in force, found one that is revoked or unknown"
        )
    return found[: keyring.threshold]


def record(registry: OpenRegistry, said: Sequence[Said]) -> list[Recorded]:
    """Put what admins say on record; raises NotPermitted where more of them have to sign it."""
    keyring = keyring_of(registry)
    there = len({key.public.fingerprint for key in said[0].keys} & set(keyring.admins()))
    if there < keyring.threshold:
        raise NotPermitted(
            f"key statement: expected signatures of {keyring.threshold} admin keys, found {there} at hand",
            hint="the same command with --out FILE writes a sheet for the other admins: inbond key sign FILE",
        )
    return registry.recorder.record_all(said)


def write_sheet(registry: OpenRegistry, said: Sequence[Said], path: Path) -> None:
    """Write what admins say to a new sheet instead, signed by those whose keys are here."""
    Sheet(tuple(registry.recorder.sign_all(said))).write(path, new=True)


def _signed(envelope: Envelope, keys: Sequence[SigningKey]) -> Envelope:
    there = {signature.keyid for signature in envelope.signatures}
    new = [key for key in keys if key.public.fingerprint not in there]
    if not new:
        return envelope
    more = dsse.sign(dsse.payload_of(envelope), new, envelope.payload_type)
    return structs.replace(envelope, signatures=(*envelope.signatures, *more.signatures))
