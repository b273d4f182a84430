"""Which importer takes a record, by the names of its fields: for the message to somebody who chose another one."""

from typing import Final, NamedTuple

import msgspec


class Sign(NamedTuple):
    """A record with all of `fields` (the first says most), the text `within` and not `without` is for the importer."""

    fields: tuple[str, ...]
    importer: str
    within: bytes = b""
    without: bytes | None = None


SIGNS: Final = (
    Sign(("generic_request",), "curator"),
    Sign(("record", "generated"), "observed"),
    Sign(("custom_id", "params"), "anthropic"),
    Sign(("custom_id", "result"), "anthropic"),
    Sign(("custom_id", "body"), "openai-batch"),
    Sign(("custom_id", "response"), "openai-batch"),
    Sign(("compressed_logprobs",), "distillkit"),
    Sign(("distilabel_metadata",), "distilabel"),
    Sign(("meta_info",), "sglang"),
    Sign(("generated_text",), "tgi"),
    Sign(("completion_probabilities",), "llama-cpp"),
    Sign(("content", "tokens_predicted"), "llama-cpp"),
    Sign(("sequences",), "tinker"),
    Sign(("candidates",), "gemini"),
    Sign(("response",), "gemini", within=b'"candidates"'),
    Sign(("choices",), "vllm", within=b'"prompt_logprobs"'),
    Sign(("choices",), "vllm", within=b'"prompt_token_ids"'),
    Sign(("choices",), "completions", within=b'"text"', without=b'"message"'),
    Sign(("choices",), "chat-completions"),
    Sign(("output", "status"), "responses"),
    Sign(("content", "stop_reason"), "anthropic"),
    Sign(("conversations",), "sharegpt"),
    Sign(("messages",), "messages"),
    Sign(("generator",), "alpaca-eval"),
    Sign(("instruction", "generation"), "distilabel"),
    Sign(("instruction",), "alpaca"),
    Sign(("response", "prompt"), "columns"),
)
"""The sign that says most first: a record of a format has it, and none of those above."""

_LIST: Final = "inbond import --list describes the formats"
_names = msgspec.json.Decoder(dict[str, msgspec.Raw])


def hint_for(raw: bytes, tried: str) -> str:
    """What to type for a record that the importer `tried` cannot take."""
    try:
        names = _names.decode(raw)
    except (ValueError, RecursionError):
        return _LIST
    for fields, name, within, without in SIGNS:
        if names.keys() >= set(fields) and within in raw and (without is None or without not in raw):
            if name == tried:
                break
            return f"inbond import {name} FILE takes records with the field {fields[0]}; {_LIST}"
    return _LIST
