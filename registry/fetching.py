"""Which objects of the store go with a statement, to whoever may see it: its lists and texts, never a shard's file.

Digests are no secret, and a statement may name any: so what is handed out under one must be what the statement shows that
its signer knew (the lines of a list have the root that it states), or a text that only compliance names. Salted texts and
everything else that a statement names are for few.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from inbond.registry import tables as t
from inbond.registry.mentions import digests, named_objects
from inbond.registry.objects import ObjectStore, bare
from inbond.schemas.errors import NotFound, NotPermitted
from inbond.schemas.scalars import ObjectList
from inbond.schemas.statement import Statement
from inbond.schemas.statements import Dataset, Report, Terms


class Objects:
    """The objects of a store as statements name them. Safe in many threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._has_root = lru_cache(maxsize=4096)(self._read)

    def is_for_all(self, connection: Connection, digest: str, found: Statement) -> bool:
        """Whether an object is for everybody who may see the statement `found`; else it is salted text, or the like.

        Raises NotFound where the statement does not name it, NotPermitted for the file of a shard, and VerificationError
        for a list that is not what the statement says.
        """
        named = f"sha256:{bare(digest)}"
        if named not in digests((found.body, found.header)):
            raise NotFound(f"{found.ref} names no object {named}")
        if connection.execute(select(t.shards.c.ref).where(t.shards.c.file == named).limit(1)).first() is not None:
            raise NotPermitted(
                f"{named} is a shard's file: expected another object", hint="GET /v1/shards/ID/content?grant=REF gives a shard"
            )
        for each in lists_in(found.body):
            if each.digest == named:
                self._has_root(each.digest, each.root, int(each.count))
                return True
        return named in _texts(found)

    def _read(self, digest: str, root: str, count: int) -> None:
        """Raise unless the list is what was stated."""
        self._store.read_lines(digest, root, count)


def lists_in(value: Any) -> Iterator[ObjectList]:
    """Every list that a body names."""
    if isinstance(value, ObjectList):
        yield value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from lists_in(getattr(value, name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from lists_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from lists_in(item)


def _texts(found: Statement) -> set[str]:
    """What compliance names as something to be read, and how a dataset was made."""
    body = found.body
    if isinstance(body, Dataset):
        return set(named_objects(body, found.header))
    if isinstance(body, Terms):
        return {body.text}
    if isinstance(body, Report):
        return {body.model, *(rendering.digest for rendering in body.renderings)}
    return set()
