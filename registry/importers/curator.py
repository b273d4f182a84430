"""bespoke curator: the `responses_N.jsonl` of its cache, in which each response stands beside the request that it answers.

`generic_request` gives prompt, model and settings, `raw_response` what the provider said, where it is a chat completion also its
log-probabilities. A response that is null, or has errors and no message, is a request that failed. The rest stays in `extra`.
"""

from collections.abc import Mapping, Sequence

from inbond.registry.importers.asked import conversation
from inbond.registry.importers.base import Importer
from inbond.registry.importers.chat_completions import INT32, KIND, choice_logprobs
from inbond.registry.importers.cutting import CuttingConverter, Taken
from inbond.registry.importers.failures import failed
from inbond.registry.importers.fields import Fields, describe
from inbond.registry.importers.moments import milliseconds_of_text
from inbond.registry.importers.observed import Observed, TokenLogprobs, with_logprobs
from inbond.registry.shards.records import Message, Record


class CuratorConverter(CuttingConverter):
    """One record for each response."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def convert_rest(self, fields: Fields, taken: Taken) -> Sequence[Record | Observed]:
        """Raises Fault for a line without a request, and for a request that failed."""
        request = fields.object("generic_request")
        response = _response(fields)
        turns, left = _turns(request)
        requested = request.text_or_none("model")
        sampling = None
        if (settings := request.peek("generation_params") or b"").startswith(b"{") and settings != b"{}":
            sampling = settings.decode()
            request.drop("generation_params")
        finish_reason = fields.text_or_none("finish_reason")
        created = milliseconds_of_text(fields, "finished_at")
        served = request_id = None
        logprobs, raw_response = None, None
        if (fields.peek("raw_response") or b"").startswith(b"{"):
            raw = fields.object("raw_response")
            served, request_id = (raw.text_or_none(name, keep=True) for name in ("model", "id"))
            logprobs, choices = _logprobs(raw, taken)
            raw_response = raw.rest(choices=choices)
        prompt_tokens, response_tokens = _usage(fields)
        record = Record(
            prompt=turns,
            own_turns=(),
            response=response,
            extra=fields.rest(generic_request=request.rest(messages=left), raw_response=raw_response),
            kind=self._kind,
            finish_reason=finish_reason,
            request_id=request_id,
            requested_model=requested,
            served_model=served,
            sampling=sampling,
            created_at=created,
            prompt_tokens=prompt_tokens,
            response_tokens=response_tokens,
        )
        return [with_logprobs(record, logprobs)]


def _response(fields: Fields) -> str:
    """The message; where it was parsed into an object (a structured output), its JSON as it stands."""
    name = "response_message"
    raw = fields.peek(name)
    if raw is None or raw == b"null":
        errors = fields.peek("response_errors") or b"null"
        failed(name, errors.decode(errors="backslashreplace"))
    if raw.startswith(b'"'):
        return fields.text(name)
    if not raw.startswith((b"{", b"[")):
        fields.refuse(name, "a string or an object", describe(raw))
    fields.drop(name)
    return raw.decode()


def _turns(request: Fields) -> tuple[tuple[Message, ...], str | None]:
    if (request.peek("messages") or b"").startswith(b'"'):
        return (Message("user", request.text("messages")),), None
    turns, left = conversation(request, "messages")
    return tuple(turns), left


def _logprobs(raw: Fields, taken: Taken) -> tuple[TokenLogprobs | None, str | None]:
    """The log-probabilities of a chat completion with one choice, and what is left of `choices`."""
    if not (raw.peek("choices") or b"").startswith(b"["):
        return None, None
    choices = raw.objects("choices", keep=True)
    if len(choices) != 1 or not choices[0].known("message"):
        return None, None
    raw.drop("choices")
    found, left = choice_logprobs(choices[0], taken)
    return found, f"[{choices[0].rest(logprobs=left) or '{}'}]"


def _usage(fields: Fields) -> tuple[int | None, int | None]:
    if not fields.known("token_usage"):
        return None, None
    usage = fields.object("token_usage", keep=True)
    names = ("input", "output") if usage.known("input") else ("prompt_tokens", "completion_tokens")
    prompt, response = (usage.integer_or_none(name, INT32) for name in names)
    return prompt, response


def _converter(options: Mapping[str, str]) -> CuratorConverter:
    return CuratorConverter(options.get("kind", "completion"))


CURATOR = Importer(
    name="curator",
    version="1",
    describes="responses_N.jsonl of the cache of bespoke curator; JSON Lines",
    example='{"response_message": "Seven.", "generic_request": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": '
    '"Name a prime."}]}, "finish_reason": "stop"}',
    converter=_converter,
    options=(KIND,),
    logprobs=True,
)
