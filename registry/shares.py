"""Whose outputs a student was given: rows, samples and tokens of each teacher, stage by stage, with denominators.

Each figure is a query over entries and holds as of a tree size. A *row* is counted once however often it was read, a
*sample* each time it was delivered (epochs repeat). A share's denominator is the distinct rows (or the samples, or the
tokens) that the student was given in that stage: where two models had a hand in a row, shares add up to more than one.
Tokens are known where every shard behind the figure states them with one tokenizer; otherwise the figure says so.
"""

from dataclasses import dataclass

from inbond.ledger.reader import LedgerReader


@dataclass(frozen=True, slots=True)
class Share:
    """What a student was given of one teacher in one role and stage.

    `tokens` are those of prompt and response; None where they are not known of every shard. `rows_at_most` is set where
    more may have been read: a grant is past its reporting time. `first` and `last` are the entries' times between which
    it was given. `terms` are the documents that apply to the teacher, `shards` counts the shards.
    """

    teacher: str
    role: str
    stage: str
    rows: int
    samples: int
    tokens: int | None
    rows_at_most: int | None
    first: str
    last: str
    shards: int
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StageTotal:
    """The denominators of a stage: everything that the student was given in it."""

    stage: str
    rows: int
    samples: int
    tokens: int | None
    rows_at_most: int | None


@dataclass(frozen=True, slots=True)
class Shares:
    """The answer about one student as of `tree_size`. `names` gives what people call each reference."""

    student: str
    tree_size: int
    stages: tuple[StageTotal, ...]
    shares: tuple[Share, ...]
    names: dict[str, str]


def shares_of(reader: LedgerReader, student: str, size: int | None = None) -> Shares:
    """Whose outputs `student` was given, as of `size` entries (all unless given)."""
    raise NotImplementedError
