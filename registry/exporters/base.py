"""What every export format shares: which rows it gets, how it reads them, and what it says of its files.

An export is made in three steps, so that nothing leaves that a format cannot hold: `Exporter.begin` looks at what statements
say (before a delivery is on record); then `Writing.survey` may read what a format must know ahead, and `Writing.write` writes
one file for the rows of one shard.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec import UnsetType

from inbond.registry.importers.base import Option
from inbond.schemas.errors import InvalidInput
from inbond.schemas.statements import Shard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from inbond.registry.shards.logits_reader import LogitsReader
    from inbond.registry.shards.reader import ShardReader

BATCH = 1_024
"""Records that are held at once."""


@dataclass(frozen=True)
class LogitsShard:
    """A shard of log-probabilities that goes along with the text."""

    ref: str
    body: Shard

    @property
    def signal(self) -> str:
        """What the log-probabilities are of: generated or scored."""
        return "" if isinstance(self.body.signal, UnsetType) else self.body.signal.value


@dataclass(frozen=True)
class Source:
    """Rows of one text shard in one split, and the shards of log-probabilities over the same rows."""

    shard: str
    body: Shard
    rows: tuple[tuple[int, int], ...]
    split: str
    logits: tuple[LogitsShard, ...] = ()

    @property
    def count(self) -> int:
        """How many rows."""
        return sum(last - first for first, last in self.rows)


class Readers(Protocol):
    """Verifying readers of the shards of an export, opened under what lets their bytes leave."""

    def text(self, source: Source) -> "ShardReader":
        """The text of a source."""

    def logits(self, shard: LogitsShard) -> "LogitsReader":
        """A shard of log-probabilities."""


@dataclass
class Written:
    """What went into a file: row numbers in the file's order, and how many rows were left out for which reason.

    `logits` are the shards of log-probabilities of which the file has something.
    """

    rows: list["NDArray[np.int64]"] = field(default_factory=list)
    logits: tuple[str, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many rows were written."""
        return sum(map(len, self.rows))

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Count rows that the format has no place for."""
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count


Ticker = Callable[[int], None]
"""Told how many rows were dealt with."""


class Writing(ABC):
    """One export as it goes on."""

    surveys = False
    """Whether `survey` must see every source before the first is written."""

    def survey(self, source: Source, readers: Readers, tick: Ticker) -> None:  # noqa: B027  # most formats need none
        """Read what must be known before anything is written."""

    @abstractmethod
    def write(self, source: Source, readers: Readers, path: Path, tick: Ticker) -> Written:
        """Write the rows of a source to a new file, in bounded memory."""

    def beside(self) -> Mapping[str, bytes]:
        """Small files, by name, that a reader of the format looks for beside the data."""
        return {}


@dataclass(frozen=True)
class Exporter:
    """A format that can be written. `version` changes whenever the same records would give other bytes."""

    name: str
    version: str
    describes: str
    example: str
    suffix: str
    begin: Callable[[Sequence[Source], Mapping[str, str]], Writing]
    options: tuple[Option, ...] = ()

    def check_options(self, given: Mapping[str, str]) -> dict[str, str]:
        """All options of the format, those that are not given at their default; those without a default are left out.

        Raises InvalidInput for an option or a value that the format does not have.
        """
        known = {option.name: option for option in self.options}
        for name, value in given.items():
            if name not in known:
                raise InvalidInput(
                    f"format {self.name}: expected an option of its own ({', '.join(known) or 'none'}), found {name!r}"
                )
            if value not in (values := known[name].values):
                raise InvalidInput(f"format {self.name}, option {name}: expected {' or '.join(values)}, found {value!r}")
        whole = {name: given.get(name, option.default) for name, option in sorted(known.items())}
        return {name: value for name, value in whole.items() if value is not None}


SIGNAL = Option(
    "signal", "which log-probabilities go along (those there are, unless there are both)", ("generated", "scored", "none")
)
"""An option of formats that hold log-probabilities."""


def chosen_logits(sources: Sequence[Source], signal: str | None, what: str) -> dict[str, LogitsShard]:
    """The one shard of log-probabilities that goes along with each text shard (by reference) that has one.

    Raises InvalidInput where there are several and `signal` does not say which.
    """
    found: dict[str, LogitsShard] = {}
    for source in sources:
        fitting = [each for each in source.logits if signal in (None, each.signal)]
        if len(fitting) > 1:
            told = ", ".join(f"{each.ref} ({each.signal})" for each in fitting)
            raise InvalidInput(
                f"format {what}: expected one shard of log-probabilities for {source.shard}, found {told}",
                hint="--option signal=generated or --option signal=scored" if signal is None else None,
            )
        if fitting:
            found[source.shard] = fitting[0]
    return found
