"""Families of models drawn at random, put on record and written down beside the ledger: for recounts by brute force.

A `Family` has teachers with shards, students that read ranges of them, students that became teachers, took weights, were
released, or whose release merged another model. What it writes down is sets of rows and plain edges; nothing here asks
the registry.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from inbond.schemas import statements as s
from inbond.schemas.declared import known, unknown
from inbond.schemas.scalars import EMPTY_LIST
from tests.registry.world import World

ROWS = 12
Row = tuple[str, int]


@dataclass
class Edge:
    """`src` came from `dst`; `rows` where it read them, and `runs` by which."""

    src: str
    dst: str
    step: bool
    recorded: bool
    rows: set[Row] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    sizes: list[int] = field(default_factory=list)


@dataclass
class Family:
    """What is on record, by reference."""

    world: World
    teachers: list[str] = field(default_factory=list)
    students: list[str] = field(default_factory=list)
    shards: dict[str, str] = field(default_factory=dict)
    edges: dict[tuple[str, str, str], Edge] = field(default_factory=dict)
    releases: list[tuple[str, str]] = field(default_factory=list)
    datasets: list[tuple[str, set[Row]]] = field(default_factory=list)
    runs: list[tuple[str, str, str, set[Row]]] = field(default_factory=list)
    deliveries: list[tuple[str, str, set[str]]] = field(default_factory=list)
    segments: list[tuple[int, str, str, set[Row]]] = field(default_factory=list)

    def tag(self) -> str:
        return str(self.world.size())

    def edge(self, src: str, dst: str, how: str, step: bool, recorded: bool) -> Edge:
        return self.edges.setdefault((src, dst, how), Edge(src, dst, step, recorded))

    def shard(self, teacher: str, **changes: Any) -> str:
        world = self.world
        first = world.parts("chat")[0][0]
        models = (s.ShardModel(teacher=teacher, role=s.ModelRole.RESPONSE, rows=unknown()),)
        body = world.changed(first, models=models, ordinal=1000 + world.size(), **changes)
        ref = world.put("shard", body, "producer")
        self.shards[ref] = teacher
        return ref

    def teacher(self, party: str, same_as: str | None = None) -> str:
        world = self.world
        named = {"same_as_student": same_as} if same_as else {}
        body = world.changed(world.ref("acme/base@1"), model=known(f"model {self.tag()}"), party=known(party), **named)
        ref = world.put("teacher", body, "producer")
        self.teachers.append(ref)
        if same_as:
            self.edge(ref, same_as, "same", False, True)
        return ref

    def student(self, *origins: str) -> str:
        world = self.world
        ref = world.student(f"s{self.tag()}", initialised_from=tuple(world.initialised(each) for each in dict.fromkeys(origins)))
        self.students.append(ref)
        for origin in origins:
            self.edge(ref, origin, "weights", True, False)
        return ref

    def read(self, student: str, spans: list[tuple[str, int, int]], segments: list[int], deliver: bool) -> str:
        """A run of `student` over a new dataset version of `spans`, read in segments that end at these samples."""
        world = self.world
        dataset = world.dataset(f"d{self.tag()}", spans)
        rows = [(shard, row) for shard, a, b in spans for row in range(a, b)]
        self.datasets.append((dataset, set(rows)))
        run, key = world.run(student, f"r{self.tag()}", dataset)
        state, previous, first = s.ConsumeState.RETROSPECTIVE, {}, 0
        taken: set[Row] = set()
        for sequence, last in enumerate(sorted({min(each, len(rows)) for each in segments})):
            ref = world.consume(run, key, None, first, last, sequence=sequence, state=state, **previous)
            previous = {"previous": ref}
            taken |= set(rows[first:last])
            self.segments.append((world.size(), run, student, set(rows[first:last])))
            first = last
        self.runs.append((run, student, dataset, taken))
        for shard, row in taken:
            edge = self.edge(student, self.shards[shard], "read", True, True)
            edge.rows.add((shard, row))
            edge.runs.add(run)
        if deliver:
            body = s.Delivery(
                policy=unknown(), object=dataset, recipient=unknown(), channel=s.Channel.OTHER, purpose=unknown()
            )  # fmt: skip
            self.deliveries.append((world.put("delivery", body, "registry"), dataset, {shard for shard, _, _ in spans}))
        return run

    def release(self, student: str, *merged: str) -> str:
        plan = s.ReleasePlan(**{name: unknown() for name in s.ReleasePlan.__struct_fields__})
        body = s.Release(
            student=student, weights="sha256:" + "7" * 64, runs=(), merged_from=tuple(dict.fromkeys(merged)),
            released=f"2026-0{1 + len(self.releases) % 9}-01", eu_market=unknown(), actual=plan, channels=(),
            parameters=unknown(), modalities=(), flop=unknown(), mau=unknown(), continuous=unknown(), policy=unknown(),
            obligations=EMPTY_LIST,
        )  # fmt: skip
        ref = self.world.put("release", body, "trainer")
        self.releases.append((ref, student))
        self.edge(ref, student, "release", False, True)
        for each in merged:
            self.edge(student, each, "merged", True, False)
        return ref

    # -- recounts ----------------------------------------------------------------------------------------------------------

    def ways(self, start: str) -> Iterator[list[Edge]]:
        """Every way down from `start` that meets nothing twice, by brute force."""
        stack: list[list[Edge]] = [[edge] for edge in self.edges.values() if edge.dst == start and edge.src != start]
        while stack:
            way = stack.pop()
            yield way
            met = {start, *(edge.src for edge in way)}
            stack += [[*way, edge] for edge in self.edges.values() if edge.dst == way[-1].src and edge.src not in met]

    def below(self, start: str) -> dict[str, tuple[int, str]]:
        """(depth, basis) of every student below `start`."""
        found: dict[str, tuple[int, str]] = {}
        for way in self.ways(start):
            end = way[-1]
            if end.src.startswith("student:") and end.step:
                depth = sum(edge.step for edge in way)
                basis = "recorded" if all(edge.recorded for edge in way) else "claimed"
                before = found.get(end.src, (99, "claimed"))
                found[end.src] = min(before[0], depth), max(before[1], basis)
        return found


@st.composite
def families(draw: st.DrawFn, world: World) -> Family:
    """A family of at most a few models."""
    family = Family(world)
    parties = [world.ref("acme", "party"), world.ref("vendor", "party")]
    for _ in range(draw(st.integers(1, 2))):
        teacher = family.teacher(draw(st.sampled_from(parties)))
        for _ in range(draw(st.integers(1, 2))):
            family.shard(teacher)
    for _ in range(draw(st.integers(1, 3))):
        family.student()
    for what in draw(st.lists(st.sampled_from(["read", "read", "read", "teacher", "heir", "release"]), min_size=2, max_size=9)):
        student = draw(st.sampled_from(family.students))
        if what == "read":
            spans = draw(st.lists(st.tuples(st.sampled_from(sorted(family.shards, key=list(family.shards).index)),
                                            st.integers(0, 11), st.integers(1, 12)), min_size=1, max_size=3))  # fmt: skip
            parts = [(shard, first, min(ROWS, first + count)) for shard, first, count in spans]
            family.read(student, parts, draw(st.lists(st.integers(1, 20), max_size=3)), draw(st.booleans()))
        elif what == "teacher":
            family.shard(family.teacher(draw(st.sampled_from(parties)), same_as=student))
        elif what == "heir":
            origins = [*family.students, *family.teachers, *(ref for ref, _ in family.releases)]
            family.student(draw(st.sampled_from([ref for ref in origins if not ref.startswith("release:")])))
        else:
            models = [*family.students, *family.teachers, *(ref for ref, _ in family.releases)]
            family.release(student, *draw(st.lists(st.sampled_from(models), max_size=1)))
    return family
