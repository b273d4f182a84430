"""vLLM's OpenAI-compatible server: bodies of chat completions and completions with what vLLM adds to them, one a line.

* `prompt_logprobs`: for each prompt token but the first an object by token id, of the k most likely and the token itself, which
  stands first and may have a rank beyond k. They are scored log-probabilities, of the first choice's record.
* `prompt_token_ids` and `token_ids`: where both are there they are the record's `input_ids`.
* `token_id:123` in place of a token's text (`return_tokens_as_token_ids`), and `packed_top_logprobs`: log-probabilities with ids.

Without ids the alternatives of generated tokens have texts, of which vLLM writes U+FFFD for a part of a character.
"""

from collections.abc import Mapping, Sequence

import msgspec

from inbond.registry.importers.base import Importer
from inbond.registry.importers.chat_completions import Given, chat_records
from inbond.registry.importers.completions import KIND, completion_records
from inbond.registry.importers.cutting import CuttingConverter, Taken
from inbond.registry.importers.failures import refuse_error
from inbond.registry.importers.fields import Fields, join_array
from inbond.registry.importers.observed import Observed, TokenLogprobs, token_logprobs, with_logprobs
from inbond.registry.importers.typed import decode
from inbond.registry.shards.records import Record


class _Scored(msgspec.Struct, gc=False):
    logprob: float | None
    rank: int | None = None
    decoded_token: str | None = None


_ids = msgspec.json.Decoder(list[int])
_prompt = msgspec.json.Decoder(list[dict[int, _Scored] | None])


class VllmConverter(CuttingConverter):
    """The records of the interface that the body is of, with ids and scored log-probabilities."""

    def __init__(self, kind: str) -> None:
        self._given = Given(kind=kind)

    def convert_rest(self, fields: Fields, taken: Taken) -> Sequence[Record | Observed]:
        """Raises Fault for a body without choices, and for ids and log-probabilities that do not fit each other."""
        refuse_error(fields)
        prompt_ids = _take_ids(fields, "prompt_token_ids")
        scored = _take_prompt(fields)
        choices = fields.objects("choices")
        if not choices:
            fields.refuse("choices", "at least one choice", "an empty array", "wrong-value")
        found: list[Record | Observed] = []
        is_chat = choices[0].known("message")
        ids = []
        for choice in choices:
            prompt_ids = _take_ids(choice, "prompt_token_ids") or prompt_ids
            scored = _take_prompt(choice) or scored
            ids.append(_take_ids(choice, "token_ids"))
        body = fields.with_value("choices", join_array([choice.rest() or "{}" for choice in choices]))
        found = chat_records(body, self._given, taken) if is_chat else completion_records(body, self._given)
        for place, (item, choice, own) in enumerate(zip(found, choices, ids, strict=True)):
            found[place] = _with_ids(item, choice, prompt_ids, own, scored if place == 0 else None)
        return found


def _with_ids(
    item: Record | Observed,
    choice: Fields,
    prompt_ids: list[int] | None,
    own: list[int] | None,
    scored: list[dict[int, _Scored] | None] | None,
) -> Record | Observed:
    record, generated = (item.record, item.generated) if isinstance(item, Observed) else (item, None)
    of_prompt = item.scored if isinstance(item, Observed) else None
    if generated is not None and own is not None:
        if len(own) != len(generated.tokens):
            expected = f"{len(generated.tokens)} ids, as many as log-probabilities"
            choice.refuse("token_ids", expected, str(len(own)), "wrong-value")
        if not generated.has_ids and not len(generated.alternatives):  # texts of alternatives have no ids
            generated = msgspec.structs.replace(generated, tokens=own, alternatives=[])
    if own is None and generated is not None and generated.has_ids:
        own = list(map(int, generated.tokens))
    if generated is not None and generated.has_ids and prompt_ids is not None:
        generated = msgspec.structs.replace(generated, before=prompt_ids)
    if scored is not None:
        of_prompt = _scored(choice, scored, prompt_ids, own or [])
    if prompt_ids is not None and own is not None:
        record = msgspec.structs.replace(record, input_ids=(*prompt_ids, *own))
    return with_logprobs(record, generated, of_prompt)


def _scored(
    choice: Fields, scored: list[dict[int, _Scored] | None], prompt_ids: list[int] | None, after: list[int]
) -> TokenLogprobs | None:
    """The log-probabilities of the prompt: of all its tokens but the first."""
    known = [entries for entries in scored[1:] if entries]
    if len(known) != len(scored[1:]) or (scored and scored[0]):
        choice.refuse("prompt_logprobs", "null for the first token and entries for each other", "others", "wrong-value")
    if not known:
        return None
    if prompt_ids is not None and len(prompt_ids) != len(scored):
        choice.refuse(
            "prompt_logprobs", f"{len(prompt_ids)} positions, as many as prompt tokens", str(len(scored)), "wrong-value"
        )
    tokens = [next(iter(entries)) for entries in known] if prompt_ids is None else prompt_ids[1:]
    own = [entries.get(token) for token, entries in zip(tokens, known, strict=True)]
    if None in own:
        at = own.index(None) + 1
        choice.refuse(f"prompt_logprobs[{at}]", f"an entry of the token itself, {tokens[at - 1]}", "none", "wrong-value")
    return token_logprobs(
        tokens,
        [None if entry is None else entry.logprob for entry in own],
        [len(entries) for entries in known],
        [token for entries in known for token in entries],
        [float("-inf") if entry.logprob is None else entry.logprob for entries in known for entry in entries.values()],
        ranks=[(entry.rank if entry else None) or 0 for entry in own],
        before=() if prompt_ids is None else prompt_ids[:1],
        after=() if prompt_ids is None else after,
    )


def _take_ids(fields: Fields, name: str) -> list[int] | None:
    if not fields.known(name):
        return None
    found = decode(_ids, fields.peek(name) or b"", fields.at(name))
    if any(not 0 <= token < 2**32 for token in found):
        fields.refuse(name, "token ids from 0 to 4294967295", str(found)[:60], "wrong-value")
    fields.drop(name)
    return found


def _take_prompt(fields: Fields) -> list[dict[int, _Scored] | None] | None:
    name = "prompt_logprobs"
    if not fields.known(name):
        return None
    found = decode(_prompt, fields.peek(name) or b"", fields.at(name))
    fields.drop(name)
    return found


def _converter(options: Mapping[str, str]) -> VllmConverter:
    return VllmConverter(options.get("kind", "completion"))


VLLM = Importer(
    name="vllm",
    version="1",
    describes="chat completions and completions of vLLM's server, with prompt_logprobs and token ids; JSON Lines or a JSON array",
    example='{"model": "Qwen/Qwen3-8B", "prompt_token_ids": [9707], "choices": [{"token_ids": [13048], "message": '
    '{"role": "assistant", "content": "Hi"}}]}',
    converter=_converter,
    options=(KIND,),
    logprobs=True,
)
