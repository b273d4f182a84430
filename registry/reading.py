"""Opening a shard by what its entry says, checked against the log first."""

from sqlalchemy import select

from inbond.ledger import dsse, merkle
from inbond.ledger.checkpoints import open_checkpoint
from inbond.ledger.entries import parse_entry
from inbond.ledger.keyring import own_keys
from inbond.ledger.keys import PublicKey
from inbond.ledger.reader import LedgerReader
from inbond.registry import tables as t
from inbond.registry.opened import OpenRegistry
from inbond.registry.shards.reader import ShardReader
from inbond.schemas import statement
from inbond.schemas.entry import Envelope
from inbond.schemas.errors import InvalidInput, VerificationError
from inbond.schemas.statement import Statement
from inbond.schemas.statements import Shard


def statement_of(registry: OpenRegistry, reader: LedgerReader, ref: str) -> Statement:
    """The statement that made a thing, read from its entry.

    The entry's bytes are checked to be in the tree that the newest checkpoint signs, and the statement's signatures to be
    those of keys of this log. Raises VerificationError where they are not.
    """
    header_id = ref.partition(":")[2]
    seq = reader.seq_of(header_id)
    data = reader.entry(seq)
    head = open_checkpoint(reader.note, registry.log.keyring.log_keys, registry.origin)
    proof = merkle.inclusion_proof(seq, head.size, reader.node)
    merkle.verify_inclusion(seq, head.size, merkle.leaf_hash(data), proof, head.root)
    entry = parse_entry(data)
    found = statement.read(dsse.payload_of(entry.dsse))
    if found.header.id != header_id or entry.seq != seq:
        raise VerificationError(f"{ref}: expected its statement at entry {seq}, found that of {found.ref}")
    _check_signatures(registry, reader, entry.dsse, found)
    return found


def _check_signatures(registry: OpenRegistry, reader: LedgerReader, envelope: Envelope, found: Statement) -> None:
    """Every signature verifies under the key its keyid names; what the key may sign was settled when the entry was admitted."""
    keys = registry.log.keyring.keys
    own = own_keys(found)

    def public(keyid: str) -> PublicKey | None:
        if keyid in keys or keyid in own:
            return keys[keyid].public if keyid in keys else own[keyid]
        row = reader.connection.execute(select(t.runs.c.public_key).where(t.runs.c.keyid == keyid)).scalar()
        return None if row is None else PublicKey.from_base64(row)

    dsse.verify(envelope, public)


def open_shard(registry: OpenRegistry, ref: str) -> ShardReader:
    """A verifying reader of the shard that `ref` names."""
    with registry.reading() as reader:
        found = statement_of(registry, reader, ref)
    body = found.body
    if not isinstance(body, Shard):
        raise InvalidInput(f"expected a shard, found {ref}")
    return shard_reader(registry, ref, body)


def shard_reader(registry: OpenRegistry, ref: str, body: Shard) -> ShardReader:
    """A verifying reader of the shard that `body` describes."""
    return ShardReader(
        registry.store,
        digest=body.file,
        size=int(body.size),
        block_root=body.block_root,
        record_root=body.record_root,
        rows=int(body.rows),
        name=ref,
    )
