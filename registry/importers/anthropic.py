"""Anthropic: messages as the messages API returns them, or batches of them; there are no log-probabilities.

A message does not repeat what was asked. A batch is a file of requests (`custom_id`, `params`), named first, and one of results
in any order (`custom_id`, `result`), joined on `custom_id`; results without their requests are taken as well, their prompts not
known. Results of the types errored, canceled and expired are requests that failed.
"""

from collections.abc import Mapping, Sequence

from inbond.registry.importers.asked import asked
from inbond.registry.importers.base import Converter, Importer
from inbond.registry.importers.chat_completions import INT32, KIND, Given
from inbond.registry.importers.enveloped import enveloped
from inbond.registry.importers.failures import failed, refuse_error
from inbond.registry.importers.fields import Fields, join_array
from inbond.registry.importers.observed import Observed
from inbond.registry.importers.spool import Spool
from inbond.registry.shards.records import Record


class AnthropicConverter(Converter):
    """One record for each message."""

    def __init__(self, kind: str) -> None:
        self._given = Given(kind=kind)
        self._requests = Spool()

    def convert(self, fields: Fields) -> Sequence[Record | Observed]:
        """Raises Fault for what is no message, and for a request that failed."""
        if fields.known("params"):
            return self._keep(fields)
        if not fields.known("result"):
            return [_record(fields, self._given)]
        key = fields.text("custom_id", keep=True)
        raw = self._requests.get(key)
        result = fields.object("result")
        kind = result.text("type", keep=True)
        if kind != "succeeded":
            failed(result.at("type"), f"{kind}: {(result.peek('error') or b'').decode(errors='backslashreplace')}")
        given, request = self._given, None
        if raw is None and len(self._requests):
            found = f"{key[:60]!r}, which none of {len(self._requests)} requests has"
            fields.refuse("custom_id", "the custom_id of a request", found, "wrong-value")
        if raw is not None:
            request = asked(Fields(raw, "request"))
            given = given._replace(prompt=request.prompt, requested_model=request.model, sampling=request.sampling)
        record = _record(result.object("message"), given)
        left = None if request is None else request.rest
        return enveloped([record], lambda inner: fields.rest(result=result.rest(message=inner), request=left))

    def _keep(self, fields: Fields) -> tuple[()]:
        key = fields.text("custom_id")
        if key in self._requests:
            fields.refuse("custom_id", "another custom_id for each request", f"{key[:60]!r} twice", "wrong-value")
        asked(fields.object("params", keep=True))  # what is wrong with it is said where it stands
        self._requests.put(key, fields.peek("params") or b"")
        return ()

    def unanswered(self) -> Sequence[str]:
        """Requests that the other files have no line for."""
        return self._requests.waiting()

    def close(self) -> None:
        """Let go of the requests."""
        self._requests.close()


def _record(message: Fields, given: Given) -> Record:
    refuse_error(message)
    request_id = message.text_or_none("id")
    served_model = message.text_or_none("model")
    role = message.text_or_none("role")
    if role not in ("assistant", None):
        message.refuse("role", "'assistant'", repr(role[:40]), "wrong-value")
    finish_reason = message.text_or_none("stop_reason")
    prompt_tokens = response_tokens = None
    if message.known("usage"):
        usage = message.object("usage", keep=True)
        prompt_tokens, response_tokens = (usage.integer_or_none(f"{name}_tokens", INT32) for name in ("input", "output"))
    texts, thoughts, left = list[str](), list[str](), list[str | None]()
    for block in message.objects("content"):
        kind = block.text("type", keep=True)
        if kind == "text":
            texts.append(block.text("text"))
        elif kind == "thinking":
            thoughts.append(block.text("thinking"))
        if kind == "text" and block.peek("citations") in (None, b"null"):
            left.append(None)
        else:
            left.append(block.rest())
    return Record(
        prompt=given.prompt,
        own_turns=(),
        response="".join(texts),
        reasoning="\n\n".join(thoughts) if thoughts else None,
        extra=message.rest(content=join_array([each or "{}" for each in left]) if any(left) else None),
        kind=given.kind,
        finish_reason=finish_reason,
        request_id=request_id,
        requested_model=given.requested_model,
        served_model=served_model,
        sampling=given.sampling,
        prompt_tokens=prompt_tokens,
        response_tokens=response_tokens,
    )


def _converter(options: Mapping[str, str]) -> Converter:
    return AnthropicConverter(options.get("kind", "completion"))


ANTHROPIC = Importer(
    name="anthropic",
    version="1",
    describes="messages of the messages API, or batches: files of requests, then of results; JSON Lines or a JSON array",
    example='{"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": '
    '[{"type": "text", "text": "Hello!"}], "stop_reason": "end_turn"}',
    converter=_converter,
    options=(KIND,),
    remembers=True,
    joins=True,
)
