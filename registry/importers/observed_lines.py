"""Records that a program made, with their log-probabilities, as JSON Lines of our own: what `write_observed` writes.

    write_observed("answers.jsonl", from_generate(out.sequences, out.logits, length, texts=texts))
    registry.import_files("observed", ["answers.jsonl"], teacher="lab/base@1", dataset="answers", create=True, keeping=…)

A line has `record`, with the fields of `Record`, and `generated` and `scored` with those of `TokenLogprobs`; bytes are base64.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import numpy as np

from inbond.ledger.files import write_durably
from inbond.registry.importers.base import Converter, Importer
from inbond.registry.importers.fields import Fields
from inbond.registry.importers.observed import Observed, TokenLogprobs
from inbond.registry.importers.typed import decode
from inbond.registry.shards.distributions import Selection
from inbond.registry.shards.records import Record
from inbond.schemas.errors import InvalidInput


class _Said(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`TokenLogprobs` as a line has it: ids, or (`texts`) the bytes of texts in base64."""

    chosen: list[float | None]
    counts: list[int]
    logprobs: list[float]
    selection: Selection = Selection.TOPK
    tokens: list[int] = []
    alternatives: list[int] = []
    token_texts: list[bytes] = []
    alternative_texts: list[bytes] = []
    ranks: list[int] | None = None
    draws: list[int] | None = None
    before: list[int] = []
    after: list[int] = []


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    record: Record
    generated: _Said | None = None
    scored: _Said | None = None


_record = msgspec.json.Decoder(Record)
_said = msgspec.json.Decoder(_Said)


def write_observed(path: str | os.PathLike[str], found: Iterable[Record | Observed]) -> None:
    """Write records to a new file, for `inbond import observed`. Raises InvalidInput where the file exists, or for no records."""
    file = Path(path)
    if file.exists():
        raise InvalidInput(f"{file} exists: expected the name of a new file")
    lines = [msgspec.json.encode(_line(each)) for each in found]
    if not lines:
        raise InvalidInput(f"{file}: expected at least one record to write, found none")
    write_durably(file, b"\n".join(lines) + b"\n")


class ObservedConverter(Converter):
    """What a line says, checked for the lengths that belong together."""

    def convert(self, fields: Fields) -> tuple[Record | Observed, ...]:
        """Raises Fault for a line of another form."""
        raw = fields.peek("record")
        if raw is None:
            fields.refuse("record", "a record", "no such field", "missing-field")
        record = decode(_record, raw, "record")
        generated, scored = (self._said(fields, name) for name in ("generated", "scored"))
        for name in fields.names():
            if name not in ("record", "generated", "scored"):
                fields.refuse(name, "record, generated or scored", "another field", "wrong-value")
        return (record if generated is None and scored is None else Observed(record, generated, scored),)

    def _said(self, fields: Fields, name: str) -> TokenLogprobs | None:
        if not fields.known(name):
            return None
        said = decode(_said, fields.peek(name) or b"", name)
        tokens = said.token_texts or said.tokens
        entries = said.alternative_texts if said.token_texts else said.alternatives
        lengths = {"chosen": (len(said.chosen), len(tokens)), "counts": (len(said.counts), len(tokens))}
        lengths |= {"logprobs": (len(said.logprobs), len(entries)), "entries": (len(entries), sum(said.counts))}
        if said.ranks is not None:
            lengths["ranks"] = (len(said.ranks), len(tokens))
        if said.draws is not None:
            lengths["draws"] = (len(said.draws), len(entries))
        for field, (found, expected) in lengths.items():
            if found != expected:
                fields.refuse(f"{name}.{field}", f"{expected} values", str(found), "wrong-value")
        numbers = (
            *said.tokens,
            *said.alternatives,
            *said.counts,
            *said.before,
            *said.after,
            *(said.ranks or ()),
            *(said.draws or ()),
        )
        if min(numbers, default=0) < 0:
            fields.refuse(name, "ids and counts from 0 on", str(min(numbers)), "wrong-value")
        return TokenLogprobs(
            tokens=tokens,
            chosen=said.chosen,
            counts=said.counts,
            alternatives=entries,
            logprobs=said.logprobs,
            ranks=said.ranks,
            draws=said.draws,
            before=said.before,
            after=said.after,
            selection=said.selection,
        )


def _line(found: Record | Observed) -> _Line:
    if isinstance(found, Record):
        return _Line(found)
    return _Line(found.record, _of(found.generated), _of(found.scored))


def _of(found: TokenLogprobs | None) -> _Said | None:
    if found is None:
        return None
    names = ("tokens", "alternatives") if found.has_ids else ("token_texts", "alternative_texts")
    values = {
        name: _plain(getattr(found, name)) for name in ("chosen", "counts", "logprobs", "ranks", "draws", "before", "after")
    }
    tokens = {name: _plain(part) for name, part in zip(names, (found.tokens, found.alternatives), strict=True)}
    return msgspec.convert({**values, **tokens, "selection": found.selection}, _Said)


def _plain(values: object) -> object:
    if values is None:
        return None
    return values.tolist() if isinstance(values, np.ndarray) else list(values)  # type: ignore[call-overload]


def _converter(_: Mapping[str, str]) -> Converter:
    return ObservedConverter()


OBSERVED = Importer(
    name="observed",
    version="1",
    describes="records with log-probabilities that a program wrote with inbond's `write_observed`; JSON Lines",
    example='{"record": {"prompt": null, "own_turns": [], "response": "Hi"}, "generated": '
    '{"tokens": [7], "chosen": [-0.1], "counts": [1], "alternatives": [7], "logprobs": [-0.1]}}',
    converter=_converter,
    logprobs=True,
)
