"""Runs: opened with a plan and a key of their own, granted what the gate permits, closed with totals."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inbond.ledger import dsse
from inbond.ledger.entries import parse_entry
from inbond.ledger.keys import SigningKey
from inbond.registry import deciding
from inbond.registry.listing import ListedRun
from inbond.registry.objects import as_lines
from inbond.registry.opened import OpenRegistry
from inbond.registry.place import Recorded
from inbond.registry.recorder import Said
from inbond.registry.training.layout import ORDER, Layout, Span, part_lines
from inbond.registry.versions import parts_of
from inbond.registry.words import word
from inbond.schemas import canonical, statement
from inbond.schemas.declared import known, unknown
from inbond.schemas.errors import Conflict, InvalidInput, NotPermitted
from inbond.schemas.scalars import Role
from inbond.schemas.statement import Statement, digest_of
from inbond.schemas.statements import (
    REQUEST_TYPE,
    Basis,
    GrantMode,
    GrantRequest,
    LossOn,
    Outcome,
    Plan,
    PlanSource,
    RunClose,
    RunInputLine,
    RunOpen,
    Stage,
    UseKind,
    Verdict,
)


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
    place = registry.place
    who = registry.resolve(student, "student")
    refs = [registry.resolve(dataset, "dataset") for dataset in datasets]
    sources = tuple(PlanSource(dataset=ref, split=split, weight="1") for ref in refs)
    for found in registry.every(ListedRun, student=who, name=name):
        return _resume(registry, found.ref, sources)
    layout = layout_of(registry, sources)
    if not layout.length:
        splits = dict.fromkeys(split for ref in refs for split in place.statement(ref).body.counts.splits)
        raise InvalidInput(f"expected rows in split {split!r}, found splits {', '.join(splits) or 'none'}", hint="--split NAME")
    ruled = place.check(who, refs, split)
    if ruled.verdict not in (Verdict.PERMITTED, Verdict.PERMITTED_WITH_OBLIGATIONS):
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


def _resume(registry: OpenRegistry, ref: str, sources: tuple[PlanSource, ...]) -> OpenRun:
    state, opened = registry.place.run(ref), registry.place.statement(ref)
    if state.closed is not None:
        raise Conflict(f"run {state.name} was closed by entry {state.closed}: expected a run of another name", hint="--run NAME")
    body = opened.body
    if not isinstance(body, RunOpen):
        raise InvalidInput(f"expected the statement that opened a run, found {ref}")
    have = [(source.dataset, source.split) for source in body.plan.sources]
    want = [(source.dataset, source.split) for source in sources]
    if have != want:
        called = registry.called(dataset for dataset, _ in (*have, *want))
        raise Conflict(
            f"run {body.name} reads {', '.join(called[dataset] for dataset, _ in have)}: expected the same datasets "
            f"and split, found {', '.join(called[dataset] for dataset, _ in want)}",
            hint="give the run another --run NAME",
        )
    key = registry.keys.run(ref)
    return OpenRun(ref, key, body.student, opened.header.asserted_by.party, digest_of(body.plan), layout_of(registry, sources))


def layout_of(registry: OpenRegistry, sources: Sequence[PlanSource]) -> Layout:
    """The samples of one epoch over `sources`, in order, from what their datasets' statements name."""
    spans = [
        Span(part.shard, first, last, part.split)
        for source in sources
        for part in parts_of(registry, source.dataset)
        if part.split == source.split
        for first, last in part.rows
    ]
    return Layout(spans)


def grant(registry: OpenRegistry, run: OpenRun, mode: GrantMode, columns: tuple[str, ...]) -> Recorded:
    """Ask for reading with the run's key; the registry puts the grant on record. PolicyDenied if the gate is shut."""
    _, parts = as_lines(part_lines(run.layout))
    request = GrantRequest(
        registry=registry.origin, id=secrets.token_hex(16), run=run.ref, columns=columns, mode=mode, parts=parts
    )
    return registry.place.grant(dsse.sign(canonical.encode(request), [run.key], REQUEST_TYPE))


def close(
    registry: OpenRegistry,
    run: str,
    outcome: str | None,
    *,
    complete: bool | None = None,
    inputs: Mapping[str, int] | None = None,
) -> Recorded:
    """Close a run with what it was given through the registry, and with rows of sources that it read beside it.

    `complete` says whether that was all; where it is None, that is not known. A run that is closed already is told so later:
    what was said before stays as it was.
    """
    ref = registry.resolve(run, "run")
    state = registry.place.run(ref)
    beside = {registry.resolve(name, "source"): rows for name, rows in (inputs or {}).items()}
    before = None if state.closed is None else _closed(registry, state.closed)
    if before is None:
        if outcome is None:
            raise InvalidInput(f"run {state.name} is open: expected an outcome", hint=f"--outcome {'|'.join(Outcome)}")
        said, stands, sure = word(Outcome, outcome, "outcome"), registry.place.inputs(ref), None
    else:
        if outcome not in (None, before.body.outcome.value):
            raise Conflict(f"run {state.name} was closed by entry {state.closed} as {before.body.outcome.value}, not {outcome}")
        stated = [canonical.convert(line, RunInputLine) for line in registry.place.lines(before.body.inputs, before.ref)]
        said, stands, sure = before.body.outcome, {line.object: int(line.rows) for line in stated}, before.body.inputs_complete
    lines = [RunInputLine(object=each, rows=rows, tokens=unknown()) for each, rows in sorted({**stands, **beside}.items())]
    body = RunClose(
        student=state.student,
        run=ref,
        outcome=said,
        inputs=registry.place.objects.put_lines(lines),
        inputs_complete=known(complete) if complete is not None else sure or unknown(),
        checkpoints=before.body.checkpoints if before else (),
        flop=before.body.flop if before else unknown(),
        mwh=before.body.mwh if before else unknown(),
    )
    key = registry.owner_key(state.student, Role.TRAINER)
    if before is not None:
        if before.body == body:
            raise Conflict(f"run {state.name} was closed by entry {state.closed}, and all of it is on record already")
        return registry.record("run", body, key, amends=before.ref)
    recorded = registry.record("run", body, key)
    registry.keys.drop_run(ref)
    registry.cursors.drop(ref)
    return recorded


def _closed(registry: OpenRegistry, entry: int) -> Statement:
    """The newest statement about how a run was closed, by the entry that closed it."""
    data = registry.place.receipt(entry).extra
    if data is None:
        raise NotPermitted(f"entry {entry} closed the run and is not for this caller to see")
    first = statement.read(dsse.payload_of(parse_entry(data).dsse)).ref
    return registry.place.statement(registry.thing(first).newest)
