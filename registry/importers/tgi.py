"""Text Generation Inference: answers of `/generate` (with `details`), one a line.

`details.tokens` are the generated tokens with ids, `details.top_tokens` the alternatives, `details.prefill` the prompt's tokens,
whose log-probabilities are scored ones. `best_of_sequences` are further samples. The prompt's text is not repeated.
"""

from collections.abc import Mapping, Sequence

import msgspec

from inbond.registry.importers.base import Converter, Importer
from inbond.registry.importers.chat_completions import INT32
from inbond.registry.importers.completions import KIND
from inbond.registry.importers.failures import refuse_error
from inbond.registry.importers.fields import Fields, join_array
from inbond.registry.importers.observed import Observed, TokenLogprobs, token_logprobs, with_logprobs
from inbond.registry.importers.typed import decode
from inbond.registry.shards.records import Record


class _Token(msgspec.Struct, gc=False):
    id: int
    logprob: float | None
    text: str | None = None
    special: bool | None = None


_tokens = msgspec.json.Decoder(list[_Token])
_tops = msgspec.json.Decoder(list[list[_Token]])


class TgiConverter(Converter):
    """One record for the answer, and one for each further sequence of a best-of request."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def convert(self, fields: Fields) -> Sequence[Record | Observed]:
        """Raises Fault for an answer without text, and for log-probabilities that do not fit each other."""
        refuse_error(fields)
        response = fields.text("generated_text")
        if not fields.known("details"):
            return [Record(prompt=None, own_turns=(), response=response, extra=fields.rest(), kind=self._kind)]
        details = fields.object("details")
        others = details.objects("best_of_sequences") if details.known("best_of_sequences") else []
        texts = [other.text("generated_text") for other in others]
        first = _sequence(details)
        found = [self._record(response, 0, first, fields.rest(details=details.rest()))]
        for sample, (text, other) in enumerate(zip(texts, others, strict=True), 1):
            sequence = _sequence(other)
            beside = other.rest()
            nested = None if beside is None else f'{{"details":{{"best_of_sequences":{join_array([beside])}}}}}'
            found.append(self._record(text, sample, sequence, nested))
        return found

    def _record(self, response: str, sample: int, sequence: "_Sequence", extra: str | None) -> Record | Observed:
        record = Record(
            prompt=None,
            own_turns=(),
            response=response,
            extra=extra,
            sample=sample,
            kind=self._kind,
            input_ids=sequence.input_ids,
            finish_reason=sequence.finish_reason,
            response_tokens=sequence.size,
        )
        return with_logprobs(record, sequence.generated, sequence.scored)


class _Sequence(msgspec.Struct):
    finish_reason: str | None
    size: int | None
    input_ids: tuple[int, ...] | None
    generated: TokenLogprobs | None
    scored: TokenLogprobs | None


def _sequence(details: Fields) -> _Sequence:
    finish_reason = details.text_or_none("finish_reason")
    size = details.integer_or_none("generated_tokens", INT32)
    tokens = _take(details, "tokens")
    tops: list[list[_Token]] = [[] for _ in tokens]
    if details.known("top_tokens"):
        found = decode(_tops, details.peek("top_tokens") or b"", details.at("top_tokens"))
        if len(found) not in (0, len(tokens)):
            details.refuse("top_tokens", f"{len(tokens)} positions, as many as tokens", str(len(found)), "wrong-value")
        tops = found or tops
        details.drop("top_tokens")
    prefill = _take(details, "prefill")
    given, wrote = [token.id for token in prefill], [token.id for token in tokens]
    return _Sequence(
        finish_reason,
        size,
        (*given, *wrote) if given else None,
        _logprobs(tokens, tops, before=given),
        _logprobs(prefill[1:], [[] for _ in prefill[1:]], before=given[:1], after=wrote),
    )


def _take(details: Fields, name: str) -> list[_Token]:
    if not details.known(name):
        return []
    found = decode(_tokens, details.peek(name) or b"", details.at(name))
    for place, token in enumerate(found):
        if not 0 <= token.id < 2**32:
            details.refuse(f"{name}[{place}].id", "a token id from 0 to 4294967295", str(token.id), "wrong-value")
    details.drop(name)
    return found


def _logprobs(
    tokens: list[_Token], tops: list[list[_Token]], *, before: Sequence[int], after: Sequence[int] = ()
) -> TokenLogprobs | None:
    if not tokens:
        return None
    return token_logprobs(
        [token.id for token in tokens],
        [token.logprob for token in tokens],
        [len(entries) for entries in tops],
        [entry.id for entries in tops for entry in entries],
        [float("-inf") if entry.logprob is None else entry.logprob for entries in tops for entry in entries],
        before=before,
        after=after,
    )


def _converter(options: Mapping[str, str]) -> Converter:
    return TgiConverter(options.get("kind", "completion"))


TGI = Importer(
    name="tgi",
    version="1",
    describes="answers of Text Generation Inference, prompt text not included; JSON Lines or a JSON array",
    example='{"generated_text": " Paris.", "details": {"finish_reason": "length", "generated_tokens": 1, "tokens": '
    '[{"id": 12095, "text": " Paris", "logprob": -0.1, "special": false}]}}',
    converter=_converter,
    options=(KIND,),
    logprobs=True,
)
