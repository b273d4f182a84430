"""Chat completions: response bodies as the chat API returns them, one a line.

A body does not repeat what was asked, so the prompt is not known. Each choice becomes a record with the choice's index as
`sample`. Log-probabilities, usage and everything else without a column stay in `extra` under the path that they had;
`choices` has the one choice there.
"""

from collections.abc import Mapping

from inbond.registry.importers.base import Converter, Importer, Option
from inbond.registry.importers.fields import Fields
from inbond.registry.importers.turns import answer
from inbond.registry.shards.records import Record

_INT32 = 2**31 - 1
_LAST_SECOND = 253_402_300_799  # of the year 9999


class ChatCompletionsConverter(Converter):
    """One record of the given kind for each choice; a faulty choice rejects the whole body."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def convert(self, fields: Fields) -> tuple[Record, ...]:
        """Raises Fault for a body without choices, or with two of one index."""
        if not fields.known("choices") and fields.known("response"):
            fields.refuse("choices", "a response body", "a batch line (its field response has the body)", "missing-field")
        choices = fields.objects("choices")
        if not choices:
            fields.refuse("choices", "at least one choice", "an empty array", "wrong-value")
        request_id = fields.text_or_none("id")
        served_model = fields.text_or_none("model")
        created = fields.integer_or_none("created", _LAST_SECOND)
        prompt_tokens, response_tokens = _usage(fields, len(choices))
        records: dict[int, Record] = {}
        for place, choice in enumerate(choices):
            index = choice.integer_or_none("index", _INT32)
            sample = place if index is None else index
            if sample in records:
                choice.refuse("index", "another index for each choice", f"{sample} twice", "wrong-value")
            finish_reason = choice.text_or_none("finish_reason")
            message = choice.object("message")
            role = message.text_or_none("role")
            if role not in ("assistant", None):
                message.refuse("role", "'assistant'", repr(role[:40]), "wrong-value")
            response, reasoning = answer(message)
            beside = choice.rest(message=message.rest())
            records[sample] = Record(
                prompt=None,
                own_turns=(),
                response=response,
                reasoning=reasoning,
                extra=fields.rest(choices=None if beside is None else f"[{beside}]"),
                sample=sample,
                kind=self._kind,
                finish_reason=finish_reason,
                request_id=request_id,
                served_model=served_model,
                created_at=None if created is None else created * 1000,
                prompt_tokens=prompt_tokens,
                response_tokens=response_tokens,
            )
        return tuple(records.values())


def _usage(fields: Fields, choices: int) -> tuple[int | None, int | None]:
    """Tokens of the prompt and of the response; `usage` stays.

    It sums over all choices, so it does not count any one of several responses.
    """
    if not fields.known("usage"):
        return None, None
    usage = fields.object("usage", keep=True)
    prompt = usage.integer_or_none("prompt_tokens", _INT32)
    response = usage.integer_or_none("completion_tokens", _INT32)
    return prompt, response if choices == 1 else None


def _converter(options: Mapping[str, str]) -> Converter:
    return ChatCompletionsConverter(options.get("kind", "completion"))


CHAT_COMPLETIONS = Importer(
    name="chat-completions",
    version="1",
    describes="response bodies of the chat completions API, prompt not included; JSON Lines or a JSON array",
    example='{"model": "gpt-4o", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!"}}]}',
    converter=_converter,
    options=(Option("kind", "what the outputs are", ("completion", "judgement"), "completion"),),
)
