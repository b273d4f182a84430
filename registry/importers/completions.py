r"""Text completions: response bodies of the legacy completions API, one a line.

A body does not repeat what was asked. Where the request said `echo`, the text begins with the prompt and the first token has no
log-probability; `usage.prompt_tokens` then says where the response begins, and the log-probabilities of the prompt are scored
ones. `top_logprobs` names alternatives by their text, so of two tokens of one text only one is there; `bytes:\\xe2\\x80` is
such a text for bytes that are no character.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import accumulate

import msgspec

from inbond.registry.importers.base import Converter, Importer, Option
from inbond.registry.importers.chat_completions import LAST_SECOND, Given, sample_of, usage_tokens
from inbond.registry.importers.fields import Fields
from inbond.registry.importers.observed import Observed, TokenLogprobs, token_logprobs, with_logprobs
from inbond.registry.importers.packed import Packed, unpack
from inbond.registry.importers.token_entries import TOKEN_ID
from inbond.registry.importers.typed import decode
from inbond.registry.shards.records import Message, Record

_BYTES = re.compile(r"bytes:((?:\\x[0-9a-fA-F]{2})+)")


class Logprobs(msgspec.Struct):
    """`logprobs` of a choice."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float | None] | None] | None = None
    text_offset: list[int] | None = None
    packed_top_logprobs: Packed | None = None


_logprobs = msgspec.json.Decoder(Logprobs)


class CompletionsConverter(Converter):
    """One record of the given kind for each choice; a faulty choice rejects the whole body."""

    def __init__(self, kind: str) -> None:
        self._given = Given(kind=kind)

    def convert(self, fields: Fields) -> Sequence[Record | Observed]:
        """Raises Fault for a body without choices, or with two of one index."""
        return completion_records(fields, self._given)


def completion_records(body: Fields, given: Given) -> list[Record | Observed]:
    """The records of a response body."""
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
        response = choice.text("text")
        prompt = given.prompt
        generated = scored = None
        if choice.known("logprobs"):
            raw = choice.object("logprobs", keep=True)
            found = decode(_logprobs, choice.peek("logprobs") or b"", raw.path)
            _check(raw, found)
            choice.drop("logprobs")
            echoed = _echoed(raw, found, prompt_tokens)
            generated, scored = _split(raw, found, echoed)
            if echoed:
                size = _characters(raw, found, echoed)
                prompt = given.prompt or (Message("user", response[:size]),)
                response = response[size:]
        beside = choice.rest()
        record = Record(
            prompt=prompt,
            own_turns=(),
            response=response,
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
        records[sample] = with_logprobs(record, generated, scored)
    return list(records.values())


def read_logprobs(choice: Fields) -> TokenLogprobs | None:
    """The log-probabilities of a choice that does not repeat its prompt; taken out."""
    if not choice.known("logprobs"):
        return None
    raw = choice.object("logprobs", keep=True)
    found = decode(_logprobs, choice.peek("logprobs") or b"", raw.path)
    _check(raw, found)
    choice.drop("logprobs")
    return _split(raw, found, 0)[0]


def _check(raw: Fields, found: Logprobs) -> None:
    """Refuse lists that are not as long as the tokens."""
    size = len(found.tokens)
    for name in ("token_logprobs", "text_offset", "top_logprobs"):
        values = getattr(found, name)
        if values and len(values) != size:
            raw.refuse(name, f"{size} values, as many as tokens", str(len(values)), "wrong-value")
    if size and not found.token_logprobs:
        raw.refuse("token_logprobs", f"{size} values, as many as tokens", "none", "wrong-value")


def _echoed(raw: Fields, found: Logprobs, prompt_tokens: int | None) -> int:
    """How many of the tokens are the prompt's: none unless the first has no log-probability."""
    if not found.tokens or found.token_logprobs[0] is not None:
        return 0
    if prompt_tokens is None or not 0 < prompt_tokens <= len(found.tokens):
        expected = f"usage.prompt_tokens from 1 to {len(found.tokens)}, as the prompt was echoed"
        raw.refuse("tokens", expected, str(prompt_tokens), "wrong-value")
    return prompt_tokens


def _characters(raw: Fields, found: Logprobs, tokens: int) -> int:
    if tokens == len(found.tokens) or not found.text_offset:
        return sum(map(len, found.tokens[:tokens]))
    size = found.text_offset[tokens] - found.text_offset[0]
    if size < 0:
        raw.refuse("text_offset", "rising offsets", str(found.text_offset)[:60], "wrong-value")
    return size


def _split(raw: Fields, found: Logprobs, echoed: int) -> tuple[TokenLogprobs | None, TokenLogprobs | None]:
    """(generated, scored): the tokens from `echoed` on, and those before it but for the first, of which nothing is known."""
    if found.packed_top_logprobs is not None:
        return unpack(raw, found.packed_top_logprobs, found.tokens, found.token_logprobs), None
    tops = found.top_logprobs or [None] * len(found.tokens)
    texts = [*found.tokens, *(text for top in tops for text in top or ())]
    ids = [TOKEN_ID.fullmatch(text) for text in texts]
    if texts and all(ids):
        every: list[int] | list[bytes] = [int(match[1]) for match in ids if match]
    else:
        every = [token_bytes(text) for text in texts]
    size = len(found.tokens)
    tokens = every[:size]
    starts = list(accumulate((len(top or ()) for top in tops), initial=size))

    def part(first: int, last: int) -> TokenLogprobs | None:
        if first >= last:
            return None
        entries = [value for top in tops[first:last] for value in (top or {}).values()]
        return token_logprobs(
            tokens[first:last],
            found.token_logprobs[first:last],
            [len(top or ()) for top in tops[first:last]],
            every[starts[first] : starts[last]],
            [float("-inf") if value is None else value for value in entries],
            before=tokens[:first],
            after=tokens[last:],
        )

    return part(echoed, size), part(1, echoed) if echoed else None


def token_bytes(text: str) -> bytes:
    """The bytes of a token's text, which may be given as `bytes:` and hexadecimal escapes."""
    match = _BYTES.fullmatch(text)
    return bytes.fromhex(match[1].replace("\\x", "")) if match else text.encode()


def _converter(options: Mapping[str, str]) -> Converter:
    return CompletionsConverter(options.get("kind", "completion"))


KIND = Option("kind", "what the outputs are", ("completion", "judgement", "scored"), "completion")

COMPLETIONS = Importer(
    name="completions",
    version="1",
    describes="response bodies of the legacy completions API; JSON Lines or a JSON array",
    example='{"model": "gpt-3.5-turbo-instruct", "choices": [{"index": 0, "text": " Hello!", "finish_reason": "stop"}]}',
    converter=_converter,
    options=(KIND,),
    logprobs=True,
)
