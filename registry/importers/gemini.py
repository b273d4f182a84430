"""Gemini and Vertex: answers of `generateContent`, one a line, or the lines of a batch with `request` and `response`.

Each candidate is a record. Names are taken in camel case, as the interface writes them, and in snake case, as its Python client
dumps them. `logprobsResult` has the chosen token of each step, which may stand outside the top candidates. An answer without
candidates, such as a blocked prompt, is a request that failed.
"""

from collections.abc import Mapping, Sequence

import msgspec

from inbond.registry.importers.asked import sampling_of
from inbond.registry.importers.base import Converter, Importer
from inbond.registry.importers.chat_completions import INT32, KIND, sample_of
from inbond.registry.importers.failures import failed, refuse_error
from inbond.registry.importers.fields import Fields, join_array
from inbond.registry.importers.moments import milliseconds_of_text
from inbond.registry.importers.observed import Observed, TokenLogprobs, token_logprobs, with_logprobs
from inbond.registry.importers.typed import decode
from inbond.registry.shards.records import Message, Record


class _Candidate(msgspec.Struct, gc=False, rename="camel"):
    token: str
    log_probability: float | str | None = None
    token_id: int | None = None


class _Top(msgspec.Struct, gc=False):
    candidates: list[_Candidate] = []


class _Result(msgspec.Struct, rename="camel"):
    chosen_candidates: list[_Candidate]
    top_candidates: list[_Top] | None = None


class _SnakeCandidate(msgspec.Struct, gc=False):
    token: str
    log_probability: float | str | None = None
    token_id: int | None = None


class _SnakeTop(msgspec.Struct, gc=False):
    candidates: list[_SnakeCandidate] = []


class _SnakeResult(msgspec.Struct):
    chosen_candidates: list[_SnakeCandidate]
    top_candidates: list[_SnakeTop] | None = None


_result = msgspec.json.Decoder(_Result)
_snake_result = msgspec.json.Decoder(_SnakeResult)


class GeminiConverter(Converter):
    """One record for each candidate; a faulty one rejects the whole answer."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def convert(self, fields: Fields) -> Sequence[Record | Observed]:
        """Raises Fault for what is no answer, and for an answer without candidates."""
        refuse_error(fields)
        if not fields.known("response"):
            return self._records(fields, None, None, None)
        prompt = sampling = None
        if fields.known("request"):
            request = fields.object("request")
            prompt, sampling, left = _asked(request)
            fields = fields.with_value("request", left or "{}")
        return self._records(fields.object("response"), prompt, sampling, fields)

    def _records(
        self, body: Fields, prompt: tuple[Message, ...] | None, sampling: str | None, envelope: Fields | None
    ) -> list[Record | Observed]:
        feedback = _name(body, "promptFeedback")
        if not body.known("candidates") and body.known(feedback):
            failed(body.at(feedback), (body.peek(feedback) or b"").decode(errors="backslashreplace"))
        candidates = body.objects("candidates")
        if not candidates:
            failed(body.at("candidates"), "an empty array")
        request_id = body.text_or_none(_name(body, "responseId"))
        served_model = body.text_or_none(_name(body, "modelVersion"))
        created = milliseconds_of_text(body, _name(body, "createTime"))
        prompt_tokens, response_tokens = _usage(body, len(candidates))
        records: dict[int, Record | Observed] = {}
        for place, candidate in enumerate(candidates):
            sample = sample_of(candidate, place, records)
            finish_reason = candidate.text_or_none(_name(candidate, "finishReason"))
            response, reasoning, content = _content(candidate, finish_reason)
            logprobs = _logprobs(candidate)
            beside = candidate.rest(content=content)
            extra = body.rest(candidates=None if beside is None else f"[{beside}]")
            record = Record(
                prompt=prompt,
                own_turns=(),
                response=response,
                reasoning=reasoning,
                extra=extra if envelope is None else envelope.rest(response=extra),
                sample=sample,
                kind=self._kind,
                sampling=sampling,
                finish_reason=finish_reason,
                request_id=request_id,
                served_model=served_model,
                created_at=created,
                prompt_tokens=prompt_tokens,
                response_tokens=response_tokens,
            )
            records[sample] = with_logprobs(record, logprobs)
        return list(records.values())


def _name(fields: Fields, camel: str) -> str:
    """The name under which a field is there: camel case unless it is known in snake case alone."""
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in camel)
    return snake if fields.peek(camel) is None and fields.peek(snake) is not None else camel


def _usage(body: Fields, candidates: int) -> tuple[int | None, int | None]:
    name = _name(body, "usageMetadata")
    if not body.known(name):
        return None, None
    usage = body.object(name, keep=True)
    prompt = usage.integer_or_none(_name(usage, "promptTokenCount"), INT32)
    response = usage.integer_or_none(_name(usage, "candidatesTokenCount"), INT32)
    return prompt, response if candidates == 1 else None


def _content(candidate: Fields, finish_reason: str | None) -> tuple[str, str | None, str | None]:
    """(response, reasoning, what is left of the content). A candidate may have none: one that was stopped."""
    if not candidate.known("content"):
        if finish_reason is None:
            candidate.refuse("content", "a content, or a finishReason without one", "neither", "missing-field")
        return "", None, None
    content = candidate.object("content")
    role = content.text_or_none("role")
    if role not in ("model", None):
        content.refuse("role", "'model'", repr(role[:40]), "wrong-value")
    if not content.known("parts"):
        return "", None, content.rest()
    texts, thoughts, left = list[str](), list[str](), list[str | None]()
    for part in content.objects("parts"):
        if part.known("text"):
            (thoughts if part.peek("thought") == b"true" else texts).append(part.text("text"))
        left.append(part.rest())
    parts = join_array([each or "{}" for each in left]) if any(left) else None
    return "".join(texts), "".join(thoughts) if thoughts else None, content.rest(parts=parts)


def _logprobs(candidate: Fields) -> TokenLogprobs | None:
    name = _name(candidate, "logprobsResult")
    if not candidate.known(name):
        return None
    raw, path = candidate.peek(name) or b"", candidate.at(name)
    result: _Result | _SnakeResult
    is_camel = name == "logprobsResult" and b'"chosen_candidates"' not in raw
    result = decode(_result, raw, path) if is_camel else decode(_snake_result, raw, path)
    candidate.drop(name)
    chosen = result.chosen_candidates
    tops: list[Sequence[_Candidate | _SnakeCandidate]] = [top.candidates for top in result.top_candidates or ()]
    if len(tops) not in (0, len(chosen)):
        candidate.refuse(f"{name}.topCandidates", f"{len(chosen)} steps, as many as chosen", str(len(tops)), "wrong-value")
    if not chosen:
        return None
    entries = [entry for top in tops for entry in top]
    values = [_value(candidate, name, each.log_probability) for each in (*chosen, *entries)]
    every: list[int] | list[bytes]
    ids = [entry.token_id for entry in (*chosen, *entries) if entry.token_id is not None and entry.token_id >= 0]
    every = ids if len(ids) == len(values) else [entry.token.encode() for entry in (*chosen, *entries)]
    size = len(chosen)
    return token_logprobs(
        every[:size],
        values[:size],
        [len(top) for top in tops] or [0] * size,
        every[size:],
        [float("-inf") if value is None else value for value in values[size:]],
    )


def _value(candidate: Fields, name: str, value: float | str | None) -> float | None:
    """A number; JSON of protocol buffers writes infinity as a text."""
    if isinstance(value, str):
        if value != "-Infinity":
            candidate.refuse(name, "log-probabilities", repr(value[:20]), "wrong-value")
        return None
    return value


def _asked(request: Fields) -> tuple[tuple[Message, ...] | None, str | None, str | None]:
    """(prompt, settings, what is left) of a request."""
    config = _name(request, "generationConfig")
    sampling = sampling_of(request, (config,))
    turns, nested = [], dict[str, str | None]()
    system = _name(request, "systemInstruction")
    if request.known(system):
        text, nested[system] = _turn(request.object(system))
        turns.append(Message("system", text))
    if not request.known("contents"):
        return None, sampling, request.rest(**nested)
    left = []
    for content in request.objects("contents"):
        role = content.text_or_none("role")
        text, rest = _turn(content)
        turns.append(Message("assistant" if role == "model" else role or "user", text))
        left.append(rest)
    nested["contents"] = join_array([each or "{}" for each in left]) if any(left) else None
    return tuple(turns), sampling, request.rest(**nested)


def _turn(content: Fields) -> tuple[str, str | None]:
    texts, left = list[str](), list[str | None]()
    for part in content.objects("parts"):
        if part.known("text"):
            texts.append(part.text("text"))
        left.append(part.rest())
    parts = join_array([each or "{}" for each in left]) if any(left) else None
    return "".join(texts), content.rest(parts=parts)


def _converter(options: Mapping[str, str]) -> Converter:
    return GeminiConverter(options.get("kind", "completion"))


GEMINI = Importer(
    name="gemini",
    version="1",
    describes="answers of Gemini's generateContent, or lines of its batches with their requests; JSON Lines or a JSON array",
    example='{"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello!"}]}, "finishReason": "STOP"}], '
    '"modelVersion": "gemini-2.5-flash"}',
    converter=_converter,
    options=(KIND,),
    logprobs=True,
)
