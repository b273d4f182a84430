"""Runs: opened with a plan and a key of their own, granted what the gate permits, closed with totals."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from inbond.ledger import dsse
from inbond.ledger.keys import SigningKey
from inbond.registry import deciding, gate, names
from inbond.registry import tables as t
from inbond.registry.lists import layout_of, sources_of
from inbond.registry.opened import OpenRegistry
from inbond.registry.recorder import Recorded, Said, now
from inbond.registry.training.cursors import Cursors
from inbond.registry.training.layout import ORDER, Layout, merged
from inbond.registry.words import word
from inbond.schemas import canonical
from inbond.schemas.declared import unknown
from inbond.schemas.errors import Conflict, InvalidInput, NotFound
from inbond.schemas.scalars import EMPTY_LIST, Role
from inbond.schemas.statement import digest_of
from inbond.schemas.statements import (
    REQUEST_TYPE,
    Basis,
    Evaluated,
    Grant,
    GrantMode,
    GrantRequest,
    LossOn,
    Outcome,
    PartLine,
    Plan,
    PlanSource,
    RunClose,
    RunInputLine,
    RunOpen,
    Stage,
    UseKind,
    Verdict,
)

CURSORS = "cursors"
GRANT_DAYS = 7
REPORT_DAYS = 30


@dataclass(frozen=True)
class OpenRun:
    """A run that may sign: its reference, key, student, plan digest, and one epoch of its samples."""

    ref: str
    key: SigningKey
    student: str
    owner: str
    plan: str
    layout: Layout


def open_run(
    registry: OpenRegistry,
    datasets: Sequence[str],
    *,
    student: str,
    name: str,
    split: str = "train",
    stage: str = "sft",
    use_kind: str = "sft",
    seed: int = 0,
) -> OpenRun:
    """Open the run `name` of `student` over `datasets`, or go on with it where it is open and has the same sources.

    Nothing is put on record unless the gate would let the student read.
    """
    with registry.reading() as reader:
        connection = reader.connection
        who = names.resolve(connection, student, "student")
        refs = [names.resolve(connection, dataset, "dataset") for dataset in datasets]
        found = connection.execute(select(t.runs).where(t.runs.c.student == who, t.runs.c.name == name)).one_or_none()
        sources = tuple(PlanSource(dataset=ref, split=split, weight="1") for ref in refs)
        if found is not None:
            return _resume(registry, reader.connection, found, sources)
        layout = layout_of(connection, sources)
        if not layout.length:
            splits = connection.execute(
                select(t.dataset_parts.c.split).where(t.dataset_parts.c.dataset.in_(refs)).distinct()
            ).scalars()
            raise InvalidInput(
                f"expected rows in split {split!r}, found splits {', '.join(splits) or 'none'}", hint="--split NAME"
            )
        ruled = gate.evaluate(connection, who, [span.shard for span in layout.spans], now())
    if ruled.verdict is not Verdict.PERMITTED:
        raise deciding.refusal(registry, ruled, who)
    plan = Plan(sources=sources, order=ORDER, seed=seed)
    trainer = registry.owner_key(who, Role.TRAINER)
    key = SigningKey.generate(f"{registry.origin}/run")
    body = RunOpen(
        name=name,
        student=who,
        stage=word(Stage, stage, "stage"),
        use_kind=word(UseKind, use_kind, "use_kind"),
        loss_on=LossOn.RESPONSE,
        plan=plan,
        run_key=key.public.base64,
        code=unknown(),
        config=unknown(),
        initial_weights=unknown(),
    )
    said = Said("run", body, [trainer, key], basis=Basis.OBSERVED)
    registry.keys.keep_run(said.id, key)
    recorded = registry.recorder.record(said)
    return OpenRun(recorded.ref, key, who, registry.recorder.party_of(trainer), digest_of(plan), layout)


def _resume(registry: OpenRegistry, connection: Any, found: Any, sources: tuple[PlanSource, ...]) -> OpenRun:
    if found.closed is not None:
        raise Conflict(f"run {found.name} was closed by entry {found.closed}: expected a run of another name", hint="--run NAME")
    have = [(source.dataset, source.split) for source in sources_of(connection, found.ref)]
    want = [(source.dataset, source.split) for source in sources]
    if have != want:
        raise Conflict(
            f"run {found.name} reads {', '.join(names.name_of(connection, ref) for ref, _ in have)}: expected the same datasets "
            f"and split, found {', '.join(names.name_of(connection, ref) for ref, _ in want)}",
            hint="give the run another --run NAME",
        )
    layout = layout_of(connection, sources)
    return OpenRun(found.ref, registry.keys.run(found.ref), found.student, found.owner, found.plan, layout)


def grant(registry: OpenRegistry, run: OpenRun, mode: GrantMode, columns: tuple[str, ...]) -> Recorded:
    """Ask for reading with the run's key, and put the grant on record with the registry's; PolicyDenied if the gate is shut."""
    with registry.reading() as reader:
        at, size = now(), reader.size
        ruled = gate.evaluate(reader.connection, run.student, [span.shard for span in run.layout.spans], at)
    if ruled.verdict is not Verdict.PERMITTED:
        raise deciding.refusal(registry, ruled, run.student)
    said = Said("grant", None, [registry.keys.role(Role.REGISTRY)], basis=Basis.OBSERVED)
    parts = registry.store.put_lines(_parts(run.layout))
    request = GrantRequest(registry=registry.origin, id=said.id, run=run.ref, columns=columns, mode=mode, parts=parts)
    moment = datetime.now(UTC)
    said.body = Grant(
        request=dsse.sign(canonical.encode(request), [run.key], REQUEST_TYPE),
        student=run.student,
        run=run.ref,
        plan=run.plan,
        parts=parts,
        columns=columns,
        mode=mode,
        principal=run.owner,
        evaluated=Evaluated(facts_size=size, rules=gate.RULES_DIGEST, at=at),
        verdict=ruled.verdict,
        reasons=registry.store.put_lines([reason.line() for reason in ruled.reasons]),
        obligations=EMPTY_LIST,
        decisions=ruled.decisions,
        expires=_later(moment, GRANT_DAYS),
        report_by=_later(moment, REPORT_DAYS),
    )
    return registry.recorder.record(said)


def close(registry: OpenRegistry, run: str, outcome: str) -> Recorded:
    """Close a run with what it was given through the registry; whether that was all is not known."""
    ref = registry.resolve(run, "run")
    with registry.reading() as reader:
        row = reader.connection.execute(select(t.runs).where(t.runs.c.ref == ref)).one_or_none()
        if row is None:
            raise NotFound(f"no open run is called {run!r}", hint="inbond run list")
        e = t.exposures.c
        read: dict[str, list[tuple[int, int]]] = {}
        for item in reader.connection.execute(select(e.shard, e.first, e.last).where(e.run == ref)):
            read.setdefault(item.shard, []).append((item.first, item.last))
    lines = [
        RunInputLine(object=shard, rows=sum(b - a for a, b in merged(ranges)), tokens=unknown())
        for shard, ranges in sorted(read.items())
    ]
    body = RunClose(
        student=row.student,
        run=ref,
        outcome=word(Outcome, outcome, "outcome"),
        inputs=registry.store.put_lines(lines),
        inputs_complete=unknown(),
        checkpoints=(),
        flop=unknown(),
        mwh=unknown(),
    )
    recorded = registry.record("run", body, registry.owner_key(row.student, Role.TRAINER))
    registry.keys.drop_run(ref)
    Cursors(registry.folder / CURSORS).drop(ref)
    return recorded


def _parts(layout: Layout) -> list[PartLine]:
    return [PartLine(shard=s.shard, rows=((s.first, s.last),), split=s.split, count=s.rows) for s in layout.spans]


def _later(moment: datetime, days: int) -> str:
    return (moment + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:23] + "Z"
