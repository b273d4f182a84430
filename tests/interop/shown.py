"""A log of 600 entries, exported at sizes on both sides of the edges of tiles, for other people's code to look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inbond.ledger.receipts import Receipt
from tests.ledger.world import World

SIZES = (1, 2, 3, 255, 256, 257, 511, 512, 513, 600)


@dataclass
class Shown:
    """What others get to see of a log: its folder at each size; receipts and consistency proofs between all of them."""

    world: World
    folders: dict[int, Path]
    roots: dict[int, bytes]
    entries: list[bytes]

    def receipts(self) -> Iterator[tuple[int, Receipt]]:
        """(size, receipt) of the entries at every edge, under every checkpoint."""
        with self.world.log.reading() as reader:
            for size in SIZES:
                for seq in {0, 1, 2, 254, 255, 256, 257, 511, 512, size // 2, size - 1}:
                    if seq < size:
                        yield size, reader.receipt(seq, size)

    def consistency(self) -> Iterator[tuple[int, int, list[bytes]]]:
        """(old size, new size, proof) between any two of the sizes."""
        with self.world.log.reading() as reader:
            for new in SIZES:
                yield from ((old, new, reader.consistency(old, new)) for old in SIZES if old <= new)
