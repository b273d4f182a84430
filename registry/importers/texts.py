"""Many texts of tokens, few of them different: each is held once, and the sequence is numbers."""

from collections.abc import Callable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

_TABLES = 32  # one for each process that converts, and those before them


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
    """Ids for texts by a rule for single ones, each asked once a table; holds the tables that came last."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[list[bytes], NDArray[np.int64]]] = {}

    def of(self, tokens: Sequence[bytes], rule: Callable[[bytes], int]) -> NDArray[np.uint32]:
        """The ids of `tokens`: `rule` is asked for texts that have none yet, in the order in which they come first."""
        if not isinstance(tokens, Texts):
            return np.array([rule(token) for token in tokens], dtype=np.uint32)
        ids = self._ids_of(tokens.table)
        for place in _missing(tokens, ids):
            ids[place] = rule(tokens.table[place])
        return ids[tokens.codes].astype(np.uint32)

    def _ids_of(self, table: list[bytes]) -> NDArray[np.int64]:
        """The ids of a table's texts, -1 where there is none yet."""
        ids = self._known.pop(id(table), (table, np.zeros(0, dtype=np.int64)))[1]
        if len(ids) < len(table):
            ids = np.concatenate([ids, np.full(2 * len(table) - len(ids), -1, dtype=np.int64)])
        while len(self._known) >= _TABLES:
            del self._known[next(iter(self._known))]
        self._known[id(table)] = (table, ids)
        return ids


def _missing(texts: Texts, ids: NDArray[np.int64]) -> list[int]:
    """Places in the table that have no id yet, in the order in which the texts have them first."""
    unknown = texts.codes[ids[texts.codes] < 0]
    places, first = np.unique(unknown, return_index=True)
    return [int(place) for place in places[np.argsort(first)]]
