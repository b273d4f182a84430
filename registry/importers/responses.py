"""Responses: bodies of the responses API, one a line.

The texts of all messages in `output` are the response, the texts of reasoning items the reasoning. A body repeats its settings,
which become `sampling`, and `instructions`, which stay in `extra` like everything else without a column: what was asked
(`input`) it does not repeat, so the prompt is not known.
"""

from collections.abc import Mapping, Sequence

from inbond.registry.importers.asked import sampling_of
from inbond.registry.importers.base import Importer
from inbond.registry.importers.chat_completions import INT32, KIND, Given
from inbond.registry.importers.cutting import CuttingConverter, Taken
from inbond.registry.importers.failures import failed, refuse_error
from inbond.registry.importers.fields import Fields, join_array
from inbond.registry.importers.moments import milliseconds_of_seconds
from inbond.registry.importers.observed import Observed, TokenLogprobs, joined, with_logprobs
from inbond.registry.importers.token_entries import read_positions
from inbond.registry.shards.records import Record

_SETTINGS = ("max_output_tokens", "reasoning", "temperature", "top_logprobs", "top_p", "truncation", "verbosity")


class ResponsesConverter(CuttingConverter):
    """One record for each body."""

    def __init__(self, kind: str) -> None:
        self._given = Given(kind=kind)

    def convert_rest(self, fields: Fields, taken: Taken) -> Sequence[Record | Observed]:
        """Raises Fault for a body without output, and for a response that failed."""
        return response_records(fields, self._given, taken)


def response_records(body: Fields, given: Given, taken: Taken) -> list[Record | Observed]:
    """The one record of a response body; `taken` are arrays that were cut out, of which those that are met are removed."""
    refuse_error(body)
    status = body.text_or_none("status", keep=True)
    if status in ("failed", "cancelled"):
        failed(body.at("status"), status)
    request_id = body.text_or_none("id")
    served_model = body.text_or_none("model")
    created = milliseconds_of_seconds(body, "created_at")
    prompt_tokens = response_tokens = None
    if body.known("usage"):
        usage = body.object("usage", keep=True)
        prompt_tokens, response_tokens = (usage.integer_or_none(f"{name}_tokens", INT32) for name in ("input", "output"))
    texts, reasons, parts = list[str](), list[str](), list[TokenLogprobs]()
    items = body.objects("output")
    left = []
    for item in items:
        kind = item.text("type", keep=True)
        nested: dict[str, str | None] = {}
        if kind == "message":
            nested["content"] = _content(item, texts, parts, taken)
        elif kind == "reasoning":
            for name in ("summary", "content"):
                if item.known(name):
                    reasons += [part.text("text") for part in item.objects(name, keep=True) if part.known("text")]
        left.append(item.rest(**nested) or "{}")
    if not left:
        body.refuse("output", "at least one item", "an empty array", "wrong-value")
    reason = None
    if body.known("incomplete_details"):
        reason = body.object("incomplete_details", keep=True).text_or_none("reason")
    record = Record(
        prompt=given.prompt,
        own_turns=(),
        response="".join(texts),
        reasoning="\n\n".join(reasons) if reasons else None,
        sampling=given.sampling or sampling_of(body, _SETTINGS),
        extra=body.rest(output=join_array(left)),
        kind=given.kind,
        finish_reason=reason or status,
        request_id=given.request_id or request_id,
        requested_model=given.requested_model,
        served_model=served_model,
        created_at=created,
        prompt_tokens=prompt_tokens,
        response_tokens=response_tokens,
    )
    return [with_logprobs(record, joined(parts))]


def _content(item: Fields, texts: list[str], parts: list[TokenLogprobs], taken: Taken) -> str | None:
    """What is left of the parts of a message, of which the texts and log-probabilities are taken."""
    left = []
    for part in item.objects("content"):
        if part.text("type", keep=True) == "output_text":
            texts.append(part.text("text"))
            raw = part.peek("logprobs")
            if raw is not None and raw != b"null":
                found, is_all = taken.pop(raw, None), True
                if found is None:
                    found, is_all = read_positions(raw, part.at("logprobs"))
                if found is not None:
                    parts.append(found)
                if is_all:
                    part.drop("logprobs")
        left.append(part.rest() or "{}")
    return join_array(left)


def _converter(options: Mapping[str, str]) -> ResponsesConverter:
    return ResponsesConverter(options.get("kind", "completion"))


RESPONSES = Importer(
    name="responses",
    version="1",
    describes="bodies of the responses API, input not included; JSON Lines or a JSON array",
    example='{"object": "response", "status": "completed", "model": "gpt-4.1", "output": [{"type": "message", '
    '"role": "assistant", "content": [{"type": "output_text", "text": "Hello!"}]}]}',
    converter=_converter,
    options=(KIND,),
    logprobs=True,
)
