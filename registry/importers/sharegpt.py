"""ShareGPT conversations: `conversations` of turns with `from` and `value`, the last of them the teacher's answer.

`from` becomes the role that chat interfaces have (human: user, gpt: assistant); what else a turn has stays in `extra` under
`conversations`, and a name that was changed stays there as `from`. `system` beside the turns becomes the first of them.
"""

from collections.abc import Mapping

from inbond.registry.importers.base import Converter, Importer
from inbond.registry.importers.fields import Fields, join_array
from inbond.registry.importers.messages import OWN_TURNS
from inbond.registry.shards.records import Message, Record

ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "assistant": "assistant",
    "system": "system",
    "tool": "tool",
    "function_call": "assistant",
    "observation": "tool",
    "function_response": "tool",
}
_USUAL = {"human", "gpt", "system", "tool"}


class SharegptConverter(Converter):
    """One record for each conversation. With `own_turns`, the earlier turns of the model count as this teacher's as well."""

    def __init__(self, own_turns: bool) -> None:
        self._own_turns = own_turns

    def convert(self, fields: Fields) -> tuple[Record, ...]:
        """Raises Fault for a conversation without turns, with a speaker not known, or whose last turn is not the model's."""
        turns, beside = list[Message](), list[str | None]()
        system = fields.text_or_none("system")
        for turn in fields.objects("conversations"):
            speaker = turn.text("from", keep=True)
            role = ROLES.get(speaker)
            if role is None:
                turn.refuse("from", f"one of {', '.join(ROLES)}", repr(speaker[:40]), "wrong-value")
            if speaker in _USUAL:
                turn.drop("from")
            turns.append(Message(role, turn.text("value")))
            beside.append(turn.rest())
        if not turns:
            fields.refuse("conversations", "at least one turn", "an empty array", "wrong-value")
        if turns[-1].role != "assistant":
            where = f"conversations[{len(turns) - 1}].from"
            fields.refuse(where, "the model in the last turn", repr(turns[-1].role), "wrong-value")
        *prompt, answer = turns
        if system:
            prompt = [Message("system", system), *prompt]
        own_turns = [index for index, turn in enumerate(prompt) if turn.role == "assistant"] if self._own_turns else ()
        nested = join_array([each or "{}" for each in beside]) if any(beside) else None
        extra = fields.rest(conversations=nested)
        return (Record(prompt=tuple(prompt), own_turns=tuple(own_turns), response=answer.content, extra=extra),)


def _converter(options: Mapping[str, str]) -> Converter:
    return SharegptConverter(options.get("own_turns") == "all")


SHAREGPT = Importer(
    name="sharegpt",
    version="1",
    describes="ShareGPT conversations (from, value) that end with the teacher's answer; JSON Lines, a JSON array or Parquet",
    example='{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}]}',
    converter=_converter,
    options=(OWN_TURNS,),
)
