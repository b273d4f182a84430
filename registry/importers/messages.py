"""Conversations: one object a line with `messages`, the last of them the teacher's answer.

The turns before the last are the prompt. Fields of a turn beside role and text stay in `extra` under `messages`, one object
a turn (empty where there is nothing), and fields of the record beside `messages`, such as `tools`, stay as they stand.
"""

from collections.abc import Mapping

from inbond.registry.importers.base import Converter, Importer, Option
from inbond.registry.importers.fields import Fields, join_array
from inbond.registry.importers.turns import answer, plain_turns, prompt_turn
from inbond.registry.shards.records import Message, Record


class MessagesConverter(Converter):
    """One record for each conversation. With `own_turns`, the earlier assistant turns count as this teacher's as well."""

    def __init__(self, own_turns: bool) -> None:
        self._own_turns = own_turns

    def convert(self, fields: Fields) -> tuple[Record, ...]:
        """Raises Fault for a conversation without turns, or whose last turn is not the assistant's."""
        plain = plain_turns(fields, "messages")
        if plain is not None:
            return (self._record(plain[:-1], plain[-1].content, None, fields.rest()),)
        turns = fields.objects("messages")
        if not turns:
            fields.refuse("messages", "at least one turn", "an empty array", "wrong-value")
        prompt = tuple([prompt_turn(turn) for turn in turns[:-1]])
        last = turns[-1]
        role = last.text("role")
        if role != "assistant":
            last.refuse("role", "'assistant' in the last turn", repr(role[:40]), "wrong-value")
        response, reasoning = answer(last)
        beside = [turn.rest() for turn in turns]
        nested = join_array([item or "{}" for item in beside]) if any(beside) else None
        return (self._record(prompt, response, reasoning, fields.rest(messages=nested)),)

    def _record(self, prompt: tuple[Message, ...], response: str, reasoning: str | None, extra: str | None) -> Record:
        own_turns = [index for index, turn in enumerate(prompt) if turn.role == "assistant"] if self._own_turns else ()
        return Record(prompt=prompt, own_turns=tuple(own_turns), response=response, reasoning=reasoning, extra=extra)


def _converter(options: Mapping[str, str]) -> Converter:
    return MessagesConverter(options.get("own_turns") == "all")


OWN_TURNS = Option("own_turns", "which earlier assistant turns this teacher wrote as well", ("none", "all"), "none")

MESSAGES = Importer(
    name="messages",
    version="1",
    describes="conversations that end with the teacher's answer; JSON Lines, a JSON array or Parquet",
    example='{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}',
    converter=_converter,
    options=(OWN_TURNS,),
)
