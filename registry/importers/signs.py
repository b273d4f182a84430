"""Which importer takes a record, by the names of its fields: for the message to somebody who chose another one."""

from typing import Final

import msgspec

SIGNS: Final = (
    ("messages", "messages"),
    ("choices", "chat-completions"),
    ("generator", "alpaca-eval"),
    ("instruction", "alpaca"),
)
"""(field, importer), the field that says most first: a record of a format has it, one of a format below has not."""

_LIST: Final = "inbond import --list describes the formats"
_names = msgspec.json.Decoder(dict[str, msgspec.Raw])


def hint_for(raw: bytes, tried: str) -> str:
    """What to type for a record that the importer `tried` cannot take."""
    try:
        names = _names.decode(raw)
    except (ValueError, RecursionError):
        return _LIST
    for field, name in SIGNS:
        if field in names and name != tried:
            return f"inbond import {name} FILE takes records with the field {field}; {_LIST}"
    return _LIST
