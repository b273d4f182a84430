"""A statement on its way in: parsed and its signatures checked, before anyone takes the write lock."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import msgspec

from inbond.ledger import dsse
from inbond.ledger.keyring import own_keys
from inbond.ledger.keys import PublicKey
from inbond.schemas import statement as statements
from inbond.schemas.entry import MAX_ENTRY, PAYLOAD_TYPE, Entry, Envelope
from inbond.schemas.errors import InbondError, InvalidInput
from inbond.schemas.statement import Statement

PublicKeyOf = Callable[[Statement, str], PublicKey | None]
"""Finds the public key of a fingerprint that signed a statement, None when it is unknown."""


MAX_SIGNATURES = 16

_SOMETIME = "2000-01-01T00:00:00.000Z"
_encoder = msgspec.json.Encoder(order="sorted")
_PLACE = len(f'"prev":"{"f" * 64}","seq":1,"time":"{_SOMETIME}","v":1}}')


@dataclass(slots=True)
class Submission:
    """A parsed statement. `checked` says that every signature verified under the key its keyid names.

    `frame` is the entry up to its place in the chain, made and checked before the lock is taken (`placed`).
    """

    envelope: Envelope
    statement: Statement
    header_id: bytes
    payload_sha: bytes
    checked: bool
    frame: bytes

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
    keys = {signature.keyid: own.get(signature.keyid) or key_of(statement, signature.keyid) for signature in envelope.signatures}
    complete = None not in keys.values()
    if complete:
        dsse.verify(envelope, keys.get, payload=payload)
    header_id = bytes.fromhex(statement.header.id)
    return Submission(envelope, statement, header_id, hashlib.sha256(payload).digest(), complete, _frame(envelope, statement))


def prepare_all(envelopes: Iterable[Envelope], key_of: PublicKeyOf, pool: ThreadPoolExecutor) -> list[Submission | InbondError]:
    """`prepare` for many, in threads; what is refused stands as its error in its place."""

    def some(envelopes: Iterable[Envelope]) -> list[Submission | InbondError]:
        prepared: list[Submission | InbondError] = []
        for envelope in envelopes:
            try:
                prepared.append(prepare(envelope, key_of))
            except InbondError as error:
                prepared.append(error)
        return prepared

    listed = list(envelopes)
    if len(listed) < 8:
        return some(listed)
    step = max(4, min(64, len(listed) // 4))  # handing work over costs about as much as one statement
    return list(chain.from_iterable(pool.map(some, (listed[i : i + step] for i in range(0, len(listed), step)))))


def _frame(envelope: Envelope, statement: Statement) -> bytes:
    # What `entry_bytes` would look for again is known: payload and signatures are canonical base64, key ids those of keys.
    if not 1 <= len(envelope.signatures) <= MAX_SIGNATURES:
        raise InvalidInput(f"envelope: expected 1 to {MAX_SIGNATURES} signatures, found {len(envelope.signatures)}")
    return _encoder.encode(Entry(envelope, statement.kind, "f" * 64, 1, _SOMETIME, 1))[:-_PLACE]
