"""Alpaca records: `instruction`, `input`, `output`, as a JSON array or JSON Lines.

The prompt becomes one user turn: the instruction, and after an empty line the input where there is one. `input` also
stays in `extra` as it stood, so the two can be told apart again. What the teacher was really sent is not in such a file.
A record that names its `generator` is of another format, in which the answers of several models may stand side by side.
"""

from collections.abc import Mapping

from inbond.registry.importers.base import Converter, Importer, StopImport
from inbond.registry.importers.fields import Fields, describe
from inbond.registry.shards.records import Message, Record


class AlpacaConverter(Converter):
    """One record for each object."""

    def convert(self, fields: Fields) -> tuple[Record, ...]:
        """Fields without a column stay in `extra`; earlier turns that some tools add to this format are refused.

        Raises StopImport for a record that says which model wrote it: a shard has one teacher, and nobody compares them here.
        """
        if fields.known("generator"):
            raise StopImport(
                "generator",
                "records that do not name their generator",
                describe(fields.peek("generator") or b""),
                "inbond import alpaca-eval FILE takes such records, of one generator at a time",
            )
        prompt = instruction_prompt(fields)
        response = fields.text("output")
        return (Record(prompt=prompt, own_turns=(), response=response, extra=fields.rest()),)


def instruction_prompt(fields: Fields) -> tuple[Message, ...]:
    """The prompt out of `instruction`, which is taken out, and `input`, which stays.

    Raises Fault where the object has a system prompt or earlier turns: a prompt without them would be a false one.
    """
    text = fields.text("instruction")
    given = fields.text_or_none("input", keep=True)
    if given:
        text = f"{text}\n\n{given}"
    for name in ("system", "history"):
        if fields.known(name) and fields.peek(name) not in (b'""', b"[]"):
            fields.refuse(name, "no other turns (the importer messages takes them)", "some", "wrong-value")
    return (Message("user", text),)


def _converter(options: Mapping[str, str]) -> Converter:
    return AlpacaConverter()


ALPACA = Importer(
    name="alpaca",
    version="1",
    describes="instruction, input and output; JSON Lines, a JSON array or Parquet",
    example='{"instruction": "Sort the list.", "input": "3, 1, 2", "output": "1, 2, 3"}',
    converter=_converter,
)
