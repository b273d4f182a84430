"""Answers to a set of instructions: `instruction`, `output`, `generator`, as AlpacaEval publishes them.

`generator` is the name that the file's author gave to the model. It stays in `extra`: who the teacher is, the import
declares. One import is of one generator, because a shard has one teacher.
"""

from collections.abc import Mapping

from inbond.registry.importers.alpaca import instruction_prompt
from inbond.registry.importers.base import Converter, Importer, Option, StopImport
from inbond.registry.importers.fields import Fields
from inbond.registry.shards.records import Record
from inbond.schemas.errors import InvalidInput


class GeneratorConverter(Converter):
    """One record for each object of the generator that is `selected`, or of the only one where None is."""

    def __init__(self, selected: str | None) -> None:
        self._selected = selected
        self._only = selected
        self._others: dict[str, int] = {}
        self._taken = 0

    def convert(self, fields: Fields) -> tuple[Record, ...]:
        """Raises StopImport at a second generator where none is selected."""
        generator = fields.text("generator", keep=True)
        if self._only is None:
            self._only = generator
        if generator != self._only:
            if self._selected is None:
                raise StopImport(
                    "generator",
                    f"{self._only!r} as in the records before",
                    repr(generator),
                    "Import one model at a time: select it with the option generator=NAME.",
                )
            self._others[generator] = self._others.get(generator, 0) + 1
            return ()
        prompt = instruction_prompt(fields)
        response = fields.text("output")
        self._taken += 1
        return (Record(prompt=prompt, own_turns=(), response=response, extra=fields.rest()),)

    def finish(self) -> None:
        """Raises InvalidInput where the selected generator wrote none of the records."""
        if self._selected is not None and not self._taken and self._others:
            others = ", ".join(f"{name!r} ({count})" for name, count in sorted(self._others.items())[:20])
            raise InvalidInput(f"option generator: expected records of {self._selected!r}, found only records of {others}")


def _converter(options: Mapping[str, str]) -> Converter:
    return GeneratorConverter(options.get("generator"))


ALPACA_EVAL = Importer(
    name="alpaca-eval",
    version="1",
    describes="instruction, output and generator, as AlpacaEval results have them; JSON Lines, a JSON array or Parquet",
    example='{"instruction": "Name a prime.", "output": "Seven.", "generator": "gpt-4o-2024-05-13"}',
    converter=_converter,
    options=(Option("generator", "take only the records of this generator"),),
    remembers=True,
)
