"""llama.cpp's server: answers of `/completion`, one a line; its chat completions are for the importer of those.

`completion_probabilities` has a token id in each entry; with `post_sampling_probs` it has probabilities instead of their
logarithms (`prob`, `top_probs`), which say what was left after sampling settings. The prompt, which the server repeats, is a text
in the model's own template and becomes one user turn.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec

from inbond.registry.importers.base import Converter, Importer
from inbond.registry.importers.chat_completions import INT32
from inbond.registry.importers.completions import KIND
from inbond.registry.importers.failures import refuse_error
from inbond.registry.importers.fields import Fields
from inbond.registry.importers.observed import Observed, TokenLogprobs, token_logprobs, with_logprobs
from inbond.registry.importers.typed import decode
from inbond.registry.shards.records import Message, Record


class _Entry(msgspec.Struct, gc=False):
    id: int
    token: str | None = None
    bytes: list[int] | None = None
    logprob: float | None = None
    prob: float | None = None


class _Position(_Entry, gc=False):
    top_logprobs: list[_Entry] | None = None
    top_probs: list[_Entry] | None = None


_positions = msgspec.json.Decoder(list[_Position])


class LlamaCppConverter(Converter):
    """One record for each answer."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def convert(self, fields: Fields) -> Sequence[Record | Observed]:
        """Raises Fault for an answer without content."""
        refuse_error(fields)
        response = fields.text("content")
        prompt = None
        if (fields.peek("prompt") or b"").startswith(b'"'):
            prompt = (Message("user", fields.text("prompt")),)
        sampling = None
        if (settings := fields.peek("generation_settings") or b"").startswith(b"{"):
            sampling = settings.decode()
            fields.drop("generation_settings")
        sample = fields.integer_or_none("index", INT32)
        record = Record(
            prompt=prompt,
            own_turns=(),
            response=response,
            sampling=sampling,
            sample=sample or 0,
            kind=self._kind,
            finish_reason=fields.text_or_none("stop_type"),
            served_model=fields.text_or_none("model"),
            prompt_tokens=fields.integer_or_none("tokens_evaluated", INT32),
            response_tokens=fields.integer_or_none("tokens_predicted", INT32),
        )
        logprobs = _logprobs(fields)
        return [with_logprobs(msgspec.structs.replace(record, extra=fields.rest()), logprobs)]


def _logprobs(fields: Fields) -> TokenLogprobs | None:
    name = "completion_probabilities"
    if not fields.known(name):
        return None
    positions = decode(_positions, fields.peek(name) or b"", name)
    fields.drop(name)
    if not positions:
        return None
    tops = [position.top_logprobs or position.top_probs or [] for position in positions]
    chosen = [_logprob(fields, position) for position in positions]
    entries = [_logprob(fields, entry) for top in tops for entry in top]
    return token_logprobs(
        [position.id for position in positions],
        chosen,
        [len(top) for top in tops],
        [entry.id for top in tops for entry in top],
        [float("-inf") if value is None else value for value in entries],
    )


def _logprob(fields: Fields, entry: _Entry) -> float | None:
    if entry.prob is None:
        return entry.logprob
    if not 0 <= entry.prob <= 1.00001:
        fields.refuse("completion_probabilities", "probabilities from 0 to 1", str(entry.prob), "wrong-value")
    return math.log(min(entry.prob, 1.0)) if entry.prob else None


def _converter(options: Mapping[str, str]) -> Converter:
    return LlamaCppConverter(options.get("kind", "completion"))


LLAMA_CPP = Importer(
    name="llama-cpp",
    version="1",
    describes="answers of /completion of llama.cpp's server; JSON Lines or a JSON array",
    example='{"content": " Paris.", "model": "qwen3", "prompt": "The capital of France is", "tokens_predicted": 1, "stop_type": '
    '"limit", "completion_probabilities": [{"id": 12095, "token": " Paris.", "bytes": [32], "logprob": -0.1}]}',
    converter=_converter,
    options=(KIND,),
    logprobs=True,
)
