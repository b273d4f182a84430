"""Converters of formats whose log-probabilities are taken out of the text before it is parsed (see `logprobs_text`)."""

from abc import abstractmethod
from collections.abc import Sequence

from inbond.registry.importers.base import Converter
from inbond.registry.importers.element import Element
from inbond.registry.importers.fields import Fault, Fields
from inbond.registry.importers.logprobs_text import cut
from inbond.registry.importers.observed import Observed, TokenLogprobs
from inbond.registry.shards.records import Record

Taken = dict[bytes, TokenLogprobs]
"""Arrays that were taken out, by the raw text that stands in their place. Whoever meets one removes it."""


class CuttingConverter(Converter):
    """A converter that is told what was taken out of the record's text; nothing is, where the layout is another one."""

    @abstractmethod
    def convert_rest(self, fields: Fields, taken: Taken) -> Sequence[Record | Observed]:
        """As `convert`; the places of what was taken out hold the keys of `taken`."""

    def convert(self, fields: Fields) -> Sequence[Record | Observed]:
        """The records of an object of which nothing was taken out."""
        return self.convert_rest(fields, {})

    def convert_element(self, element: Element) -> Sequence[Record | Observed]:
        """Whatever is wrong with the text that is left, or was taken out of the wrong place, is found again in the whole text."""
        cut_out = cut(element.raw)
        if cut_out is not None:
            try:
                taken = dict(cut_out.found)
                records = self.convert_rest(Fields(cut_out.text), taken)
                if not taken:
                    return records
            except (Fault, ValueError, RecursionError):
                pass
        return super().convert_element(element)
