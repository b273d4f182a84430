"""What a statement mentions: other things by reference, and objects by digest."""

import re
from typing import Any

import msgspec

from inbond.schemas.statements import (
    Dataset,
    Grant,
    Release,
    RunClose,
    Shard,
    Terms,
)

_REF = re.compile(r"[a-z][a-z_]{0,31}:[0-9a-f]{32}")


def references(value: Any) -> set[str]:
    """Every reference inside a statement's body or header."""
    found: set[str] = set()
    stack = [msgspec.to_builtins(value)]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            stack.extend(item)
        elif isinstance(item, str) and _REF.fullmatch(item):
            found.add(item)
    return found


def named_objects(body: Any) -> list[str]:
    """The digests of objects that must be in the store before a statement that names them may stand."""
    if isinstance(body, Terms):
        return [body.text]
    if isinstance(body, Shard):
        return [body.file, body.inputs.digest, body.derived_from.digest]
    if isinstance(body, Dataset):
        return [body.parts.digest]
    if isinstance(body, Grant):
        return [body.parts.digest, body.reasons.digest, body.obligations.digest]
    if isinstance(body, RunClose):
        return [body.inputs.digest]
    if isinstance(body, Release):
        return [body.obligations.digest]
    return []
