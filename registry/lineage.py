"""What a model, shard or dataset came from, and what it led to: both kinds of edge, every hop labelled.

*trained_on_outputs_of* follows from what runs were given: student ← run ← rows of shards ← teacher. *initialised_from*
is about weights and is declared. *same_as* says that a teacher is a student of this registry. A walk goes breadth first,
one query a level, and names the tree size that it is about; an answer that was cut off says so.
"""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, literal_column, select

from inbond.ledger.entries import parse_entry
from inbond.ledger.prepared import Prepared
from inbond.ledger.reader import LedgerReader
from inbond.registry import tables as t
from inbond.registry.gate import applicable_terms
from inbond.registry.given import Found, Given, Ranges, chunks, rows_in, within
from inbond.registry.names import names_of
from inbond.registry.times import now
from inbond.schemas.errors import InvalidInput

MAX_HOPS = 10_000

_Rows = list[tuple[int, int]]

_STARTS = ("student", "teacher", "shard", "dataset", "run", "release", "party", "terms")


@dataclass(frozen=True, slots=True)
class Hop:
    """One edge of a walk. `src` came from, or learned from, `dst`.

    `relation` is trained_on_outputs_of, initialised_from, same_as, release_of, merged_from, made_by, derived_from, logits_of,
    trained_on, trained_by, provided_by, governed_by, corrects or corrected_by; `basis` recorded (the ledger's entries say so)
    or claimed (somebody declared it). `rows` counts distinct rows; `rows_at_most` is more where a grant's reporting time has
    passed without a closing statement. `via` lists the shards (at most 20) and `runs` the runs.
    """

    src: str
    dst: str
    relation: str
    depth: int
    basis: str
    rows: int | None = None
    rows_at_most: int | None = None
    role: str | None = None
    shards: int | None = None
    datasets: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    via: tuple[str, ...] = ()


@dataclass
class Answer:
    """A walk's answer: about `start`, as of `tree_size`. `names` gives what people call each reference.

    `time` is the moment at which reporting times were looked at: that of the last entry for an answer about the past, now
    for one about the newest state, where a time may pass without an entry.
    """

    start: str
    direction: str
    tree_size: int
    time: str = ""
    hops: list[Hop] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    truncated: bool = False

    def reached(self, kind: str) -> list[str]:
        """The references of a kind that the walk met, nearest first."""
        ends = [hop.dst if self.direction == "up" else hop.src for hop in self.hops]
        return list(dict.fromkeys(ref for ref in ends if ref.startswith(f"{kind}:")))


def walk(reader: LedgerReader, start: str, direction: str, depth: int | None, size: int | None) -> Answer:
    """Walk `up` (what it came from) or `down` (what it led to) from `start`, at most `depth` levels.

    Raises InvalidInput for a start of which lineage says nothing, such as a grant: no answer is not an empty one.
    """
    if start.partition(":")[0] not in _STARTS or (depth is not None and depth < 0):
        raise InvalidInput(f"lineage: expected a {', '.join(_STARTS)} and a depth from 0, found {start}, depth {depth}")
    written = parse_entry(reader.entry((reader.size if size is None else size) - 1)).time
    time = max(written, now()) if size is None else written
    size = reader.size if size is None else size
    view = _View(reader.connection, size, time)
    answer = Answer(start, direction, size, time)
    level, seen = 0, {start}
    frontier = [start]
    while frontier:
        if depth is not None and level == depth:
            answer.truncated = any(
                _is_news(hop, direction, seen) for ref in frontier for hop in view.hops(ref, direction, level + 1)
            )
            break
        level += 1
        found = [hop for ref in frontier for hop in view.hops(ref, direction, level) if _is_news(hop, direction, seen)]
        if len(answer.hops) + len(found) > MAX_HOPS:
            answer.truncated = True
            found = found[: MAX_HOPS - len(answer.hops)]
        answer.hops.extend(found)
        ends = [hop.dst if direction == "up" else hop.src for hop in found]
        frontier = [ref for ref in dict.fromkeys(ends) if ref not in seen]
        seen.update(frontier)
        if frontier and len(answer.hops) >= MAX_HOPS:
            answer.truncated = True
            break
    mentioned = {start, *(ref for hop in answer.hops for ref in (hop.src, hop.dst, *hop.runs, *hop.datasets))}
    answer.names = names_of(reader.connection, mentioned, size)
    return answer


_E, _T = t.edges.c, t.things.c
_BEFORE: Any = bindparam("size")
_NO_MODEL = _E.relation.not_like(literal_column("'model:%'"))
_EDGES_UP = Prepared(
    select(_E.dst, _E.relation)
    .where(_E.src == bindparam("wanted"), _E.seq < _BEFORE, _NO_MODEL)
    .order_by(_E.seq, _E.dst, _E.relation),
    ["wanted", "size"],
)
_EDGES_DOWN = Prepared(
    select(_E.src, _E.relation)
    .where(_E.dst == bindparam("wanted"), _E.seq < _BEFORE, _NO_MODEL)
    .order_by(_E.seq, _E.src, _E.relation),
    ["wanted", "size"],
)
_CORRECTED = Prepared(
    select(_T.amends).where(_T.ref == bindparam("wanted"), _T.amends.is_not(None), _T.seq < _BEFORE), ["wanted", "size"]
)
_CORRECTIONS = Prepared(
    select(_T.ref).where(_T.amends == bindparam("wanted"), _T.seq < _BEFORE).order_by(_T.seq), ["wanted", "size"]
)


class _View(Given):
    """The catalogue as of a tree size; grants with a reporting time before `time` are overdue."""

    def hops(self, ref: str, direction: str, depth: int) -> list[Hop]:
        kind = ref.partition(":")[0]
        if direction == "up":
            found = {"student": self._student_up, "run": self._run_up, "dataset": self._dataset_up, "shard": self._shard_up}
            hops = found.get(kind, self._nothing)(ref, depth)
            return hops + self._edges_up(ref, depth) + self._corrections(ref, direction, depth)
        found = {
            "party": self._party_down, "teacher": self._teacher_down, "shard": self._shard_down, "dataset": self._dataset_down,
            "terms": self._terms_down, "run": self._run_down,
        }  # fmt: skip
        hops = found.get(kind, self._nothing)(ref, depth) + self._edges_down(ref, depth)
        return hops + self._corrections(ref, direction, depth)

    # -- up ----------------------------------------------------------------------------------------------------------------

    def _student_up(self, ref: str, depth: int) -> list[Hop]:
        runs = self.column(select(t.runs.c.ref).where(t.runs.c.student == ref, t.runs.c.seq < self.size).order_by(t.runs.c.seq))
        return self._learned(ref, runs, depth)

    def _run_up(self, ref: str, depth: int) -> list[Hop]:
        return self._learned(ref, [ref], depth)

    def _learned(self, src: str, runs: list[str], depth: int) -> list[Hop]:
        """What `runs` read, teacher by teacher and role by role."""
        reached = _reached(self.exposed(runs), self.granted_without_report(runs))
        shards = sorted(reached)
        models = self.models(shards)
        made: dict[tuple[str, str], list[str]] = {}
        for shard in shards:
            for model in models.get(shard, ()):
                made.setdefault(model, []).append(shard)
        return [
            self._trained(src, teacher, "trained_on_outputs_of", depth, role, runs, {shard: reached[shard] for shard in mine})
            for (teacher, role), mine in sorted(made.items())
        ]

    def _trained(
        self, src: str, dst: str, relation: str, depth: int, role: str | None, runs: list[str], reached: dict[str, "_Reached"]
    ) -> Hop:
        """The hop that says that `runs`, oldest first, read what `reached` them, which is in the order of its shards."""
        rows, most = sum(each.rows for each in reached.values()), sum(each.rows_at_most for each in reached.values())
        of = set[str]().union(*(each.runs for each in reached.values()))
        by, shards = tuple(run for run in runs if run in of), list(reached)
        return Hop(
            src, dst, relation, depth, "recorded", rows, most if most > rows else None, role, len(shards),
            self.datasets(by, shards), by, tuple(shards[:20]),
        )  # fmt: skip

    def _dataset_up(self, ref: str, depth: int) -> list[Hop]:
        p = t.dataset_parts.c
        query = select(p.shard, p.first, p.last).where(p.dataset == ref, p.seq < self.size)
        ranges: dict[str, list[tuple[int, int]]] = {}
        for row in self.connection.execute(query):
            ranges.setdefault(row.shard, []).append((row.first, row.last))
        models = self.models(sorted(ranges))
        return [
            Hop(
                ref,
                teacher,
                "made_by",
                depth,
                "recorded",
                sum(rows_in(ranges[s]) for s in mine),
                None,
                role,
                len(mine),
                via=tuple(mine[:20]),
            )
            for teacher, role in sorted({pair for pairs in models.values() for pair in pairs})
            if (mine := [shard for shard in ranges if (teacher, role) in models.get(shard, ())])
        ]

    def _shard_up(self, ref: str, depth: int) -> list[Hop]:
        rows = self.connection.execute(select(t.shards.c.rows).where(t.shards.c.ref == ref)).scalar()
        return [
            Hop(ref, teacher, "made_by", depth, "recorded", rows, None, role)
            for teacher, role in sorted(self.models([ref]).get(ref, ()))
        ]

    def _edges_up(self, ref: str, depth: int) -> list[Hop]:
        rows = _EDGES_UP.rows(self.connection, ref, self.size)
        return [Hop(ref, dst, relation, depth, _basis(relation)) for dst, relation in rows]

    # -- down --------------------------------------------------------------------------------------------------------------

    def _party_down(self, ref: str, depth: int) -> list[Hop]:
        query = select(t.teachers.c.ref).where(t.teachers.c.party == ref, t.teachers.c.seq < self.size)
        return [Hop(teacher, ref, "provided_by", depth, "claimed") for teacher in self.column(query)]

    def _terms_down(self, ref: str, depth: int) -> list[Hop]:
        query = select(t.teachers.c.ref).where(t.teachers.c.seq < self.size)
        return [
            Hop(teacher, ref, "governed_by", depth, "recorded")
            for teacher in self.column(query)
            if ref in applicable_terms(self.connection, teacher, self.size)
        ]

    def _teacher_down(self, ref: str, depth: int) -> list[Hop]:
        e = t.edges.c
        shards = self.column(select(e.src).where(e.dst == ref, e.relation.like("model:%"), e.seq < self.size).distinct())
        return self._readers(ref, shards, depth)

    def _shard_down(self, ref: str, depth: int) -> list[Hop]:
        return self._readers(ref, [ref], depth)

    def _dataset_down(self, ref: str, depth: int) -> list[Hop]:
        """Who read rows of this version, under whatever dataset's name they came: `datasets` of a hop says which."""
        p = t.dataset_parts.c
        parts: dict[str, list[tuple[int, int]]] = {}
        for row in self.connection.execute(select(p.shard, p.first, p.last).where(p.dataset == ref, p.seq < self.size)):
            parts.setdefault(row.shard, []).append((row.first, row.last))
        return self._readers(ref, list(parts), depth, parts)

    def _run_down(self, ref: str, depth: int) -> list[Hop]:
        student = self.connection.execute(select(t.runs.c.student).where(t.runs.c.ref == ref, t.runs.c.seq < self.size)).scalar()
        return [Hop(student, ref, "trained_by", depth, "recorded")] if student else []

    def _readers(self, ref: str, shards: list[str], depth: int, parts: Ranges | None = None) -> list[Hop]:
        """The students whose runs read any of `shards`, or of the rows of them that `parts` names."""
        x, g = t.exposures.c, t.grants.c
        runs: set[str] = set()
        for chunk in chunks(shards):
            runs.update(self.column(select(x.run).where(x.shard.in_(chunk), x.seq < self.size).distinct()))
        overdue = self.column(select(g.run).where(g.seq < self.size, g.report_by < self.time).distinct())
        runs.update(overdue)
        students: dict[str, list[str]] = {}
        for chunk in chunks(sorted(runs)):
            query = select(t.runs.c.ref, t.runs.c.student).where(t.runs.c.ref.in_(chunk)).order_by(t.runs.c.seq)
            for row in self.connection.execute(query):
                students.setdefault(row.student, []).append(row.ref)
        hops = []
        relation = "trained_on_outputs_of" if ref.startswith("teacher:") else "trained_on"
        for student, mine in students.items():
            exposed, at_most = self.exposed(mine, set(shards)), self.granted_without_report(mine, set(shards))
            if parts is not None:
                exposed, at_most = within(exposed, parts), within(at_most, parts)
            reached = _reached(exposed, at_most)
            if reached:
                touched = {shard: reached[shard] for shard in sorted(reached)}
                hops.append(self._trained(student, ref, relation, depth, None, mine, touched))
        return hops

    def _edges_down(self, ref: str, depth: int) -> list[Hop]:
        rows = _EDGES_DOWN.rows(self.connection, ref, self.size)
        return [Hop(src, ref, relation, depth, _basis(relation)) for src, relation in rows]

    # -- both ways ---------------------------------------------------------------------------------------------------------

    def _corrections(self, ref: str, direction: str, depth: int) -> list[Hop]:
        """Statements that correct one another are about one thing: what is on record under one is so under the others."""
        earlier = [corrected for (corrected,) in _CORRECTED.rows(self.connection, ref, self.size)]
        later = [correction for (correction,) in _CORRECTIONS.rows(self.connection, ref, self.size)]
        if direction == "up":
            return [Hop(ref, each, "corrects", depth, "recorded") for each in earlier] + [
                Hop(ref, each, "corrected_by", depth, "recorded") for each in later
            ]
        return [Hop(each, ref, "corrected_by", depth, "recorded") for each in earlier] + [
            Hop(each, ref, "corrects", depth, "recorded") for each in later
        ]

    def _nothing(self, ref: str, depth: int) -> list[Hop]:
        return []


@dataclass(slots=True)
class _Reached:
    """How many distinct rows of a shard runs were given, how many they may have read at most, and which runs they are."""

    rows: int
    rows_at_most: int
    runs: list[str]


def _reached(exposed: Found, at_most: Found) -> dict[str, _Reached]:
    """What runs were given, and may have read, of each shard."""
    read, granted, runs = dict[str, _Rows](), dict[str, _Rows](), dict[str, list[str]]()
    for found, of in ((exposed, read), (at_most, granted)):
        for (shard, run), ranges in found.items():
            of[shard] = of[shard] + ranges if shard in of else ranges
            runs.setdefault(shard, []).append(run)
    reached = {shard: _Reached(rows, rows, runs[shard]) for shard, rows in ((shard, rows_in(read[shard])) for shard in read)}
    for shard, ranges in granted.items():
        rows = reached[shard].rows if shard in reached else 0
        reached[shard] = _Reached(rows, rows_in(read.get(shard, []) + ranges), runs[shard])
    return reached


def _is_news(hop: Hop, direction: str, seen: set[str]) -> bool:
    """Whether a hop tells more than the way back from a correction to what it corrects."""
    return hop.relation not in ("corrects", "corrected_by") or (hop.dst if direction == "up" else hop.src) not in seen


def _basis(relation: str) -> str:
    return "recorded" if relation in ("same_as", "release_of", "derived_from", "logits_of") else "claimed"
