"""Reading things out of the ledger as of a tree size, many at once: their newest statements, names, documents, lists."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from inbond.ledger.entries import parse_entry
from inbond.ledger.reader import LedgerReader
from inbond.registry import tables as t
from inbond.registry.current import body_of, first_of, newest_of
from inbond.registry.given import chunks
from inbond.registry.objects import ObjectStore
from inbond.schemas.errors import NotFound
from inbond.schemas.scalars import ObjectList

SALT = 32
"""How many bytes of salt stand before the text in an erasable object."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing: the statement that made it, and what its newest statement says, in which entry and by which party."""

    ref: str
    made: int
    entry: int
    name: str
    owner: str
    body: Any


class Ledger:
    """The first `size` entries of a log, with the store of what they name. Everything that was read is kept."""

    def __init__(self, reader: LedgerReader, store: ObjectStore, size: int) -> None:
        self.reader, self.store, self.size = reader, store, size
        self.connection = reader.connection
        self.time = parse_entry(reader.entry(size - 1)).time
        self._things: dict[str, Thing] = {}

    def thing(self, ref: str) -> Thing:
        """A thing by reference. Raises NotFound for one that is not on record at this size."""
        found = self.things([ref]).get(ref)
        if found is None:
            raise NotFound(f"{ref} is not on record at size {self.size}")
        return found

    def things(self, refs: Iterable[str]) -> dict[str, Thing]:
        """Things by reference, those that are on record at this size."""
        wanted = list(dict.fromkeys(refs))
        missing = [ref for ref in wanted if ref not in self._things]
        if not missing:
            return {ref: self._things[ref] for ref in wanted}
        firsts = first_of(self.connection, missing)
        newest = newest_of(self.connection, missing, self.size)
        rows = self._rows({*firsts.values(), *newest.values()})
        for ref in missing:
            first, last = rows.get(firsts[ref]), rows.get(newest[ref])
            if first is not None and last is not None:
                body = body_of(newest[ref], last.seq, bytes(last.body))
                name = last.name or first.name or firsts[ref]
                self._things[ref] = Thing(firsts[ref], first.seq, last.seq, name, last.owner, body)
        return {ref: self._things[ref] for ref in wanted if ref in self._things}

    def made_by(self, seq: int) -> Thing:
        """The thing that the statement of entry `seq` made."""
        ref = self.connection.execute(select(t.things.c.ref).where(t.things.c.seq == seq)).scalars().first()
        if ref is None:
            raise NotFound(f"entry {seq} made nothing")
        return self.thing(ref)

    def name(self, ref: str) -> str:
        """What people call a thing, its reference where nothing is on record about it."""
        found = self.things([ref]).get(ref)
        return found.name if found else ref

    def document(self, digest: str, *, salted: bool = False) -> str | None:
        """The text of an object, None where the store has it no more or it is no text. `salted`: that of an erasable one."""
        try:
            data = self.store.get(digest)
        except NotFound:
            return None
        try:
            return (data[SALT:] if salted else data).decode().strip()
        except UnicodeDecodeError:
            return None

    def lines(self, named: ObjectList) -> list[Any]:
        """The lines of a list."""
        return self.store.read_lines(named.digest, named.root, int(named.count))

    def _rows(self, refs: set[str]) -> dict[str, Any]:
        c = t.things.c
        found: dict[str, Any] = {}
        for chunk in chunks(sorted(refs)):
            query = select(c.ref, c.seq, c.name, c.owner, c.body).where(c.ref.in_(chunk), c.seq < self.size)
            found.update({row.ref: row for row in self.connection.execute(query)})
        return found
