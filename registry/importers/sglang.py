"""SGLang's `/generate`: its answers, one a line.

`meta_info` has log-probabilities as [log-probability, id, text]: of the output, and of the input from `logprob_start_len` on,
whose first token has none. Those of the input are scored. The prompt's text is not repeated. Where the input's ids are
all there (as many as `prompt_tokens`), they and the output's are the record's `input_ids`.
"""

from collections.abc import Mapping, Sequence

import msgspec

from inbond.registry.importers.base import Converter, Importer
from inbond.registry.importers.chat_completions import INT32
from inbond.registry.importers.completions import KIND
from inbond.registry.importers.failures import refuse_error
from inbond.registry.importers.fields import Fields
from inbond.registry.importers.observed import Observed, TokenLogprobs, token_logprobs, with_logprobs
from inbond.registry.importers.typed import decode
from inbond.registry.shards.records import Record

_tokens = msgspec.json.Decoder(list[list[float | int | str | None]])
_tops = msgspec.json.Decoder(list[list[list[float | int | str | None]] | None])


class SglangConverter(Converter):
    """One record for each answer."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def convert(self, fields: Fields) -> Sequence[Record | Observed]:
        """Raises Fault for an answer without text, and for log-probabilities that do not fit each other."""
        refuse_error(fields)
        response = fields.text("text")
        meta = fields.object("meta_info")
        request_id = meta.text_or_none("id")
        prompt_tokens = meta.integer_or_none("prompt_tokens", INT32)
        response_tokens = meta.integer_or_none("completion_tokens", INT32)
        finish_reason = None
        if (meta.peek("finish_reason") or b"").startswith(b"{"):
            finish_reason = meta.object("finish_reason", keep=True).text_or_none("type")
        elif meta.known("finish_reason"):
            finish_reason = meta.text("finish_reason")
        given, wrote = _pairs(meta, "input"), _pairs(meta, "output")
        tops = {name: _top(meta, name, pairs) for name, pairs in (("input", given), ("output", wrote))}
        prompt_ids = [token for _, token in given] if given and len(given) == prompt_tokens else None
        ids = [token for _, token in wrote]
        generated = _logprobs(wrote, tops["output"], before=prompt_ids or ())
        scored = None
        if given:
            skipped = 1 if given[0][0] is None else 0
            before = [token for _, token in given[:skipped]] if prompt_ids else []
            scored = _logprobs(given[skipped:], tops["input"][skipped:], before=before, after=ids if prompt_ids else ())
        record = Record(
            prompt=None,
            own_turns=(),
            response=response,
            extra=fields.rest(meta_info=meta.rest()),
            kind=self._kind,
            input_ids=None if prompt_ids is None else (*prompt_ids, *ids),
            finish_reason=finish_reason,
            request_id=request_id,
            prompt_tokens=prompt_tokens,
            response_tokens=response_tokens,
        )
        return [with_logprobs(record, generated, scored)]


Pair = tuple[float | None, int]


def _pairs(meta: Fields, name: str) -> list[Pair]:
    field = f"{name}_token_logprobs"
    if not meta.known(field):
        return []
    found = decode(_tokens, meta.peek(field) or b"", meta.at(field))
    pairs = [_pair(meta, f"{field}[{place}]", values) for place, values in enumerate(found)]
    meta.drop(field)
    return pairs


def _top(meta: Fields, name: str, pairs: list[Pair]) -> list[list[Pair]]:
    """The alternatives of each token."""
    field = f"{name}_top_logprobs"
    if not meta.known(field):
        return [[] for _ in pairs]
    found = decode(_tops, meta.peek(field) or b"", meta.at(field))
    if len(found) not in (0, len(pairs)):
        meta.refuse(field, f"{len(pairs)} positions, as many as tokens", str(len(found)), "wrong-value")
    meta.drop(field)
    if not found:
        return [[] for _ in pairs]
    return [
        [_pair(meta, f"{field}[{place}][{rank}]", values) for rank, values in enumerate(entries or ())]
        for place, entries in enumerate(found)
    ]


def _pair(meta: Fields, field: str, values: list[float | int | str | None]) -> Pair:
    if len(values) in (2, 3):
        logprob, token = values[0], values[1]
        if isinstance(token, int) and not isinstance(logprob, str) and 0 <= token < 2**32:
            return (None if logprob is None else float(logprob)), token
    meta.refuse(field, "[log-probability, token id, text]", str(values)[:60], "wrong-value")


def _logprobs(
    pairs: list[Pair], tops: list[list[Pair]], *, before: Sequence[int] = (), after: Sequence[int] = ()
) -> TokenLogprobs | None:
    if not pairs:
        return None
    return token_logprobs(
        [token for _, token in pairs],
        [logprob for logprob, _ in pairs],
        [len(entries) for entries in tops],
        [token for entries in tops for _, token in entries],
        [float("-inf") if logprob is None else logprob for entries in tops for logprob, _ in entries],
        before=before,
        after=after,
    )


def _converter(options: Mapping[str, str]) -> Converter:
    return SglangConverter(options.get("kind", "completion"))


SGLANG = Importer(
    name="sglang",
    version="1",
    describes="answers of SGLang's /generate, prompt text not included; JSON Lines or a JSON array",
    example='{"text": " Paris.", "meta_info": {"id": "7", "finish_reason": {"type": "length", "length": 2}, "prompt_tokens": 5, '
    '"completion_tokens": 2, "output_token_logprobs": [[-0.1, 12095, null], [-0.2, 13, null]]}}',
    converter=_converter,
    options=(KIND,),
    logprobs=True,
)
