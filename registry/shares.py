"""Whose outputs a student was given: rows, samples and tokens of each teacher, stage by stage, with denominators.

Each figure is a query over entries and holds as of a tree size. A *row* is counted once however often it was read, a
*sample* each time it was delivered (epochs repeat). A share's denominator is the distinct rows (or the samples, or the
tokens) that the student was given in that stage: where two models had a hand in a row, shares add up to more than one.
A model that had a hand in some rows of a shard, nobody knows which, counts with all that were given of it.

Tokens are those of the distinct rows. They are known where every shard behind the figure was given whole and states its
counts, and all counts are in one tokenizer; where a source names none, the counts are in that of the shard's teacher.
A teacher stands under the statement that made it, and is called and governed as its newest one at that size says.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from inbond.ledger.entries import parse_entry
from inbond.ledger.reader import LedgerReader
from inbond.registry.current import first_of, newest_of
from inbond.registry.gate import terms_of
from inbond.registry.given import Found, rows_in
from inbond.registry.intake import Intake, Ranges, Read, ShardFacts
from inbond.registry.names import names_of
from inbond.registry.times import now


@dataclass(frozen=True, slots=True)
class Share:
    """What a student was given of one teacher in one role and stage.

    `tokens` are those of prompt and response, None where they are not known of every shard; `tokenizer` is its digest, or
    the teacher whose own it is. `rows_at_most` is set where more may have been read: a grant is past its reporting time.
    `first` and `last` are the entries' times between which it was given, empty where nothing is on record as given.
    `terms` are the documents that apply to the teacher, `shards` counts the shards.
    """

    teacher: str
    role: str
    stage: str
    rows: int
    samples: int
    tokens: int | None
    tokenizer: str | None
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
    tokenizer: str | None
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
    """Whose outputs `student` was given, as of `size` entries (all unless given).

    An answer about the newest state looks at reporting times now, one about a size at the time of its last entry.
    """
    at = reader.size if size is None else size
    written = parse_entry(reader.entry(at - 1)).time
    connection = reader.connection
    [student] = first_of(connection, [student]).values()
    intake = Intake(connection, at, max(written, now()) if size is None else written)
    runs = intake.runs_of(student)
    reads, at_most = intake.reads(runs), intake.at_most(runs)
    shards = intake.shards(reads, at_most)
    newest = newest_of(connection, {teacher for facts in shards.values() for teacher, _ in facts.models}, at)
    documents = terms_of(connection, newest.values(), at)
    terms = {teacher: tuple(documents[now_called]) for teacher, now_called in newest.items()}
    times: dict[int, str] = {}
    stages, shares = [], []
    for stage in dict.fromkeys(runs.values()):
        taken = taken_in([run for run, its in runs.items() if its == stage], reads, at_most)
        if not taken:
            continue
        whole = figures(taken, shards)
        stages.append(StageTotal(stage, whole.rows, whole.samples, whole.tokens, whole.tokenizer, whole.rows_at_most))
        hands: dict[tuple[str, str], dict[str, Taken]] = {}
        for ref, each in taken.items():
            for hand in shards[ref].models:
                hands.setdefault(hand, {})[ref] = each
        for (teacher, role), mine in sorted(hands.items()):
            part = figures(mine, shards)
            for seq in part.between:
                times.setdefault(seq, parse_entry(reader.entry(seq)).time)
            shares.append(
                Share(
                    teacher=teacher,
                    role=role,
                    stage=stage,
                    rows=part.rows,
                    samples=part.samples,
                    tokens=part.tokens,
                    tokenizer=part.tokenizer,
                    rows_at_most=part.rows_at_most,
                    first=times[part.between[0]] if part.between else "",
                    last=times[part.between[-1]] if part.between else "",
                    shards=part.shards,
                    terms=terms[teacher],
                )
            )
    named = {student, *terms, *(ref for found in terms.values() for ref in found)}
    return Shares(student, at, tuple(stages), tuple(shares), names_of(connection, named, at))


@dataclass(slots=True)
class Taken:
    """What several runs together were given of a shard: distinct rows, samples, the entries from `start` to `end` that say so.

    `most` counts the rows with those that overdue grants cover; `start` is -1 where nothing is on record as given.
    """

    reads: list[Read]
    at_most: Ranges
    rows: int = 0
    most: int = 0
    samples: int = 0
    start: int = -1
    end: int = -1

    def add_up(self) -> None:
        """Count what was given, once all of it is there."""
        spans = self.reads[0].ranges if len(self.reads) == 1 else [span for read in self.reads for span in read.ranges]
        self.rows = sum(last - first for first, last in spans) if len(self.reads) == 1 else rows_in(spans)
        self.most = rows_in([*spans, *self.at_most]) if self.at_most else self.rows
        for read in self.reads:
            self.samples += read.samples
            self.start = read.start if self.start < 0 else min(self.start, read.start)
            self.end = max(self.end, read.end)


@dataclass(frozen=True, slots=True)
class Figures:
    """What shards amount to together. `between` holds the first and the last entry that gave any of it, none if none did."""

    rows: int
    samples: int
    tokens: int | None
    tokenizer: str | None
    rows_at_most: int | None
    between: tuple[int, ...]
    shards: int


def taken_in(runs: Iterable[str], reads: Mapping[tuple[str, str], Read], at_most: Found) -> dict[str, Taken]:
    """What `runs` together were given, by shard."""
    wanted = set(runs)
    found: dict[str, Taken] = {}
    for (run, shard), read in reads.items():
        if run in wanted:
            found.setdefault(shard, Taken([], [])).reads.append(read)
    for (shard, run), ranges in at_most.items():
        if run in wanted:
            found.setdefault(shard, Taken([], [])).at_most.extend(ranges)
    for each in found.values():
        each.add_up()
    return found


def figures(taken: Mapping[str, Taken], shards: Mapping[str, ShardFacts]) -> Figures:
    """The sums over `taken`; tokens only where they can be known."""
    rows = most = samples = 0
    tokens: int | None = 0
    tokenizers: set[str] = set()
    start, end = -1, -1
    for ref, each in taken.items():
        rows, most, samples = rows + each.rows, most + each.most, samples + each.samples
        if each.start >= 0:
            start, end = each.start if start < 0 else min(start, each.start), max(end, each.end)
        if each.rows:
            facts = shards[ref]
            tokenizers.add(facts.tokenizer)
            whole = facts.tokens is not None and each.rows == facts.rows
            tokens = tokens + (facts.tokens or 0) if whole and tokens is not None else None
    one = tokens is not None and len(tokenizers) == 1
    return Figures(
        rows=rows,
        samples=samples,
        tokens=tokens if one else None,
        tokenizer=next(iter(tokenizers)) if one else None,
        rows_at_most=most if most > rows else None,
        between=(start, end) if start >= 0 else (),
        shards=len(taken),
    )
