"""Chat completions: response bodies as the chat API returns them, one a line.

A body does not repeat what was asked, so the prompt is not known. Each choice becomes a record with the choice's index as
`sample`, and its `logprobs.content` becomes log-probabilities. Usage and everything else without a column stay in `extra`
under the path that they had; `choices` has the one choice there.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from inbond.registry.importers.base import Converter, Importer, Option
from inbond.registry.importers.cutting import CuttingConverter, Taken
from inbond.registry.importers.fields import Fields
from inbond.registry.importers.observed import Observed, TokenLogprobs, with_logprobs
from inbond.registry.importers.token_entries import read_positions
from inbond.registry.importers.turns import answer
from inbond.registry.shards.records import Message, Record

INT32 = 2**31 - 1
LAST_SECOND = 253_402_300_799  # of the year 9999


class Given(NamedTuple):
    """What is known about an answer from elsewhere: the request that a batch holds."""

    prompt: tuple[Message, ...] | None = None
    request_id: str | None = None
    requested_model: str | None = None
    sampling: str | None = None
    kind: str = "completion"


class ChatCompletionsConverter(CuttingConverter):
    """One record of the given kind for each choice; a faulty choice rejects the whole body."""

    def __init__(self, kind: str) -> None:
        self._given = Given(kind=kind)

    def convert_rest(self, fields: Fields, taken: Taken) -> Sequence[Record | Observed]:
        """Raises Fault for a body without choices, or with two of one index."""
        return chat_records(fields, self._given, taken)


def chat_records(body: Fields, given: Given, taken: Taken) -> list[Record | Observed]:
    """The records of a response body; `taken` are arrays that were cut out, of which those that are met are removed."""
    if not body.known("choices") and body.known("response"):
        body.refuse("choices", "a response body", "a batch line (its field response has the body)", "missing-field")
    choices = body.objects("choices")
    if not choices:
        body.refuse("choices", "at least one choice", "an empty array", "wrong-value")
    request_id = body.text_or_none("id")
    served_model = body.text_or_none("model")
    created = body.integer_or_none("created", LAST_SECOND)
    prompt_tokens, response_tokens = usage_tokens(body, len(choices))
    records: dict[int, Record | Observed] = {}
    for place, choice in enumerate(choices):
        sample = sample_of(choice, place, records)
        finish_reason = choice.text_or_none("finish_reason")
        message = choice.object("message")
        role = message.text_or_none("role")
        if role not in ("assistant", None):
            message.refuse("role", "'assistant'", repr(role[:40]), "wrong-value")
        response, reasoning = answer(message)
        logprobs, left = choice_logprobs(choice, taken)
        beside = choice.rest(message=message.rest(), logprobs=left)
        record = Record(
            prompt=given.prompt,
            own_turns=(),
            response=response,
            reasoning=reasoning,
            extra=body.rest(choices=None if beside is None else f"[{beside}]"),
            sample=sample,
            kind=given.kind,
            finish_reason=finish_reason,
            request_id=given.request_id or request_id,
            requested_model=given.requested_model,
            served_model=served_model,
            sampling=given.sampling,
            created_at=None if created is None else created * 1000,
            prompt_tokens=prompt_tokens,
            response_tokens=response_tokens,
        )
        records[sample] = with_logprobs(record, logprobs)
    return list(records.values())


def sample_of(choice: Fields, place: int, before: Mapping[int, object]) -> int:
    """The index of a choice, or its place where it has none. Raises Fault for one that came before."""
    index = choice.integer_or_none("index", INT32)
    sample = place if index is None else index
    if sample in before:
        choice.refuse("index", "another index for each choice", f"{sample} twice", "wrong-value")
    return sample


def usage_tokens(body: Fields, choices: int) -> tuple[int | None, int | None]:
    """Tokens of the prompt and of the response; `usage` stays.

    It sums over all choices, so it does not count any one of several responses.
    """
    if not body.known("usage"):
        return None, None
    usage = body.object("usage", keep=True)
    prompt = usage.integer_or_none("prompt_tokens", INT32)
    response = usage.integer_or_none("completion_tokens", INT32)
    return prompt, response if choices == 1 else None


def choice_logprobs(choice: Fields, taken: Taken) -> tuple[TokenLogprobs | None, str | None]:
    """The log-probabilities of a choice, and what is left of its field `logprobs`."""
    if not choice.known("logprobs"):
        return None, None
    logprobs = choice.object("logprobs")
    content = logprobs.peek("content")
    if content is None or content == b"null":
        return None, logprobs.rest() or "{}"
    found = taken.pop(content, None)
    is_all = True
    if found is None:
        found, is_all = read_positions(content, logprobs.at("content"))
    if is_all:
        logprobs.drop("content")
    if logprobs.peek("refusal") == b"null":  # says nothing beside a content
        logprobs.drop("refusal")
    return found, logprobs.rest()


def _converter(options: Mapping[str, str]) -> Converter:
    return ChatCompletionsConverter(options.get("kind", "completion"))


KIND = Option("kind", "what the outputs are", ("completion", "judgement"), "completion")

CHAT_COMPLETIONS = Importer(
    name="chat-completions",
    version="2",
    describes="response bodies of the chat completions API, prompt not included; JSON Lines or a JSON array",
    example='{"model": "gpt-4o", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}}]}',
    converter=_converter,
    options=(KIND,),
    logprobs=True,
)
