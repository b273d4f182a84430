"""What a name means, by a server's word, which the statements about the thing must bear out."""

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import UnsetType

from inbond.registry.naming import says
from inbond.registry.place import Thing
from inbond.registry.places import forms
from inbond.registry.places.transport import Transport
from inbond.registry.places.trust import Trust
from inbond.schemas.errors import VerificationError
from inbond.schemas.kinds import KINDS
from inbond.schemas.statement import Statement

REF = re.compile("([a-z_]+):[0-9a-f]{32}")
AT_ONCE = 100
"""How many references, or digests, are asked about in one request."""


def find(transport: Transport, trust: Trust, text: str, kinds: Sequence[str], size: int | None) -> str:
    """The reference that `text` names among things of `kinds`, up to `size` entries.

    Raises VerificationError where no statement about that thing says the name. That there is no other thing of that name,
    and no newer version, is the server's word.
    """
    as_of = [] if size is None else [("as_of", str(size))]
    ref = transport.json("/v1/resolve", forms.Resolved, [("name", text), *(("kind", kind) for kind in kinds), *as_of]).ref
    match = REF.fullmatch(ref)
    if match is None or match[1] not in (kinds or KINDS):
        raise VerificationError(f"{text}: expected a reference to a {' or '.join(kinds) or 'thing'}, found {ref[:80]!r}")

    def statement_of(other: str) -> Statement:
        return trust.made(other).statement

    if not any(says(found, at, text, statement_of) for at, found in _statements_about(transport, trust, ref)):
        raise VerificationError(f"{text}: expected a thing of which a statement says that name, found {ref}")
    seq = trust.made(ref).seq
    if size is not None and seq >= size:
        raise VerificationError(f"{text}: expected a thing on record at size {size}, found {ref} of entry {seq}")
    return ref


def things(transport: Transport, refs: Iterable[str]) -> dict[str, Thing]:
    """What the server says of each reference that is on record."""
    wanted = list(dict.fromkeys(refs))
    found: dict[str, Thing] = {}
    for at in range(0, len(wanted), AT_ONCE):
        chunk = wanted[at : at + AT_ONCE]
        for thing in transport.json("/v1/things", forms.Things, [("ref", ref) for ref in chunk]).things:
            if thing.ref not in chunk or thing.kind != thing.ref.partition(":")[0]:
                raise VerificationError(f"things: expected what was asked for, found {thing.kind} {thing.ref}")
            found[thing.ref] = thing
    return {ref: found[ref] for ref in wanted if ref in found}


def _statements_about(transport: Transport, trust: Trust, ref: str) -> Iterator[tuple[str, Statement]]:
    """The statement that made a thing, then those that correct it, newest first, each proved to lead to it."""
    yield ref, trust.made(ref).statement
    thing = things(transport, [ref]).get(ref)
    at = ref if thing is None else thing.newest
    while at != ref:
        found = trust.made(at)
        amends = found.statement.header.amends
        if isinstance(amends, UnsetType) or trust.made(amends).seq >= found.seq or at.partition(":")[0] != ref.partition(":")[0]:
            raise VerificationError(f"{ref}: expected statements that correct it, found {at}, which corrects something else")
        yield at, found.statement
        at = amends
