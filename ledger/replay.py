"""Reading an entry back as the draft it was, with its signers as they stood at its place."""

from binascii import a2b_base64
from dataclasses import replace

from sqlalchemy import Connection

from inbond.ledger import dsse
from inbond.ledger.entries import parse_entry
from inbond.ledger.keyring import Keyring, key_roles, own_keys
from inbond.ledger.rules import Draft, Rules, Signer
from inbond.schemas import canonical
from inbond.schemas import statement as statements
from inbond.schemas.entry import Entry
from inbond.schemas.errors import InvalidInput, NotPermitted, VerificationError
from inbond.schemas.statement import Statement
from inbond.schemas.statements import Genesis, Key


def draft_of(data: bytes) -> Draft:
    """The draft that an entry's bytes hold, its signers left out (they need keys: `resolve_signer`)."""
    entry = parse_entry(data)
    try:
        statement = statements.read(dsse.payload_of(entry.dsse))
    except InvalidInput as error:
        raise VerificationError(f"entry {entry.seq}: {error.message}") from None
    if statement.kind != entry.kind:
        raise VerificationError(f"entry {entry.seq}: expected kind {statement.kind} as its statement says, found {entry.kind}")
    return Draft(entry.seq, entry.time, statement, entry.dsse, ())


def draft_again(data: bytes) -> Draft:
    """`draft_of` for bytes that it, or an audit, has accepted before."""
    entry = canonical.again(data, Entry)
    wire = canonical.again(a2b_base64(entry.dsse.payload), statements.wire_type(entry.kind))
    predicate, found = wire.predicate, wire.subject[0].digest.sha256
    statement = Statement(entry.kind, predicate.header, predicate.body, found, entry.kind)
    return Draft(entry.seq, entry.time, statement, entry.dsse, ())


def replayed(connection: Connection, rules: Rules, keyring: Keyring, data: bytes) -> Draft:
    """The draft that an entry's bytes hold, with its signers as of `keyring`; signatures are not checked again."""
    draft = draft_of(data)
    if isinstance(draft.body, Genesis):
        keyring = Keyring(origin=draft.statement.header.registry)
    signers = tuple(
        resolve_signer(connection, rules, keyring, draft.statement, signature.keyid, draft.time)
        for signature in draft.envelope.signatures
    )
    return replace(draft, signers=signers)


def resolve_signer(connection: Connection, rules: Rules, keyring: Keyring, statement: Statement, keyid: str, time: str) -> Signer:
    """The signer behind a keyid for `statement` at `time`, with party and roles as of `keyring`.

    Keys come from `key` statements, from the statement itself (genesis, an enrolment) or from the rules (a run's key).
    Raises NotPermitted for a key that is unknown, revoked or expired.
    """
    found = keyring.signer(keyid, time) or rules.key_at(connection, statement, keyid)
    if found is not None:
        return found
    public = own_keys(statement).get(keyid)
    if public is not None and isinstance(statement.body, Genesis):
        return Signer(keyid, public, f"party:{statement.header.id}", key_roles(statement.body, public))
    if public is not None and isinstance(statement.body, Key):
        return Signer(keyid, public, statement.body.party, frozenset())
    raise NotPermitted(
        f"{statement.kind} statement: expected signatures by keys of this log, found unknown key {keyid[:16]}",
        hint="an admin enrols a key with: inbond key add",
    )
