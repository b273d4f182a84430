"""What the runs of a student took in, shard by shard, and what was measured of those shards: made for a thousand of them.

Ranges, samples and entries come from segments and deliveries; teachers, rows and tokens of a shard from the statement that
made it, as declarations that follow change none of them. All of it holds as of a tree size.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, literal_column, select

from inbond.ledger.prepared import Prepared
from inbond.registry import tables as t
from inbond.registry.given import Found, Given, chunks

Ranges = list[tuple[int, int]]

MAKERS = ("response", "logits")
"""The roles of which each shard has exactly one model."""

_X = t.exposures.c
_OF_RUN = (_X.run == bindparam("wanted"), _X.seq < bindparam("size"))
_EXPOSED = Prepared(
    select(_X.shard, _X.first, _X.last, _X.seq).where(*_OF_RUN).order_by(_X.shard, _X.first),
    ["wanted", "size"],
)
_GIVEN = select(_X.shard).where(*_OF_RUN).distinct().subquery()
_S, _E = t.shards.c, t.edges.c
_BEHIND = Prepared(
    select(_S.ref, _S.rows, _S.tokens, _S.tokenizer, _E.dst, _E.relation)
    .join_from(_GIVEN, t.shards, _S.ref == _GIVEN.c.shard)
    .join(t.edges, _E.src == _GIVEN.c.shard)
    .where(_E.relation.like(literal_column("'model:%'"))),
    ["wanted", "size"],
)


@dataclass(slots=True)
class Read:
    """What a run was given of a shard: ranges that ascend and do not touch, and samples; by entries from `start` to `end`."""

    ranges: Ranges
    samples: int
    start: int
    end: int

    def add(self, first: int, last: int, seq: int) -> None:
        """Take in rows [first, last), given by entry `seq`; `first` is not less than that of the ranges before."""
        self.samples += last - first
        if seq < self.start:
            self.start = seq
        elif seq > self.end:
            self.end = seq
        before, end = self.ranges[-1]
        if first > end:
            self.ranges.append((first, last))
        elif last > end:
            self.ranges[-1] = (before, last)


@dataclass(slots=True)
class ShardFacts:
    """What figures need of a shard: its rows, (teacher, role) of its models, and its tokens.

    `tokens` is the sum of prompt and response, None where a part of it is not known. `tokenizer` is a digest, or the
    reference of the teacher whose own tokenizer it is because the source names none.
    """

    rows: int
    tokens: int | None
    tokenizer: str
    models: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True)
class Intake:
    """The catalogue as of `size`; grants with a reporting time before `time` are overdue."""

    connection: Connection
    size: int
    time: str

    def runs_of(self, student: str) -> dict[str, str]:
        """The stage of each run of a student, oldest run first."""
        r = t.runs.c
        query = select(r.ref, r.stage).where(r.student == student, r.seq < self.size).order_by(r.seq)
        return {row.ref: row.stage for row in self.connection.execute(query)}

    def reads(self, runs: Iterable[str]) -> dict[tuple[str, str], Read]:
        """What each run was given of each shard, by (run, shard)."""
        found: dict[tuple[str, str], Read] = {}
        for run in runs:
            shard, read = "", Read([], 0, 0, 0)
            for at, first, last, seq in _EXPOSED.rows(self.connection, run, self.size):
                if at == shard:
                    read.add(first, last, seq)
                else:
                    shard, read = at, Read([(first, last)], last - first, seq, seq)
                    found[run, shard] = read
        return found

    def at_most(self, runs: Iterable[str]) -> Found:
        """All that was granted to runs that are open and past their reporting time, by (shard, run)."""
        return Given(self.connection, self.size, self.time).granted_without_report(list(runs))

    def shards(self, reads: Iterable[tuple[str, str]], at_most: Iterable[tuple[str, str]] = ()) -> dict[str, ShardFacts]:
        """What was measured of each shard that (run, shard) was given or (shard, run) is granted."""
        found: dict[str, ShardFacts] = {}
        for run in dict.fromkeys(run for run, _ in reads):
            for shard, rows, tokens, tokenizer, teacher, relation in _BEHIND.rows(self.connection, run, self.size):
                facts = found.get(shard) or found.setdefault(shard, ShardFacts(rows, tokens, tokenizer or ""))
                facts.models.add((teacher, relation.removeprefix("model:")))
        others = sorted({shard for shard, _ in at_most} - found.keys())
        models, s = Given(self.connection, self.size, self.time).models(others), t.shards.c
        for chunk in chunks(others):
            query = select(s.ref, s.rows, s.tokens, s.tokenizer).where(s.ref.in_(chunk))
            for shard, rows, tokens, tokenizer in self.connection.execute(query):
                found[shard] = ShardFacts(rows, tokens, tokenizer or "", models[shard])
        for facts in found.values():
            facts.tokenizer = facts.tokenizer or next(teacher for teacher, role in facts.models if role in MAKERS)
        return found
