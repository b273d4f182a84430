"""What entries say, checked against the log first; and shards, opened by what their entries say."""

from typing import TYPE_CHECKING

from sqlalchemy import select

from inbond.ledger import dsse, merkle
from inbond.ledger.entries import parse_entry
from inbond.ledger.keyring import Keyring, own_keys
from inbond.ledger.keys import PublicKey
from inbond.ledger.log import Log
from inbond.ledger.reader import LedgerReader
from inbond.registry import tables as t
from inbond.schemas import statement
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InvalidInput, NotFound, VerificationError
from inbond.schemas.statement import Statement, split_ref
from inbond.schemas.statements import Shard

if TYPE_CHECKING:
    from inbond.registry.place import Place
    from inbond.registry.shards.logits_reader import LogitsReader
    from inbond.registry.shards.reader import ShardReader


def statement_of(log: Log, reader: LedgerReader, ref: str) -> Statement:
    """The statement that made a thing, read from its entry; the first party's is genesis.

    The entry's bytes are checked to be in the tree that the newest checkpoint signs, and the statement's signatures to be
    those of keys of this log. Raises VerificationError where they are not, NotFound for what is not on record.
    """
    kind, header_id = split_ref(ref)
    seq = reader.seq_of(header_id)
    data = reader.entry(seq)
    keyring = log.keyring_at(reader)
    head = keyring.log.open(reader.note, log.origin)
    proof = merkle.inclusion_proof(seq, head.size, reader.node)
    merkle.verify_inclusion(seq, head.size, merkle.leaf_hash(data), proof, head.root)
    entry = parse_entry(data)
    found = statement.read(dsse.payload_of(entry.dsse))
    if found.header.id != header_id or entry.seq != seq:
        raise VerificationError(f"{ref}: expected its statement at entry {seq}, found that of {found.ref}")
    _check_signatures(keyring, reader, entry.dsse, found)
    if kind not in (found.kind, "party" if found.kind == "genesis" else found.kind):
        raise NotFound(f"{ref} is not on record: the statement of that id made {found.ref}")
    return found


def _check_signatures(keyring: Keyring, reader: LedgerReader, envelope: Envelope, found: Statement) -> None:
    """Every signature verifies under the key its keyid names; what the key may sign was settled when the entry was admitted."""
    keys = keyring.keys
    own = own_keys(found)

    def public(keyid: str) -> PublicKey | None:
        if keyid in keys or keyid in own:
            return keys[keyid].public if keyid in keys else own[keyid]
        row = reader.connection.execute(select(t.runs.c.public_key).where(t.runs.c.keyid == keyid)).scalar()
        return None if row is None else PublicKey.from_base64(row)

    dsse.verify(envelope, public)


def open_shard(place: "Place", ref: str, under: str | None = None) -> "ShardReader":
    """A verifying reader of the text shard that `ref` names; `under` is the grant or delivery that permits it, where one must."""
    body = place.statement(ref).body
    if not isinstance(body, Shard):
        raise InvalidInput(f"expected a shard, found {ref}")
    return shard_reader(place, ref, body, under)


def shard_reader(place: "Place", ref: str, body: Shard, under: str | None = None) -> "ShardReader":
    """A verifying reader of the text shard that `body` describes."""
    from inbond.registry.shards.reader import ShardReader

    found = any_reader(place, ref, body, under)
    if not isinstance(found, ShardReader):
        found.close()
        raise InvalidInput(f"expected a text shard, found {ref}, of log-probabilities")
    return found


def logits_reader(place: "Place", ref: str, body: Shard, under: str | None = None) -> "LogitsReader":
    """A verifying reader of the shard of log-probabilities that `body` describes."""
    from inbond.registry.shards.logits_reader import LogitsReader

    found = any_reader(place, ref, body, under)
    if not isinstance(found, LogitsReader):
        found.close()
        raise InvalidInput(f"expected a shard of log-probabilities, found {ref}, of text")
    return found


def any_reader(place: "Place", ref: str, body: Shard, under: str | None = None) -> "ShardReader | LogitsReader":
    """A verifying reader of the shard that `body` describes, whatever its kind."""
    from inbond.registry.shards.opening import reader_of

    file, joined = place.shard_file(ref, body, under)
    return reader_of(file, body, ref, joined)
