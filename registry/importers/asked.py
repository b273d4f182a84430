"""What a teacher was asked, out of the body of a request: prompt, model, sampling settings, and the rest as it stood."""

import json
from typing import NamedTuple

from inbond.registry.importers.fields import Fields, join_array
from inbond.registry.importers.turns import prompt_turn
from inbond.registry.shards.records import Message

SAMPLING = (
    "best_of",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "min_p",
    "min_tokens",
    "n",
    "presence_penalty",
    "prompt_logprobs",
    "reasoning",
    "reasoning_effort",
    "repetition_penalty",
    "seed",
    "stop",
    "stop_sequences",
    "temperature",
    "thinking",
    "top_k",
    "top_logprobs",
    "top_p",
    "verbosity",
)


class Asked(NamedTuple):
    """A request. `rest` is JSON of what has no column, None for nothing."""

    prompt: tuple[Message, ...] | None
    model: str | None
    sampling: str | None
    rest: str | None


def asked(body: Fields) -> Asked:
    """The request of any of the chat, text completion, responses or messages interfaces. Raises Fault for none of them."""
    model = body.text_or_none("model")
    sampling = sampling_of(body)
    turns: list[Message] = []
    nested: dict[str, str | None] = {}
    for name in ("system", "instructions"):
        if body.known(name):
            text, nested[name] = _text(body, name)
            turns.append(Message("system", text))
    if body.known("messages"):
        found, nested["messages"] = conversation(body, "messages")
        turns += found
    elif (body.peek("input") or b"").startswith(b"["):
        found, nested["input"] = conversation(body, "input")
        turns += found
    else:
        name = next((name for name in ("input", "prompt") if body.known(name)), "messages")
        turns.append(Message("user", body.text(name)))
    return Asked(tuple(turns), model, sampling, body.rest(**nested))


def conversation(body: Fields, name: str) -> tuple[list[Message], str | None]:
    """The turns of an array, and what they have beside role and text: an object a turn, None where none has anything.

    An item of the responses interface that is no turn (a call, its output, reasoning) becomes an empty one of the role `tool` or
    `assistant`, and stays.
    """
    turns, beside = [], []
    for item in body.objects(name):
        kind = item.peek("type")
        if item.known("role") or kind in (None, b'"message"'):
            turns.append(prompt_turn(item))
        else:
            turns.append(Message("tool" if b"output" in (kind or b"") else "assistant", ""))
        beside.append(item.rest())
    return turns, join_array([each or "{}" for each in beside]) if any(beside) else None


def sampling_of(fields: Fields, names: tuple[str, ...] = SAMPLING) -> str | None:
    """The settings among `names` that an object has, taken out, as one JSON object with values verbatim; None for none."""
    found = []
    for name in names:
        if (value := fields.peek(name)) is not None:
            fields.drop(name)
            found.append(f"{json.dumps(name)}:{value.decode()}")
    return "{" + ",".join(found) + "}" if found else None


def _text(body: Fields, name: str) -> tuple[str, str | None]:
    """A text that may come in parts, which then stay as they are."""
    raw = body.peek(name) or b""
    if not raw.startswith(b"["):
        return body.text(name), None
    texts = [part.text("text", keep=True) for part in body.objects(name, keep=True)]
    body.drop(name)
    return "".join(texts), raw.decode()
