"""Gathering the facts behind a disclosure, in a number of queries that does not grow with the shards."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from inbond.ledger.reader import LedgerReader
from inbond.registry import tables as t
from inbond.registry.current import newest_of
from inbond.registry.disclosure.facts import Decided, Facts, Given, Granted, RunFacts, UsedSource
from inbond.registry.disclosure.ledger import Ledger, Thing
from inbond.registry.disclosure.router import sections_in
from inbond.registry.given import chunks
from inbond.registry.intake import Intake, ShardFacts
from inbond.registry.objects import ObjectStore
from inbond.registry.shares import Taken, shares_of, taken_in
from inbond.schemas import canonical
from inbond.schemas.statements import Question, Ruling, RunClose, RunInputLine, SourceCategory, Verdict


def gather(reader: LedgerReader, store: ObjectStore, student: str, size: int) -> Facts:
    """The facts about `student` in the first `size` entries."""
    ledger = Ledger(reader, store, size)
    who = ledger.thing(student)
    intake = Intake(reader.connection, size, ledger.time)
    stages = intake.runs_of(who.ref)
    reads, at_most = intake.reads(stages), intake.at_most(stages)
    measured = intake.shards(reads, at_most)
    taken = taken_in(stages, reads, at_most)
    runs = {run: _run(ledger, run) for run in stages}
    named = dict.fromkeys(stages.values())
    given = _given(ledger, taken, reads, runs)
    facts = Facts(
        ledger=ledger,
        student=who,
        provider=ledger.thing(who.owner),
        operator=_operator(ledger, who.owner),
        releases=_releases(ledger, who.ref),
        runs=runs,
        shards=given,
        measured=measured,
        taken=taken,
        stages={stage: taken_in([run for run, its in stages.items() if its == stage], reads, at_most) for stage in named},
        shares=shares_of(reader, who.ref, size),
        sources=_sources(ledger, given, measured, runs),
        decisions=_decisions(ledger, who.ref),
        granted=_granted(ledger, stages),
    )
    facts.datasets = ledger.things(dict.fromkeys(ref for shard in given.values() for ref in shard.datasets))
    return facts


def _run(ledger: Ledger, run: str) -> RunFacts:
    r, x = t.runs.c, t.exposures.c
    row = ledger.connection.execute(select(r.closed).where(r.ref == run)).one()
    closed = ledger.made_by(row.closed) if row.closed is not None and row.closed < ledger.size else None
    lines: tuple[RunInputLine, ...] = ()
    if closed is not None:
        body: RunClose = closed.body
        lines = tuple(canonical.convert(line, RunInputLine, what=f"inputs of {run}") for line in ledger.lines(body.inputs))
    query = select(x.seq).where(x.run == run, x.seq < ledger.size).distinct().order_by(x.seq)
    return RunFacts(ledger.thing(run), closed, lines, tuple(ledger.connection.execute(query).scalars()))


def _given(
    ledger: Ledger,
    taken: dict[str, Taken],
    reads: Iterable[tuple[str, str]],
    runs: dict[str, RunFacts],
) -> dict[str, Given]:
    """The shards that were given, or at most given, oldest statement first."""
    by: dict[str, list[str]] = {}
    for run, shard in reads:
        by.setdefault(shard, []).append(run)
    s, p = t.run_sources.c, t.dataset_parts.c
    held: dict[str, dict[str, None]] = {}
    for chunk in chunks(sorted(runs)):
        query = (
            select(p.shard, s.dataset)
            .join_from(t.run_sources, t.dataset_parts, (p.dataset == s.dataset) & (p.split == s.split))
            .where(s.run.in_(chunk))
            .order_by(s.seq, s.position)
        )
        for row in ledger.connection.execute(query):
            held.setdefault(row.shard, {}).setdefault(row.dataset)
    things = ledger.things(taken)
    found = {}
    for ref in sorted(taken, key=lambda ref: things[ref].made):
        mine = taken[ref]
        found[ref] = Given(things[ref], mine.rows, tuple(by.get(ref, ())), tuple(held.get(ref, ())), mine.start)
    return found


def _operator(ledger: Ledger, party: str) -> Thing | None:
    c = t.things.c
    query = select(c.ref).where(c.kind == "operator", c.seq < ledger.size, c.amends.is_(None)).order_by(c.seq.desc())
    for ref in ledger.connection.execute(query).scalars():
        found = ledger.thing(ref)
        if found.body.party == party:
            return found
    return None


def _releases(ledger: Ledger, student: str) -> list[Thing]:
    """The releases of a student as they are known, oldest first; one that was corrected counts once."""
    c = t.releases.c
    refs = list(ledger.connection.execute(select(c.ref).where(c.student == student, c.seq < ledger.size)).scalars())
    newest = newest_of(ledger.connection, refs, ledger.size)
    things = {newest[ref]: thing for ref, thing in ledger.things(refs).items()}
    return sorted(things.values(), key=lambda thing: thing.made)


def _sources(
    ledger: Ledger, given: dict[str, Given], measured: dict[str, ShardFacts], runs: dict[str, RunFacts]
) -> dict[str, UsedSource]:
    """Sources of prompts and of what runs read beside shards, by reference, in the order in which they came on record."""
    shards: dict[str, list[str]] = {}
    training: dict[str, list[bool | None]] = {}
    rows: dict[str, int | None] = {}
    entries: dict[str, set[int]] = {}
    categories: dict[str, set[SourceCategory]] = {}
    for ref, shard in given.items():
        for prompt in shard.body.prompts.value_or(()):
            shards.setdefault(prompt.source, []).append(ref)
            known = prompt.in_training.known
            training.setdefault(prompt.source, []).append(known if isinstance(known, bool) else None)
            whole = shard.rows == measured[ref].rows  # of rows that were given in part nobody knows which these were
            before = rows.get(prompt.source, 0)
            rows[prompt.source] = before + prompt.rows if whole and before is not None else None
            entries.setdefault(prompt.source, set()).add(shard.thing.entry)
            categories.setdefault(prompt.source, set()).add(prompt.category)
    for run in runs.values():
        for line in run.inputs:
            if line.object.startswith("source:") and run.closed is not None:
                training.setdefault(line.object, []).append(True)
                before = rows.get(line.object, 0)
                rows[line.object] = before + line.rows if before is not None else None
                entries.setdefault(line.object, set()).add(run.closed.entry)
    things = ledger.things(training)
    found = {}
    for ref in sorted(training, key=lambda ref: things[ref].made):
        said = training[ref]
        used = True if any(said) else None if None in said else False
        seqs = (things[ref].entry, *sorted(entries[ref]))
        kinds = tuple(sorted(categories.get(ref) or {things[ref].body.category}))
        found[ref] = UsedSource(things[ref], tuple(shards.get(ref, ())), kinds, used, rows[ref], seqs)
    return found


def _decisions(ledger: Ledger, student: str) -> list[Decided]:
    """Questions about sections that name the student, oldest first, each with its newest ruling that is in force."""
    d = t.decisions.c
    of_student = select(d.ref).where(d.subject == student, d.question == Question.ROUTE_SECTION.value)
    query = select(t.decisions).where(d.ref.in_(of_student), d.seq < ledger.size).order_by(d.seq, d.subject)
    asks: dict[str, list[Any]] = {}
    rules: dict[str, Any] = {}
    for row in ledger.connection.execute(query):
        if row.phase == "ask":
            asks.setdefault(row.ref, []).append(row)
        elif row.ruling == Ruling.SECTION and row.starts <= ledger.time and (row.until is None or row.until > ledger.time):
            rules[row.ask] = row
    found = []
    for ask, rows in asks.items():
        subjects = frozenset(row.subject for row in rows)
        ruled = rules.get(ask)
        if ruled is None:
            found.append(Decided(ask, rows[0].seq, subjects, None, -1, ()))
        else:
            sections = sections_in(ledger.thing(ruled.ref).body.scope)
            found.append(Decided(ask, rows[0].seq, subjects, ruled.ref, ruled.seq, sections))
    return found


def _granted(ledger: Ledger, runs: Iterable[str]) -> dict[str, Granted]:
    """What the newest grant of each run said of each teacher."""
    g = t.grants.c
    newest: dict[str, str] = {}
    for chunk in chunks(sorted(runs)):
        query = select(g.run, g.ref).where(g.run.in_(chunk), g.seq < ledger.size).order_by(g.seq)
        newest.update({row.run: row.ref for row in ledger.connection.execute(query)})
    lines: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for grant in ledger.things(newest.values()).values():
        for line in ledger.lines(grant.body.reasons):
            if line.get("teacher"):
                lines.setdefault(line["teacher"], []).append((grant.made, line))
    merged: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for ref, thing in ledger.things(lines).items():
        merged.setdefault(thing.ref, []).extend(lines[ref])
    return {
        ref: Granted(
            tuple(sorted({Verdict(line["verdict"]) for _, line in said})),
            tuple(sorted({line["decision"] for _, line in said if "decision" in line})),
            tuple(sorted({entry for entry, _ in said})),
        )
        for ref, said in sorted(merged.items())
    }
