"""Batches of the OpenAI interfaces: a file of requests, its file of outputs, and its file of errors if there is one.

Name the requests first: `inbond import openai-batch requests.jsonl outputs.jsonl errors.jsonl`. Outputs come in any order and
are joined on `custom_id`. The request gives prompt, model and settings; what else it says stays in `extra` under
`request`, and what the envelope says under the names that it has there. Bodies are those of chat completions,
completions or responses. A request that failed is counted and not kept.
"""

from collections.abc import Mapping, Sequence

from inbond.registry.importers.asked import Asked, asked
from inbond.registry.importers.base import Importer
from inbond.registry.importers.chat_completions import KIND, Given, chat_records
from inbond.registry.importers.completions import completion_records
from inbond.registry.importers.cutting import CuttingConverter, Taken
from inbond.registry.importers.enveloped import enveloped
from inbond.registry.importers.failures import failed, refuse_error
from inbond.registry.importers.fields import Fields
from inbond.registry.importers.observed import Observed
from inbond.registry.importers.responses import response_records
from inbond.registry.importers.spool import Spool
from inbond.registry.shards.records import Record

_REQUESTS_FIRST = "Name the file of requests before that of outputs."


class OpenaiBatchConverter(CuttingConverter):
    """Keeps requests, and makes records of outputs."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._requests = Spool()

    def convert_rest(self, fields: Fields, taken: Taken) -> Sequence[Record | Observed]:
        """Raises Fault for an output without its request, for a request that failed, and for a body of another interface."""
        key = fields.text("custom_id", keep=True)
        if not fields.known("response") and not fields.known("error"):
            self._keep(key, fields)
            return ()
        raw = self._requests.get(key)
        refuse_error(fields)
        response = fields.object("response")
        status = response.integer_or_none("status_code", 999)
        if status is not None and status != 200:
            failed(response.at("status_code"), f"{status}: {(response.peek('body') or b'').decode(errors='backslashreplace')}")
        body = response.object("body")
        if raw is None:
            found = f"{key[:60]!r}, which none of {len(self._requests)} requests has. {_REQUESTS_FIRST}"
            fields.refuse("custom_id", "the custom_id of a request", found, "wrong-value")
        request = asked(Fields(raw, "request"))
        records = self._records(body, request, taken)
        return enveloped(records, lambda inner: fields.rest(response=response.rest(body=inner), request=request.rest))

    def _keep(self, key: str, fields: Fields) -> None:
        if not fields.known("body"):
            fields.refuse("body", "a request (with a body) or an output (with a response)", "neither", "missing-field")
        if key in self._requests:
            fields.refuse("custom_id", "another custom_id for each request", f"{key[:60]!r} twice", "wrong-value")
        asked(fields.object("body", keep=True))  # what is wrong with it is said where it stands
        self._requests.put(key, fields.peek("body") or b"")

    def _records(self, body: Fields, request: Asked, taken: Taken) -> list[Record | Observed]:
        given = Given(request.prompt, None, request.model, request.sampling, self._kind)
        if body.known("output"):
            return response_records(body, given, taken)
        if (body.peek("object") or b"") == b'"text_completion"':
            return completion_records(body, given)
        return chat_records(body, given, taken)

    def unanswered(self) -> Sequence[str]:
        """Requests that the other files have no line for."""
        return self._requests.waiting()

    def close(self) -> None:
        """Let go of the requests."""
        self._requests.close()


def _converter(options: Mapping[str, str]) -> OpenaiBatchConverter:
    return OpenaiBatchConverter(options.get("kind", "completion"))


OPENAI_BATCH = Importer(
    name="openai-batch",
    version="1",
    describes="batches of the chat completions, completions or responses API: files of requests, then of outputs and errors",
    example='{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "gpt-4o", "messages": '
    '[{"role": "user", "content": "Hi"}]}}\n'
    '{"custom_id": "1", "response": {"status_code": 200, "body": {"model": "gpt-4o", "choices": [{"message": '
    '{"role": "assistant", "content": "Hello!"}}]}}}',
    converter=_converter,
    options=(KIND,),
    logprobs=True,
    remembers=True,
    joins=True,
)
