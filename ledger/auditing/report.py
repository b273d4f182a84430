"""What an audit is asked, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass, field

from inbond.ledger.auditing.remembered import Memory
from inbond.ledger.policy import TrustPolicy

Progress = Callable[[int, int], None]
"""Told how many entries are done, and of how many."""


@dataclass(frozen=True)
class Options:
    """How an audit goes.

    `genesis` is the leaf hash of entry 0 to expect. `policy` names witnesses, whose cosignatures may stand beside the log's
    own signatures, and log keys for where no entries can be read. Without `signatures` those of statements are not checked.
    `memory` holds what earlier audits have verified; with None it is neither read nor written. `workers` are as many as
    there are processor cores unless it says otherwise.
    """

    genesis: bytes | None = None
    policy: TrustPolicy | None = None
    signatures: bool = True
    memory: Memory | None = None
    workers: int | None = None
    progress: Progress | None = None


@dataclass
class AuditReport:
    """What an audit found. `problem` is the first difference, None when there was none.

    `resumed` counts the entries that an earlier audit has verified and this one has not read again or, where it had to,
    whose signatures it has not checked again. `notes` are what a reader should know besides.
    """

    source: str
    origin: str = ""
    size: int = 0
    root: str = ""
    signatures: int = 0
    checkpoints: int = 0
    tables: int = 0
    problem: str | None = None
    unchecked: list[str] = field(default_factory=list)
    genesis: str = ""
    resumed: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """clean, inconclusive (something could not be checked) or differs."""
        return "differs" if self.problem else "inconclusive" if self.unchecked else "clean"

    def not_checked(self, what: str) -> None:
        """Say once that something could not be checked."""
        if what not in self.unchecked:
            self.unchecked.append(what)
