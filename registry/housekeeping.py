"""What a registry's owner looks after: objects that no entry names, and what an interrupted writer left."""

import re

from inbond.ledger import dsse
from inbond.ledger.entries import parse_entry
from inbond.registry.objects import Listed
from inbond.registry.opened import OpenRegistry
from inbond.schemas.errors import VerificationError

DAY = 86_400.0
_DIGEST = re.compile(rb"sha256:([0-9a-f]{64})")
_READ_WITHIN = 1 << 26


def unreferenced(registry: OpenRegistry, older_than: float = DAY) -> list[Listed]:
    """Objects that nothing on record names, put there more than `older_than` seconds ago.

    Whatever looks like a digest counts as a name, in any entry and in any object that an entry names: this errs on the
    side of keeping. Younger ones may belong to an import that goes on.
    """
    named: set[str] = set()
    with registry.reading() as reader:
        for _, data in reader.entries():
            named.update(match.decode() for match in _DIGEST.findall(dsse.payload_of(parse_entry(data).dsse)))
    for digest in sorted(named):
        if registry.store.has(digest) and registry.store.size(digest) <= _READ_WITHIN:
            with registry.store.open(digest) as file:
                if file.read(4) != b"PAR1":  # a shard names nothing that it needs
                    file.seek(0)
                    named.update(match.decode() for match in _DIGEST.findall(file.read()))
    return [item for item in registry.store.list() if item.digest not in named and item.age_seconds > older_than]


def remove_unreferenced(registry: OpenRegistry, older_than: float = DAY) -> list[Listed]:
    """Remove what `unreferenced` lists, once the log has been audited; returns what went.

    Raises VerificationError, and removes nothing, where the log differs: what it names could not be relied on.
    """
    audited = registry.audit()
    if audited.problem:
        raise VerificationError(f"nothing was removed, as the log is not what it should be: {audited.problem}")
    gone = unreferenced(registry, older_than)
    for item in gone:
        registry.store.remove(item.digest)
    return gone
