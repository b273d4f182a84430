"""distilabel: rows of a Distiset, as JSON Lines, a JSON array or Parquet.

The prompt is what the task really sent (`distilabel_metadata.raw_input_…`) where the row has that of one task, else `instruction`
after `system_prompt`. `generation` is the response, each of `generations` a sample. `model_name` says who wrote them
(the record's served model); a generation that is null is a request that failed. Log-probabilities in such rows do not say
which token was chosen at a position, so they stay in `extra`.
"""

from collections.abc import Mapping

import msgspec

from inbond.registry.importers.asked import conversation
from inbond.registry.importers.base import Converter, Importer
from inbond.registry.importers.chat_completions import INT32
from inbond.registry.importers.failures import failed
from inbond.registry.importers.fields import Fields
from inbond.registry.importers.one_model import MODEL, OneModel
from inbond.registry.importers.typed import decode
from inbond.registry.shards.records import Message, Record

_texts = msgspec.json.Decoder(list[str | None])


class DistilabelConverter(Converter):
    """One record for each generation."""

    def __init__(self, model: str | None) -> None:
        self._model = OneModel(model)

    def convert(self, fields: Fields) -> tuple[Record, ...]:
        """Raises Fault for a row without a generation, StopImport at a second model where none is selected."""
        model = fields.text_or_none("model_name")
        if not self._model.takes(model, "model_name"):
            return ()
        if fields.known("generations"):
            texts = decode(_texts, fields.peek("generations") or b"", "generations")
            fields.drop("generations")
        else:
            if fields.peek("generation") == b"null" or (
                fields.peek("generation") is None and fields.known("distilabel_metadata")
            ):
                failed("generation", "null")
            texts = [fields.text("generation")]
        if not texts or None in texts:
            failed("generations", "an empty array" if not texts else "null")
        prompt, counts, metadata = _metadata(fields)
        if prompt is None:
            prompt = _instruction(fields)
        extra = fields.rest(distilabel_metadata=metadata)
        single = len(texts) == 1
        return tuple(
            Record(
                prompt=prompt,
                own_turns=(),
                response=text,
                extra=extra,
                sample=sample,
                served_model=model,
                prompt_tokens=counts[0],
                response_tokens=counts[1] if single else None,
            )
            for sample, text in enumerate(texts)
            if text is not None
        )

    def finish(self) -> None:
        """Raises InvalidInput where the selected model wrote none of the rows."""
        self._model.finish()


def _metadata(fields: Fields) -> tuple[tuple[Message, ...] | None, tuple[int | None, int | None], str | None]:
    """(prompt as it was sent, tokens of prompt and response, what is left) of `distilabel_metadata`."""
    if not fields.known("distilabel_metadata"):
        return None, (None, None), None
    metadata = fields.object("distilabel_metadata")
    prompt, nested = None, dict[str, str | None]()
    inputs = [
        name for name in metadata.names() if name.startswith("raw_input_") and (metadata.peek(name) or b"").startswith(b"[")
    ]
    if len(inputs) == 1:
        turns, nested[inputs[0]] = conversation(metadata, inputs[0])
        prompt = tuple(turns)
    counts: tuple[int | None, int | None] = (None, None)
    statistics = [name for name in metadata.names() if name.startswith("statistics_") and metadata.known(name)]
    if len(statistics) == 1:
        found = metadata.object(statistics[0], keep=True)
        both = [found.peek(name) or b"" for name in ("input_tokens", "output_tokens")]
        if all(value.isdigit() for value in both):  # of several generations they are lists
            counts = (found.integer_or_none("input_tokens", INT32), found.integer_or_none("output_tokens", INT32))
    return prompt, counts, metadata.rest(**nested)


def _instruction(fields: Fields) -> tuple[Message, ...]:
    system = fields.text_or_none("system_prompt")
    instruction = Message("user", fields.text("instruction"))
    return (Message("system", system), instruction) if system else (instruction,)


def _converter(options: Mapping[str, str]) -> Converter:
    return DistilabelConverter(options.get("model"))


DISTILABEL = Importer(
    name="distilabel",
    version="1",
    describes="rows of a distilabel Distiset; JSON Lines, a JSON array or Parquet",
    example='{"instruction": "Name a prime.", "generation": "Seven.", "model_name": "Qwen/Qwen3-8B", "distilabel_metadata": {}}',
    converter=_converter,
    options=(MODEL,),
    remembers=True,
)
