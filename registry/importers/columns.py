"""Rows of any table with a prompt and a response, as Hugging Face data sets are: Parquet, JSON Lines or a JSON array.

Options say which columns they are. A prompt is a text (one user turn) or turns with `role` and `content`; a response is a text
or turns, the last of them the model's. Where a row has several answers, as an array of objects, each becomes a record, and the
columns of response, reasoning and model are those of these objects. Columns that have no place in a record stay in `extra`
(bytes in base64).
"""

from collections.abc import Mapping, Sequence

from inbond.registry.importers.asked import conversation
from inbond.registry.importers.base import Converter, Importer, Option
from inbond.registry.importers.fields import Fields
from inbond.registry.importers.one_model import MODEL, OneModel
from inbond.registry.shards.records import Message, Record


class ColumnsConverter(Converter):
    """One record for each row, or for each answer of a row."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._prompt = options.get("prompt", "prompt")
        self._response = options.get("response", "response")
        self._system, self._reasoning = options.get("system"), options.get("reasoning")
        self._answers = options.get("answers")
        self._by, self._model = options.get("model_column"), OneModel(options.get("model"))

    def convert(self, fields: Fields) -> Sequence[Record]:
        """Raises Fault for a row without one of the columns, StopImport at a second model where none is selected."""
        if self._answers is None:
            model = fields.text(self._by) if self._by is not None else None
            if self._by is not None and not self._model.takes(model, self._by):
                return ()
            turns, nested = self._asked(fields)
            return (self._record(fields, turns, nested, fields, None, model),)
        turns, nested = self._asked(fields)
        records = []
        for number, answer in enumerate(fields.objects(self._answers)):
            model = answer.text(self._by) if self._by is not None else None
            if self._by is None or self._model.takes(model, answer.at(self._by)):
                records.append(self._record(fields, turns, dict(nested), answer, number, model))
        return records

    def _asked(self, fields: Fields) -> tuple[list[Message], dict[str, str | None]]:
        """The turns of the prompt, and what of its column has no place in them."""
        turns: list[Message] = []
        nested: dict[str, str | None] = {}
        if self._system is not None and (system := fields.text_or_none(self._system)):
            turns.append(Message("system", system))
        if (fields.peek(self._prompt) or b"").startswith(b"["):
            found, nested[self._prompt] = conversation(fields, self._prompt)
            turns += found
        else:
            turns.append(Message("user", fields.text(self._prompt)))
        return turns, nested

    def _record(
        self,
        row: Fields,
        turns: list[Message],
        nested: dict[str, str | None],
        answer: Fields,
        number: int | None,
        model: str | None,
    ) -> Record:
        """The record of `answer`: `row` itself, or the answer of this number in it."""
        beside = nested if number is None else {}
        if (answer.peek(self._response) or b"").startswith(b"["):
            *before, last = self._turns(answer, beside)
            turns, response = [*turns, *before], last.content
        else:
            response = answer.text(self._response)
        reasoning = None if self._reasoning is None else answer.text_or_none(self._reasoning)
        if number is not None and self._answers is not None:
            nested[self._answers] = answer.rest(**beside)
        return Record(
            prompt=tuple(turns),
            own_turns=(),
            response=response,
            reasoning=reasoning,
            extra=row.rest(**nested),
            served_model=model,
            sample=number or 0,
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
        Option("answers", "the column of a row's answers, objects with columns of their own for response, reasoning and model"),
        Option("model_column", "the column that says which model wrote the row"),
        MODEL,
    ),
    remembers=True,
)
