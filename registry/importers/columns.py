"""Rows of any table with a prompt and a response, as Hugging Face data sets are: Parquet, JSON Lines or a JSON array.

Options say which columns they are. A prompt is a text (one user turn) or turns with `role` and `content`; a response is a text
or turns, the last of them the model's. Columns that have no place in a record stay in `extra` (bytes in base64).
"""

from collections.abc import Mapping

from inbond.registry.importers.asked import conversation
from inbond.registry.importers.base import Converter, Importer, Option
from inbond.registry.importers.fields import Fields
from inbond.registry.importers.one_model import MODEL, OneModel
from inbond.registry.shards.records import Message, Record


class ColumnsConverter(Converter):
    """One record for each row."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._prompt = options.get("prompt", "prompt")
        self._response = options.get("response", "response")
        self._system, self._reasoning = options.get("system"), options.get("reasoning")
        self._by, self._model = options.get("model_column"), OneModel(options.get("model"))

    def convert(self, fields: Fields) -> tuple[Record, ...]:
        """Raises Fault for a row without one of the columns, StopImport at a second model where none is selected."""
        model = fields.text(self._by) if self._by is not None else None
        if self._by is not None and not self._model.takes(model, self._by):
            return ()
        turns: list[Message] = []
        nested: dict[str, str | None] = {}
        if self._system is not None and (system := fields.text_or_none(self._system)):
            turns.append(Message("system", system))
        if (fields.peek(self._prompt) or b"").startswith(b"["):
            found, nested[self._prompt] = conversation(fields, self._prompt)
            turns += found
        else:
            turns.append(Message("user", fields.text(self._prompt)))
        if (fields.peek(self._response) or b"").startswith(b"["):
            *before, last = self._turns(fields, nested)
            turns, response = [*turns, *before], last.content
        else:
            response = fields.text(self._response)
        reasoning = None if self._reasoning is None else fields.text_or_none(self._reasoning)
        extra = fields.rest(**nested)
        return (
            Record(prompt=tuple(turns), own_turns=(), response=response, reasoning=reasoning, extra=extra, served_model=model),
        )

    def _turns(self, fields: Fields, nested: dict[str, str | None]) -> list[Message]:
        found, nested[self._response] = conversation(fields, self._response)
        if not found or found[-1].role != "assistant":
            last = repr(found[-1].role) if found else "an empty array"
            fields.refuse(self._response, "'assistant' in the last turn", last, "wrong-value")
        return found

    def finish(self) -> None:
        """Raises InvalidInput where the selected model wrote none of the rows."""
        self._model.finish()


COLUMNS = Importer(
    name="columns",
    version="1",
    describes="rows with a prompt and a response, whatever their columns are called; JSON Lines, a JSON array or Parquet",
    example='{"prompt": "Name a prime.", "response": "Seven."}',
    converter=ColumnsConverter,
    options=(
        Option("prompt", "the column of the prompt: a text or turns", default="prompt"),
        Option("response", "the column of the response: a text or turns", default="response"),
        Option("system", "the column of the system prompt"),
        Option("reasoning", "the column of the reasoning"),
        Option("model_column", "the column that says which model wrote the row"),
        MODEL,
    ),
    remembers=True,
)
