"""Many texts of tokens, few of them different: each is held once, and the sequence is numbers."""

from collections.abc import Callable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray


class Texts(Sequence[bytes]):
    """Texts by their place in `table`, which may grow and never changes otherwise. `codes` are the places, int64."""

    __slots__ = ("codes", "table")

    def __init__(self, codes: NDArray[np.int64], table: list[bytes]) -> None:
        self.codes, self.table = codes, table

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> "Texts": ...
    def __getitem__(self, place: int | slice) -> "bytes | Texts":
        return Texts(self.codes[place], self.table) if isinstance(place, slice) else self.table[int(self.codes[place])]

    def __iter__(self) -> Iterator[bytes]:
        return map(self.table.__getitem__, self.codes.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __hash__(self) -> int:
        raise TypeError("texts are compared, not hashed")

    def __repr__(self) -> str:
        return repr(list(self))


class Numbered:
    """Ids for texts by a rule for single ones, each asked once a table."""

    def __init__(self) -> None:
        self._table: list[bytes] | None = None
        self._ids: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def of(self, tokens: Sequence[bytes], rule: Callable[[bytes], int]) -> NDArray[np.uint32]:
        """The ids of `tokens`: `rule` is asked for texts that have none yet, in the order in which they come first."""
        if not isinstance(tokens, Texts):
            return np.array([rule(token) for token in tokens], dtype=np.uint32)
        for place in self._missing(tokens):
            self._ids[place] = rule(tokens.table[place])
        return self._ids[tokens.codes].astype(np.uint32)

    def _missing(self, texts: Texts) -> list[int]:
        """Places in the table that have no id yet, in the order in which the texts have them first."""
        if self._table is not texts.table:
            self._table, self._ids = texts.table, np.zeros(0, dtype=np.int64)
        if len(self._ids) < len(texts.table):
            more = np.full(2 * len(texts.table) - len(self._ids), -1, dtype=np.int64)
            self._ids = np.concatenate([self._ids, more])
        unknown = texts.codes[self._ids[texts.codes] < 0]
        places, first = np.unique(unknown, return_index=True)
        return [int(place) for place in places[np.argsort(first)]]
