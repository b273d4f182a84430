"""What writers have said about a log, held against the log."""

from dataclasses import dataclass, field
from pathlib import Path

from inbond.ledger.audit import audit_log
from tests.faults.injecting import Life
from tests.faults.writer import opened
from tests.ledger.test_faults import names_on_record
from tests.ledger.world import seqs


@dataclass
class Account:
    """A log, and everything that writers have ever said about it."""

    folder: Path
    on: dict[int, int] = field(default_factory=dict)
    heads: set[tuple[int, str]] = field(default_factory=set)

    def add(self, life: Life) -> None:
        """Take what one more writer has said; it has to agree with the others."""
        assert not life.escaped, life.escaped[0]
        for number, seq in life.on.items():
            assert self.on.setdefault(number, seq) == seq, f"statement {number} was entry {self.on[number]}, now {seq}"
        self.heads |= life.heads

    def check(self, folder: Path | None = None) -> None:
        """The log opens, audits clean, has lost, doubled and forked nothing, and goes on. `folder` may hold a copy of it."""
        world = opened(folder or self.folder)
        try:
            report = audit_log(world.log, world.rules)
            assert report.verdict == "clean", report
            names = names_on_record(world)
            assert names == [f"/{number}" for number in range(len(names))], "each once, in the order in which they were sent"
            assert {number: number + 2 for number in self.on} == self.on
            assert set(self.on) <= set(range(len(names))), "acknowledged, and gone"
            with world.log.reading() as reader:
                assert all(reader.root_at(size).hex() == root for size, root in self.heads), "a head of another history"
            again = [world.numbered(number) for number in range(len(names) + 2)]
            assert seqs(world.log.append(again)) == [number + 2 for number in range(len(again))]
        finally:
            world.log.close()
