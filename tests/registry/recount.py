"""Shares by brute force: entries are walked, statements decoded, rows kept in sets. Nothing here asks the catalogue."""

from collections import defaultdict
from dataclasses import dataclass, field

from inbond.ledger import dsse
from inbond.ledger.entries import parse_entry
from inbond.schemas import statement
from inbond.schemas import statements as s
from tests.registry.world import World

Row = tuple[str, int]


@dataclass
class Part:
    """What a student was given of something: rows, samples with repeats, rows that overdue grants add, entries."""

    rows: set[Row] = field(default_factory=set)
    samples: int = 0
    beyond: set[Row] = field(default_factory=set)
    times: list[str] = field(default_factory=list)

    def tokens(self, shards: dict[str, s.Shard]) -> int | None:
        """Tokens where all shards were given whole and state both counts, all in one tokenizer."""
        total, units = 0, set()
        for ref in {shard for shard, _ in self.rows}:
            shard = shards[ref]
            stated = shard.tokens.known
            if not isinstance(stated, s.Tokens) or sum(each == ref for each, _ in self.rows) != shard.rows:
                return None
            if not (stated.prompt.is_known and stated.response.is_known):
                return None
            maker = next(model.teacher for model in shard.models if model.role in ("response", "logits"))
            units.add(stated.tokenizer.value_or(maker))
            total += stated.prompt.value_or(0) + stated.response.value_or(0)
        return total if len(units) == 1 else None


def recount(world: World, student: str, size: int) -> tuple[dict[tuple[str, str, str], Part], dict[str, s.Shard]]:
    """What `student` was given as of `size` entries, by (stage, teacher, role), of everything by (stage, "", ""); the shards."""
    shards: dict[str, s.Shard] = {}
    datasets: dict[str, list[tuple[str, str, int, int]]] = {}
    runs: dict[str, s.RunOpen] = {}
    closed: set[str] = set()
    grants: dict[str, s.Grant] = {}
    given: list[tuple[str, list[Row], str]] = []
    time = ""
    store = world.registry.store
    with world.registry.reading() as reader:
        for _, data in reader.entries(0, size):
            entry = parse_entry(data)
            said, time = statement.read(dsse.payload_of(entry.dsse)), entry.time
            body = said.body
            if isinstance(body, s.Shard):
                shards.setdefault(said.ref, body)
            elif isinstance(body, s.Dataset):
                lines = store.read_lines(body.parts.digest, body.parts.root, int(body.parts.count))
                datasets[said.ref] = [(x["split"], x["shard"], a, b) for x in lines for a, b in x["rows"]]
            elif isinstance(body, s.RunOpen):
                runs[said.ref] = body
            elif isinstance(body, s.RunClose):
                closed.add(body.run)
            elif isinstance(body, s.Grant):
                grants[said.ref] = body
            elif isinstance(body, s.Consume):
                given.append((body.run, plan_of(runs[body.run], datasets)[body.first : body.last], time))
            elif isinstance(body, s.Delivery) and isinstance(body.grant, str):
                wanted = {x[1] for x in datasets[body.object]} if body.object in datasets else {body.object}
                rows = [(shard, row) for shard in sorted(wanted) for row in range(int(shards[shard].rows))]
                given.append((grants[body.grant].run, rows, time))
    found: dict[tuple[str, str, str], Part] = defaultdict(Part)
    mine = {ref: body for ref, body in runs.items() if body.student == student}
    overdue = {g.run for g in grants.values() if g.report_by < time and g.run not in closed}
    for run, body in mine.items():
        beyond = set(plan_of(body, datasets)) if run in overdue else set()
        for by, rows, at in [*given, (run, [], "")]:
            if by != run:
                continue
            for shard in {shard for shard, _ in (*rows, *beyond)}:
                keys = {(body.stage.value, "", "")} | {(body.stage.value, m.teacher, m.role.value) for m in shards[shard].models}
                for key in keys:
                    part = found[key]
                    here = [row for row in rows if row[0] == shard]
                    part.rows.update(here)
                    part.samples += len(here)
                    part.beyond |= {row for row in beyond if row[0] == shard}
                    part.times += [at] if here else []
    return dict(found), shards


def plan_of(run: s.RunOpen, datasets: dict[str, list[tuple[str, str, int, int]]]) -> list[Row]:
    """One epoch of a run, row by row."""
    return [
        (shard, row)
        for source in run.plan.sources
        for split, shard, first, last in datasets[source.dataset]
        if split == source.split
        for row in range(first, last)
    ]
