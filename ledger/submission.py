"""A statement on its way in: parsed and its signatures checked, before anyone takes the write lock."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from inbond.ledger import dsse
from inbond.ledger.entries import entry_bytes
from inbond.ledger.keyring import own_keys
from inbond.ledger.keys import PublicKey
from inbond.schemas import statement as statements
from inbond.schemas.entry import MAX_ENTRY, PAYLOAD_TYPE, Entry, Envelope
from inbond.schemas.errors import InbondError, InvalidInput
from inbond.schemas.statement import Statement

PublicKeyOf = Callable[[Statement, str], PublicKey | None]
"""Finds the public key of a fingerprint that signed a statement, None when it is unknown."""


_SOMETIME = "2000-01-01T00:00:00.000Z"
_PLACE = len(f'"prev":"{"f" * 64}","seq":1,"time":"{_SOMETIME}","v":1}}')


@dataclass(slots=True)
class Submission:
    """A parsed statement. `checked` says that every signature verified under the key its keyid names.

    `frame` is the entry up to its place in the chain, made and checked before the lock is taken (`placed`).
    """

    envelope: Envelope
    statement: Statement
    payload_sha: bytes
    checked: bool
    frame: bytes

    @property
    def header_id(self) -> bytes:
        """The 128-bit id of the header."""
        return bytes.fromhex(self.statement.header.id)

    def placed(self, prev: bytes, seq: int, time: str) -> bytes:
        """The bytes of the entry that this statement becomes at its place: what `entry_bytes` gives, sooner."""
        data = b'%b"prev":"%b","seq":%d,"time":"%b","v":1}' % (self.frame, prev.hex().encode(), seq, time.encode())
        if len(data) > MAX_ENTRY:
            raise InvalidInput(f"expected an entry of at most {MAX_ENTRY} bytes, found {len(data)}")
        return data

    def check(self, keys: Mapping[str, PublicKey]) -> None:
        """Check the signatures, unless that was done, with the keys of its signers by key id; raises when one fails."""
        if not self.checked:
            dsse.verify(self.envelope, keys.get)
            self.checked = True


def prepare(envelope: Envelope, key_of: PublicKeyOf) -> Submission:
    """Parse the statement and check its signatures.

    A signature by a key that is not known yet is left for the write lock, where statements before it in the same batch
    have brought their keys; a known key whose signature fails raises VerificationError here.
    """
    if envelope.payload_type != PAYLOAD_TYPE:
        raise InvalidInput(f"envelope: expected payload type {PAYLOAD_TYPE}, found {envelope.payload_type}")
    payload = dsse.payload_of(envelope)
    statement = statements.read(payload)
    own = own_keys(statement)
    keys = {
        signature.keyid: own.get(signature.keyid) or key_of(statement, signature.keyid)
        for signature in envelope.signatures
    }
    complete = None not in keys.values()
    if complete:
        dsse.verify(envelope, keys.get)
    frame = entry_bytes(Entry(envelope, statement.kind, "f" * 64, 1, _SOMETIME, 1))[:-_PLACE]
    return Submission(envelope, statement, hashlib.sha256(payload).digest(), complete, frame)


def prepare_all(
    envelopes: Iterable[Envelope], key_of: PublicKeyOf, pool: ThreadPoolExecutor
) -> list[Submission | InbondError]:
    """`prepare` for many, in threads; what is refused stands as its error in its place."""

    def one(envelope: Envelope) -> Submission | InbondError:
        try:
            return prepare(envelope, key_of)
        except InbondError as error:
            return error

    listed = list(envelopes)
    if len(listed) < 8:
        return [one(envelope) for envelope in listed]
    return list(pool.map(one, listed, chunksize=1))
