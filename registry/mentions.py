"""What a statement mentions: other things by reference, and objects by digest."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UnsetType

from inbond.schemas.statements import (
    Acceptance,
    Dataset,
    Grant,
    Operator,
    Recall,
    Release,
    Report,
    RunClose,
    Shard,
    Terms,
)

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REF = re.compile(r"[a-z][a-z_]{0,31}:[0-9a-f]{32}")


def references(value: Any) -> set[str]:
    """Every reference inside a statement's body or header."""
    return {item for item in _strings(value) if _REF.fullmatch(item)}


def digests(value: Any) -> set[str]:
    """Every digest inside a statement's body, of objects in the store and of others."""
    return {item for item in _strings(value) if _DIGEST.fullmatch(item)}


def _strings(value: Any) -> Iterator[str]:
    stack = [msgspec.to_builtins(value)]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            stack.extend(item)
        elif isinstance(item, str):
            yield item


def named_objects(body: Any) -> list[str]:
    """The digests of objects that must be in the store before a statement that names them may stand."""
    if isinstance(body, Terms):
        return [body.text]
    if isinstance(body, Acceptance):
        return [] if isinstance(body.order_form, UnsetType) else [body.order_form]
    if isinstance(body, Shard):
        return [body.file, body.inputs.digest, body.derived_from.digest]
    if isinstance(body, Dataset):
        return [body.parts.digest]
    if isinstance(body, Grant):
        return [body.parts.digest, body.reasons.digest, body.obligations.digest]
    if isinstance(body, RunClose):
        return [body.inputs.digest]
    if isinstance(body, Release):
        policy = body.policy.known
        return [body.obligations.digest, *([] if isinstance(policy, UnsetType) else [policy.reasons.digest])]
    if isinstance(body, Recall):
        return [body.targets.digest]
    if isinstance(body, Operator):
        measures = (body.opt_out_measures, body.illegal_content_measures)
        return [body.disclosure_policy, *(each.value_or("") for each in measures if each.is_known)]
    if isinstance(body, Report):
        renderings = [each.digest for each in body.renderings]
        return [body.options, body.model, body.commitments, body.gaps.digest, *renderings]
    return []
