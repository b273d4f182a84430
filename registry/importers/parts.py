"""Inputs in pieces that can be converted by themselves, so that several processes can convert at the same time.

JSON Lines can be cut anywhere: a line belongs to the piece in which the line break before it stands. Everything else is
converted whole, and so are all inputs together for a format whose records depend on those before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inbond.registry.importers.element import Element
from inbond.registry.importers.inputs import BLOCK, Input, InputReader, Progress
from inbond.registry.importers.json_lines import line_elements
from inbond.registry.importers.streaming import begins_with_object, elements

PART_BLOCKS = 16  # a part takes tenths of a second, and what it gives waits in memory where it was ready too early


@dataclass
class Part:
    """Some lines of an input of JSON Lines: those whose line break before stands in the blocks from `first` up to `end`.

    The first line of the file counts to its first block. `lines` and `records` are how many line breaks and records were
    read of it, once all were.
    """

    first: int
    end: int
    lines: int = 0
    records: int = 0

    def elements(self, source: Input, progress: Progress | None) -> Iterator[Element]:
        """The records of the part, lines and records counted from 1. `progress` hears of its blocks, each once."""
        with source.open() as reader:
            texts = self._texts(reader, progress)
            for element in line_elements(texts, 1) if self.first else elements(texts, source.name):
                self.records = element.number
                yield element

    def _texts(self, reader: InputReader, progress: Progress | None) -> Iterator[bytes]:
        is_within = not self.first
        for number, block in enumerate(reader.blocks(self.first), self.first):
            if number < self.end:
                if progress is not None:
                    progress(len(block))
                text = block
                if not is_within:
                    cut = block.find(b"\n")
                    is_within = cut >= 0
                    text = block[cut + 1 :] if is_within else b""
            elif not is_within:
                return
            else:
                text = block[: block.find(b"\n") + 1] or block
            self.lines += text.count(b"\n")
            yield text
            if number >= self.end and text.endswith(b"\n"):
                return


Unit = list[tuple[int, Part | None]]
"""What is converted in one go: numbers of inputs, and of each a part or (None) the whole."""


def units_of(inputs: Sequence[Input], *, together: bool) -> list[Unit]:
    """The inputs in pieces, in order; all in one where they are to be converted `together`."""
    if together:
        return [[(number, None) for number in range(len(inputs))]]
    units: list[Unit] = []
    for number, source in enumerate(inputs):
        blocks = -(-source.size // BLOCK)
        if blocks <= PART_BLOCKS or not _is_lines(source):
            units.append([(number, None)])
            continue
        units += [[(number, Part(at, min(at + PART_BLOCKS, blocks)))] for at in range(0, blocks, PART_BLOCKS)]
    return units


def _is_lines(source: Input) -> bool:
    with source.open() as blocks:
        return begins_with_object(next(iter(blocks), b""))
