"""Conversations as JSON Lines: one object a line with `messages`, the last of them the teacher's answer.

What `inbond import messages` reads comes out as it went in: text as `content`, reasoning as `reasoning_content`, and what turns
had beside (names, tool calls, parts) where it was. The line for a row is found by counting: `lineage.json` lists the rows.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from inbond.registry.exporters.base import BATCH, Exporter, Readers, Source, Ticker, Writing, Written
from inbond.registry.importers.base import Option
from inbond.registry.shards.picking import picked

_COLUMNS = ("prompt", "response", "reasoning", "extra")
_encode = msgspec.json.Encoder().encode
_Beside = dict[str, msgspec.Raw]
_object = msgspec.json.Decoder(_Beside)
_turns = msgspec.json.Decoder(list[_Beside])
_NOTHING: _Beside = {}


class MessagesWriting(Writing):
    """See the module. A record whose prompt is not known is no conversation: it is left out, unless `no_prompt` keeps it."""

    def __init__(self, extra: str, no_prompt: str) -> None:
        self._extra, self._keep = extra, no_prompt == "keep"

    def write(self, source: Source, readers: Readers, path: Path, tick: Ticker) -> Written:
        """A line a record."""
        written = Written()
        reader = readers.text(source)
        with path.open("xb") as file:
            for numbers, table in picked(reader, _COLUMNS, source.rows):
                for at in range(0, len(table), BATCH):
                    piece = table.slice(at, BATCH)
                    records = list(zip(*(piece.column(name).to_pylist() for name in _COLUMNS), strict=True))
                    kept = [self._keep or prompt is not None for prompt, *_ in records]
                    lines = [self._line(*record) for record, keep in zip(records, kept, strict=True) if keep]
                    file.write(b"".join(lines))
                    written.rows.append(numbers[at : at + BATCH][kept])
                    written.leave_out("prompt not known", len(records) - len(lines))
                    tick(len(records))
        return written

    def _line(self, prompt: list[dict[str, Any]] | None, response: str, reasoning: str | None, extra: str | None) -> bytes:
        last: dict[str, Any] = {"role": "assistant", "content": response}
        if reasoning is not None:
            last["reasoning_content"] = reasoning
        turns = [*(prompt or ()), last]
        whole: dict[str, Any] = {"messages": turns}
        for name, value in (_read(extra) if self._extra != "none" else _NOTHING).items():
            if name == "messages":
                for turn, beside in zip(turns, _beside_turns(value, len(turns)), strict=False):
                    turn.update(beside)
            elif self._extra == "all" or name == "tools":
                whole[name] = value
        return _encode(whole) + b"\n"


def _read(extra: str | None) -> _Beside:
    """The members of a record's extra, verbatim; none where it is no object."""
    try:
        return _object.decode(extra) if extra is not None else _NOTHING
    except msgspec.DecodeError:
        return _NOTHING


def _beside_turns(value: msgspec.Raw, turns: int) -> list[_Beside]:
    """What each turn had beside; nothing where that is not said turn by turn."""
    try:
        found = _turns.decode(value)
    except msgspec.DecodeError:
        return []
    return found if len(found) == turns else []


def _begin(_: Sequence[Source], options: Mapping[str, str]) -> Writing:
    return MessagesWriting(options["extra"], options["no_prompt"])


MESSAGES = Exporter(
    name="messages",
    version="1",
    describes="conversations that end with the teacher's answer, as JSON Lines",
    example='{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}',
    suffix=".jsonl",
    begin=_begin,
    options=(
        Option("extra", "what goes along of what a source had beside text", ("turns", "all", "none"), "turns"),
        Option("no_prompt", "records whose prompt is not known", ("skip", "keep"), "skip"),
    ),
)
