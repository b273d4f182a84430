"""The lines of the lists that may grow: each is one canonical JSON line of an object that a statement names."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from inbond.schemas.declared import Declared
from inbond.schemas.scalars import Closed, Count, Digest, Ref, Some, Token

Rows = Annotated[tuple[tuple[Count, Count], ...], Meta(min_length=1)]
"""Half-open ranges of rows, [first, last), ascending and apart."""


def _check_rows(rows: tuple[tuple[int, int], ...]) -> int:
    end, total = -1, 0
    for first, last in rows:
        if not end < first < last:
            raise ValueError(f"expected ascending ranges [first, last) that do not touch, found [{first}, {last}) after {end}")
        end, total = last, total + last - first
    return total


class PartLine(Closed, frozen=True, kw_only=True):
    """A part of a dataset version or a grant: rows of a text shard in a split; `count` is their number.

    `logits` are shards of log-probabilities over the same rows that go along with the text.
    """

    shard: Ref
    rows: Rows
    split: Token
    count: Count
    logits: Some[Ref] | UnsetType = UNSET

    def __post_init__(self) -> None:
        total = _check_rows(self.rows)
        if self.count != total:
            raise ValueError(f"expected a count of {total}, the rows of its ranges, found {self.count}")


class InputLine(Closed, frozen=True, kw_only=True):
    """A file that a shard was imported from; `retained` says whether the store keeps it."""

    digest: Digest
    rows: Count
    retained: bool


class DerivedLine(Closed, frozen=True, kw_only=True):
    """Rows of a shard that another was made from."""

    shard: Ref
    rows: Rows

    def __post_init__(self) -> None:
        _check_rows(self.rows)


class RunInputLine(Closed, frozen=True, kw_only=True):
    """Something that a run read in all, also what did not come through the registry."""

    object: Ref
    rows: Count
    tokens: Declared[Count]


class ObligationMetLine(Closed, frozen=True, kw_only=True):
    """An obligation, named by the terms fact it comes from, and whether a release meets it."""

    obligation: Ref
    met: Declared[bool]


class TargetLine(Closed, frozen=True, kw_only=True):
    """What a recall or an erasure is about: an object, or rows of a shard."""

    object: Ref
    rows: Rows | UnsetType = UNSET

    def __post_init__(self) -> None:
        if not isinstance(self.rows, UnsetType):
            _check_rows(self.rows)
