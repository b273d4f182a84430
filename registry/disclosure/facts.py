"""The facts behind a disclosure: what is on record about a student and everything that it learned from, with its entries.

Gathered once (gathering.py); templates read them and ask the ledger nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from inbond.registry.disclosure.ledger import Ledger, Thing
from inbond.registry.intake import ShardFacts
from inbond.registry.shares import Figures, Shares, Taken, figures
from inbond.schemas.statements import (
    Operator,
    RunClose,
    RunInputLine,
    RunOpen,
    Shard,
    Source,
    SourceCategory,
    Student,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run, how it ended, and what it said that it read beside shards. `entries` gave it rows, in order."""

    thing: Thing
    closed: Thing | None
    inputs: tuple[RunInputLine, ...]
    entries: tuple[int, ...]

    @property
    def opened(self) -> RunOpen:
        """What its opening says."""
        body: RunOpen = self.thing.body
        return body

    @property
    def complete(self) -> bool | None:
        """Whether its inputs are all that it read; None while that is not known."""
        if self.closed is None:
            return None
        body: RunClose = self.closed.body
        return body.inputs_complete.known if isinstance(body.inputs_complete.known, bool) else None


@dataclass(frozen=True, slots=True)
class Given:
    """A shard that the student was given rows of: its statement, the rows, the runs, and the datasets that held it."""

    thing: Thing
    rows: int
    runs: tuple[str, ...]
    datasets: tuple[str, ...]
    start: int

    @property
    def body(self) -> Shard:
        """What its newest statement says."""
        body: Shard = self.thing.body
        return body


@dataclass(frozen=True, slots=True)
class UsedSource:
    """A source that prompts came from or that a run read beside shards. `shards` are those whose prompts name it.

    `categories` are those that shards state of their prompts, or else its own. `in_training` says whether what came from it
    was trained on, None where that is not known; `rows` is None where the rows that were given of it cannot be counted.
    """

    thing: Thing
    shards: tuple[str, ...]
    categories: tuple[SourceCategory, ...]
    in_training: bool | None
    rows: int | None
    entries: tuple[int, ...]

    @property
    def body(self) -> Source:
        """What its newest statement says."""
        body: Source = self.thing.body
        return body


@dataclass(frozen=True, slots=True)
class Decided:
    """A question about sections: its subjects, and the ruling in force, with the sections that it names; None while open."""

    ask: str
    entry: int
    subjects: frozenset[str]
    ruling: str | None
    ruled: int
    sections: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Granted:
    """What grants said of a teacher: the verdicts, the rulings that they rested on, and their entries."""

    verdicts: tuple[Verdict, ...]
    decisions: tuple[str, ...]
    entries: tuple[int, ...]


@dataclass
class Facts:
    """Everything that a template may say; `entries` of the student's runs gave it what `shards` holds."""

    ledger: Ledger
    student: Thing
    provider: Thing
    operator: Thing | None
    releases: list[Thing]
    runs: dict[str, RunFacts]
    shards: dict[str, Given]
    measured: dict[str, ShardFacts]
    taken: dict[str, Taken]
    stages: dict[str, dict[str, Taken]]
    shares: Shares
    sources: dict[str, UsedSource]
    decisions: list[Decided]
    granted: dict[str, Granted]
    datasets: dict[str, Thing] = field(default_factory=dict)

    @property
    def body(self) -> Student:
        """What the student's newest statement says."""
        body: Student = self.student.body
        return body

    @property
    def operator_body(self) -> Operator | None:
        """What the operator's newest statement says, None where there is none."""
        return self.operator.body if self.operator else None

    @property
    def entries(self) -> list[int]:
        """The entries that gave the student anything, in order."""
        return sorted({seq for run in self.runs.values() for seq in run.entries})

    def figures(self, shards: Iterable[str], stage: str | None = None) -> Figures:
        """The sums over what was given of some shards, in all stages or in one."""
        taken = self.taken if stage is None else self.stages[stage]
        return figures({ref: taken[ref] for ref in shards if ref in taken}, self.measured)
