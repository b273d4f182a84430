"""One thing in detail: the statement that made it, verified on the way."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inbond.schemas.errors import InvalidInput

if TYPE_CHECKING:
    from inbond.registry.registry import Registry


@dataclass(frozen=True)
class Detail:
    """A thing on record: its statement's body as JSON has it, and what people call the references in it."""

    ref: str
    name: str
    entry: int
    time: str
    asserted_by: str
    body: dict[str, Any]
    called: dict[str, str]

    def data(self) -> dict[str, Any]:
        """What --json says of it."""
        return {
            "ref": self.ref,
            "name": self.name,
            "entry": self.entry,
            "time": self.time,
            "asserted_by": self.asserted_by,
            "body": self.body,
        }


@dataclass(frozen=True)
class Part:
    """Rows [first, last) of a shard."""

    shard: str
    first: int
    last: int
    split: str


def shown(registry: "Registry", ref: str) -> Detail:
    """The thing that `ref` names, its entry and signatures checked before it is shown."""
    import msgspec

    from inbond.ledger.entries import parse_entry
    from inbond.registry import names
    from inbond.registry.listing import names_of
    from inbond.registry.mentions import references
    from inbond.registry.reading import statement_of

    with registry.reading() as reader:
        if ref == registry.operator:
            raise InvalidInput(f"{ref} is the operator, whom genesis names: expected a thing of a statement of its own")
        found = statement_of(registry, reader, ref)
        seq = reader.seq_of(ref.partition(":")[2])
        called = names_of(reader.connection, references((found.body, found.header)))
        return Detail(
            ref=ref,
            name=names.name_of(reader.connection, ref),
            entry=seq,
            time=parse_entry(reader.entry(seq)).time,
            asserted_by=found.header.asserted_by.party,
            body=msgspec.to_builtins(found.body),
            called=called,
        )


def parts_of(registry: "Registry", ref: str) -> list[Part]:
    """The parts of a dataset version, in order."""
    from sqlalchemy import select

    from inbond.registry import tables as t

    p = t.dataset_parts.c
    query = select(p.shard, p.first, p.last, p.split).where(p.dataset == ref).order_by(p.position)
    with registry.reading() as reader:
        return [Part(*row) for row in reader.connection.execute(query)]
