"""What a statement mentions: other things by reference, and objects by digest."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import UnsetType

from inbond.schemas.statements import (
    Acceptance,
    Dataset,
    Grant,
    Header,
    Operator,
    Recall,
    Release,
    Report,
    RunClose,
    Shard,
    Terms,
)

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_KIND = re.compile(rb"[a-z][a-z_]{0,31}")
_ID = re.compile(rb':[0-9a-f]{32}"(?!:)')  # the end of a text that is no key
_WITHIN = re.compile(r"\b[a-z][a-z_]{0,31}:[0-9a-f]{32}\b")
_encoder = msgspec.json.Encoder()


def within(texts: Iterable[str]) -> set[str]:
    """Every reference inside sentences, such as those of reasons."""
    return {ref for text in texts for ref in _WITHIN.findall(text)}


def called_in(text: str, called: Mapping[str, str]) -> str:
    """A sentence with what people call the things in it."""
    return _WITHIN.sub(lambda match: called.get(match[0], match[0]), text)


def references(value: Any) -> set[str]:
    """Every reference inside a statement's body or header."""
    data = _encoder.encode(value)  # and not `_strings`: this is done for every statement
    found = set()
    for match in _ID.finditer(data):
        start, end = data.rindex(b'"', 0, match.start()), match.end() - 1
        if data[start - 1 : start] != b"\\" and _KIND.fullmatch(data, start + 1, match.start()):
            found.add(data[start + 1 : end].decode())
    return found


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


def named_objects(body: Any, header: Header) -> list[str]:
    """The digests of objects that must be in the store before a statement that names them may stand.

    Of evidence these are what a dataset was made with; other documents are for few.
    """
    if isinstance(body, Terms):
        return [body.text]
    if isinstance(body, Acceptance):
        return [] if isinstance(body.order_form, UnsetType) else [body.order_form]
    if isinstance(body, Shard):
        codec = None if isinstance(body.codec, UnsetType) else body.codec
        table = [codec.tokenizer] if codec and codec.parameters.get("ids") == "table" else []
        return [body.file, body.inputs.digest, body.derived_from.digest, *table]
    if isinstance(body, Dataset):
        return [body.parts.digest, *(each.digest for each in header.evidence if each.stored)]
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
