"""Turns of a conversation, in the shape that chat interfaces share.

The text of a turn becomes its content. Whatever else a turn has (a name, tool calls, parts, a null) stays verbatim in
what is left of its fields.
"""

from typing import NoReturn

import msgspec

from inbond.registry.importers.fields import Fields
from inbond.registry.shards.records import Message

_plain = msgspec.json.Decoder(tuple[Message, ...])
_TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
_INSTEAD_OF_TEXT = ("tool_calls", "function_call", "refusal", "audio")
_NOTHING = (None, b"null", b'""', b"[]", b"{}")


def plain_turns(fields: Fields, name: str) -> tuple[Message, ...] | None:
    """The turns of a conversation of nothing but roles and texts that ends with the assistant's; None for every other one.

    They are taken out. A shorter way to what `prompt_turn` and `answer` make of such turns. Each turn has one role and one
    content at least, so as many of the names as turns means that no turn names one twice; a text cannot hold the name with
    its quotes.
    """
    raw = fields.peek(name)
    if raw is None:
        return None
    try:
        turns: tuple[Message, ...] = _plain.decode(raw)
    except msgspec.ValidationError:
        return None
    if not turns or raw.count(b'"role"') != len(turns) or raw.count(b'"content"') != len(turns):
        return None
    if turns[-1].role != "assistant" or not all([turn.role for turn in turns]):
        return None
    fields.drop(name)
    return turns


def prompt_turn(turn: Fields) -> Message:
    """A turn before the last. A model's own may lack text (it may have called a tool); its content is then empty."""
    role = turn.text("role")
    if not role:
        turn.refuse("role", "a role", "an empty string", "wrong-value")
    text = _content(turn)
    if text is None:
        if role != "assistant":
            _refuse_absent(turn, "a string or an array of parts")
        text = ""
    return Message(role, text)


def answer(turn: Fields) -> tuple[str, str | None]:
    """(response, reasoning) of the turn that the teacher wrote last.

    An empty string is an answer. Null is one only beside something else that the model said: tool calls, a refusal, audio
    or reasoning. Reasoning is `reasoning_content` or `reasoning`, whichever is there first as a string.
    """
    text = _content(turn)
    reasoning = None
    for name in ("reasoning_content", "reasoning"):
        if (turn.peek(name) or b"").startswith(b'"'):
            reasoning = turn.text(name)
            break
    if text is None:
        if reasoning is None and all(turn.peek(name) in _NOTHING for name in _INSTEAD_OF_TEXT):
            _refuse_absent(turn, "a string, an array of parts, or tool calls")
        text = ""
    return text, reasoning


def _refuse_absent(turn: Fields, expected: str) -> NoReturn:
    if turn.peek("content") is None:
        turn.refuse("content", expected, "no such field", "missing-field")
    turn.refuse("content", expected, "null")


def _content(turn: Fields) -> str | None:
    """The text of a turn, None where it is null or absent. Parts stay among the fields; their texts are joined as they are."""
    value = turn.peek("content")
    if value is None or value == b"null":
        return None
    if not value.startswith(b"["):
        return turn.text("content")
    texts = []
    for part in turn.objects("content", keep=True):
        if part.peek("type") is None or part.text("type") in _TEXT_PARTS:
            texts.append(part.text("text"))
    return "".join(texts)
