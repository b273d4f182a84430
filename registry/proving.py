"""One record shown without the others, to somebody who has neither the registry nor the shard.

records/<row>.json             the record, its salt, and its path to the record root that the shard's statement holds
receipts/<seq>.tlog-proof      that statement, genesis and every key, each with its proof under one checkpoint
"""

from dataclasses import dataclass
from pathlib import Path

from inbond.ledger.files import appearing, write_durably
from inbond.registry.delivering import write_receipts
from inbond.registry.opened import OpenRegistry
from inbond.registry.reading import logits_reader, shard_reader


@dataclass(frozen=True)
class Proved:
    """The proof of a record: row `row` of `shard`; `data` is its file's content."""

    shard: str
    row: int
    data: bytes


def prove_record(registry: OpenRegistry, shard: str, row: int, *, under: str | None = None) -> Proved:
    """Prove that a record is row `row` of a shard. It shows nothing of the other records.

    `under` is the grant or delivery that lets the shard's bytes leave a server; a folder asks for none. Raises InvalidInput for a
    row that the shard does not have, VerificationError where the shard is not what was signed.
    """
    from inbond.registry.shards import proofs

    ref = registry.resolve(shard, "shard")
    body = registry.place.statement(ref).body
    with (logits_reader if body.codec else shard_reader)(registry.place, ref, body, under) as reader:
        return Proved(ref, row, proofs.prove(reader, row))


def write_proof(registry: OpenRegistry, proved: Proved, folder: Path) -> int:
    """Write a proof to a new folder with the receipts that it needs, and no others; returns how many.

    `inbond-verify --without-shards` accepts it under a trust policy and the genesis hash.
    """
    with appearing(folder) as building:
        (building / "records").mkdir()
        write_durably(building / "records" / f"{proved.row}.json", proved.data)
        return write_receipts(registry, building, [proved.shard])[0]
