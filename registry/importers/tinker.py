"""Tinker: sample responses (`SampleResponse`), one a line, in its own names or in those of the runtime on AWS (camel case).

Each of `sequences` is a record. Such a response has ids and no text: a `text` that the caller put beside the `tokens` of a
sequence is its response, else the option `tokenizer` names the file by which ids become text. What was sent is not repeated
either: a `prompt` beside `sequences` (ids, or the request's `chunks`) gives the prompt's tokens, without which what is said of
a prompt could not be put beside them and stay in `extra`. Those of the prompt are scored: `prompt_logprobs` with
`topk_prompt_logprobs`, or else `prompt_alt_tokens`, draws with replacement.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from inbond.registry.importers.base import Converter, Importer
from inbond.registry.importers.completions import KIND
from inbond.registry.importers.decoding import TOKENIZER, TokenTexts
from inbond.registry.importers.failures import refuse_error
from inbond.registry.importers.fields import Fields
from inbond.registry.importers.observed import ABSENT, Observed, TokenLogprobs, token_logprobs, with_logprobs
from inbond.registry.importers.typed import decode
from inbond.registry.shards.distributions import Selection
from inbond.registry.shards.records import Record


class _Named(msgspec.Struct, gc=False, rename="camel"):
    token_id: int
    logprob: float


class _Tensor(msgspec.Struct):
    data: list[float]
    dtype: str
    shape: list[int] | None = None


class _Draws(msgspec.Struct):
    tokens: _Tensor
    logprobs: _Tensor


_ids = msgspec.json.Decoder(list[int])
_values = msgspec.json.Decoder(list[float | None])
_pairs = msgspec.json.Decoder(list[list[tuple[int, float | None]] | None])
_named = msgspec.json.Decoder(list[list[_Named] | None])
_draws = msgspec.json.Decoder(_Draws)


class TinkerConverter(Converter):
    """One record for each sequence; scored log-probabilities go with the first."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._kind = options.get("kind", "completion")
        self._texts = TokenTexts(options["tokenizer"]) if "tokenizer" in options else None

    def convert(self, fields: Fields) -> Sequence[Record | Observed]:
        """Raises Fault for a response without sequences, and for ids whose text nobody says."""
        refuse_error(fields)
        sequences = fields.objects("sequences")
        if not sequences:
            fields.refuse("sequences", "at least one sequence", "an empty array", "wrong-value")
        prompt = _prompt_ids(fields)
        scored = None if prompt is None else _scored(fields, prompt)
        found: list[Record | Observed] = []
        for sample, sequence in enumerate(sequences):
            ids = _take_ids(sequence, "tokens")
            response = self._text(sequence, ids)
            finish_reason = sequence.text_or_none(_name(sequence, "stop_reason"))
            generated = _generated(sequence, ids, prompt or [])
            beside = sequence.rest()
            record = Record(
                prompt=None,
                own_turns=(),
                response=response,
                extra=fields.rest(sequences=None if beside is None else f"[{beside}]"),
                sample=sample,
                kind=self._kind,
                input_ids=None if prompt is None else (*prompt, *ids),
                finish_reason=finish_reason,
                prompt_tokens=None if prompt is None else len(prompt),
                response_tokens=len(ids),
            )
            of_prompt = None
            if scored is not None and not found:
                of_prompt = msgspec.structs.replace(scored, after=ids)
            found.append(with_logprobs(record, generated, of_prompt))
        return found

    def _text(self, sequence: Fields, ids: list[int]) -> str:
        if sequence.known("text"):
            return sequence.text("text")
        if self._texts is None:
            sequence.refuse("text", "a text beside the tokens, or the option tokenizer=FILE", "neither", "missing-field")
        return self._texts.text(ids, sequence.at("tokens"))


def _name(fields: Fields, snake: str) -> str:
    first, *others = snake.split("_")
    camel = first + "".join(part.capitalize() for part in others)
    return camel if fields.peek(snake) is None and fields.peek(camel) is not None else snake


def _take_ids(fields: Fields, name: str) -> list[int]:
    raw = fields.peek(name)
    if raw is None:
        fields.refuse(name, "token ids", "no such field", "missing-field")
    ids = decode(_ids, raw, fields.at(name))
    if any(not 0 <= token < 2**32 for token in ids):
        fields.refuse(name, "token ids from 0 to 4294967295", str(ids)[:60], "wrong-value")
    fields.drop(name)
    return ids


def _prompt_ids(fields: Fields) -> list[int] | None:
    """The prompt's tokens; None where they are not there, or not all of them are text."""
    raw = fields.peek("prompt") or b""
    if raw.startswith(b"["):
        return _take_ids(fields, "prompt")
    if not raw.startswith(b"{"):
        return None
    prompt = fields.object("prompt", keep=True)
    if not (prompt.peek("chunks") or b"").startswith(b"["):
        return None
    chunks = prompt.objects("chunks")
    if not all(chunk.known("tokens") for chunk in chunks):
        return None
    fields.drop("prompt")
    return [token for chunk in chunks for token in _take_ids(chunk, "tokens")]


def _generated(sequence: Fields, ids: list[int], prompt: list[int]) -> TokenLogprobs | None:
    if not ids or not sequence.known("logprobs"):
        return None
    values = decode(_values, sequence.peek("logprobs") or b"", sequence.at("logprobs"))
    if len(values) != len(ids):
        sequence.refuse("logprobs", f"{len(ids)} values, as many as tokens", str(len(values)), "wrong-value")
    sequence.drop("logprobs")
    tops = _take_top(sequence, _name(sequence, "topk_logprobs"), len(ids)) or [[] for _ in ids]
    return _listed(ids, values, tops, before=prompt)


def _scored(fields: Fields, prompt: list[int]) -> TokenLogprobs | None:
    values: list[float | None] | None = None
    name = _name(fields, "prompt_logprobs")
    if fields.known(name):
        values = decode(_values, fields.peek(name) or b"", name)
        if len(values) != len(prompt):
            fields.refuse(name, f"{len(prompt)} values, as many as prompt tokens", str(len(values)), "wrong-value")
        fields.drop(name)
    tops = _take_top(fields, _name(fields, "topk_prompt_logprobs"), len(prompt))
    if len(prompt) < 2:
        return None
    chosen = (values or [None] * len(prompt))[1:]
    if tops is not None:
        return _listed(prompt[1:], chosen, tops[1:], before=prompt[:1])
    if fields.known("prompt_alt_tokens"):
        return _drawn(fields, prompt, chosen)
    return None if values is None else _listed(prompt[1:], chosen, [[] for _ in chosen], before=prompt[:1])


Pair = tuple[int, float | None]


def _take_top(fields: Fields, name: str, size: int) -> list[list[Pair]] | None:
    if not fields.known(name):
        return None
    raw = fields.peek(name) or b""
    found: list[list[Pair]]
    if b"{" in raw:
        named = decode(_named, raw, fields.at(name))
        found = [[(entry.token_id, entry.logprob) for entry in entries or ()] for entries in named]
    else:
        found = [list(entries or ()) for entries in decode(_pairs, raw, fields.at(name))]
    if len(found) != size:
        fields.refuse(name, f"{size} positions, as many as tokens", str(len(found)), "wrong-value")
    if any(token < 0 for entries in found for token, _ in entries):
        fields.refuse(name, "token ids", "a negative number", "wrong-value")
    fields.drop(name)
    return found


def _listed(tokens: list[int], chosen: Sequence[float | None], tops: list[list[Pair]], *, before: Sequence[int]) -> TokenLogprobs:
    return token_logprobs(
        tokens,
        chosen,
        [len(entries) for entries in tops],
        [token for entries in tops for token, _ in entries],
        [float("-inf") if value is None else value for entries in tops for _, value in entries],
        before=before,
    )


def _drawn(fields: Fields, prompt: list[int], chosen: Sequence[float | None]) -> TokenLogprobs:
    """Draws with replacement as distinct tokens, each with how often it was drawn."""
    name = "prompt_alt_tokens"
    found = decode(_draws, fields.peek(name) or b"", name)
    size, rows = len(found.tokens.data), len(prompt) - 1
    shape = found.tokens.shape or []
    if shape != found.logprobs.shape or size != len(found.logprobs.data) or shape != [rows, size // max(1, rows)]:
        expected = f"tokens and logprobs of shape [{rows}, k]"
        fields.refuse(name, expected, f"{shape} and {found.logprobs.shape} with {size} values", "wrong-value")
    fields.drop(name)
    k = size // rows
    counts, alternatives, logprobs, draws = list[int](), list[int](), list[float](), list[int]()
    for row in range(rows):
        part = slice(row * k, row * k + k)
        ids = [int(token) for token in found.tokens.data[part]]
        values = dict(zip(ids, found.logprobs.data[part], strict=True))
        drawn = [(token, often) for token, often in Counter(ids).items() if values[token] > ABSENT]
        counts.append(len(drawn))
        alternatives += [token for token, _ in drawn]
        logprobs += [values[token] for token, _ in drawn]
        draws += [often for _, often in drawn]
    return TokenLogprobs(
        tokens=prompt[1:],
        chosen=[None if value is None or value <= ABSENT else value for value in chosen],
        counts=counts,
        alternatives=alternatives,
        logprobs=logprobs,
        draws=draws,
        before=prompt[:1],
        selection=Selection.DRAWS,
    )


TINKER = Importer(
    name="tinker",
    version="1",
    describes="sample responses of Tinker, with their text beside the tokens or a tokenizer; JSON Lines or a JSON array",
    example='{"sequences": [{"tokens": [9707, 0], "logprobs": [-0.1, -0.2], "stop_reason": "stop", "text": "Hello!"}]}',
    converter=TinkerConverter,
    options=(KIND, TOKENIZER),
    logprobs=True,
)
